"""The quick rules say what ONNX's own rules say, wherever they say anything."""

from __future__ import annotations

from collections.abc import Sequence

import onnx.defs
import onnx.shape_inference
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import NodeProto, TensorProto

from memprof.importers.onnx.attributes import kept_attributes
from memprof.importers.onnx.facts import FactTable
from memprof.importers.onnx.rules import _LIKE_FIRST, simple_type
from memprof.importers.onnx.types import TypeTable
from memprof.ir import TensorType
from tests.onnx_models import node, tensor

OPSET = 20


def _both(made: NodeProto, shapes: Sequence[Sequence[int]]) -> tuple[TensorType | None, TensorType | None]:
    """Return what the quick rule says and what ONNX says."""
    types, facts = TypeTable(), FactTable()
    protos = {name: tensor(name, shape).type for name, shape in zip(made.input, shapes, strict=True)}
    inputs = [facts.of(types.read(protos[name])) for name in made.input]
    quick = simple_type(made, inputs, kept_attributes(made), OPSET, types)
    schema = onnx.defs.get_schema(made.op_type, OPSET, "")
    imports = [onnx.helper.make_opsetid("", OPSET)]
    try:
        answers = onnx.shape_inference.infer_node_outputs(schema, made, protos, opset_imports=imports)
    except (onnx.shape_inference.InferenceError, onnx.checker.ValidationError):
        return quick, None
    return quick, types.read(answers[made.output[0]])


@given(st.data())
@settings(max_examples=300)
def test_convolutions(data: st.DataObject) -> None:
    rank = data.draw(st.integers(1, 3))
    small = st.lists(st.integers(1, 4), min_size=rank, max_size=rank)
    shape = [2, 3, *data.draw(st.lists(st.integers(1, 12), min_size=rank, max_size=rank))]
    filters = [5, 3, *data.draw(small)]
    attributes: dict[str, object] = {}
    for name, values in (
        ("strides", small),
        ("dilations", small),
        ("pads", st.lists(st.integers(0, 3), min_size=2 * rank, max_size=2 * rank)),
        ("kernel_shape", st.just(filters[2:])),
        ("auto_pad", st.sampled_from(["NOTSET", "SAME_UPPER", "VALID"])),
    ):
        if data.draw(st.booleans()):
            attributes[name] = data.draw(values)

    quick, theirs = _both(node("Conv", ["x", "w"], ["y"], **attributes), [shape, filters])

    assert quick is None or quick == theirs
    fits = all(size >= 4 for size in shape[2:])  # a window is at most 4 wide
    if fits and not attributes.keys() & {"auto_pad", "dilations"}:
        assert quick is not None


@given(st.lists(st.lists(st.integers(0, 3), min_size=2, max_size=3), min_size=1, max_size=4), st.integers(-4, 3))
def test_concatenations(shapes: list[list[int]], axis: int) -> None:
    names = [f"x{i}" for i in range(len(shapes))]

    quick, theirs = _both(node("Concat", names, ["y"], axis=axis), shapes)

    assert quick is None or quick == theirs


@given(
    st.lists(st.integers(1, 3), max_size=4), st.lists(st.integers(1, 3), max_size=4), st.sampled_from(["Add", "Div"])
)
def test_broadcasting(a: list[int], b: list[int], op: str) -> None:
    quick, theirs = _both(node(op, ["a", "b"], ["y"]), [a, b])

    assert quick == theirs


@pytest.mark.parametrize("op", sorted(_LIKE_FIRST))
def test_operations_whose_output_is_like_their_first_input(op: str) -> None:
    shapes = {"BatchNormalization": [[2, 3, 4], [3], [3], [3], [3]], "InstanceNormalization": [[2, 3, 4], [3], [3]]}
    reads = shapes.get(op, [[2, 3, 4]])
    made = node(op, [f"x{i}" for i in range(len(reads))], ["y"], **({"size": 3} if op == "LRN" else {}))

    quick, theirs = _both(made, reads)

    assert quick == TensorType("float32", (2, 3, 4))
    assert theirs == (None if op == "Not" else quick)  # Not takes booleans alone


def test_what_is_not_fully_known_has_no_rule() -> None:
    types, facts = TypeTable(), FactTable()
    open_input = facts.of(types.read(tensor("x", ["n", 3], TensorProto.FLOAT).type))

    assert simple_type(node("Relu", ["x"], ["y"]), [open_input], {}, OPSET, types) is None
    assert (
        simple_type(node("Dropout", ["x"], ["y", "mask"]), [facts.of(types.of("float32", (3,)))], {}, OPSET, types)
        is None
    )
