"""Rules for the operations that make up most of a network and hardly need one: like the input, or broadcast.

They say what ONNX's own rules say, without a call into native code, which costs ten times as much. They hold where
all inputs are fully known; anything else goes to ``inference.py``.
"""

from __future__ import annotations

from collections.abc import Sequence

from onnx import NodeProto

from memprof.importers.onnx.facts import Fact
from memprof.importers.onnx.ops import names
from memprof.importers.onnx.types import TypeTable
from memprof.ir import TensorType

_LIKE_FIRST = names(
    "Abs Acos Acosh Asin Asinh Atan Atanh BatchNormalization Ceil Celu Clip Cos Cosh Dropout Elu Erf Exp Floor Gelu "
    "HardSigmoid HardSwish Identity InstanceNormalization LRN LeakyRelu Log LogSoftmax Mish Neg Not Reciprocal Relu "
    "Round Selu Sigmoid Sign Sin Sinh Softmax Softplus Softsign Sqrt Tan Tanh ThresholdedRelu"
)
_BROADCAST = frozenset({"Add", "Sub", "Mul", "Div"})
_BROADCASTING_OPSET = 7


def simple_type(node: NodeProto, inputs: Sequence[Fact | None], opset: int, types: TypeTable) -> TensorType | None:
    """Return the type of the only output of ``node``, ``None`` if no rule of this file says it."""
    op = node.op_type
    if len(node.output) != 1 or not inputs or (first := inputs[0]) is None or first.is_open:
        return None
    if op in _LIKE_FIRST:
        return first.type
    if op in _BROADCAST and opset >= _BROADCASTING_OPSET and len(inputs) == 2:
        second = inputs[1]
        if second is None or second.is_open or second.type.dtype != first.type.dtype:
            return None
        return first.type if first.type is second.type else _broadcast(first.type, second.type, types)
    return None


def _broadcast(a: TensorType, b: TensorType, types: TypeTable) -> TensorType | None:
    assert a.shape is not None, "known in full"
    assert b.shape is not None, "known in full"
    long, short = (a.shape, b.shape) if len(a.shape) >= len(b.shape) else (b.shape, a.shape)
    padded = (1,) * (len(long) - len(short)) + short
    if any(x not in (1, y) and y != 1 for x, y in zip(long, padded, strict=True)):
        return None  # they do not fit
    return types.of(a.dtype, tuple(y if x == 1 else x for x, y in zip(long, padded, strict=True)))
