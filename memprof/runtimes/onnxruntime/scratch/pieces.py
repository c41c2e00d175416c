"""The pieces in which kernels ask for their scratch, where there is more than one: an arena that doubles sees them.

operation   pieces
LRN         the scale of each element; the squares of one image with the window's margin
LSTM GRU    for each direction the gates of all steps; for one backwards input and output turned round; the rest
RNN         the states of all steps; the sequence where it is not an output

Found in traces of what onnxruntime 1.32 asks of its allocator. All pieces of one node live until it is done.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from memprof.ir import Graph, Node
from memprof.runtimes.onnxruntime.scratch.kernel import Kernel, OpenSize, volume

_NUMBER_BYTES = 4
_GATES = {"LSTM": 4, "GRU": 3}


def scratch_pieces(graph: Graph, node: Node, size: int) -> tuple[int, ...]:
    """Return the pieces of ``size`` bytes of scratch that the kernel of ``node`` takes, in the order of its requests.

    Args:
        graph: The graph that the node is in.
        node: The node.
        size: All of its scratch.
    """
    rule = _PIECES.get(node.op)
    if rule is None:
        return (size,)
    try:
        found = rule(Kernel(graph, node, graph.opset or 0, 1))
    except (OpenSize, IndexError, TypeError, ValueError):
        return (size,)
    rest = size - sum(found)
    if rest < 0 or min(found, default=0) <= 0:
        return (size,)
    return (rest, *found) if rest else found


def _local_response(kernel: Kernel) -> tuple[int, ...]:
    shape = kernel.shape(0)
    margin = (shape[1] + kernel.integer("size", 1) - 1) * volume(shape[2:])
    return volume(shape) * kernel.element_bytes(), margin * kernel.element_bytes()


def _gated(kernel: Kernel) -> tuple[int, ...]:
    steps, batch, inputs = kernel.shape(0, rank=3)
    hidden, row = kernel.shape(2)[-1], steps * batch * _NUMBER_BYTES
    direction = kernel.text("direction", "forward")
    gates = (row * hidden * _GATES[kernel.node.op],) * (2 if direction == "bidirectional" else 1)
    turned = () if direction == "forward" else (row * inputs, row * hidden)
    return (*turned, *gates)


def _plain(kernel: Kernel) -> tuple[int, ...]:
    steps, batch, _ = kernel.shape(0, rank=3)
    return (steps * batch * kernel.shape(2)[-1] * _NUMBER_BYTES,)


_PIECES: Mapping[str, Callable[[Kernel], tuple[int, ...]]] = MappingProxyType(
    {"LRN": _local_response, "LSTM": _gated, "GRU": _gated, "RNN": _plain}
)
