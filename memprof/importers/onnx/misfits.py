"""Whether a graph fits the sizes that were taken for its inputs: how many operations contradict what they read.

operation                     does not fit where
Conv, ConvTranspose           the input has other channels than the weights
Conv, pooling                 no window fits into the input and its padding
Pad, reflect                  more is padded than there is to reflect
MatMul, Gemm                  the dimension that is summed over differs
LSTM, GRU, RNN                the features differ from those of the weights
BatchNormalization and kin    the channels differ from the scale's
Concat                        a dimension other than the axis differs
elementwise                   two dimensions differ and neither is 1
Reshape                       the numbers of elements differ

Sizes that fit nothing make no number that anybody will ever meet, so others are tried: see ``assumed``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import zip_longest
from math import prod
from types import MappingProxyType

from memprof.importers.onnx.ops import ELEMENTWISE
from memprof.ir import Graph, Node, Role

_Shapes = Sequence[tuple[int, ...] | None]


def count_misfits(graph: Graph) -> int:
    """Return how many nodes contradict the shapes that they read, those of bodies left out."""
    return sum(_is_misfit(graph, node) for node in graph.nodes)


def _is_misfit(graph: Graph, node: Node) -> bool:
    reads = [None if i is None else _fixed(graph, i) for i in node.inputs]
    writes = [_fixed(graph, i) for i in node.writes]
    if not reads or reads[0] is None:
        return False
    if any(0 in shape for shape in writes if shape is not None) and not any(0 in shape for shape in reads if shape):
        return True
    if node.op in ELEMENTWISE:
        return _clashes(reads)
    if node.op == "Reshape" and writes[0] is None:  # a shape that is the same in every run determines what it writes
        return graph.values[node.reads[-1]].role in (Role.PARAMETER, Role.CONSTANT)
    rule = _RULES.get(node.op)
    try:
        return rule is not None and rule(node, reads, writes)
    except (IndexError, ZeroDivisionError):  # too few dimensions for the operation, or none
        return True


def _fixed(graph: Graph, value_id: int) -> tuple[int, ...] | None:
    shape = graph.values[value_id].type.shape
    if shape is None or not all(isinstance(dim, int) for dim in shape):
        return None
    return tuple(dim for dim in shape if isinstance(dim, int))


def _clashes(reads: _Shapes) -> bool:
    known = [shape[::-1] for shape in reads if shape is not None]
    return any(len({dim for dim in dims if dim != 1}) > 1 for dims in zip_longest(*known, fillvalue=1))


def _conv(node: Node, reads: _Shapes, writes: _Shapes) -> bool:
    data, weights = reads[0], reads[1]
    group = node.attributes.get("group", 1)
    if data is None or weights is None or not isinstance(group, int):
        return False
    return data[1] != weights[1] * group or len(data) != len(weights) or _is_too_small(node, data, weights[2:])


def _pool(node: Node, reads: _Shapes, writes: _Shapes) -> bool:
    data, window = reads[0], node.attributes.get("kernel_shape")
    return data is not None and isinstance(window, tuple) and _is_too_small(node, data, window)


def _is_too_small(node: Node, data: tuple[int, ...], window: Sequence[object]) -> bool:
    if node.attributes.get("auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
        return False
    rank = len(window)
    pads, gaps = _each(node, "pads", 2 * rank, 0), _each(node, "dilations", rank, 1)
    sides = zip(data[2:], pads[:rank], pads[rank:], gaps, window, strict=False)
    return any(
        size + before + after < gap * (taps - 1) + 1
        for size, before, after, gap, taps in sides
        if isinstance(taps, int)
    )


def _each(node: Node, name: str, count: int, default: int) -> tuple[int, ...]:
    found = node.attributes.get(name)
    numbers = tuple(i for i in found if isinstance(i, int)) if isinstance(found, tuple) else ()
    return numbers if len(numbers) == count else (default,) * count


def _pad(node: Node, reads: _Shapes, writes: _Shapes) -> bool:
    before, after = reads[0], writes[0]
    if node.attributes.get("mode", "constant") != "reflect" or before is None or after is None:
        return False
    return any(new - old > 2 * max(0, old - 1) for old, new in zip(before, after, strict=False))


def _conv_transpose(node: Node, reads: _Shapes, writes: _Shapes) -> bool:
    data, weights = reads[0], reads[1]
    return data is not None and weights is not None and (data[1] != weights[0] or len(data) != len(weights))


def _mat_mul(node: Node, reads: _Shapes, writes: _Shapes) -> bool:
    a, b = reads[0], reads[1]
    if not a or not b:
        return False
    return a[-1] != b[-2 if len(b) > 1 else 0] or (len(a) > 2 and len(b) > 2 and _clashes([a[:-2], b[:-2]]))


def _gemm(node: Node, reads: _Shapes, writes: _Shapes) -> bool:
    a, b = reads[0], reads[1]
    if a is None or b is None:
        return False
    return a[0 if node.attributes.get("transA") else 1] != b[1 if node.attributes.get("transB") else 0]


def _recurrent(node: Node, reads: _Shapes, writes: _Shapes) -> bool:
    data, weights = reads[0], reads[1]
    return data is not None and weights is not None and data[2] != weights[2]


def _scaled(node: Node, reads: _Shapes, writes: _Shapes) -> bool:
    data, scale = reads[0], reads[1]
    return data is not None and bool(scale) and data[1] != scale[0]  # type: ignore[index] # it has one


def _concat(node: Node, reads: _Shapes, writes: _Shapes) -> bool:
    axis = node.attributes.get("axis", 1)
    known = [shape for shape in reads if shape is not None]
    if not isinstance(axis, int) or len({len(shape) for shape in known}) != 1:
        return len(known) > 1
    at = axis % len(known[0])
    return len({shape[:at] + shape[at + 1 :] for shape in known}) > 1


def _reshape(node: Node, reads: _Shapes, writes: _Shapes) -> bool:
    before, after = reads[0], writes[0]
    return before is not None and after is not None and prod(before) != prod(after)


_RULES: Mapping[str, Callable[[Node, _Shapes, _Shapes], bool]] = MappingProxyType(
    {
        **dict.fromkeys(("AveragePool", "LpPool", "MaxPool"), _pool),
        "BatchNormalization": _scaled,
        "Concat": _concat,
        "Conv": _conv,
        "ConvTranspose": _conv_transpose,
        "GRU": _recurrent,
        "Gemm": _gemm,
        "InstanceNormalization": _scaled,
        "LSTM": _recurrent,
        "MatMul": _mat_mul,
        "Pad": _pad,
        "RNN": _recurrent,
        "Reshape": _reshape,
    }
)
