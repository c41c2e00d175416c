"""Local functions are expanded where they are called, and counted before that."""

from __future__ import annotations

from pathlib import Path

import pytest
from onnx import AttributeProto, FunctionProto, ModelProto, NodeProto, TensorProto, helper
from onnx import load as onnx_load

from memprof.base.errors import InputError, LimitError
from tests.onnx_models import body, load, model, node, shapes, tensor


def _function(name: str, nodes: list[NodeProto], *, attributes: tuple[str, ...] = ()) -> FunctionProto:
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("my", 1)]
    return helper.make_function("my", name, ["a"], ["b"], nodes, imports, attributes)


def _call(function: str, reads: str, writes: str, **attributes: object) -> NodeProto:
    return node(function, [reads], [writes], domain="my", **attributes)


def _model(nodes: list[NodeProto], *functions: FunctionProto) -> ModelProto:
    return model(nodes, inputs=[tensor("x", [2, 3])], outputs=[nodes[-1].output[-1]], functions=functions)


def _referring(op: str, reads: str, writes: str, name: str, refers_to: str, kind: int) -> NodeProto:
    made = node(op, [reads], [writes])
    made.attribute.append(AttributeProto(name=name, ref_attr_name=refers_to, type=kind))
    return made


def test_a_call_becomes_the_nodes_of_the_function(tmp_path: Path) -> None:
    block = _function("Block", [node("Relu", ["a"], ["t"]), node("Neg", ["t"], ["b"])])

    graph = load(tmp_path, _model([_call("Block", "x", "y", name="first"), _call("Block", "y", "z")], block)).graph

    assert [n.op for n in graph.nodes] == ["Relu", "Neg", "Relu", "Neg"]
    assert [value.name for value in graph.values] == ["x", "first/t", "y", "Block/t", "z"]
    assert all(size == 24 for size in graph.value_bytes)


def test_functions_in_functions(tmp_path: Path) -> None:
    inner = _function("Inner", [node("Relu", ["a"], ["t"]), node("Neg", ["t"], ["b"])])
    outer = _function("Outer", [_call("Inner", "a", "u", name="one"), _call("Inner", "u", "b", name="two")])

    graph = load(tmp_path, _model([_call("Outer", "x", "y", name="o")], inner, outer)).graph

    assert [value.name for value in graph.values] == ["x", "o/one/t", "o/u", "o/two/t", "y"]


def test_an_attribute_comes_from_the_call_else_from_the_default_else_nowhere(tmp_path: Path) -> None:
    turn = _function("Turn", [_referring("Transpose", "a", "b", "perm", "order", AttributeProto.INTS)])
    turn.attribute_proto.append(helper.make_attribute("order", [1, 0]))
    bare = _function("Bare", [_referring("Flatten", "a", "b", "axis", "at", AttributeProto.INT)], attributes=("at",))
    calls = [_call("Turn", "x", "p"), _call("Turn", "p", "q", order=[0, 1]), _call("Bare", "q", "r")]
    calls.append(_call("Bare", "r", "s", at=0))

    found = shapes(load(tmp_path, _model(calls, turn, bare)))

    assert (found["p"], found["q"], found["r"], found["s"]) == ((3, 2), (3, 2), (3, 2), (1, 6))


def test_bodies_inside_a_function_are_renamed_with_it(tmp_path: Path) -> None:
    branches = {
        "then_branch": body([node("Relu", ["a"], ["r"]), node("Neg", ["r"], ["s"])], outputs=["s"]),
        "else_branch": body([node("Neg", ["a"], ["s"])], outputs=["s"]),
    }
    choose = _function(
        "Choose",
        [
            node("ReduceMax", ["a"], ["m"], keepdims=0),
            node("Cast", ["m"], ["c"], to=TensorProto.BOOL),
            node("If", ["c"], ["b"], **branches),
        ],
    )

    graph = load(tmp_path, _model([_call("Choose", "x", "y"), _call("Choose", "y", "z")], choose)).graph

    assert len(graph.nodes) == 6
    assert graph.value_bytes[-1] == 24
    owner = graph.nodes[-1]
    assert [graph.values[i].name for i in owner.captures] == ["y"]


