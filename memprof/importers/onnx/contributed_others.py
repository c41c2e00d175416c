"""Types of what onnxruntime's rarer operations write.

    like an input                 Trilu, SampleOp, MoE, QMoE, NGramRepeatBlock, gates and norms over branches
    another element type          QuantizeLinear, DequantizeLinear, MurmurHash3, MatMulInteger16
    QAttention                    x [B,S,I], weights [I,3D]        [B,S,D]; present [2,B,N,T,H]
    QEmbedLayerNormalization      as EmbedLayerNormalization, in the type of the scales
    CDist                         [M,K], [N,K]                     [M,N]
    GridSample                    x [N,C,...], grid [N,h,w,2]      [N,C,h,w]
    GatherND                      data, indices [...,k]            [..., data's dimensions behind k]
    GatherBlockQuantized          data, indices                    as Gather; two numbers of 4 bits to a byte
    UnfoldTensor                  dimension L                      (L - size) / step + 1 windows; size comes last

Source: the operators' schemas and descriptions in onnxruntime. ``benchmarks/contributed.py`` lists what no rule
types.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from memprof.importers.onnx.contributed_call import ContributedCall, OpenShape
from memprof.ir import Dim, TensorType

Rule = Callable[[ContributedCall], list[TensorType]]


def _like(i: int) -> Rule:
    return lambda call: [call.of(i)]


def _retyped(of: int) -> Rule:
    def rule(call: ContributedCall) -> list[TensorType]:
        return [call.types.of(call.of(of).dtype, call.shape(0))]

    return rule


def _quantized(call: ContributedCall) -> list[TensorType]:
    return [call.types.of(call.of(2).dtype or "uint8", call.shape(0))]


def _hash(call: ContributedCall) -> list[TensorType]:
    return [call.types.of("uint32" if call.get("positive", 1) else "int32", call.shape(0))]


def _integer_product(call: ContributedCall) -> list[TensorType]:
    left, right = call.shape(0), call.shape(1)
    if len(left) != len(right) or len(left) < 2:
        raise OpenShape
    return [call.types.of("int32", (*left[:-1], right[-1]))]


def _quantized_attention(call: ContributedCall) -> list[TensorType]:
    shape, weights, heads = call.shape(0), call.shape(1), call.get("num_heads")
    width = weights[1]
    if not isinstance(width, int):
        raise OpenShape
    past = call.of(8).shape
    total = shape[1]
    if past is not None:
        total = _sum(past[3], shape[1])
    present = call.typed(3, (2, shape[0], heads, total, width // 3 // heads))
    return [call.typed(3, (shape[0], shape[1], width // 3)), present]


def _quantized_embedding(call: ContributedCall) -> list[TensorType]:
    ids, words = call.shape(0), call.shape(2)
    return [call.typed(8, (*ids, words[1])), call.types.of("int32", ids[:1])]


def _distances(call: ContributedCall) -> list[TensorType]:
    return [call.typed(0, (call.shape(0)[0], call.shape(1)[0]))]


def _sampled(call: ContributedCall) -> list[TensorType]:
    return [call.typed(0, (*call.shape(0)[:2], *call.shape(1)[1:-1]))]


def _gathered(call: ContributedCall) -> list[TensorType]:
    data, indices = call.shape(0), call.shape(1)
    depth = indices[-1]
    if not isinstance(depth, int):
        raise OpenShape
    return [call.typed(0, (*indices[:-1], *data[depth:]))]


def _gathered_blocks(call: ContributedCall) -> list[TensorType]:
    data, indices = call.shape(0), call.shape(1)
    axis = call.get("gather_axis", 0) % max(1, len(data))
    last: Dim = data[-1]
    if call.of(0).dtype == "uint8" and call.get("bits", 4) == 4:
        last = last * 2 if isinstance(last, int) else None
    whole = (*data[:-1], last)
    return [call.typed(2, (*whole[:axis], *indices, *whole[axis + 1 :]))]


def _unfolded(call: ContributedCall) -> list[TensorType]:
    shape, size, step = call.shape(0), call.get("size"), call.get("step", 1)
    axis = call.get("dim", -1) % max(1, len(shape))
    length = shape[axis]
    windows = (length - size) // step + 1 if isinstance(length, int) else None
    return [call.typed(0, (*shape[:axis], windows, *shape[axis + 1 :], size))]


def _sum(a: Dim, b: Dim) -> Dim:
    return a + b if isinstance(a, int) and isinstance(b, int) else None


_MS = "com.microsoft."
_LIKE_FIRST = "Trilu SampleOp MoE QMoE GatedAdd GatedRMSNorm BranchwiseRMSNorm ScaledSiLU MRotaryEmbedding"
RULES: Mapping[str, Rule] = MappingProxyType(
    {
        **dict.fromkeys((_MS + op for op in _LIKE_FIRST.split()), _like(0)),
        _MS + "NGramRepeatBlock": _like(1),
        _MS + "DequantizeLinear": _retyped(1),
        _MS + "QuantizeLinear": _quantized,
        _MS + "MurmurHash3": _hash,
        _MS + "MatMulInteger16": _integer_product,
        _MS + "QAttention": _quantized_attention,
        _MS + "QEmbedLayerNormalization": _quantized_embedding,
        _MS + "CDist": _distances,
        _MS + "GridSample": _sampled,
        _MS + "GatherND": _gathered,
        _MS + "GatherBlockQuantized": _gathered_blocks,
        _MS + "UnfoldTensor": _unfolded,
    }
)
"""Rules by ``domain.Op``."""
