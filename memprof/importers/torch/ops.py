"""Tables of what PyTorch's operations mean for storage. Names without overload, an in-place ``_`` left out.

    ELEMENTWISE  element i of the output needs no element of a same-sized input but i: it may overwrite that input
    VIEWS        the output always is a window onto the first input
    MAYBE_VIEWS  the output is such a window where strides allow it, else a copy
    RANDOM       the result differs from run to run, so that it is no constant
    DTYPES       torch's element types by memprof's names

An operation in no table is a plain one: it writes new tensors and overwrites nothing. Softmax, normalisations and
reductions are not elementwise here: PyTorch's kernels for them read a row again after they wrote to it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from memprof.ir import Assumption

_ELEMENTWISE_NAMES = {
    "activations": """
        celu elu gelu hardshrink hardsigmoid hardswish hardtanh leaky_relu log_sigmoid logit mish prelu relu relu6
        rrelu selu sigmoid silu softplus softshrink softsign tanh tanhshrink threshold
    """,
    "their gradients": """
        elu_backward gelu_backward hardshrink_backward hardsigmoid_backward hardswish_backward hardtanh_backward
        leaky_relu_backward log_sigmoid_backward mish_backward native_dropout_backward sigmoid_backward
        silu_backward softplus_backward softshrink_backward tanh_backward threshold_backward
    """,
    "arithmetic": """
        __and__ __lshift__ __or__ __rshift__ __xor__ abs absolute add addcdiv addcmul bitwise_and bitwise_not
        bitwise_or bitwise_xor ceil clamp clamp_max clamp_min clip copysign deg2rad div divide dropout erf erfc erfinv
        exp exp2 expm1 fix floor floor_divide fmax fmin fmod frac lerp log log10 log1p log2 logaddexp logical_and
        logical_not logical_or logical_xor masked_fill maximum minimum mul multiply nan_to_num neg negative positive
        pow rad2deg reciprocal remainder round rsqrt rsub sgn sign sqrt square sub subtract true_divide trunc where
    """,
    "trigonometry": "acos acosh asin asinh atan atan2 atanh cos cosh hypot sin sinc sinh tan",
    "comparison": "eq ge gt isfinite isinf isnan le lt ne",
    "overwriting": "copy fill zero",
}
_VIEW_NAMES = """
    _reshape_alias _unsafe_view adjoint alias as_strided broadcast_to chunk detach diagonal dsplit expand expand_as
    hsplit imag mH mT matrix_H moveaxis movedim narrow numpy_T permute real select slice split split_with_sizes
    squeeze swapaxes swapdims t tensor_split transpose unbind unflatten unfold unsafe_chunk unsafe_split
    unsafe_split_with_sizes unsqueeze view view_as view_as_complex view_as_real vsplit
"""
_MAYBE_VIEW_NAMES = """
    alpha_dropout contiguous dropout feature_dropout flatten lift_fresh ravel reshape reshape_as resolve_conj
    resolve_neg to type_as
"""
_RANDOM_NAMES = """
    alpha_dropout bernoulli cauchy dropout empty empty_like empty_permuted empty_strided exponential feature_dropout
    geometric log_normal multinomial native_dropout new_empty new_empty_strided normal poisson rand rand_like randint
    randint_like randn randn_like random randperm rrelu rrelu_with_noise uniform
"""


def _aten(*texts: str) -> frozenset[str]:
    return frozenset(f"aten.{name}" for text in texts for name in text.split())


ELEMENTWISE = _aten(*_ELEMENTWISE_NAMES.values())
VIEWS = _aten(_VIEW_NAMES)
MAYBE_VIEWS = _aten(_MAYBE_VIEW_NAMES)
RANDOM = _aten(_RANDOM_NAMES)

INLINED = frozenset({"wrap_with_set_grad_enabled", "wrap_with_autocast", "hints_wrapper"})
"""Higher-order operators that run one body once: its operations stand in their place."""


def autocast_note(target: str, arguments: Sequence[object]) -> Assumption | None:
    """Return what is to be said of a wrapped block that casts inside, ``None`` of one that does not.

    Args:
        target: Name of the higher-order operator.
        arguments: Its arguments: device, element type, whether casting is on, ...
    """
    if target != "wrap_with_autocast" or (len(arguments) > 2 and not arguments[2]):
        return None
    dtype = str(arguments[1]).removeprefix("torch.") if len(arguments) > 1 else "a shorter type"
    return Assumption(
        kind="dtype",
        name="autocast",
        reason=f"a region of torch.autocast runs operations in {dtype}; an exported program does not show its casts",
        hint="Analyse the module itself, whose run shows them.",
    )


MAX_BODY_DEPTH = 16
"""Bodies of control flow nest two or three deep; the limit keeps recursion short."""

DTYPES: Mapping[str, str] = MappingProxyType(
    {
        "bool": "bool",
        "uint8": "uint8",
        "int8": "int8",
        "uint16": "uint16",
        "int16": "int16",
        "uint32": "uint32",
        "int32": "int32",
        "uint64": "uint64",
        "int64": "int64",
        "float16": "float16",
        "bfloat16": "bfloat16",
        "float32": "float32",
        "float64": "float64",
        "complex64": "complex64",
        "complex128": "complex128",
        "complex32": "float32",  # two halves: the same four bytes
        "float8_e4m3fn": "float8e4m3fn",
        "float8_e4m3fnuz": "float8e4m3fnuz",
        "float8_e5m2": "float8e5m2",
        "float8_e5m2fnuz": "float8e5m2fnuz",
        "float8_e8m0fnu": "float8e8m0",
        "float4_e2m1fn_x2": "uint8",  # two elements to a byte, and the shape counts bytes
        "quint8": "uint8",
        "qint8": "int8",
        "qint32": "int32",
    }
)


def base_name(op: str) -> str:
    """Return the key of ``op`` in the tables: without the ``_`` of an in-place operation.

    >>> base_name("aten.relu_"), base_name("aten.__and__")
    ('aten.relu', 'aten.__and__')
    """
    return op if op.endswith("__") else op.removesuffix("_")


def is_in_place(op: str) -> bool:
    """Tell whether ``op`` writes on its first input, by PyTorch's naming rule."""
    return op.endswith("_") and not op.endswith("__")
