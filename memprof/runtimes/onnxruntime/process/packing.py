"""What a kernel keeps of a constant input in a layout of its own: rows of 16 for the matrix products of float32.

    MatMul, Gemm    B as [K, N rounded up to 16], for each matrix
    LSTM            for each direction W as [inputs, 4 hidden], R as [hidden, 4 hidden], rounded alike
    GRU             W as [inputs, 3 hidden]; R as [hidden, 2 hidden] and [hidden, hidden]
    of integers     about as large as the input

Found by tracing what onnxruntime 1.32 takes while it makes sessions; an operation of another type packs nothing.
"""

from __future__ import annotations

from memprof.ir import Graph, Node

_ROW = 16
_INTEGERS = ("MatMulInteger", "DynamicQuantizeMatMul", "QLinearMatMul", "QLinearConv", "QGemm")


def packed_bytes(graph: Graph, node: Node, position: int) -> tuple[int, ...]:
    """Return the bytes of the copies that the kernel of ``node`` makes of its input ``position``, in order."""
    value_id = node.inputs[position]
    if value_id is None:
        return ()
    kind, shape = graph.values[value_id].type.dtype, graph.values[value_id].type.shape
    dims = [dim for dim in shape or () if isinstance(dim, int)]
    op = node.op.rpartition(".")[2]
    if op in _INTEGERS:
        return (graph.value_bytes[value_id] or 0,)
    if kind != "float32" or shape is None or len(dims) != len(shape):
        return ()
    if op in ("LSTM", "GRU"):
        return _recurrent(op, position, dims)
    if len(dims) != 2:
        return ()
    rows, columns = reversed(dims) if node.attributes.get("transB") else dims
    return (_matrix(rows, columns),)


def _recurrent(op: str, position: int, dims: list[int]) -> tuple[int, ...]:
    if len(dims) != 3:  # onnxruntime refuses such a layer
        return ()
    directions, gates, inputs = dims
    if op == "GRU" and position == 2:
        return directions * _matrix(inputs, gates // 3 * 2), directions * _matrix(inputs, gates // 3)
    return (directions * _matrix(inputs, gates),)


def _matrix(rows: int, columns: int) -> int:
    return 4 * rows * (-(-columns // _ROW) * _ROW)
