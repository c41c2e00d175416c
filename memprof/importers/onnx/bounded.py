"""The most that an operation can write where the data decide: from its own attributes and inputs.

operation            at most
NonZero              every element, once for each dimension
Unique               every element, or every slice along its axis
Compress             as many slices as conditions, or as there are; without an axis, elements
NonMaxSuppression    boxes for each batch and class, as many as asked for or as there are
StringNormalizer     every word
TopK                 as many as asked for or as there are along its axis
Slice                what lies between the first start and the last end; all along an axis where those are not known

What other operations write is bounded where the numbers that decide it are (``intervals``):

Range                as many steps as fit between the least start and the largest limit
ConstantOfShape, Expand, Tile, Pad, Resize, Upsample, OneHot, AffineGrid, Col2Im, MaxUnpool, windows
                     the sizes, repeats, pads, scales or depth at their largest
Split                each part at its largest

Of onnxruntime's own:

Unique               every element
DynamicTimeWarping   a path of rows and columns that share one point
Range, Pad           as above

Source: the ONNX operator specification, onnxruntime's descriptions of its operators.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from memprof.importers.onnx.attributes import integer, integers, text
from memprof.importers.onnx.facts import Fact
from memprof.importers.onnx.interval import Between, Interval
from memprof.importers.onnx.library import NodeProto
from memprof.importers.onnx.ops import op_name

Shapes = list[tuple[int, ...]]

_MAX_ELEMENTS = 2**40  # what is bounded by more is bounded by nothing that a person meant


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A node whose outputs are open.

    Attributes:
        node: The node.
        inputs: What is known of its inputs, ``None`` where one is left out.
        between: Intervals of tensors by name.
    """

    node: NodeProto
    inputs: Sequence[Fact | None]
    between: Between

    def shape(self, i: int = 0) -> tuple[int, ...]:
        """Return the shape of an input.

        Raises:
            ValueError: It is not known.
            IndexError: There is no such input.
        """
        fact = self.inputs[i]
        if fact is None or not fact.is_fixed or fact.type.shape is None:
            raise ValueError("an open shape")
        return tuple(dim for dim in fact.type.shape if isinstance(dim, int))

    def has(self, i: int) -> bool:
        """Whether an input is there."""
        return i < len(self.inputs) and self.inputs[i] is not None

    def interval(self, i: int) -> Interval:
        """Return between which numbers an input's elements lie.

        Raises:
            IndexError: There is no such input.
        """
        return self.between(self.node.input[i])

    def highest(self, i: int) -> list[int]:
        """Return the largest of each element of an input, which must have few.

        Raises:
            ValueError: Nothing bounds them, or they are many.
        """
        found, (count,) = self.interval(i).highest(), self.shape(i) or (1,)
        if len(found) != count:
            raise ValueError("too many elements")
        return found

    def axes(self, i: int, rank: int) -> list[int]:
        """Return the axes that an input or the attribute ``axes`` lists, all if neither does.

        Raises:
            ValueError: The input's elements are not known.
        """
        if not self.has(i):
            return [axis % rank for axis in integers(self.node, "axes")] or list(range(rank))
        found = self.interval(i)
        if found.lowest() != found.highest():
            raise ValueError("open axes")
        return [axis % rank for axis in found.highest()]


def largest_shapes(node: NodeProto, inputs: Sequence[Fact | None], between: Between) -> Shapes | None:
    """Return the largest shape of each output of ``node``, ``None`` if that is not known.

    Args:
        node: The node.
        inputs: What is known of its inputs, ``None`` where one is left out.
        between: Intervals of tensors by name.
    """
    rule = _RULES.get(op_name(node))
    if rule is None:
        return None
    try:
        found = rule(Asked(node=node, inputs=inputs, between=between))
    except (IndexError, TypeError, ValueError, ArithmeticError):  # what decides is open, or does not fit
        return None
    # an empty tensor may have a side that nothing bounds: the sides that are not 0 count
    is_possible = all(
        min(shape, default=0) >= 0 and math.prod(filter(None, shape)) <= _MAX_ELEMENTS for shape in found
    )
    return found if is_possible else None


