"""What becomes of nodes and tensors: roles, views, what may be overwritten, attributes, modules, order."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest
from onnx import GraphProto, ModelProto, TensorProto

import memprof
from memprof.base.errors import InputError, LimitError
from memprof.ir import Role
from tests.onnx_models import body, integers, load, model, node, tensor, weight


def _roles(found: ModelProto, folder: Path) -> dict[str, Role]:
    return {value.name: value.role for value in load(folder, found).graph.values}


def test_roles(tmp_path: Path) -> None:
    nodes = [
        node("Constant", [], ["k"], value_float=2.0),
        node("Mul", ["w", "k"], ["folded"]),
        node("RandomNormal", [], ["noise"], shape=[3]),
        node("Add", ["x", "folded"], ["y"]),
    ]
    found = model(nodes, inputs=[tensor("x", [3])], initializers=[weight("w", 3)], outputs=["y"])

    assert _roles(found, tmp_path) == {
        "w": Role.PARAMETER,
        "x": Role.INPUT,
        "k": Role.CONSTANT,
        "folded": Role.CONSTANT,
        "noise": Role.INTERMEDIATE,
        "y": Role.INTERMEDIATE,
    }


def test_an_operation_of_a_stranger_is_not_taken_for_a_constant(tmp_path: Path) -> None:
    found = model([node("Sensor", ["w"], ["y"], domain="my")], initializers=[weight("w", 3)], outputs=["y"])

    assert _roles(found, tmp_path)["y"] is Role.INTERMEDIATE


def test_an_initialiser_that_is_also_an_input_is_a_parameter(tmp_path: Path) -> None:
    inputs = [tensor("x", [3]), tensor("w", [3])]
    found = load(
        tmp_path, model([node("Add", ["x", "w"], ["y"])], inputs=inputs, initializers=[weight("w", 3)], outputs=["y"])
    ).graph

    assert [found.values[i].name for i in found.inputs] == ["x"]
    assert found.parameter_bytes == 12


def test_a_shared_weight_counts_once(tmp_path: Path) -> None:
    nodes = [node("Mul", ["x", "w"], ["a"]), node("Mul", ["a", "w"], ["y"])]
    found = model(nodes, inputs=[tensor("x", [3])], initializers=[weight("w", 3)], outputs=["y"])

    assert load(tmp_path, found).graph.parameter_bytes == 12


@pytest.mark.parametrize("op", ["Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity"])
def test_views_share_the_storage_of_their_first_input(tmp_path: Path, op: str) -> None:
    second = {"Reshape": integers("s", 1, 4), "Squeeze": integers("s", 0), "Unsqueeze": integers("s", 0)}.get(op)
    reads = ["r", "s"] if second else ["r"]
    nodes = [node("Relu", ["x"], ["r"]), node(op, reads, ["v"]), node("Relu", ["v"], ["y"])]
    found = model(nodes, inputs=[tensor("x", [1, 4])], initializers=[second] if second else [], outputs=["y"])

    graph = load(tmp_path, found).graph

    by_name = {value.name: value for value in graph.values}
    assert graph.values[by_name["v"].view_of or 0].name == "r"
    assert by_name["y"].view_of is None


def _is_elementwise(folder: Path, op: str, *shapes: tuple[tuple[int, ...], int], **attributes: object) -> bool:
    names = [f"i{k}" for k in range(len(shapes))]
    inputs = [tensor(name, shape, dtype) for name, (shape, dtype) in zip(names, shapes, strict=True)]
    return (
        load(folder, model([node(op, names, ["y"], **attributes)], inputs=inputs, outputs=["y"]))
        .graph.nodes[0]
        .is_elementwise
    )


@pytest.mark.parametrize(
    ("op", "expected"),
    [("Relu", True), ("Softmax", True), ("Dropout", True), ("Transpose", False), ("LpNormalization", False)],
)
def test_which_operations_may_overwrite_their_input(tmp_path: Path, op: str, expected: bool) -> None:
    assert _is_elementwise(tmp_path, op, ((4, 4), TensorProto.FLOAT)) is expected


def test_batch_normalisation_may_not_overwrite_its_input(tmp_path: Path) -> None:
    nodes = [node("BatchNormalization", ["x", *"sbmv"], ["y"])]
    weights = [weight(name, 3) for name in "sbmv"]
    found = model(nodes, inputs=[tensor("x", [1, 3, 4, 4])], initializers=weights, outputs=["y"])

    assert not load(tmp_path, found).graph.nodes[0].is_elementwise


def test_equal_bytes_of_other_elements_may_not_be_overwritten(tmp_path: Path) -> None:
    """Greater: 16 bytes of 4 floats, 16 bytes of 4 x 4 booleans: element i of the result is not where float i was."""
    small, large = ((4,), TensorProto.FLOAT), ((4, 4), TensorProto.FLOAT)

    assert not _is_elementwise(tmp_path, "Greater", small, large)
    assert _is_elementwise(tmp_path, "Add", small, large)


def test_small_attributes_are_kept_and_data_are_not(tmp_path: Path) -> None:
    made = node("Conv", ["x", "w"], ["y"], group=1, pads=[1, 1, 1, 1], auto_pad="NOTSET", odd=[0] * 65, f=0.5)
    found = model([made], inputs=[tensor("x", [1, 3, 8, 8])], initializers=[weight("w", 4, 3, 3, 3)], outputs=["y"])

    assert load(tmp_path, found).graph.nodes[0].attributes == {
        "group": 1,
        "pads": (1, 1, 1, 1),
        "auto_pad": "NOTSET",
        "f": 0.5,
    }


def test_operations_of_other_domains_carry_the_domain(tmp_path: Path) -> None:
    nodes = [node("Relu", ["x"], ["a"], domain="ai.onnx"), node("Odd", ["a"], ["y"], domain="com.stranger")]

    graph = load(tmp_path, model(nodes, inputs=[tensor("x", [2])], outputs=["y"])).graph

    assert [made.op for made in graph.nodes] == ["Relu", "com.stranger.Odd"]


@pytest.mark.parametrize(
    ("name", "scopes", "module"),
    [
        ("node_conv", "['', 'features', 'features.3', 'conv2d_7']", "features.3"),
        ("node_conv", "['', 'add']", ""),
        ("node_conv", "nonsense", ""),
        ("/features/features.0/features.0.1/Conv", "", "features.0.1"),
        ("/layer1/layer1.0/conv1/Conv", "", "layer1.0.conv1"),
        ("Conv_3", "", ""),
    ],
)
def test_modules_come_from_what_the_exporter_wrote(tmp_path: Path, name: str, scopes: str, module: str) -> None:
    made = node("Relu", ["x"], ["y"], name=name)
    if scopes:
        made.metadata_props.add(key="pkg.torch.onnx.name_scopes", value=scopes)

    graph = load(tmp_path, model([made], inputs=[tensor("x", [2])], outputs=["y"])).graph

    assert (graph.nodes[0].module, graph.values[1].module) == (module, module)


def test_an_input_can_be_an_output(tmp_path: Path) -> None:
    report = memprof.analyze(load(tmp_path, model([], inputs=[tensor("x", [2])], outputs=["x"])))

    assert report.peak_intermediate_bytes == 8


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        (
            model([node("Relu", ["q"], ["y"], name="r")], outputs=["y"]),
            "'r' reads 'q', which nothing in the model writes",
        ),
        (
            model([node("Relu", ["b"], ["a"], name="r"), node("Relu", ["a"], ["b"])], outputs=["b"]),
            "'r' reads 'b', which depends on that node itself: a cycle",
        ),
        (model([], outputs=["y"]), "graph output 'y' is written by no node"),
        (
            model([node("Relu", ["x"], ["x"])], inputs=[tensor("x", [2])], outputs=["x"]),
            "Two tensors of one graph are named 'x'",
        ),
        (
            model([node("", ["x"], ["y"], name="n")], inputs=[tensor("x", [2])], outputs=["y"]),
            "'n' names no operation",
        ),
        (model([], initializers=[integers("", 1)]), "an initialiser without a name"),
        (model([], inputs=[tensor("", [1])]), "a graph input without a name"),
        (ModelProto(ir_version=8), "no ONNX graph"),
    ],
    ids=["undefined", "cycle", "output", "twice", "operation", "initialiser", "input", "graph"],
)
def test_an_invalid_model_is_refused_with_the_reason(tmp_path: Path, found: ModelProto, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        load(tmp_path, found)


@pytest.mark.parametrize("shape", [[2**62], [2**40, 2**40], [1] * 65])
def test_impossible_tensors_are_refused(tmp_path: Path, shape: list[int]) -> None:
    with pytest.raises(LimitError):
        load(tmp_path, model([node("Relu", ["x"], ["y"])], inputs=[tensor("x", shape)], outputs=["y"]))


def test_what_was_read_of_a_file_is_let_go_without_the_collector(tmp_path: Path) -> None:
    nodes = [
        node("Relu", ["x"], ["r"]),
        node("If", ["c"], ["y"], then_branch=body([], outputs=["r"]), else_branch=body([], outputs=["r"])),
    ]
    inputs = [tensor("x", [3]), tensor("c", [], TensorProto.BOOL)]
    found = model(nodes, inputs=inputs, outputs=["y"])
    gc.collect()
    gc.disable()
    try:
        before = sum(isinstance(each, GraphProto) for each in gc.get_objects())
        read = load(tmp_path, found)
        after = sum(isinstance(each, GraphProto) for each in gc.get_objects())
    finally:
        gc.enable()
    assert (len(read.graph.nodes), after) == (2, before)
