"""The most that an operation can write where the data decide: from its own attributes and inputs.

operation            at most
NonZero              every element, once for each dimension
Unique               every element, or every slice along its axis
Compress             as many slices as conditions, or as there are; without an axis, elements
NonMaxSuppression    boxes for each batch and class, as many as asked for or as there are
TopK                 all along its axis, where how many is not known
Slice                all along every axis whose borders are not known

Of onnxruntime's own:

Unique               every element
DynamicTimeWarping   a path of rows and columns that share one point

Source: the ONNX operator specification, onnxruntime's descriptions of its operators.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from memprof.importers.onnx.attributes import integer
from memprof.importers.onnx.facts import Fact
from memprof.importers.onnx.library import NodeProto
from memprof.importers.onnx.ops import op_name

Shapes = list[tuple[int, ...]]


def largest_shapes(node: NodeProto, inputs: Sequence[Fact | None]) -> Shapes | None:
    """Return the largest shape of each output of ``node``, ``None`` if that is not known.

    Args:
        node: The node.
        inputs: What is known of its inputs, ``None`` where one is left out.
    """
    rule = _RULES.get(op_name(node))
    if rule is None:
        return None
    try:
        return rule(node, inputs)
    except (IndexError, TypeError, ValueError):  # what decides is open, or does not fit
        return None


def _shape(inputs: Sequence[Fact | None], i: int = 0) -> tuple[int, ...]:
    fact = inputs[i]
    if fact is None or not fact.is_fixed or fact.type.shape is None:
        raise ValueError("an open shape")
    return tuple(dim for dim in fact.type.shape if isinstance(dim, int))


def _count(shape: Sequence[int]) -> int:
    count = 1
    for size in shape:
        count *= size
    return count


def _non_zero(node: NodeProto, inputs: Sequence[Fact | None]) -> Shapes:
    shape = _shape(inputs)
    return [(max(1, len(shape)), _count(shape))]


def _unique(node: NodeProto, inputs: Sequence[Fact | None]) -> Shapes:
    shape = _shape(inputs)
    axis = integer(node, "axis")
    size = _count(shape) if axis is None else shape[axis]
    return [(size,) if axis is None else shape, (size,), (size,), (size,)]


def _compress(node: NodeProto, inputs: Sequence[Fact | None]) -> Shapes:
    shape, conditions = _shape(inputs), _count(_shape(inputs, 1))
    axis = integer(node, "axis")
    if axis is None:
        return [(min(_count(shape), conditions),)]
    found = list(shape)
    found[axis] = min(found[axis], conditions)
    return [tuple(found)]


def _suppress(node: NodeProto, inputs: Sequence[Fact | None]) -> Shapes:
    boxes, scores = _shape(inputs), _shape(inputs, 1)
    batch, classes = scores[0], scores[1]
    wanted = _number(inputs, 2, left_out=0)  # none, says the specification
    each = boxes[1] if wanted is None else min(boxes[1], max(0, wanted))
    return [(batch * classes * each, 3)]


def _top(node: NodeProto, inputs: Sequence[Fact | None]) -> Shapes:
    return [_shape(inputs)] * 2


def _slice(node: NodeProto, inputs: Sequence[Fact | None]) -> Shapes:
    return [_shape(inputs)]


def _own_unique(node: NodeProto, inputs: Sequence[Fact | None]) -> Shapes:
    return [_shape(inputs)] * 3


def _path(node: NodeProto, inputs: Sequence[Fact | None]) -> Shapes:
    *_, rows, columns = _shape(inputs)
    return [(2, rows + columns - 1)]


def _number(inputs: Sequence[Fact | None], i: int, *, left_out: int) -> int | None:
    fact = inputs[i] if i < len(inputs) else None
    if fact is None:
        return left_out
    array = None if fact.constant is None else fact.constant.array
    return None if array is None or array.size != 1 else int(array.reshape(-1)[0])


_RULES: Mapping[str, Callable[[NodeProto, Sequence[Fact | None]], Shapes]] = MappingProxyType(
    {
        "Compress": _compress,
        "NonMaxSuppression": _suppress,
        "NonZero": _non_zero,
        "Slice": _slice,
        "TopK": _top,
        "Unique": _unique,
        "com.microsoft.DynamicTimeWarping": _path,
        "com.microsoft.Unique": _own_unique,
    }
)
