"""What cannot be known is reported once per cause, with the flag that settles it, and never guessed."""

from __future__ import annotations

from pathlib import Path

from onnx import ModelProto, TensorProto, ValueInfoProto

from memprof.ir import Assumption
from tests.onnx_models import load, model, node, sizes, tensor, weight


def _unknown(folder: Path, found: ModelProto, **dims: int) -> list[tuple[str, str, str]]:
    return [(u.kind, u.name, u.hint) for u in load(folder, found, dims=dims).graph.unknown]


def _assumed(folder: Path, found: ModelProto, **dims: int) -> list[tuple[str, str, str]]:
    return [(a.kind, a.name, a.hint) for a in load(folder, found, dims=dims).graph.assumed]


def test_one_symbol_is_one_cause_however_many_tensors_it_touches(tmp_path: Path) -> None:
    nodes = [node("Add", ["a", "b"], ["c"])] + [node("Relu", [x], [y]) for x, y in ("cd", "de", "ef")]
    found = model(nodes, inputs=[tensor("a", ["batch", 3]), tensor("b", ["batch", 3])], outputs=["f"])

    assert _assumed(tmp_path, found) == [("dimension", "batch=1", "--dim batch=1")]
    assert _assumed(tmp_path, found, batch=4) == []


def test_an_unnamed_dimension_of_an_input_asks_for_the_shape(tmp_path: Path) -> None:
    found = model([node("Relu", ["x"], ["y"])], inputs=[tensor("x", [None, 3, 8])], outputs=["y"])

    assert _assumed(tmp_path, found) == [("dimension", "x=1x3x8", "--input x=1x3x8")]


def test_what_changes_an_unnamed_dimension_behind_a_fixed_one_leaves_that_as_it_is(tmp_path: Path) -> None:
    found = model([node("Relu", ["x"], ["y"])], inputs=[tensor("x", [2, None, 8])], outputs=["y"])

    assert _assumed(tmp_path, found) == [("dimension", "x=2x1x8", "--dim 'x[1]=1'")]


def test_a_negative_dimension_is_an_open_one(tmp_path: Path) -> None:
    found = model([node("Relu", ["x"], ["y"])], inputs=[tensor("x", [-1, 3, 8])], outputs=["y"])

    assert _assumed(tmp_path, found) == [("dimension", "x=1x3x8", "--input x=1x3x8")]


def test_an_input_without_a_shape(tmp_path: Path) -> None:
    stated = ValueInfoProto(name="x")
    stated.type.tensor_type.elem_type = TensorProto.FLOAT

    found = model([node("Relu", ["x"], ["y"])], inputs=[stated], outputs=["y"])

    assert _unknown(tmp_path, found) == [("shape", "x", "--input x=1x3x224x224")]
    assert sizes(load(tmp_path, found, inputs={"x": (2, 3)}))["y"] == 24


def test_an_operation_of_a_stranger_is_named_and_only_it(tmp_path: Path) -> None:
    nodes = [
        node("Odd", ["x"], ["a"], domain="com.stranger"),
        node("Relu", ["a"], ["b"]),
        node("Odd", ["b"], ["c"], domain="com.stranger"),
        node("MatMul", ["c", "c"], ["y"]),
    ]

    found = _unknown(tmp_path, model(nodes, inputs=[tensor("x", [2])], outputs=["y"]))

    assert [(kind, name) for kind, name, _ in found] == [("operator", "com.stranger.Odd")]


def test_a_stranger_whose_output_is_recorded_is_not_named(tmp_path: Path) -> None:
    nodes = [node("Odd", ["x"], ["a"], domain="com.stranger"), node("Relu", ["a"], ["y"])]
    found = model(nodes, inputs=[tensor("x", [2])], outputs=["y"])
    found.graph.value_info.append(tensor("a", [5]))

    assert _unknown(tmp_path, found) == []


def test_what_the_data_decide_is_taken_at_its_largest_and_named_where_they_do(tmp_path: Path) -> None:
    nodes = [node("NonZero", ["x"], ["a"]), node("Transpose", ["a"], ["b"]), node("Neg", ["b"], ["y"])]

    found = load(tmp_path, model(nodes, inputs=[tensor("x", [4, 4])], outputs=["y"]))

    assert not found.graph.unknown
    assert sizes(found)["y"] == 2 * 16 * 8
    assert found.graph.assumed == (
        Assumption(
            kind="bound",
            name="a",
            reason="NonZero writes at most 2x16, which is taken; the data decide how much",
            hint="--dim 'a[1]=N'",
        ),
    )


def test_a_symbol_that_the_file_gives_to_the_data_is_bound_by_its_name(tmp_path: Path) -> None:
    found = model([node("NonZero", ["x"], ["a"])], inputs=[tensor("x", [4, 4])], outputs=["a"])
    found.graph.output[0].CopyFrom(tensor("a", [2, "u0"], TensorProto.INT64))

    assert _assumed(tmp_path, found) == [("bound", "a", "--dim u0=N")]
    assert sizes(load(tmp_path, found, dims={"u0": 3}))["a"] == 48


def test_the_arithmetic_of_an_open_shape_is_not_blamed(tmp_path: Path) -> None:
    nodes = [
        node("Shape", ["x"], ["s"]),
        node("ReduceProd", ["s"], ["p"], keepdims=1),
        node("Reshape", ["w", "p"], ["y"]),
    ]
    open_input = ValueInfoProto(name="x")
    open_input.type.tensor_type.elem_type = TensorProto.FLOAT
    found = model(nodes, inputs=[open_input], initializers=[weight("w", 2, 3)], outputs=["y"])

    assert _unknown(tmp_path, found) == [("shape", "x", "--input x=1x3x224x224")]


def test_a_shape_that_is_given_at_run_time_is_named(tmp_path: Path) -> None:
    inputs = [tensor("x", [1]), tensor("wish", [2], TensorProto.INT64)]

    found = _unknown(tmp_path, model([node("Expand", ["x", "wish"], ["y"])], inputs=inputs, outputs=["y"]))

    assert [(kind, name) for kind, name, _ in found] == [("shape", "y")]


def test_names_in_reports_are_safe_to_print(tmp_path: Path) -> None:
    found = model([node("Relu", ["x"], ["y"])], inputs=[tensor("x", ["a'b\x1b[31m"])], outputs=["y"])

    ((_, name, hint),) = _assumed(tmp_path, found)

    assert (name, hint) == ("a'b\\x1b[31m=1", "--dim 'a'\"'\"'b\\x1b[31m=1'")


def test_a_node_that_sizes_do_not_fit_is_told_with_the_reason(tmp_path: Path) -> None:
    nodes = [node("MatMul", ["x", "w"], ["y"], name="product"), node("MatMul", ["x", "w"], ["z"], name="twin")]
    found = model(nodes, inputs=[tensor("x", [2, 3])], outputs=["y", "z"], initializers=[weight("w", 4, 5)])
    unknown = load(tmp_path, found).graph.unknown
    assert [(of.kind, of.name) for of in unknown] == [("node", "product"), ("node", "twin")]
    assert all("Incompatible dimensions for matrix multiplication" in of.reason for of in unknown)
