"""Rules of ours where ONNX's own inference is wrong by its own text, or onnxruntime runs something else.

operation               the fault                                     the text, PyTorch and onnxruntime
pooling, ceil_mode=1    a last window that begins behind the input    is dropped
                        (in the padding at its end) is kept
STFT                    ``onesided`` left out counts as 0             its default is 1
ConvTranspose, SAME     ``output_padding`` makes it larger            the input times the stride, no more
the same, output_shape  a side below the input's, and those after     they are what the attribute says
                        it, are forgotten
Resize, kept aspect     a side that rounds to nothing is left open    it is 0
Resize by scales        side and scale are multiplied as doubles      as floats: 10 by 2.3 are 23, not 22

operation               the text and ONNX's inference                 onnxruntime
pooling, SAME, dilated  padded for the dilated kernel                 padded for the plain one: fewer windows
pooling, both paddings  what pads says is added                       is ignored (``as_run``)
Resize, kept aspect     axes may be counted from the end              those that are keep their side
Range                   refuses a vector of one element               takes it as the number in it
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import inf
from types import MappingProxyType
from typing import Any, cast

from memprof.importers.onnx.attributes import attribute as attribute_of
from memprof.importers.onnx.facts import Fact
from memprof.importers.onnx.library import NodeProto
from memprof.importers.onnx.types import TypeTable
from memprof.ir import Attribute, Dim, TensorType

_OLD_RESIZE_INPUTS = 2
_KEEPS_ASPECT = frozenset({"not_larger", "not_smaller"})
_POOLS = ("MaxPool", "AveragePool", "LpPool")
_SAME = frozenset({"SAME_UPPER", "SAME_LOWER"})
_Rule = Callable[[Sequence[Fact | None], Mapping[str, Attribute], TypeTable], TensorType | None]


def overruled_types(
    node: NodeProto, inputs: Sequence[Fact | None], attributes: Mapping[str, Attribute], types: TypeTable
) -> list[TensorType] | None:
    """Return the type of each output of ``node`` where ONNX's inference is wrong, ``None`` where it may be asked.

    Args:
        node: A node of ONNX's own domain.
        inputs: What is known of its inputs, ``None`` where one is left out.
        attributes: Its attributes.
        types: The model's types.
    """
    rule = _RULES.get(node.op_type)
    if rule is None or not inputs or inputs[0] is None:
        return None
    try:
        found = rule(inputs, attributes, types)
    except (IndexError, TypeError, ValueError, ZeroDivisionError):  # attributes that do not fit
        return None
    if found is None:
        return None
    return [found if i == 0 else types.of("int64", found.shape) for i in range(len(node.output))]


def as_run(node: NodeProto) -> NodeProto:
    """Return a pool without pads beside ``auto_pad``, where onnxruntime ignores them; any other node as it is."""
    names = {attribute.name for attribute in node.attribute} if node.op_type in _POOLS else set[str]()
    if not names >= {"pads", "auto_pad"} or attribute_of(node, "auto_pad") == b"NOTSET":
        return node
    found = NodeProto()
    found.CopyFrom(node)
    del found.attribute[:]
    found.attribute.extend(each for each in node.attribute if each.name != "pads")
    return found


def last_window_begins_inside(size: int, count: int, stride: int, pad_begin: int) -> int:
    """Return how many of ``count`` windows over ``size`` elements begin before the padding at the end.

    >>> last_window_begins_inside(9, 4, 3, 0)
    3
    """
    return count - 1 if (count - 1) * stride >= size + pad_begin else count


def _pool(inputs: Sequence[Fact | None], attributes: Mapping[str, Attribute], types: TypeTable) -> TensorType | None:
    of = cast("Fact", inputs[0]).type
    kernel = attributes.get("kernel_shape")
    padding, rounding = attributes.get("auto_pad", "NOTSET"), attributes.get("ceil_mode", 0)
    rounds_up = rounding == 1
    if of.shape is None or not isinstance(kernel, tuple) or len(kernel) != len(of.shape) - 2:
        return None
    spatial = of.shape[2:]
    rank = len(spatial)
    ones, zeros = (1,) * rank, (0,) * (2 * rank)
    strides, dilations = _integers(attributes, "strides", ones), _integers(attributes, "dilations", ones)
    found: list[Dim] = []
    if padding in _SAME and (rounding or dilations != ones):
        for axis, size in enumerate(spatial):
            window = (int(kernel[axis]), dilations[axis], strides[axis])
            found.append(_same_windows(size, window, rounds_up=rounds_up) if isinstance(size, int) else None)
        return types.of(of.dtype, (*of.shape[:2], *found))
    if not rounding or padding not in ("NOTSET", "VALID"):
        return None
    pads = zeros if padding == "VALID" else _integers(attributes, "pads", zeros)
    for axis, size in enumerate(spatial):
        if not isinstance(size, int):
            found.append(None)
            continue
        padded = size + pads[axis] + pads[axis + rank]
        moves = padded - dilations[axis] * (int(kernel[axis]) - 1) - 1
        count = (-(-moves // strides[axis]) if rounds_up else moves // strides[axis]) + 1
        if count < 0:
            return None
        found.append(last_window_begins_inside(size, count, strides[axis], pads[axis]) if rounds_up else count)
    return types.of(of.dtype, (*of.shape[:2], *found))


def _same_windows(size: int, window: tuple[int, int, int], *, rounds_up: bool) -> int:
    """Return how many windows onnxruntime lays over ``size`` elements: kernel, dilation and stride are one's own.

    >>> _same_windows(11, (4, 3, 1), rounds_up=False)
    5
    """
    kernel, dilation, stride = window
    pad = (-(-size // stride) - 1) * stride + kernel - size
    moves = size + pad - dilation * (kernel - 1) - 1
    count = max(0, (-(-moves // stride) if rounds_up or moves < 0 else moves // stride) + 1)  # towards zero, as in C
    return last_window_begins_inside(size, count, stride, pad // 2) if rounds_up else count


def _transposed(
    inputs: Sequence[Fact | None], attributes: Mapping[str, Attribute], types: TypeTable
) -> TensorType | None:
    of, weight = cast("Fact", inputs[0]).type, cast("Fact", inputs[1]).type
    if of.shape is None or weight.shape is None:
        return None
    channels, groups = weight.shape[1], attributes.get("group", 1)
    if not isinstance(channels, int) or not isinstance(groups, int):
        return None
    sides = attributes.get("output_shape")
    if isinstance(sides, tuple):  # onnxruntime also takes a batch and channels before them
        named = tuple(int(side) for side in sides)
        fits = len(named) in (len(of.shape), len(of.shape) - 2)
        return types.of(of.dtype, (of.shape[0], channels * groups, *named[2 - len(of.shape) :])) if fits else None
    padding = _integers(attributes, "output_padding", (0,) * (len(of.shape) - 2))
    if attributes.get("auto_pad", "NOTSET") not in _SAME or not any(padding):
        return None
    spatial, ones = of.shape[2:], (1,) * len(padding)
    strides, dilations = _integers(attributes, "strides", ones), _integers(attributes, "dilations", ones)
    found: list[Dim] = []
    for axis, (size, kernel) in enumerate(zip(spatial, weight.shape[2:], strict=True)):
        if not isinstance(size, int) or not isinstance(kernel, int):
            found.append(None)
            continue
        whole = (size - 1) * strides[axis] + padding[axis] + dilations[axis] * (kernel - 1) + 1
        found.append(min(whole, size * strides[axis]))
    return types.of(of.dtype, (of.shape[0], channels * groups, *found))


def _short_time_fourier(
    inputs: Sequence[Fact | None], attributes: Mapping[str, Attribute], types: TypeTable
) -> TensorType | None:
    signal = cast("Fact", inputs[0]).type
    step = _scalar(inputs, 1)
    window = inputs[2].type.shape if len(inputs) > 2 and inputs[2] is not None else None
    length = window[0] if window else _scalar(inputs, 3)
    if signal.shape is None or len(signal.shape) < 2:
        return None
    size = signal.shape[1]
    if not isinstance(length, int) or not isinstance(step, int) or not isinstance(size, int) or step < 1:
        return None
    bins = length // 2 + 1 if attributes.get("onesided", 1) else length
    return types.of(signal.dtype, (signal.shape[0], (size - length) // step + 1, bins, 2)) if size >= length else None


def _resized(
    inputs: Sequence[Fact | None], attributes: Mapping[str, Attribute], types: TypeTable
) -> TensorType | None:
    of = cast("Fact", inputs[0]).type
    scales = _array(inputs, 1 if len(inputs) == _OLD_RESIZE_INPUTS else 2)
    if of.shape is None:
        return None
    rank = len(of.shape)
    named = cast("tuple[int, ...]", attributes.get("axes") or tuple(range(rank)))
    axes = tuple(axis + rank if axis < 0 else axis for axis in named)
    sides = [side for axis in axes if isinstance(side := of.shape[axis], int) and side >= 0]
    if len(sides) != len(axes) or min(axes, default=0) < 0:
        return None
    if scales is not None and scales.size:
        after = _scaled(sides, scales)
    else:
        after = _kept_aspect(sides, named, _array(inputs, 3), attributes.get("keep_aspect_ratio_policy"))
    if after is None:
        return None
    found = dict(enumerate(of.shape)) | dict(zip(axes, after, strict=True))
    return types.of(of.dtype, tuple(found.values()))


def _scaled(sides: Sequence[int], scales: Any) -> list[int] | None:
    factors = scales.reshape(-1).astype("float32")
    if factors.size != len(sides) or not all(0 < factor < inf for factor in factors.tolist()):
        return None
    return [int(side) for side in ((factors * 0 + sides).astype("float32") * factors).tolist()]


def _kept_aspect(sides: Sequence[int], axes: Sequence[int], array: Any, policy: Attribute | None) -> list[int] | None:
    """Return sides that are scaled alike, ``None`` where no runtime does that or ONNX's inference tells as well."""
    if array is None or policy not in _KEEPS_ASPECT or len(sides) != array.size or not min(sides, default=0):
        return None
    wanted = array.reshape(-1).astype("float32")
    if not all(0 < size < inf for size in wanted.tolist()):
        return None
    before = (wanted * 0 + sides).astype("float32")
    scales = [scale for scale, axis in zip(wanted / before, axes, strict=True) if axis >= 0]
    if not scales:
        return list(sides)
    scale = min(scales) if policy == "not_larger" else max(scales)
    alike = (before * scale + 0.5).astype("int64").tolist()  # never below zero: a half rounds up
    after = [new if axis >= 0 else side for new, axis, side in zip(alike, axes, sides, strict=True)]
    return after if 0 in after or min(axes) < 0 else None


