"""What operations of ONNX mean for storage: read-only tables, by plain name (``Conv``) or ``domain.Op``.

What is not here is a plain operation: it writes new storage, reads all inputs to the end, and the same inputs give
the same outputs.
"""

from __future__ import annotations

from memprof.importers.onnx.library import NodeProto


def names(text: str) -> frozenset[str]:
    """Return the words of ``text``."""
    return frozenset(text.split())


VIEWS = frozenset({"Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity"})
"""The first output is the first input's storage under another shape."""

_UNARY = names(
    "Abs Acos Acosh Asin Asinh Atan Atanh BitwiseNot Cast Ceil Clip Cos Cosh Dropout Erf Exp Floor IsInf IsNaN Log "
    "Neg Not Reciprocal Round Shrink Sign Sin Sinh Sqrt Tan Tanh CastLike"
)
_ACTIVATIONS = names(
    "Celu Elu Gelu HardSigmoid HardSwish Hardmax LeakyRelu LogSoftmax Mish PRelu Relu Selu Sigmoid Softmax Softplus "
    "Softsign Swish ThresholdedRelu ai.onnx.ml.Binarizer com.microsoft.QuickGelu com.microsoft.Gelu "
    "com.microsoft.FastGelu com.microsoft.BiasGelu"
)
_BINARY = names(
    "Add And BitShift BitwiseAnd BitwiseOr BitwiseXor Div Equal Greater GreaterOrEqual Less LessOrEqual Max Mean Min "
    "Mod Mul Or Pow Sub Sum Where Xor"
)
ELEMENTWISE = _UNARY | _ACTIVATIONS | _BINARY
"""May write the first output over an input of equal bytes. Softmax and its kin finish a row before the next."""

RANDOM = names("Bernoulli Multinomial RandomNormal RandomNormalLike RandomUniform RandomUniformLike")
"""Draw random numbers: not the same in every run, even from constants alone."""

KNOWN_DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml", "ai.onnx.preview.training", "com.microsoft"})
"""Domains whose operations are functions of their inputs; one of any other domain may hold state."""


def op_name(node: NodeProto) -> str:
    """Return ``Conv`` for ONNX's own operations, ``domain.Op`` for others."""
    return node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}.{node.op_type}"
