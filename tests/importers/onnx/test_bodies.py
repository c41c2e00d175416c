"""If, Loop and Scan: bodies, what they capture, and the types that cross their borders."""

from __future__ import annotations

from pathlib import Path

import pytest
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper

import memprof
from memprof.ir import BOUND, Graph, Role
from tests.onnx_models import body, integers, load, model, node, shapes, sizes, tensor, weight

BOOL, INT64 = TensorProto.BOOL, TensorProto.INT64


def _names(graph: Graph, ids: tuple[int, ...]) -> list[str]:
    return [graph.values[i].name for i in ids]


def _if(then_nodes: list[NodeProto], else_nodes: list[NodeProto]) -> NodeProto:
    return node(
        "If",
        ["c"],
        ["y"],
        then_branch=body(then_nodes, outputs=[then_nodes[-1].output[0]]),
        else_branch=body(else_nodes, outputs=[else_nodes[-1].output[0]]),
    )


def _conditional(chosen: NodeProto) -> ModelProto:
    return model([chosen], inputs=[tensor("c", [], BOOL), tensor("x", [2, 3])], outputs=["y"])


def test_a_body_captures_what_it_reads_outside(tmp_path: Path) -> None:
    found = load(tmp_path, _conditional(_if([node("Relu", ["x"], ["a"])], [node("Neg", ["x"], ["b"])]))).graph

    (owner,) = found.nodes
    assert _names(found, owner.captures) == ["x"]
    assert [[(value.name, value.role) for value in graph.values] for graph in owner.bodies] == [
        [("x", Role.CAPTURE), ("b", Role.INTERMEDIATE)],  # attributes are stored in the order of their names
        [("x", Role.CAPTURE), ("a", Role.INTERMEDIATE)],
    ]


def test_an_output_of_if_has_the_type_of_both_branches(tmp_path: Path) -> None:
    found = load(tmp_path, _conditional(_if([node("Relu", ["x"], ["a"])], [node("Neg", ["x"], ["b"])])))

    assert shapes(found)["y"] == (2, 3)
    assert not found.graph.unknown


def test_branches_that_differ_leave_the_output_open_and_say_so(tmp_path: Path) -> None:
    turned = _if([node("Relu", ["x"], ["a"])], [node("Transpose", ["x"], ["b"])])

    found = load(tmp_path, _conditional(turned))

    assert shapes(found)["y"] == (None, None)
    assert [(unknown.kind, unknown.name) for unknown in found.graph.unknown] == [("shape", "y")]


def test_a_constant_condition_leaves_only_the_branch_that_runs(tmp_path: Path) -> None:
    turned = _if([node("Relu", ["x"], ["a"])], [node("Transpose", ["x"], ["b"])])
    constant = [node("Constant", [], ["zero"], value_int=0), node("Cast", ["zero"], ["c"], to=BOOL), turned]

    found = load(tmp_path, model(constant, inputs=[tensor("x", [2, 3])], outputs=["y"]))

    assert shapes(found)["y"] == (3, 2)
    assert [[n.op for n in graph.nodes] for graph in found.graph.nodes[-1].bodies] == [["Transpose"]]


def test_a_capture_passes_through_every_level(tmp_path: Path) -> None:
    inner = _if([node("Relu", ["x"], ["a"])], [node("Neg", ["x"], ["b"])])
    outer = node(
        "If", ["c"], ["z"], then_branch=body([inner], outputs=["y"]), else_branch=body([inner], outputs=["y"])
    )
    inputs = [tensor("c", [], BOOL), tensor("x", [2, 3])]

    found = load(tmp_path, model([outer], inputs=inputs, outputs=["z"])).graph

    middle = found.nodes[0].bodies[0]
    innermost = middle.nodes[0].bodies[0]
    assert _names(found, found.nodes[0].captures) == ["c", "x"]
    assert _names(middle, middle.nodes[0].captures) == ["x"]
    assert [value.role for value in innermost.values if value.name == "x"] == [Role.CAPTURE]
    assert found.value_bytes[-1] == 24


