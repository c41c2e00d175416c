"""The shapes of what the data decide, where the data are at hand: elements of initialisers, or given by the caller.

operation            shape
Compress             as many slices as conditions hold; without an axis, elements
MaxUnpool            as its third input says
NonMaxSuppression    a row for each box that is kept
NonZero              a column for each element that is not zero
OneHot               the indices' with the depth put in at the axis
Range                as many steps as fit
Unique               as many elements, or slices along the axis, as differ

numpy is loaded where elements are looked at. Source: the ONNX operator specification.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from memprof.importers.onnx.attributes import integer
from memprof.importers.onnx.bounded import Shapes
from memprof.importers.onnx.facts import Fact
from memprof.importers.onnx.library import NodeProto

if TYPE_CHECKING:
    import numpy as np

    _Array = np.ndarray[Any, Any]

_Rule = Callable[[NodeProto, Sequence[Fact | None]], Shapes]


def decided_shapes(node: NodeProto, inputs: Sequence[Fact | None]) -> Shapes | None:
    """Return the shape of each output of ``node``, ``None`` if elements that decide it are not at hand.

    Args:
        node: A node of ONNX's own domain.
        inputs: What is known of its inputs, ``None`` where one is left out.
    """
    rule = _RULES.get(node.op_type)
    if rule is None or node.domain not in ("", "ai.onnx"):
        return None
    try:
        return rule(node, inputs)
    except (IndexError, TypeError, ValueError, ArithmeticError):  # what decides is open, or does not fit
        return None


def _shape(inputs: Sequence[Fact | None], i: int) -> tuple[int, ...]:
    fact = inputs[i]
    if fact is None or not fact.is_fixed or fact.type.shape is None:
        raise ValueError("an open shape")
    return tuple(dim for dim in fact.type.shape if isinstance(dim, int))


def _elements(inputs: Sequence[Fact | None], i: int) -> _Array:
    fact = inputs[i]
    array = None if fact is None or fact.constant is None else fact.constant.array
    if array is None:
        raise ValueError("elements that are not at hand")
    if array.dtype.kind == "f" and (array != array).any():  # noqa: PLR0124 - true of what is not a number
        raise ValueError("not numbers: whether they are equal, or less, depends on the kernel")
    return array


def _number(inputs: Sequence[Fact | None], i: int, left_out: float) -> float:
    if i >= len(inputs) or inputs[i] is None:
        return left_out
    return float(_elements(inputs, i).reshape(-1)[0])


def _compress(node: NodeProto, inputs: Sequence[Fact | None]) -> Shapes:
    shape, kept = _shape(inputs, 0), _elements(inputs, 1).reshape(-1)
    axis = integer(node, "axis")
    size = math.prod(shape) if axis is None else shape[axis]
    count = int(kept[:size].astype(bool).sum())
    if axis is None:
        return [(count,)]
    axis %= len(shape)
    return [(*shape[:axis], count, *shape[axis + 1 :])]


def _non_zero(node: NodeProto, inputs: Sequence[Fact | None]) -> Shapes:
    elements = _elements(inputs, 0)
    return [(max(1, elements.ndim), int((elements != 0).sum()))]


def _one_hot(node: NodeProto, inputs: Sequence[Fact | None]) -> Shapes:
    shape, depth = _shape(inputs, 0), int(_number(inputs, 1, 0))
    axis = integer(node, "axis")
    axis = len(shape) if axis is None else axis % (len(shape) + 1)
    if depth < 1:
        raise ValueError("no depth")
    return [(*shape[:axis], depth, *shape[axis:])]


def _range(node: NodeProto, inputs: Sequence[Fact | None]) -> Shapes:
    start, limit, delta = (float(_elements(inputs, i).reshape(-1)[0]) for i in range(3))
    return [(max(0, math.ceil((limit - start) / delta)),)]


def _unique(node: NodeProto, inputs: Sequence[Fact | None]) -> Shapes:
    import numpy as np

    elements, axis = _elements(inputs, 0), integer(node, "axis")
    if axis is None:
        (count,) = np.unique(elements).shape
        return [(count,), (count,), (elements.size,), (count,)]
    found = np.unique(elements, axis=axis)
    count = found.shape[axis]
    return [found.shape, (count,), (elements.shape[axis],), (count,)]


def _suppress(node: NodeProto, inputs: Sequence[Fact | None]) -> Shapes:
    boxes, scores = _elements(inputs, 0).astype("float32"), _elements(inputs, 1)
    most = max(0, int(_number(inputs, 2, 0)))
    overlap, least = _number(inputs, 3, 0.0), _number(inputs, 4, -math.inf)
    corners = _around(boxes) if integer(node, "center_point_box") else _sorted(boxes)
    rows = sum(
        _kept(corners[batch], scores[batch, kind], most, overlap, least)
        for batch in range(scores.shape[0])
        for kind in range(scores.shape[1])
    )
    return [(rows, 3)]


def _sorted(boxes: _Array) -> _Array:
    """Return boxes from any two opposite corners as the low one and the high one."""
    import numpy as np

    one, other = boxes[..., :2], boxes[..., 2:]
    return np.concatenate([np.minimum(one, other), np.maximum(one, other)], axis=-1)


def _around(boxes: _Array) -> _Array:
    """Return boxes from centres and sides as their corners; what has a side below zero overlaps nothing."""
    import numpy as np

    x, y, width, height = np.moveaxis(boxes, -1, 0)
    return np.stack([y - height / 2, x - width / 2, y + height / 2, x + width / 2], axis=-1)


def _kept(boxes: _Array, scores: _Array, most: int, overlap: float, least: float) -> int:
    """Return how many of the boxes of one class are kept: the best first, none that overlaps one that is kept.

    Rounded as onnxruntime rounds: where boxes overlap by the limit, the last bit decides.
    """
    import numpy as np

    low, high = boxes[:, :2], boxes[:, 2:]
    area = (high - low).prod(axis=1)
    kept: list[int] = []
    for i in np.argsort(-scores, kind="stable").tolist():
        if len(kept) == most:
            break
        if scores[i] <= least:
            continue
        sides = np.clip(np.minimum(high[kept], high[i]) - np.maximum(low[kept], low[i]), 0, None)
        shared = sides.prod(axis=1)
        met = shared > 0
        if not np.any(shared[met] / (area[kept] + area[i] - shared)[met] > overlap):
            kept.append(i)
    return len(kept)


def _unpool(node: NodeProto, inputs: Sequence[Fact | None]) -> Shapes:
    shape = tuple(int(size) for size in _elements(inputs, 2).ravel().tolist())
    if len(shape) != len(_shape(inputs, 0)) or min(shape) < 0:
        raise ValueError("sizes of another tensor")
    return [shape]


_RULES: Mapping[str, _Rule] = MappingProxyType(
    {
        "Compress": _compress,
        "MaxUnpool": _unpool,
        "NonMaxSuppression": _suppress,
        "NonZero": _non_zero,
        "OneHot": _one_hot,
        "Range": _range,
        "Unique": _unique,
    }
)