def _non_zero(asked: Asked) -> Shapes:
    shape = asked.shape()
    return [(max(1, len(shape)), math.prod(shape))]


def _unique(asked: Asked) -> Shapes:
    shape, axis = asked.shape(), integer(asked.node, "axis")
    size = math.prod(shape) if axis is None else shape[axis]
    return [(size,) if axis is None else shape, (size,), (size,), (size,)]


def _compress(asked: Asked) -> Shapes:
    shape, conditions = asked.shape(), math.prod(asked.shape(1))
    axis = integer(asked.node, "axis")
    if axis is None:
        return [(min(math.prod(shape), conditions),)]
    found = list(shape)
    found[axis] = min(found[axis], conditions)
    return [tuple(found)]


def _suppress(asked: Asked) -> Shapes:
    boxes, scores = asked.shape(), asked.shape(1)
    batch, classes = scores[0], scores[1]
    wanted = asked.interval(2).high.max() if asked.has(2) else 0  # none, says the specification
    return [(batch * classes * int(min(boxes[1], max(0, wanted))), 3)]


def _top(asked: Asked) -> Shapes:
    found, axis = list(asked.shape()), integer(asked.node, "axis")
    axis = -1 if axis is None else axis
    found[axis] = int(min(found[axis], asked.interval(1).high.max()))
    return [tuple(found)] * 2


def _slice(asked: Asked) -> Shapes:
    found = list(asked.shape())
    try:
        starts, ends = asked.interval(1), asked.interval(2)
        axes = asked.axes(3, len(found))
        steps = asked.interval(4).lowest() if asked.has(4) else [1] * len(axes)
        borders = [each.reshape(-1).tolist() for each in (starts.low, starts.high, ends.low, ends.high)]
        for axis, step, *border in zip(axes, steps, *borders, strict=True):
            if step > 0:
                found[axis] = _between(found[axis], step, border)
    except ValueError:  # which axes, or how many, is not known: no more than all
        return [asked.shape()]
    return [tuple(found)]


def _between(size: int, step: int, border: Sequence[float]) -> int:
    """Return the most elements of a slice whose start and end lie between two numbers each; below 0 from behind."""
    start_low, start_high, end_low, end_high = border
    start, end = 0.0, float(size)
    if start_low >= 0:
        start = min(start_low, size)
    elif start_high < 0:
        start = max(0.0, size + start_low)
    if end_low >= 0:
        end = min(end_high, size)
    elif end_high < 0:
        end = max(0.0, size + end_high)
    return max(0, math.ceil((end - start) / step))


def _range(asked: Asked) -> Shapes:
    start, limit, delta = (asked.interval(i) for i in range(3))
    (first, last), (least, most) = _ends(start), _ends(limit)
    slow, fast = _ends(delta)
    dtype = written.type.dtype if (written := asked.inputs[0]) is not None else None
    if slow > 0:
        return [(max(0, math.ceil(_in_type(most - first, dtype) / slow)),)]
    if fast < 0:
        return [(max(0, math.ceil(_in_type(last - least, dtype) / -fast)),)]
    raise ValueError("steps of either sign")


def _in_type(number: float, dtype: str | None) -> float:
    """Return a number as kernels hold it that compute with floats of 32 bits, where they do."""
    import numpy as np

    return float(np.float32(number)) if dtype == "float32" else number


def _ends(interval: Interval) -> tuple[float, float]:
    return float(interval.low.min()), float(interval.high.max())


def _filled(asked: Asked) -> Shapes:
    return [tuple(asked.highest(0))]


def _expand(asked: Asked) -> Shapes:
    shape, wish = list(asked.shape()), asked.highest(1)
    rank = max(len(shape), len(wish))
    shape, wish = [1] * (rank - len(shape)) + shape, [1] * (rank - len(wish)) + wish
    return [tuple(want if have == 1 else have for have, want in zip(shape, wish, strict=True))]


