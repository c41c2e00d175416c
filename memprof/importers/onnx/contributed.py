"""Types of what onnxruntime's own operations write: ``com.microsoft`` and its layout with channels in blocks, NCHWc.

ONNX has no rules for them. They occur in models that onnxruntime's tools quantise, and in what it makes of a model
when it optimises it. In the NCHWc layout the shape says [N, channels rounded up to a block, H, W]; the block (8 or
16) depends on the processor that optimised the model.

    like an input       one output, typed as that input
    window              convolution and pooling: floor((in + pads - dilation * (kernel - 1) - 1) / stride) + 1
    reorder             into blocks, or out of them

An operation or an output that is not here stays unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from memprof.base.errors import LimitError
from memprof.importers.onnx import (
    classical,
    contributed_generation,
    contributed_given,
    contributed_models,
    contributed_others,
    contributed_sequences,
)
from memprof.importers.onnx.constants import Constant
from memprof.importers.onnx.contributed_call import ContributedCall, OpenShape
from memprof.importers.onnx.library import NodeProto
from memprof.importers.onnx.overruled import last_window_begins_inside
from memprof.importers.onnx.types import UNKNOWN_TYPE, TypeTable
from memprof.ir import Dim, TensorType

BLOCK = "block_channels"
"""Attribute that the reader of an optimised model sets on ReorderInput: channels of one block."""


_Rule = Callable[[ContributedCall], list[TensorType]]

_MISFITS = (OpenShape, ArithmeticError, AttributeError, IndexError, LimitError, TypeError, ValueError)
"""What a rule raises where attributes, shapes and elements do not fit each other: no sequence has -5 tokens."""


def is_contributed(node: NodeProto) -> bool:
    """Whether this file has a rule for the operation."""
    return f"{node.domain}.{node.op_type}" in _RULES


def contributed_types(
    node: NodeProto,
    inputs: Sequence[TensorType | None],
    types: TypeTable,
    data: Sequence[Constant | None] = (),
) -> list[TensorType]:
    """Return the type of each output of ``node``, ``UNKNOWN_TYPE`` where no rule says it.

    Args:
        node: The node.
        inputs: Types of its inputs, ``None`` where one is left out.
        types: The model's types.
        data: Elements of its inputs, ``None`` where they are not at hand.

    Raises:
        LimitError: An output is larger than a tensor can be.
    """
    rule = _RULES.get(f"{node.domain}.{node.op_type}")
    found: list[TensorType] = []
    if rule is not None:
        try:
            found = rule(ContributedCall(node, inputs, types, data))
        except _MISFITS:
            found = []
    found = found[: len(node.output)]
    return found + [UNKNOWN_TYPE] * (len(node.output) - len(found))


def _like(i: int) -> _Rule:
    return lambda call: [call.of(i)]


def _broadcast(a: int, b: int) -> _Rule:
    def rule(call: ContributedCall) -> list[TensorType]:
        return [call.typed(a, _broadcast_shape(call.shape(a), call.shape(b)))]

    return rule


def _broadcast_shape(a: tuple[Dim, ...], b: tuple[Dim, ...]) -> tuple[Dim, ...]:
    rank = max(len(a), len(b))
    a, b = (1,) * (rank - len(a)) + a, (1,) * (rank - len(b)) + b
    return tuple(y if x == 1 else x for x, y in zip(a, b, strict=True))


def _pixels(call: ContributedCall, spatial: Sequence[Dim], kernel: Sequence[Dim]) -> tuple[Dim, ...]:
    """Return how many pixels a window that moves over ``spatial`` yields along each axis."""
    rank = len(spatial)
    strides, dilations = call.get("strides") or [1] * rank, call.get("dilations") or [1] * rank
    pads = call.get("pads") or [0] * (2 * rank)
    auto_pad = (call.get("auto_pad") or b"NOTSET").decode("ascii", "replace")
    is_up = bool(call.get("ceil_mode", 0))
    found: list[Dim] = []
    for axis, (size, window) in enumerate(zip(spatial, kernel, strict=True)):
        if not isinstance(size, int) or not isinstance(window, int) or strides[axis] < 1:
            found.append(None)
        elif auto_pad in ("SAME_UPPER", "SAME_LOWER"):
            found.append(-(-size // strides[axis]))
        else:
            padding = 0 if auto_pad == "VALID" else pads[axis] + pads[axis + rank]
            moves = size + padding - dilations[axis] * (window - 1) - 1
            count = (-(-moves // strides[axis]) if is_up else moves // strides[axis]) + 1
            begin = 0 if auto_pad == "VALID" else pads[axis]
            found.append(last_window_begins_inside(size, count, strides[axis], begin) if is_up else count)
    return tuple(found)


def _convolution(weights: int) -> _Rule:
    def rule(call: ContributedCall) -> list[TensorType]:
        shape, filters = call.shape(0), call.shape(weights)
        if call.get("channels_last", 0):
            return [call.typed(0, (shape[0], *_pixels(call, shape[1:-1], filters[2:]), filters[0]))]
        return [call.typed(0, (shape[0], filters[0], *_pixels(call, shape[2:], filters[2:])))]

    return rule


def _pooling(call: ContributedCall) -> list[TensorType]:
    shape = call.shape(0)
    return [call.typed(0, (*shape[:2], *_pixels(call, shape[2:], call.get("kernel_shape"))))]


def _pooling_last(call: ContributedCall) -> list[TensorType]:
    shape = call.shape(0)
    return [call.typed(0, (shape[0], *_pixels(call, shape[1:-1], call.get("kernel_shape")), shape[-1]))]


def _global_pooling(call: ContributedCall) -> list[TensorType]:
    shape = call.shape(0)
    ones = (1,) * (len(shape) - 2)
    if call.get("channels_last", 0):
        return [call.typed(0, (shape[0], *ones, shape[-1]))]
    return [call.typed(0, (*shape[:2], *ones))]


def _average_pooling(call: ContributedCall) -> list[TensorType]:
    return _pooling_last(call) if call.get("channels_last", 0) else _pooling(call)


def _reorder_input(call: ContributedCall) -> list[TensorType]:
    shape = call.shape(0)
    block = call.get(BLOCK, 0)
    if call.get("channels_last", 0):
        shape = (shape[0], shape[-1], *shape[1:-1])
    channels = shape[1]
    padded = -(-channels // block) * block if isinstance(channels, int) and block else None
    return [call.typed(0, (shape[0], padded, *shape[2:]))]


def _reorder_output(call: ContributedCall) -> list[TensorType]:
    shape, channels = call.shape(0), call.get("channels")
    if call.get("channels_last", 0):
        return [call.typed(0, (shape[0], *shape[2:], channels))]
    return [call.typed(0, (shape[0], channels, *shape[2:]))]


def _upsampling(call: ContributedCall) -> list[TensorType]:
    shape, scales = call.shape(0), call.get("scales")
    scaled = (d * s if isinstance(d, int) else None for d, s in zip(shape, scales, strict=True))
    return [call.typed(0, tuple(scaled))]


def _product(a: int, b: int, dtype: str | None = None) -> _Rule:
    def rule(call: ContributedCall) -> list[TensorType]:
        left, right = _factor(call, a, "A"), _factor(call, b, "B")
        shape = (*_broadcast_shape(left[:-2], right[:-2]), left[-2], right[-1])
        return [call.types.of(dtype or call.of(a).dtype, shape)]

    return rule


def _factor(call: ContributedCall, position: int, side: str) -> tuple[Dim, ...]:
    """Return the shape of a factor as it is multiplied: the first axis in front of the last, the last two swapped."""
    shape = call.shape(position)
    if len(shape) < 2:
        raise OpenShape
    if call.get(f"transBatch{side}", 0):
        shape = (*shape[1:-1], shape[0], shape[-1])
    return (*shape[:-2], shape[-1], shape[-2]) if call.get(f"trans{side}", 0) else shape


def _sparse_product(call: ContributedCall) -> list[TensorType]:
    return _product(0, 1, call.of(1).dtype)(call)


def _quantized_product(call: ContributedCall) -> list[TensorType]:
    is_float = len(call.inputs) < 8 or call.inputs[7] is None
    return _product(0, 3, "float32" if is_float else None)(call)


def _concatenation(call: ContributedCall) -> list[TensorType]:
    shapes = [call.shape(i) for i in range(2, len(call.inputs), 3)]
    axis = call.get("axis") % len(shapes[0])
    sizes = [shape[axis] for shape in shapes]
    total = sum(size for size in sizes if isinstance(size, int)) if all(isinstance(s, int) for s in sizes) else None
    return [call.typed(2, (*shapes[0][:axis], total, *shapes[0][axis + 1 :]))]


def _skip_normalization(call: ContributedCall) -> list[TensorType]:
    statistics = call.types.of("float32", (*call.shape(0)[:-1], 1))
    return [call.of(0), statistics, statistics, call.of(0)]


_MS = "com.microsoft."
_NCHWC = "com.microsoft.nchwc."
_RULES: Mapping[str, _Rule] = MappingProxyType(
    {
        **classical.RULES,
        **contributed_models.RULES,
        **contributed_others.RULES,
        **contributed_sequences.RULES,
        **contributed_generation.RULES,
        **contributed_given.RULES,
        **dict.fromkeys((_MS + op for op in ("Gelu", "FastGelu", "BiasGelu", "QuickGelu")), _like(0)),
        **dict.fromkeys((_MS + op for op in ("QLinearSigmoid", "QLinearLeakyRelu", "QLinearSoftmax")), _like(0)),
        _MS + "QLinearAdd": _broadcast(0, 3),
        _MS + "QLinearMul": _broadcast(0, 3),
        _MS + "QLinearConcat": _concatenation,
        _MS + "QLinearConv": _convolution(3),
        _MS + "QLinearAveragePool": _average_pooling,
        _MS + "QLinearGlobalAveragePool": _global_pooling,
        _MS + "QGemm": _quantized_product,
        _MS + "FusedConv": _convolution(1),
        _MS + "FusedGemm": _product(0, 1),
        _MS + "FusedMatMul": _product(0, 1),
        _MS + "TransposeMatMul": _product(0, 1),
        _MS + "DynamicQuantizeMatMul": _product(0, 1, "float32"),
        _MS + "MatMulIntegerToFloat": _product(0, 1, "float32"),
        _MS + "SparseToDenseMatMul": _sparse_product,
        _MS + "MaxpoolWithMask": _pooling,
        _MS + "NhwcMaxPool": _pooling_last,
        _MS + "SkipLayerNormalization": _skip_normalization,
        _MS + "SkipSimplifiedLayerNormalization": _skip_normalization,
        _NCHWC + "Conv": _convolution(1),
        _NCHWC + "MaxPool": _pooling,
        _NCHWC + "AveragePool": _pooling,
        _NCHWC + "GlobalMaxPool": _global_pooling,
        _NCHWC + "GlobalAveragePool": _global_pooling,
        _NCHWC + "ReorderInput": _reorder_input,
        _NCHWC + "ReorderOutput": _reorder_output,
        _NCHWC + "Upsample": _upsampling,
    }
)
