"""What a kernel keeps of a constant input in a layout of its own: rows of 16 for the matrix products of float32.

    MatMul, Gemm    B as [K, N rounded up to 16], for each matrix
    LSTM            for each direction W as [inputs, 4 hidden], R as [hidden, 4 hidden], rounded alike
    GRU             W as [inputs, 3 hidden]; R as [hidden, 2 hidden] and [hidden, hidden]
    of integers     B as [N rounded up to 16, K rounded up to 4] of a byte each, and a sum of four bytes for each row
    QLinearConv     filters of int8: [M rounded up to 16, K] of at least 16 that read whole fours of channels, or one
                    channel to a group; others as a matrix of integers for each group

Most are taken beside the arena. Of filters of int8 the first kind and those of one channel to a group lie in it; the
other kind takes the filters once more in passing, and QGemm its matrix to turn it: the arena has a region for those
before anything runs. Found by tracing what onnxruntime 1.32 takes while it makes sessions; an operation of another
type packs nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from memprof.ir import Graph, Node

_ROW = 16
_FOUR = 4
_MATRIX_RANK = 2
_INTEGERS = ("MatMulInteger", "MatMulIntegerToFloat", "DynamicQuantizeMatMul", "QLinearMatMul", "QGemm")


@dataclass(frozen=True, slots=True, kw_only=True)
class ArenaUse:
    """What packing takes of the arena.

    Attributes:
        is_inside: Whether the copies lie in it.
        before_bytes: Taken before the copies and given back after them.
        after_bytes: Taken after the copies, and given back.
    """

    is_inside: bool = False
    before_bytes: int = 0
    after_bytes: int = 0


_BESIDE = ArenaUse()


def arena_use(graph: Graph, node: Node, position: int) -> ArenaUse:
    """Return what the kernel of ``node`` takes of the arena while it packs its input ``position``."""
    value_id, op = node.inputs[position], node.op.rpartition(".")[2]
    of = None if value_id is None else graph.values[value_id].type
    size = None if of is None else of.size_bytes
    if of is None or of.shape is None or not size:
        return _BESIDE
    if op == "QGemm" and node.attributes.get("transB"):
        return ArenaUse(before_bytes=size)
    if op != "QLinearConv":
        return _BESIDE
    dims = [dim for dim in of.shape if isinstance(dim, int)]
    if _is_reordered(dims, node.attributes.get("group", 1), is_signed=of.dtype == "int8"):
        return ArenaUse(is_inside=True)
    return ArenaUse(after_bytes=size)


def packed_bytes(graph: Graph, node: Node, position: int) -> tuple[int, ...]:
    """Return the bytes of the copies that the kernel of ``node`` makes of its input ``position``, in order."""
    value_id = node.inputs[position]
    if value_id is None:
        return ()
    kind, shape = graph.values[value_id].type.dtype, graph.values[value_id].type.shape
    dims = [dim for dim in shape or () if isinstance(dim, int)]
    op, is_matrix = node.op.rpartition(".")[2], len(dims) == _MATRIX_RANK
    if shape is None or len(dims) != len(shape):
        return ()
    if is_matrix and node.attributes.get("transB"):
        dims.reverse()
    if op == "QLinearConv":
        return _filters(dims, node.attributes.get("group", 1), is_signed=kind == "int8")
    if op in _INTEGERS and is_matrix:
        return (_of_integers(*dims),)
    if op in ("LSTM", "GRU") and kind == "float32":
        return _recurrent(op, position, dims)
    return (_matrix(*dims),) if is_matrix and kind == "float32" else ()


def _recurrent(op: str, position: int, dims: list[int]) -> tuple[int, ...]:
    if len(dims) != 3:  # onnxruntime refuses such a layer
        return ()
    directions, gates, inputs = dims
    if op == "GRU" and position == 2:
        return directions * _matrix(inputs, gates // 3 * 2), directions * _matrix(inputs, gates // 3)
    return (directions * _matrix(inputs, gates),)


def _filters(dims: list[int], groups: object, *, is_signed: bool) -> tuple[int, ...]:
    if (
        len(dims) <= _MATRIX_RANK or not isinstance(groups, int) or groups < 1 or dims[0] % groups
    ):  # onnxruntime refuses it
        return ()
    written, taken, taps = dims[0], dims[1], prod(dims[2:])
    if _is_reordered(dims, groups, is_signed=is_signed):
        return (written * taps if taken == 1 and written == groups else _up(written, _ROW) * taken * taps,)
    return (groups * _of_integers(taken * taps, written // groups),)


def _is_reordered(dims: list[int], groups: object, *, is_signed: bool) -> bool:
    """Tell whether filters stay filters, in another order: of one channel to a group, or of fours of channels."""
    if len(dims) <= _MATRIX_RANK:
        return False
    written, taken = dims[:2]
    is_deep = taken == 1 and written == groups
    return is_deep or (is_signed and groups == 1 and written >= _ROW and taken % _FOUR == 0)


def _of_integers(rows: int, columns: int) -> int:
    return _up(columns, _ROW) * (_up(rows, _FOUR) + _FOUR)


def _up(size: int, to: int) -> int:
    return -(-size // to) * to


def _matrix(rows: int, columns: int) -> int:
    return 4 * rows * _up(columns, _ROW)
