"""Types of what onnxruntime's own operations write where elements of their inputs decide, and of their kin.

    CropAndResize                x [N,C,H,W], boxes [R,4], size          [R,C,height,width]
    ConvTransposeWithDynamicPads x [N,C,...], filters [C,M/groups,...]   stride (in - 1) + window - pads, on each axis
    MaxpoolWithMask              as MaxPool
    ExpandDims                   x, axis                                 x with a 1 put in
    Pad                          x, pads                                 each dimension and its two pads
    Range                        start, limit, step                      as many steps as fit
    MatMulFpQ4                   a [...,K], the shape of b [K,N]         [...,N]
    GatherPacked                 indices [...]                           [...,K], in the type of an attribute
    BifurcationDetector          tokens, without predicted ones          the tokens; where they match
    DynamicTimeWarping, Unique   as the data decide: the type alone, the most in ``bounded``

Source: the operators' schemas and descriptions in onnxruntime.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

from memprof.importers.onnx.contributed_call import ContributedCall, OpenShape
from memprof.importers.onnx.types import UNKNOWN_TYPE
from memprof.ir import Dim, TensorType

Rule = Callable[[ContributedCall], list[TensorType]]
_BFLOAT16 = 16


def _cropped(call: ContributedCall) -> list[TensorType]:
    height, width = map(int, call.elements(3))
    return [call.typed(0, (call.shape(1)[0], call.shape(0)[1], height, width))]


def _transposed(call: ContributedCall) -> list[TensorType]:
    shape, filters = call.shape(0), call.shape(1)
    rank, channels = len(shape) - 2, filters[1]
    if (call.get("auto_pad") or b"NOTSET") != b"NOTSET" or not isinstance(channels, int):
        raise OpenShape
    pads = [0] * (2 * rank) if call.of(2) is UNKNOWN_TYPE else list(map(int, call.elements(2)))
    strides, dilations = call.get("strides") or [1] * rank, call.get("dilations") or [1] * rank
    extra = call.get("output_padding") or [0] * rank
    found: list[Dim] = []
    for axis, (size, window) in enumerate(zip(shape[2:], filters[2:], strict=True)):
        if not isinstance(size, int) or not isinstance(window, int):
            found.append(None)
            continue
        reach = strides[axis] * (size - 1) + extra[axis] + (window - 1) * dilations[axis] + 1
        found.append(reach - pads[axis] - pads[axis + rank])
    return [call.typed(0, (shape[0], channels * call.get("group", 1), *found))]


def _expanded(call: ContributedCall) -> list[TensorType]:
    shape, (axis,) = call.shape(0), map(int, call.elements(1))
    axis = axis if axis >= 0 else axis + len(shape) + 1
    if not 0 <= axis <= len(shape):
        raise OpenShape
    return [call.typed(0, (*shape[:axis], 1, *shape[axis:]))]


def _padded(call: ContributedCall) -> list[TensorType]:
    shape, pads = call.shape(0), list(map(int, call.elements(1)))
    ends = zip(shape, pads[: len(shape)], pads[len(shape) :], strict=True)
    return [call.typed(0, tuple(size + low + high if isinstance(size, int) else None for size, low, high in ends))]


def _range(call: ContributedCall) -> list[TensorType]:
    (start,), (limit,) = call.elements(0), call.elements(1)
    (step,) = (1.0,) if call.of(2) is UNKNOWN_TYPE else call.elements(2)
    return [call.typed(0, (max(0, math.ceil((limit - start) / step)),))]


def _quantised_product(call: ContributedCall) -> list[TensorType]:
    _, columns = map(int, call.elements(2))
    return [call.typed(0, (*call.shape(0)[:-1], columns))]


def _warped(call: ContributedCall) -> list[TensorType]:
    return [call.types.of("int32", None)]


def _bifurcated(call: ContributedCall) -> list[TensorType]:
    is_all = call.of(3) is UNKNOWN_TYPE
    return [call.of(1) if is_all else call.types.of(call.of(1).dtype, (None,)), call.of(2)]


def _unique(call: ContributedCall) -> list[TensorType]:
    counts = call.types.of("int64", None)
    return [call.types.of(call.of(0).dtype, None), call.types.of("int64", call.shape(0)), counts]


def _gathered(call: ContributedCall) -> list[TensorType]:
    return [call.types.of(call.dtype(call.get("output_dtype", _BFLOAT16)), (*call.shape(1), call.get("K")))]


RULES: Mapping[str, Rule] = MappingProxyType(
    {
        f"com.microsoft.{op}": rule
        for op, rule in (
            ("BifurcationDetector", _bifurcated),
            ("ConvTransposeWithDynamicPads", _transposed),
            ("CropAndResize", _cropped),
            ("DynamicTimeWarping", _warped),
            ("ExpandDims", _expanded),
            ("GatherPacked", _gathered),
            ("MatMulFpQ4", _quantised_product),
            ("Pad", _padded),
            ("Range", _range),
            ("Unique", _unique),
        )
    }
)
"""Rules by ``domain.Op``."""
