"""Rules of ours where ONNX's own inference is wrong by its own text.

operation               the fault                                     the text, PyTorch and onnxruntime
pooling, ceil_mode=1    a last window that begins behind the input    is dropped
                        (in the padding at its end) is kept
STFT                    ``onesided`` left out counts as 0             its default is 1
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import cast

from memprof.importers.onnx.facts import Fact
from memprof.importers.onnx.library import NodeProto
from memprof.importers.onnx.types import TypeTable
from memprof.ir import Attribute, Dim, TensorType

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


def last_window_begins_inside(size: int, count: int, stride: int, pad_begin: int) -> int:
    """Return how many of ``count`` windows over ``size`` elements begin before the padding at the end.

    >>> last_window_begins_inside(9, 4, 3, 0)
    3
    """
    return count - 1 if (count - 1) * stride >= size + pad_begin else count


def _pool(inputs: Sequence[Fact | None], attributes: Mapping[str, Attribute], types: TypeTable) -> TensorType | None:
    of = cast("Fact", inputs[0]).type
    kernel = attributes.get("kernel_shape")
    if not attributes.get("ceil_mode") or attributes.get("auto_pad", "NOTSET") != "NOTSET" or of.shape is None:
        return None
    spatial = of.shape[2:]
    rank = len(spatial)
    if not isinstance(kernel, tuple) or len(kernel) != rank:
        return None
    ones, zeros = (1,) * rank, (0,) * (2 * rank)
    strides, dilations = _integers(attributes, "strides", ones), _integers(attributes, "dilations", ones)
    pads = _integers(attributes, "pads", zeros)
    found: list[Dim] = []
    for axis, size in enumerate(spatial):
        if not isinstance(size, int):
            found.append(None)
            continue
        padded = size + pads[axis] + pads[axis + rank]
        moves = padded - dilations[axis] * (int(kernel[axis]) - 1) - 1
        if moves < 0:
            return None
        count = -(-moves // strides[axis]) + 1
        found.append(last_window_begins_inside(size, count, strides[axis], pads[axis]))
    return types.of(of.dtype, (*of.shape[:2], *found))


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


def _scalar(inputs: Sequence[Fact | None], i: int) -> int | None:
    fact = inputs[i] if i < len(inputs) else None
    array = None if fact is None or fact.constant is None else fact.constant.array
    return None if array is None or array.size != 1 else int(array.reshape(-1)[0])


def _integers(attributes: Mapping[str, Attribute], name: str, default: tuple[int, ...]) -> tuple[int, ...]:
    found = attributes.get(name) or default
    if not isinstance(found, tuple) or len(found) != len(default):
        raise ValueError(name)
    return tuple(int(i) for i in found)


_RULES: Mapping[str, _Rule] = MappingProxyType(
    {**dict.fromkeys(("MaxPool", "AveragePool", "LpPool"), _pool), "STFT": _short_time_fourier}
)
