"""Types of what onnxruntime's larger operations write: attention, embeddings and products of packed weights.

    B batch, S sequence, P past, T = P + S, N heads, H = size of a head, D = N * H

    Attention                    x [B,S,I], weights [I,3D]          [B,S,D]; present [2,B,N,T,H]
    MultiHeadAttention           q [B,S,D] (or packed [B,S,N,3,H])  [B,S,Dv]; present key and value [B,N,T,H]
    GroupQueryAttention          q [B,S,D] (or packed with k, v)    [B,S,D]; present key and value [B,Nkv,T,H]
    MatMulNBits                  x [...,K], N outputs               [...,N]
    EmbedLayerNormalization      ids [B,S], words [V,D]             [B,S,D]; mask index [B]; the sum [B,S,D]
    DynamicQuantizeLSTM          as LSTM, weights [D,I,4H]          [S,D,B,H]; last states [D,B,H]

Source: the operators' descriptions in onnxruntime.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from memprof.importers.onnx.contributed_call import ContributedCall
from memprof.ir import Dim, TensorType

Rule = Callable[[ContributedCall], list[TensorType]]


def _whole(dim: Dim) -> int:
    if not isinstance(dim, int):
        raise ValueError("an open size")
    return dim


def _sum(a: Dim, b: Dim) -> Dim:
    return a + b if isinstance(a, int) and isinstance(b, int) else None


def _attention(call: ContributedCall) -> list[TensorType]:
    shape, weights = call.shape(0), call.shape(1)
    sizes = call.get("qkv_hidden_sizes") or []
    value_size = sizes[2] if len(sizes) == 3 else _whole(weights[1]) // 3
    heads = call.get("num_heads")
    past = call.of(4).shape
    total = _sum(past[3], shape[1]) if past else shape[1]
    present = call.typed(0, (2, shape[0], heads, total, value_size // heads))
    return [call.typed(0, (shape[0], shape[1], value_size)), present]


def _multi_head_attention(call: ContributedCall) -> list[TensorType]:
    query, heads = call.shape(0), call.get("num_heads")
    key, value = call.of(1).shape, call.of(2).shape
    if len(query) == 5:  # packed query, key and value
        size, keys = _whole(query[4]) * heads, query[1]
    else:
        is_headed = value is not None and len(value) == 4
        size = _whole(value[3]) * heads if is_headed and value else _whole((value or query)[-1])
        keys = key[2] if key and len(key) == 4 else (key or query)[1]
    past = call.of(6).shape
    present = call.typed(0, (query[0], heads, _sum(past[2], keys) if past else keys, size // heads))
    return [call.typed(0, (query[0], query[1], size)), present, present]


def _group_query_attention(call: ContributedCall) -> list[TensorType]:
    query, heads, kv_heads = call.shape(0), call.get("num_heads"), call.get("kv_num_heads")
    key, past = call.of(1).shape, call.of(3).shape
    width = _whole(query[2])
    head = width // heads if key is not None else width // (heads + 2 * kv_heads)
    total: Dim = query[1]
    if past is not None:
        total = _sum(past[2], query[1])
    present = call.types.of(call.of(3).dtype or call.of(0).dtype, (query[0], kv_heads, total, head))
    return [call.typed(0, (query[0], query[1], heads * head)), present, present]


def _masked_attention(call: ContributedCall) -> list[TensorType]:
    found = _multi_head_attention(call)
    return [found[0], call.of(5), call.of(6)] if call.get("past_present_share_buffer", 0) else found


def _sparse_attention(call: ContributedCall) -> list[TensorType]:
    return [_group_query_attention(call)[0], call.of(3), call.of(4)]


def _packed_product(call: ContributedCall) -> list[TensorType]:
    return [call.typed(0, (*call.shape(0)[:-1], call.get("N")))]


def _embedding(call: ContributedCall) -> list[TensorType]:
    ids, words = call.shape(0), call.shape(2)
    found = call.typed(2, (*ids, words[1]))
    return [found, call.types.of("int32", ids[:1]), found]


def _normalization(call: ContributedCall) -> list[TensorType]:
    shape = call.shape(0)
    axis = call.get("axis", -1) % max(1, len(shape))
    statistics = call.types.of("float32", (*shape[:axis], *(1,) * (len(shape) - axis)))
    return [call.of(0), statistics, statistics]


def _dynamic_lstm(call: ContributedCall) -> list[TensorType]:
    steps, batch, _ = call.shape(0)
    directions, hidden = call.shape(1)[0], call.get("hidden_size")
    last = call.typed(0, (directions, batch, hidden))
    return [call.typed(0, (steps, directions, batch, hidden)), last, last]


def _where(call: ContributedCall) -> list[TensorType]:
    shapes = [call.shape(i) for i in (0, 1, 4)]
    rank = max(map(len, shapes))
    padded = [(1,) * (rank - len(shape)) + shape for shape in shapes]
    return [call.typed(1, tuple(next((d for d in dims if d != 1), 1) for dims in zip(*padded, strict=True)))]


def _rotary(call: ContributedCall) -> list[TensorType]:
    return [call.of(0)]


_MS = "com.microsoft."
RULES: Mapping[str, Rule] = MappingProxyType(
    {
        _MS + "Attention": _attention,
        _MS + "MultiHeadAttention": _multi_head_attention,
        _MS + "DecoderMaskedMultiHeadAttention": _masked_attention,
        _MS + "GroupQueryAttention": _group_query_attention,
        _MS + "SparseAttention": _sparse_attention,
        _MS + "MatMulNBits": _packed_product,
        _MS + "MatMulBnb4": _packed_product,
        _MS + "EmbedLayerNormalization": _embedding,
        _MS + "DynamicQuantizeLSTM": _dynamic_lstm,
        _MS + "QLinearWhere": _where,
        _MS + "RotaryEmbedding": _rotary,
        **dict.fromkeys((_MS + op for op in ("BiasSoftmax", "BiasDropout", "BiasAdd", "Inverse")), _rotary),
        **dict.fromkeys((".LayerNormalization", ".SimplifiedLayerNormalization"), _normalization),
    }
)
"""Rules by ``domain.Op``; an empty domain is ONNX's own, where onnxruntime adds to it."""