def test_a_function_that_hands_its_input_through(tmp_path: Path) -> None:
    through = helper.make_function("my", "Through", ["a"], ["a"], [], [helper.make_opsetid("", 17)])

    graph = load(tmp_path, _model([_call("Through", "x", "y")], through)).graph

    assert [n.op for n in graph.nodes] == ["Identity"]


def test_left_out_inputs_and_outputs_of_a_call(tmp_path: Path) -> None:
    clip = helper.make_function(
        "my",
        "Two",
        ["a", "low"],
        ["b", "c"],
        [node("Clip", ["a", "low"], ["b"]), node("Neg", ["b"], ["c"])],
        [helper.make_opsetid("", 17)],
    )
    call = NodeProto(op_type="Two", domain="my", name="t", input=["x"], output=["", "y"])

    graph = load(tmp_path, _model([call], clip)).graph

    assert graph.nodes[0].inputs == (0, None)
    assert [value.name for value in graph.values] == ["x", "t/b", "y"]


def test_an_operator_that_the_function_needs_is_imported_with_it(tmp_path: Path) -> None:
    scale = helper.make_function(
        "my", "Scale", ["a"], ["b"], [node("Normalizer", ["a"], ["b"], domain="ai.onnx.ml")],
        [helper.make_opsetid("ai.onnx.ml", 1)],
    )  # fmt: skip

    graph = load(tmp_path, _model([_call("Scale", "x", "y")], scale)).graph

    assert [n.op for n in graph.nodes] == ["ai.onnx.ml.Normalizer"]
    assert not [unknown for unknown in graph.unknown if unknown.kind == "operator"]


def _doubling(count: int) -> list[FunctionProto]:
    last = _function(f"F{count}", [node("Relu", ["a"], ["b"])])
    return [
        _function(f"F{i}", [_call(f"F{i + 1}", "a", "t"), _call(f"F{i + 1}", "t", "b")]) for i in range(count)
    ] + [last]


def test_doubling_functions_within_the_limit_expand(tmp_path: Path) -> None:
    assert len(load(tmp_path, _model([_call("F0", "x", "y")], *_doubling(10))).graph.nodes) == 1024


def test_doubling_functions_over_the_limit_are_refused_before_they_are_expanded(tmp_path: Path) -> None:
    with pytest.raises(LimitError, match=f"expand to {2**24} nodes"):
        load(tmp_path, _model([_call("F0", "x", "y")], *_doubling(24)))


def test_a_function_that_calls_itself_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"my\.F calls itself"):
        load(tmp_path, _model([_call("F", "x", "y")], _function("F", [_call("F", "a", "b")])))


def test_two_functions_of_one_name_are_refused(tmp_path: Path) -> None:
    one = _function("F", [node("Relu", ["a"], ["b"])])
    with pytest.raises(InputError, match=r"Two functions are named my\.F"):
        load(tmp_path, _model([_call("F", "x", "y")], one, one))


@pytest.mark.parametrize(
    ("domain", "name", "version", "is_operator"),
    [
        ("com.microsoft", "Gelu", 1, True),
        ("com.microsoft", "Mine", 1, False),
        ("", "Relu", 17, True),
        ("ai.onnx.ml", "Binarizer", 3, True),
    ],
)
def test_a_function_named_as_an_operator_is_not_what_runs(
    tmp_path: Path, *, domain: str, name: str, version: int, is_operator: bool
) -> None:
    runtime = pytest.importorskip("onnxruntime")
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    function = helper.make_function(
        domain, name, ["a"], ["b"], [node("Sigmoid", ["a"], ["s"]), node("Tanh", ["s"], ["b"])], imports
    )
    found = model([node(name, ["x"], ["y"], domain=domain)], inputs=[tensor("x", [1, 9])], outputs=["y"])
    found.functions.append(function)
    del found.opset_import[:]
    found.opset_import.extend(
        [*imports, helper.make_opsetid(domain, version)] if domain == "com.microsoft" else imports
    )
    ops = [of.op for of in load(tmp_path, found).graph.nodes]
    options = runtime.SessionOptions()
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.optimized_model_filepath = str(tmp_path / "ran.onnx")
    options.log_severity_level = 4
    runtime.InferenceSession(str(tmp_path / "model.onnx"), options)
    ran = [of.op_type for of in onnx_load(tmp_path / "ran.onnx").graph.node]
    assert ran == [op.rpartition(".")[2] for op in ops] == ([name] if is_operator else ["Sigmoid", "Tanh"])
