"""The MACs of attention: queries times keys, and their weights times values, whatever shape they come in.

    B batch, S queries, T keys, D all heads of the queries side by side, N heads, H the size of one

    ONNX, PyTorch      q, k, v (..., S or T, H); with three axes heads side by side
    Attention          of onnxruntime: x (B, S, I) and weights (I, 3D) make queries, keys and values first
    MultiHeadAttention q (B, S, D) or packed (B, S, N, 3, H); keys (B, T, D), (B, N, T, H) or packed with the values
    GroupQueryAttention q (B, S, D), or packed with keys and values of fewer heads (B, S, (N + 2 Nkv) H)

Past keys lie in front of the new ones. Where a buffer for all keys to come is handed in (its length is no shape), the
number of keys is not known; GroupQueryAttention is counted with as many as the cache that it returns holds. Masks,
rotation and softmax cost nothing.
"""

from __future__ import annotations

from math import prod

from memprof.analysis.macs.operation import NoFormulaError, Operation

_PAST_KEY, _PAST_LENGTH = 6, 8
_PAST_OF_ATTENTION = 4


def projected_attention(op: Operation) -> int:
    """Return the MACs of onnxruntime's Attention: the projection of its input, then attention, past keys too."""
    given, weights = op.input(0, rank=3), op.input(1, rank=2)
    if op.integer("past_present_share_buffer"):
        raise NoFormulaError("with a buffer for all keys to come does not say how many there are")
    sizes = op.node.attributes.get("qkv_hidden_sizes") or (weights[1] // 3,) * 3
    if not isinstance(sizes, tuple) or len(sizes) != 3 or not all(isinstance(size, int) for size in sizes):
        raise NoFormulaError("has other qkv_hidden_sizes than three integers")
    past = op.input(_PAST_OF_ATTENTION, rank=5)[3] if op.has_input(_PAST_OF_ATTENTION) else 0
    query, _, value = (int(size) for size in sizes if isinstance(size, int))
    return prod(given) * weights[1] + prod(given[:2]) * (given[1] + past) * (query + value)


def headed_attention(op: Operation) -> int:
    """Return the MACs of onnxruntime's MultiHeadAttention."""
    query = op.input(0, rank=3)
    if op.has_input(_PAST_LENGTH):
        raise NoFormulaError("with a buffer for all keys to come does not say how many there are")
    past = op.input(_PAST_KEY, rank=4)[2] if op.has_input(_PAST_KEY) else 0
    if len(query) == 5:  # queries, keys and values in one
        size, keys, value_size = query[2] * query[4], query[1], query[2] * query[4]
    else:
        key, size = op.input(1, rank=3), query[2]
        keys = key[2] if len(key) == 4 else key[1]
        value_size = size if len(key) == 5 else _size_of_heads(op.input(2, rank=3))
    return prod(query[:2]) * (keys + past) * (size + value_size)


def _size_of_heads(shape: tuple[int, ...]) -> int:
    """Return the size of all heads side by side."""
    return shape[1] * shape[3] if len(shape) == 4 else shape[2]


def grouped_attention(op: Operation) -> int:
    """Return the MACs of GroupQueryAttention: each head of the queries meets all keys of its group."""
    query, heads, groups = op.input(0, rank=3), op.integer("num_heads"), op.integer("kv_num_heads")
    if heads < 1 or groups < 1:
        raise NoFormulaError("does not say how many heads it has")
    size = query[2] if op.has_input(1) else heads * (query[2] // (heads + 2 * groups))
    keys = op.output(1)[2] if len(op.node.outputs) > 1 else query[1]
    window = op.integer("local_window_size")
    return prod(query[:2]) * (min(keys, window) if window > 0 else keys) * 2 * size


def aten_attention(op: Operation) -> int:
    """Q K^T, then its softmax times V; q: (..., queries, d), k: (..., keys, d), v: (..., keys, d_v)."""
    q, k, v = (op.input(i, rank=2) for i in range(3))
    return prod(q[:-1]) * k[-2] * (q[-1] + v[-1])


def standard_attention(op: Operation) -> int:
    """As above, cached keys in front; with three axes the heads lie side by side in the last one."""
    q, k, v = (op.input(i, rank=3) for i in range(3))
    keys = k[-2] + (op.input(4, rank=2)[-2] if op.has_input(4) else 0)
    if len(q) > 3:
        return prod(q[:-1]) * keys * (q[-1] + v[-1])
    q_heads, kv_heads = op.integer("q_num_heads"), op.integer("kv_num_heads")
    if q_heads < 1 or kv_heads < 1:
        raise NoFormulaError("does not say how many heads it has")
    return prod(q[:-1]) * keys * (q[-1] + q_heads * (v[-1] // kv_heads))