def test_a_name_of_the_body_hides_the_same_name_outside(tmp_path: Path) -> None:
    hidden = _if([node("Relu", ["x"], ["t"])], [node("Neg", ["x"], ["t"])])
    outside = node("Concat", ["x", "x"], ["t"], axis=0)
    inputs = [tensor("c", [], BOOL), tensor("x", [2, 3])]

    found = load(tmp_path, model([outside, hidden], inputs=inputs, outputs=["y", "t"]))

    assert shapes(found)["y"] == (2, 3)
    assert _names(found.graph, found.graph.nodes[1].captures) == ["x"]


def test_weights_in_a_body_count_as_parameters(tmp_path: Path) -> None:
    branch = body([node("Mul", ["x", "w"], ["a"])], outputs=["a"])
    branch.initializer.append(weight("w", 2, 3))
    chosen = node(
        "If", ["c"], ["y"], then_branch=branch, else_branch=body([node("Neg", ["x"], ["b"])], outputs=["b"])
    )

    assert load(tmp_path, _conditional(chosen)).graph.parameter_bytes == 24


def test_the_peak_of_a_body_comes_on_top_of_what_it_captures(tmp_path: Path) -> None:
    """x 24 bytes and y 24 bytes around; the larger branch needs 24 + 48 inside at its Concat."""
    large = [
        node("Relu", ["x"], ["a"]),
        node("Concat", ["a", "a"], ["d"], axis=0),
        node("Slice", ["d", "o", "e"], ["f"]),
    ]
    found = _conditional(_if(large, [node("Neg", ["x"], ["b"])]))
    found.graph.initializer.extend([integers("o", 0), integers("e", 2)])

    report = memprof.analyze(load(tmp_path, found))

    assert report.peak_intermediate_bytes == 1 + 24 + 24 + (24 + 48)


def _loop(steps: GraphProto, trips: int | None, **outputs: str) -> ModelProto:
    constants = [integers("m", trips)] if trips is not None else []
    inputs = [tensor("x", [2, 3])] + ([tensor("m", [1], INT64)] if trips is None else [])
    made = node("Loop", ["m", "", "x"], list(outputs.values()), body=steps)
    return model([made], inputs=inputs, initializers=constants, outputs=list(outputs.values()))


def _steps(*nodes: NodeProto, outputs: list[str]) -> GraphProto:
    return body([node("Identity", ["go"], ["on"]), *nodes], inputs=["i", "go", "v"], outputs=["on", *outputs])


def test_a_carried_value_that_keeps_its_shape_has_it_throughout(tmp_path: Path) -> None:
    found = load(tmp_path, _loop(_steps(node("Relu", ["v"], ["w"]), outputs=["w"]), None, last="y"))

    assert shapes(found)["y"] == (2, 3)
    assert [value.type.shape for value in found.graph.nodes[0].bodies[0].values] == [(), (), (2, 3), (), (2, 3)]
    assert not found.graph.unknown


def test_a_carried_value_that_grows_is_open_where_it_grows(tmp_path: Path) -> None:
    found = load(tmp_path, _loop(_steps(node("Concat", ["v", "v"], ["w"], axis=1), outputs=["w"]), None, last="y"))

    assert shapes(found)["y"] == (2, None)
    assert [(unknown.kind, unknown.name) for unknown in found.graph.unknown] == [("shape", "y")]


def test_two_carried_values_that_change_places_agree_on_what_they_share(tmp_path: Path) -> None:
    swap = body(
        [node("Identity", ["go"], ["on"]), node("Relu", ["a"], ["p"]), node("Relu", ["b"], ["q"])],
        inputs=["i", "go", "a", "b"],
        outputs=["on", "q", "p"],
    )
    inputs = [tensor("m", [], INT64), tensor("s", [2, 3]), tensor("t", [2, 5])]
    found = load(
        tmp_path, model([node("Loop", ["m", "", "s", "t"], ["y", "z"], body=swap)], inputs=inputs, outputs=["y"])
    )

    assert (shapes(found)["y"], shapes(found)["z"]) == ((2, None), (2, None))


