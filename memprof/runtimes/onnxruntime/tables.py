"""Which operations of onnxruntime's CPU kernels share an input's buffer: read-only tables of (input, output) pairs.

Found by running single operations under a traced allocator, without optimisation; see docs/runtimes.md. An operation
that is not here writes a buffer of its own: Add, Mul and all binary operations, Erf, Exp, Gelu, MatMul, Conv, ...
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

Pairs = tuple[tuple[int, int], ...]

_FIRST: Pairs = ((0, 0),)


def _first(text: str) -> dict[str, Pairs]:
    return dict.fromkeys(text.split(), _FIRST)


ALIASES: Mapping[str, Pairs] = MappingProxyType(_first("Reshape Squeeze Unsqueeze Flatten Identity"))
"""The output is the input's buffer, whoever else reads it."""

IN_PLACE: Mapping[str, Pairs] = MappingProxyType(
    {
        **_first(
            "BitCast Cast Celu Clip Elu HardSigmoid LeakyRelu LogSoftmax Relu Scatter ScatterElements Selu Shrink "
            "Sigmoid Softmax Softplus Softsign Tanh TensorScatter ThresholdedRelu Trilu"
        ),
        "com.microsoft.FusedConv": ((3, 0),),
        "com.microsoft.nchwc.Conv": ((3, 0),),
    }
)
"""The output takes the input's buffer where nobody needs it any more and shape and element size are equal."""

PREPACKED: Mapping[str, tuple[int, ...]] = MappingProxyType(
    {
        **dict.fromkeys(("MatMul", "Gemm", "com.microsoft.FusedMatMul", "com.microsoft.FusedGemm"), (1,)),
        **dict.fromkeys(("MatMulInteger", "com.microsoft.DynamicQuantizeMatMul", "com.microsoft.Attention"), (1,)),
        "com.microsoft.MatMulIntegerToFloat": (1,),
        **dict.fromkeys(("LSTM", "GRU"), (1, 2)),
        **dict.fromkeys(("QLinearMatMul", "QLinearConv", "com.microsoft.QLinearConv", "com.microsoft.QGemm"), (3,)),
    }
)
"""Inputs that kernels copy to a layout of their own when the session is created, if they are constant; the original
is then dropped."""

UNTYPED: Mapping[str, tuple[int, int]] = MappingProxyType({"Dropout": (1, 10)})
"""(output, version): before that version onnxruntime does not know the output's shape when it plans."""

INITIALISERS = frozenset({"Constant"})
"""Nodes that do not run: onnxruntime turns them into initialisers when it reads the file."""