def _array(inputs: Sequence[Fact | None], i: int) -> Any:
    fact = inputs[i] if i < len(inputs) else None
    return None if fact is None or fact.constant is None else fact.constant.array


def _scalar(inputs: Sequence[Fact | None], i: int) -> int | None:
    array = _array(inputs, i)
    return None if array is None or array.size != 1 else int(array.reshape(-1)[0])


def _integers(attributes: Mapping[str, Attribute], name: str, default: tuple[int, ...]) -> tuple[int, ...]:
    found = attributes.get(name) or default
    if not isinstance(found, tuple) or len(found) != len(default):
        raise ValueError(name)
    return tuple(int(i) for i in found)


def _range(inputs: Sequence[Fact | None], attributes: Mapping[str, Attribute], types: TypeTable) -> TensorType | None:
    given = [fact for fact in inputs if fact is not None]
    shapes = [fact.type.shape for fact in given]
    if len(given) != 3 or (1,) not in shapes or not {(), (1,)}.issuperset(shapes):
        return None
    return types.of(given[0].type.dtype, (None,))  # how long it is follows where elements are worked out


_RULES: Mapping[str, _Rule] = MappingProxyType(
    {
        **dict.fromkeys(_POOLS, _pool),
        "Range": _range,
        "ConvTranspose": _transposed,
        "Resize": _resized,
        "Upsample": _resized,
        "STFT": _short_time_fourier,
    }
)
