"""Rules for the operations that make up most of a network: like the input, broadcast, concatenation, convolution.

They say what ONNX's own rules say, without a call into native code, which costs ten times as much. They hold where
all inputs are fully known; anything else goes to ``inference.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import cast

from memprof.importers.onnx.facts import Fact
from memprof.importers.onnx.library import NodeProto
from memprof.importers.onnx.ops import names
from memprof.importers.onnx.types import TypeTable
from memprof.ir import Attribute, TensorType

_LIKE_FIRST = names(
    "Abs Acos Acosh Asin Asinh Atan Atanh BatchNormalization Ceil Celu Clip Cos Cosh Dropout Elu Erf Exp Floor Gelu "
    "HardSigmoid HardSwish Identity InstanceNormalization LRN LeakyRelu Log LogSoftmax Mish Neg Not Reciprocal Relu "
    "Round Selu Sigmoid Sign Sin Sinh Softmax Softplus Softsign Sqrt Tan Tanh ThresholdedRelu"
)
_BROADCAST = names("Add Sub Mul Div")
_BROADCASTING_OPSET = 7


def simple_type(
    node: NodeProto,
    inputs: Sequence[Fact | None],
    attributes: Mapping[str, Attribute],
    opset: int,
    types: TypeTable,
) -> TensorType | None:
    """Return the type of the only output of ``node``, ``None`` if no rule of this file says it.

    Args:
        node: A node of ONNX's own domain.
        inputs: What is known of its inputs, ``None`` where one is left out.
        attributes: Its attributes.
        opset: Version of ONNX's operations.
        types: The model's types.
    """
    rule = _RULES.get(node.op_type)
    if rule is None or len(node.output) != 1 or not inputs:
        return None
    known = [fact.type for fact in inputs if fact is not None and fact.is_fixed]
    if len(known) < len(inputs) or (rule is _broadcast and opset < _BROADCASTING_OPSET):
        return None
    return rule(known, attributes, types)


def _like_first(inputs: Sequence[TensorType], attributes: Mapping[str, Attribute], types: TypeTable) -> TensorType:
    return inputs[0]


def _broadcast(
    inputs: Sequence[TensorType], attributes: Mapping[str, Attribute], types: TypeTable
) -> TensorType | None:
    if len(inputs) != 2 or inputs[0] is inputs[1]:
        return inputs[0] if len(inputs) == 2 else None
    a, b = inputs
    long, short = (_shape(a), _shape(b)) if len(_shape(a)) >= len(_shape(b)) else (_shape(b), _shape(a))
    padded = (1,) * (len(long) - len(short)) + short
    if a.dtype != b.dtype or any(x not in (1, y) and y != 1 for x, y in zip(long, padded, strict=True)):
        return None  # they do not fit
    return types.of(a.dtype, tuple(y if x == 1 else x for x, y in zip(long, padded, strict=True)))


def _concatenate(
    inputs: Sequence[TensorType], attributes: Mapping[str, Attribute], types: TypeTable
) -> TensorType | None:
    first, axis = _shape(inputs[0]), attributes.get("axis")
    if not isinstance(axis, int) or not -len(first) <= axis < len(first):
        return None
    axis %= len(first)
    before, after, total = first[:axis], first[axis + 1 :], 0
    for of in inputs:
        shape = _shape(of)
        if len(shape) != len(first) or of.dtype != inputs[0].dtype:
            return None
        if shape[:axis] != before or shape[axis + 1 :] != after:
            return None  # they do not fit
        total += shape[axis]
    return types.of(inputs[0].dtype, (*before, total, *after))


def _convolve(
    inputs: Sequence[TensorType], attributes: Mapping[str, Attribute], types: TypeTable
) -> TensorType | None:
    data, filters = _shape(inputs[0]), _shape(inputs[1]) if len(inputs) > 1 else ()
    rank, kernel = len(data) - 2, filters[2:]
    if rank < 1 or len(filters) != len(data) or attributes.get("auto_pad", "NOTSET") != "NOTSET":
        return None
    strides = _integers(attributes, "strides", (1,) * rank)
    dilations = _integers(attributes, "dilations", (1,) * rank)
    pads = _integers(attributes, "pads", (0,) * (2 * rank))
    if strides is None or dilations is None or pads is None or attributes.get("kernel_shape", kernel) != kernel:
        return None
    windows = zip(data[2:], kernel, dilations, pads[:rank], pads[rank:], strict=True)
    moves = [size + low + high - dilation * (window - 1) - 1 for size, window, dilation, low, high in windows]
    if min(moves) < 0 or min(strides) < 1:
        return None
    spatial = (move // stride + 1 for move, stride in zip(moves, strides, strict=True))
    return types.of(inputs[0].dtype, (data[0], filters[0], *spatial))


def _integers(attributes: Mapping[str, Attribute], name: str, default: tuple[int, ...]) -> tuple[int, ...] | None:
    """Return as many integers as ``default`` has, ``None`` if the attribute is something else."""
    found = attributes.get(name, default)
    if not isinstance(found, tuple) or len(found) != len(default):
        return None
    whole = tuple(i for i in found if isinstance(i, int))
    return whole if len(whole) == len(found) else None


def _shape(of: TensorType) -> tuple[int, ...]:
    return cast("tuple[int, ...]", of.shape)  # asked of types that are known in full


_Rule = Callable[[Sequence[TensorType], Mapping[str, Attribute], TypeTable], TensorType | None]
_RULES: Mapping[str, _Rule] = MappingProxyType(
    {
        **dict.fromkeys(_LIKE_FIRST, _like_first),
        **dict.fromkeys(_BROADCAST, _broadcast),
        "Concat": _concatenate,
        "Conv": _convolve,
    }
)