def _tile(asked: Asked) -> Shapes:
    return [tuple(size * times for size, times in zip(asked.shape(), asked.highest(1), strict=True))]


def _pad(asked: Asked) -> Shapes:
    found, pads = list(asked.shape()), asked.highest(1)
    axes = asked.axes(3, len(found))
    for axis, before, after in zip(axes, pads[: len(axes)], pads[len(axes) :], strict=True):
        found[axis] += before + after
    return [tuple(found)]


def _resize(asked: Asked) -> Shapes:
    found, upsamples = list(asked.shape()), asked.node.op_type == "Upsample"
    axes = list(range(len(found))) if upsamples else asked.axes(4, len(found))  # no such input: the attribute
    if not upsamples and asked.has(3):
        if text(asked.node, "keep_aspect_ratio_policy") not in (None, "stretch"):
            raise ValueError("sizes that are borders")
        wish = asked.highest(3)
    else:
        scales = asked.interval(1 if upsamples or len(asked.inputs) == 2 else 2).high.reshape(-1).tolist()
        sizes = (found[axis] * scale for axis, scale in zip(axes, scales, strict=True))
        wish = [math.floor(_in_type(size, "float32")) for size in sizes]
    for axis, size in zip(axes, wish, strict=True):
        found[axis] = size
    return [tuple(found)]


def _one_hot(asked: Asked) -> Shapes:
    shape, depth = asked.shape(), int(asked.interval(1).high.max())
    axis = integer(asked.node, "axis")
    axis = len(shape) if axis is None else axis % (len(shape) + 1)
    return [(*shape[:axis], depth, *shape[axis:])]


def _split(asked: Asked) -> Shapes:
    shape, axis = asked.shape(), integer(asked.node, "axis") or 0
    axis %= len(shape)
    parts = asked.interval(1).high.reshape(-1).tolist()
    return [(*shape[:axis], int(min(size, shape[axis])), *shape[axis + 1 :]) for size in parts]


def _window(asked: Asked) -> Shapes:
    return [(int(asked.interval(0).high.max()),)]


def _grid(asked: Asked) -> Shapes:
    batch, _, *spatial = asked.highest(1)
    return [(batch, *spatial, len(spatial))]


def _image(asked: Asked) -> Shapes:
    batch, blocks, *_ = asked.shape()
    return [(batch, blocks // math.prod(max(1, least) for least in asked.interval(2).lowest()), *asked.highest(1))]


def _unpool(asked: Asked) -> Shapes:
    return [tuple(asked.highest(2))]


def _own_unique(asked: Asked) -> Shapes:
    return [asked.shape()] * 3


def _path(asked: Asked) -> Shapes:
    *_, rows, columns = asked.shape()
    return [(2, rows + columns - 1)]


_RULES: Mapping[str, Callable[[Asked], Shapes]] = MappingProxyType(
    {
        **dict.fromkeys(("BlackmanWindow", "HammingWindow", "HannWindow"), _window),
        **dict.fromkeys(("Pad", "com.microsoft.Pad"), _pad),
        **dict.fromkeys(("Range", "com.microsoft.Range"), _range),
        **dict.fromkeys(("Resize", "Upsample"), _resize),
        "AffineGrid": _grid,
        "Col2Im": _image,
        "Compress": _compress,
        "ConstantOfShape": _filled,
        "Expand": _expand,
        "MaxUnpool": _unpool,
        "NonMaxSuppression": _suppress,
        "NonZero": _non_zero,
        "OneHot": _one_hot,
        "Slice": _slice,
        "Split": _split,
        "Tile": _tile,
        "StringNormalizer": lambda asked: [asked.shape()],
        "TopK": _top,
        "Unique": _unique,
        "com.microsoft.DynamicTimeWarping": _path,
        "com.microsoft.Unique": _own_unique,
    }
)