@pytest.mark.parametrize(("start", "count"), [(True, 7), (False, 0), (None, None)])
def test_a_loop_asks_its_start_condition_before_it_runs(
    tmp_path: Path, start: bool | None, count: int | None
) -> None:
    """A condition that is not known may be false: then the limit says how often the loop runs at most."""
    steps = _steps(node("Relu", ["v"], ["w"]), node("Relu", ["v"], ["each"]), outputs=["w", "each"])
    made = node("Loop", ["m", "start", "x"], ["last", "all"], body=steps)
    inputs, constants = [tensor("x", [2, 3])], [integers("m", 7)]
    if start is None:
        inputs.append(tensor("start", [], BOOL))
    else:
        constants.append(helper.make_tensor("start", BOOL, [], [start]))

    found = load(tmp_path, model([made], inputs=inputs, initializers=constants, outputs=["last", "all"]))

    most = 7 if count is None else count
    assert shapes(found)["all"] == (most, 2, 3)
    assert [note.kind for note in found.graph.assumed] == ([BOUND] if count is None else [])
    assert found.graph.nodes[-1].attributes.get("trip_count") == most


@pytest.mark.parametrize(
    ("trips", "shape"), [(7, (7, 2, 3)), (0, (0, 2, 3)), (2**63 - 1, (None, 2, 3)), (None, (None, 2, 3))]
)
def test_what_a_loop_collects_has_one_more_dimension(
    tmp_path: Path, trips: int | None, shape: tuple[int | None, ...]
) -> None:
    steps = _steps(node("Relu", ["v"], ["w"]), node("Neg", ["w"], ["u"]), outputs=["w", "u"])

    found = load(tmp_path, _loop(steps, trips, last="y", all="z"))

    assert shapes(found)["z"] == shape


def test_a_loop_that_the_data_may_end_collects_at_most_its_limit(tmp_path: Path) -> None:
    steps = [node("Relu", ["v"], ["w"]), node("Neg", ["w"], ["u"])]
    ends = [node("ReduceMax", ["v"], ["r"], keepdims=0), node("Cast", ["r"], ["on"], to=BOOL)]
    stops = body(steps + ends, inputs=["i", "go", "v"], outputs=["on", "w", "u"])

    found = load(tmp_path, _loop(stops, 7, last="y", all="z"))

    assert shapes(found)["z"] == (7, 2, 3)
    assert [(note.kind, note.name) for note in found.graph.assumed] == [(BOUND, "z")]
    assert not found.graph.unknown


def test_a_scan_takes_its_axis_out_and_puts_it_back(tmp_path: Path) -> None:
    steps = body(
        [node("Add", ["s", "e"], ["t"]), node("Concat", ["e", "e"], ["o"], axis=0)],
        inputs=["s", "e"],
        outputs=["t", "o"],
    )
    scan = node(
        "Scan",
        ["start", "x"],
        ["last", "y"],
        body=steps,
        num_scan_inputs=1,
        scan_input_axes=[1],
        scan_output_axes=[1],
    )
    inputs = [tensor("start", [4]), tensor("x", [4, 9])]

    found = load(tmp_path, model([scan], inputs=inputs, outputs=["last", "y"]))

    assert (shapes(found)["last"], shapes(found)["y"]) == ((4,), (8, 9))


def test_an_input_that_picks_the_branch_that_is_known_is_asked_for(tmp_path: Path) -> None:
    by_data = [
        node("Cast", ["x"], ["n"], to=TensorProto.INT64),
        node("Expand", ["x", "n"], ["a"]),
    ]
    found = load(tmp_path, _conditional(_if([node("Relu", ["x"], ["b"])], by_data)))

    assert [unknown.hint for unknown in found.graph.unknown][:1] == ["--value c=N"]
    assert not memprof.load(tmp_path / "model.onnx", values={"c": True}).graph.unknown


def test_a_cause_inside_a_body_is_reported_once_and_not_again_outside(tmp_path: Path) -> None:
    def by_data(name: str) -> list[NodeProto]:
        return [
            node("ReduceMax", ["x"], [f"{name}_most"], axes=[0], keepdims=0),
            node("Cast", [f"{name}_most"], [f"{name}_shape"], to=TensorProto.INT64),
            node("ConstantOfShape", [f"{name}_shape"], [name]),
        ]

    found = load(tmp_path, _conditional(_if(by_data("a"), by_data("b"))))

    assert [unknown.name for unknown in found.graph.unknown] == ["b", "a"]
    assert sizes(found)["y"] is None


