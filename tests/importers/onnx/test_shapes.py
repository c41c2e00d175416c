"""Shapes that the file does not state: ONNX's rules node by node, and the integer arithmetic that exporters leave."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx.shape_inference
import pytest
from onnx import ModelProto, TensorProto, numpy_helper
from onnx.reference import ReferenceEvaluator

from memprof.importers.onnx import inference
from memprof.importers.onnx.evaluators import EVALUATORS, evaluate
from tests.onnx_models import integers, load, model, node, shapes, sizes, tensor, weight


def test_missing_shapes_are_inferred(tmp_path: Path) -> None:
    nodes = [node("Conv", ["x", "w"], ["a"], strides=[2, 2]), node("GlobalAveragePool", ["a"], ["b"])]
    found = model(nodes, inputs=[tensor("x", [1, 3, 9, 9])], initializers=[weight("w", 4, 3, 3, 3)], outputs=["b"])

    assert shapes(load(tmp_path, found)) == {
        "w": (4, 3, 3, 3),
        "x": (1, 3, 9, 9),
        "a": (1, 4, 4, 4),
        "b": (1, 4, 1, 1),
    }


def test_what_the_file_states_is_kept(tmp_path: Path) -> None:
    found = model([node("Custom", ["x"], ["y"], domain="my")], inputs=[tensor("x", [2])], outputs=["y"])
    found.graph.output[0].CopyFrom(tensor("y", [7, 7]))

    loaded = load(tmp_path, found)

    assert sizes(loaded)["y"] == 196
    assert not loaded.graph.unknown


def test_a_shape_computed_from_a_shape_is_known(tmp_path: Path) -> None:
    nodes = [
        node("Shape", ["x"], ["s"]),
        node("Gather", ["s", "two"], ["h"]),
        node("Mul", ["h", "h"], ["area"]),
        node("Concat", ["minus", "area"], ["wish"], axis=0),
        node("Reshape", ["x", "wish"], ["y"]),
    ]
    constants = [integers("two", 2), integers("minus", -1)]
    found = model(nodes, inputs=[tensor("x", ["n", 3, 8, 8])], initializers=constants, outputs=["y"])

    assert shapes(load(tmp_path, found, dims={"n": 5}))["y"] == (15, 64)


def test_chains_of_shapes_through_float_arithmetic(tmp_path: Path) -> None:
    """What an exporter writes for resize(x, floor(size * 1.5)): Cast, Mul, Floor, Cast, Resize."""
    nodes = [
        node("Shape", ["x"], ["s"], start=2),
        node("Cast", ["s"], ["f"], to=TensorProto.FLOAT),
        node("Mul", ["f", "factor"], ["g"]),
        node("Floor", ["g"], ["r"]),
        node("Cast", ["r"], ["i"], to=TensorProto.INT64),
        node("Slice", ["all", "zero", "two"], ["nc"]),
        node("Concat", ["nc", "i"], ["wish"], axis=0),
        node("Resize", ["x", "", "", "wish"], ["y"]),
    ]
    constants = [
        numpy_helper.from_array(np.array([1.5], np.float32), "factor"),
        integers("all", 1, 3, 9, 9),
        integers("zero", 0),
        integers("two", 2),
    ]
    found = model(nodes, inputs=[tensor("x", [1, 3, 5, 7])], initializers=constants, outputs=["y"])

    assert shapes(load(tmp_path, found))["y"] == (1, 3, 7, 10)


def test_a_constant_of_a_computed_shape_then_its_nonzero_places(tmp_path: Path) -> None:
    nodes = [
        node("Shape", ["x"], ["s"]),
        node("ConstantOfShape", ["s"], ["ones"], value=integers("v", 1)),
        node("NonZero", ["ones"], ["where"]),
    ]
    found = model(nodes, inputs=[tensor("x", [4, 5])], outputs=["where"])

    assert shapes(load(tmp_path, found))["where"] == (2, 20)


def test_an_output_that_old_rules_leave_out_is_typed_as_the_specification_says(tmp_path: Path) -> None:
    nodes = [node("Dropout", ["x"], ["y", "mask"])]
    found = model(nodes, inputs=[tensor("x", [4, 5])], outputs=["y", "mask"], opset=9)

    assert shapes(load(tmp_path, found))["mask"] == (4, 5)


def test_equal_layers_are_asked_for_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    ask = inference.infer_node_outputs
    monkeypatch.setattr(inference, "infer_node_outputs", lambda *a, **k: asked.append(a) or ask(*a, **k))
    nodes = [node("Transpose", [f"t{i}"], [f"t{i + 1}"], perm=[0, 1, 3, 2]) for i in range(50)]

    found = load(tmp_path, model(nodes, inputs=[tensor("t0", [1, 4, 9, 9])], outputs=["t50"]))

    assert len(asked) == 1
    assert shapes(found)["t50"] == (1, 4, 9, 9)


def test_a_left_out_output_is_not_a_value(tmp_path: Path) -> None:
    nodes = [node("LSTM", ["x", "w", "r"], ["", "h"], hidden_size=3)]
    weights = [weight("w", 1, 12, 4), weight("r", 1, 12, 3)]
    found = load(tmp_path, model(nodes, inputs=[tensor("x", [6, 2, 4])], initializers=weights, outputs=["h"]))

    assert found.graph.nodes[0].outputs == (None, 3)
    assert shapes(found)["h"] == (1, 2, 3)


_VECTOR = np.array([2, -3, 5, 7], np.int64)
_MATRIX = np.arange(12, dtype=np.int64).reshape(3, 4) - 5


def _int(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


EXAMPLES = [
    ("Abs", [_VECTOR], {}),
    ("Add", [_VECTOR, _MATRIX], {}),
    ("And", [_VECTOR > 0, _VECTOR > 3], {}),
    ("Cast", [_VECTOR.astype(np.float32) + 0.7], {"to": TensorProto.INT64}),
    ("CastLike", [_VECTOR, np.zeros(1, np.float32)], {}),
    ("Ceil", [_VECTOR.astype(np.float32) / 2], {}),
    ("Clip", [_VECTOR, np.int64(0), np.int64(4)], {}),
    ("Concat", [_VECTOR, _int(9)], {"axis": 0}),
    ("ConstantOfShape", [_int(2, 3)], {}),
    ("CumSum", [_VECTOR, np.int64(0)], {}),
    ("Div", [_int(7, -7, 7, -7), _int(2, 2, -2, -2)], {}),
    ("Div", [_VECTOR.astype(np.float32), np.float32(2)], {}),
    ("Equal", [_VECTOR, _int(2)], {}),
    ("Expand", [_VECTOR, _int(3, 1)], {}),
    ("Flatten", [_MATRIX.reshape(1, 3, 4)], {"axis": 2}),
    ("Floor", [_VECTOR.astype(np.float32) / 2], {}),
    ("Gather", [_MATRIX, _int(-1, 0)], {"axis": 1}),
    ("Greater", [_VECTOR, _int(2)], {}),
    ("GreaterOrEqual", [_VECTOR, _int(2)], {}),
    ("Identity", [_VECTOR], {}),
    ("Less", [_VECTOR, _int(2)], {}),
    ("LessOrEqual", [_VECTOR, _int(2)], {}),
    ("Max", [_VECTOR, _int(1), _int(4)], {}),
    ("Min", [_VECTOR, _int(1), _int(4)], {}),
    ("Mod", [_int(7, -7, 7, -7), _int(3, 3, -3, -3)], {}),
    ("Mod", [_int(7, -7, 7, -7), _int(3, 3, -3, -3)], {"fmod": 1}),
    ("Mul", [_VECTOR, _MATRIX], {}),
    ("Neg", [_VECTOR], {}),
    ("NonZero", [_MATRIX], {}),
    ("Not", [_VECTOR > 0], {}),
    ("Or", [_VECTOR > 0, _VECTOR > 3], {}),
    ("Pow", [_VECTOR, np.float32(2)], {}),
    ("Range", [np.int64(9), np.int64(2), np.int64(-3)], {}),
    ("ReduceMax", [_MATRIX, _int(0)], {"keepdims": 0}),
    ("ReduceMean", [_MATRIX.astype(np.float32), _int(1)], {}),
    ("ReduceMin", [_MATRIX, _int(-1)], {}),
    ("ReduceProd", [_VECTOR], {"keepdims": 0}),
    ("ReduceSum", [_MATRIX, _int(0, 1)], {}),
    ("ReduceSum", [_MATRIX, _int()], {"noop_with_empty_axes": 1}),
    ("Relu", [_VECTOR - 2], {}),
    ("Reshape", [_MATRIX, _int(0, 2, -1)], {}),
    ("Round", [np.array([0.5, 1.5, 2.4], np.float32)], {}),
    ("ScatterND", [_VECTOR, _int(1, 3).reshape(2, 1), _int(8, 9)], {}),
    ("Slice", [_MATRIX, _int(-1), _int(-(2**40)), _int(1), _int(-2)], {}),
    ("Slice", [_MATRIX, _int(1), _int(2**40)], {}),
    ("Split", [_VECTOR, _int(1, 3)], {}),
    ("Sqrt", [np.array([4.0, 9.0], np.float32)], {}),
    ("Squeeze", [_MATRIX.reshape(1, 3, 1, 4), _int(0)], {}),
    ("Sub", [_VECTOR, _MATRIX], {}),
    ("Sum", [_VECTOR.astype(np.float32), np.float32(1)], {}),
    ("Tile", [_MATRIX, _int(2, 1)], {}),
    ("Transpose", [_MATRIX.reshape(1, 3, 4)], {"perm": [2, 0, 1]}),
    ("Unsqueeze", [_MATRIX, _int(0, -1)], {}),
    ("Where", [_VECTOR > 0, _VECTOR, _int(0)], {}),
    ("Xor", [_VECTOR > 0, _VECTOR > 3], {}),
]


@pytest.mark.parametrize(("op", "inputs", "attributes"), EXAMPLES, ids=[op for op, _, _ in EXAMPLES])
def test_arithmetic_agrees_with_the_reference(
    op: str, inputs: list[np.ndarray], attributes: dict[str, object]
) -> None:
    names = [f"i{k}" for k in range(len(inputs))]
    outputs = ["o0", "o1"] if op == "Split" else ["o0"]
    made = node(op, names, outputs, **attributes)
    frame = model([made], outputs=outputs, opset=18)
    frame.graph.input.extend(onnx.ValueInfoProto(name=name) for name in names)
    arrays = [np.asarray(array) for array in inputs]

    expected = ReferenceEvaluator(frame).run(None, dict(zip(names, arrays, strict=True)))
    found = evaluate(made, arrays)

    assert found is not None
    for mine, theirs in zip(found, expected, strict=True):
        assert mine.dtype == theirs.dtype
        np.testing.assert_array_equal(mine, theirs)


def test_every_evaluated_operation_has_an_example() -> None:
    assert {op for op, _, _ in EXAMPLES} == set(EVALUATORS)


@pytest.mark.parametrize(
    ("op", "inputs"),
    [
        ("Div", [_VECTOR, _int(0)]),
        ("Gather", [_VECTOR, _int(99)]),
        ("Reshape", [_VECTOR, _int(3, 3)]),
        ("Reshape", [_VECTOR, None]),
        ("Range", [np.int64(0), np.int64(2**62), np.int64(1)]),
        ("Range", [np.int64(0), np.int64(9), np.int64(0)]),
        ("Concat", [_VECTOR, _MATRIX]),
        ("Unsqueeze", [_VECTOR, _int(9)]),
        ("Add", [_VECTOR, None]),
        ("Expand", [_VECTOR, _int(3)]),
    ],
)
def test_constants_that_do_not_fit_give_nothing(op: str, inputs: list[np.ndarray | None]) -> None:
    assert evaluate(node(op, [f"i{k}" for k in range(len(inputs))], ["o"]), inputs) is None


LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"


@pytest.mark.parametrize("path", sorted(LIGHT.glob("*.onnx")), ids=lambda path: path.stem)
def test_shapes_agree_with_inference_on_the_whole_model(tmp_path: Path, path: Path) -> None:
    original = onnx.load(path)
    inferred: ModelProto = onnx.shape_inference.infer_shapes(original, data_prop=True)

    found = shapes(load(tmp_path, original))

    compared = 0
    for info in inferred.graph.value_info:
        theirs = tuple(dim.dim_value for dim in info.type.tensor_type.shape.dim)
        if all(dim.HasField("dim_value") for dim in info.type.tensor_type.shape.dim):
            assert found[info.name] == theirs
            compared += 1
    assert compared > 20