@pytest.mark.parametrize(
    "broken",
    [
        NodeProto(op_type="If", name="n", input=["c"], output=["y"]),
        node("Loop", ["c"], ["y"], name="n", body=body([], outputs=[])),
        node("Scan", ["x"], ["y"], name="n", num_scan_inputs=3, body=body([], inputs=["e"], outputs=["e"])),
        node("Scan", ["x"], ["y"], name="n", num_scan_inputs=0, body=body([], inputs=["e"], outputs=["e"])),
    ],
    ids=["if", "loop", "scan of too many", "scan of none"],
)
def test_a_node_that_does_not_fit_its_body_is_unknown_by_name(tmp_path: Path, broken: NodeProto) -> None:
    found = load(tmp_path, _conditional(broken))

    (unknown,) = found.graph.unknown
    assert (unknown.kind, unknown.name) == ("node", "n")
    assert [n.is_malformed for n in found.graph.nodes if n.name == "n"] == [True]


def test_a_malformed_node_in_a_body_bounds_nothing(tmp_path: Path) -> None:
    branch = [node("MatMul", ["x"], ["t"]), node("Relu", ["t"], ["b"])]
    inner = body(branch, outputs=["b"])
    inner.value_info.append(tensor("t", [2, 3]))
    source = _conditional(node("If", ["c"], ["y"], then_branch=inner, else_branch=inner))
    found = memprof.analyze(load(tmp_path, source), runtimes=["reference"])
    assert (found.headline.grade, found.peak_intermediate_bytes) == ("estimate", 97)


def two_loops() -> list[NodeProto]:
    """Return loops that each carry what nobody reads behind them."""
    nodes = [node("Exp", ["x"], ["a0"])]
    for k in range(2):
        inside = body(
            [node("Identity", [f"c{k}"], [f"d{k}"]), node("Neg", [f"v{k}"], [f"w{k}"])],
            inputs=[f"i{k}", f"c{k}", f"v{k}", f"kept{k}"],
            outputs=[f"d{k}", f"w{k}", f"kept{k}"],
        )
        nodes.append(node("Loop", ["n", "t", f"a{k}", "a0"], [f"a{k + 1}", f"unread{k}"], body=inside))
    return nodes


def test_onnxruntime_does_not_know_what_a_loop_carries(tmp_path: Path) -> None:
    """So none of its buffers serves for a later loop's, though the shapes are equal."""
    true = helper.make_tensor("t", BOOL, [], [True])
    made = model(two_loops(), inputs=[tensor("x", [100])], outputs=["a2"], initializers=[integers("n", 3), true])
    found = load(tmp_path, made)
    assert shapes(found)["unread0"] == (100,)
    for known in (found.ahead, found.folded):
        assert known is not None
        assert {value.type.shape for value in known().values if value.name.startswith("unread")} == {None}
    buffers = memprof.analyze(tmp_path / "model.onnx", runtimes=["onnxruntime"]).headline.lifetimes.buffers
    names = [value.name for value in found.graph.values]
    assert [[names[i] for i in buffer.values] for buffer in buffers if "unread" in names[buffer.values[0]]] == [
        ["unread0"],
        ["unread1"],
    ]


def test_nor_what_a_loop_in_a_branch_carries(tmp_path: Path) -> None:
    branches = {
        "then_branch": body(two_loops(), outputs=["a2"]),
        "else_branch": body([node("Exp", ["x"], ["z"])], outputs=["z"]),
    }
    constants = [integers("n", 3), helper.make_tensor("t", BOOL, [], [True])]
    found = load(
        tmp_path,
        model(
            [node("If", ["t"], ["y"], **branches)], inputs=[tensor("x", [100])], outputs=["y"], initializers=constants
        ),
    )
    assert found.ahead is not None
    (branch,) = found.ahead().bodies
    assert {value.type.shape for value in branch.values if value.name.startswith("unread")} == {None}
