"""What onnxruntime needs besides the peak of its first run: later runs, and weights.

    figure                  grade      what it is
    later_runs_peak         exact      the block of all inner buffers, taken at once, and outputs and scratch
    later_runs_block        exact      the block alone, see ``pattern``
    resident_weights        estimate   initialisers, those that kernels copy to a layout of their own in that layout
    session_creation_peak   estimate   the same before the originals of the copies are dropped

The block is as exact as the peak. The last two leave out what the graph itself takes (a few MB) and what the system's
allocator keeps, and hold for a model that is not optimised: with optimisation convolutions are copied too. Packed
layouts round the columns of a matrix up to 16.
"""

from __future__ import annotations

from math import prod

from memprof.ir import DTYPE_BITS, Graph, Role
from memprof.ir.model import Once
from memprof.runtimes.model import Figure
from memprof.runtimes.onnxruntime.arranging import Arrangement
from memprof.runtimes.onnxruntime.frame import Frame, run_frame
from memprof.runtimes.onnxruntime.tables import INITIALISERS, PREPACKED

_PACKED_COLUMNS = 16
_PARAMETER = Role.PARAMETER  # an attribute of an Enum is slow to read


def runtime_figures(graph: Graph, arrange: Arrangement, ran: Once[Frame] | None = None) -> tuple[Figure, ...]:
    """Return the figures of ``graph``.

    Args:
        graph: The graph.
        arrange: What runs of it, and in which order.
        ran: What runs of it, if that has been asked for before.
    """
    frame = run_frame(graph, None, arrange) if ran is None else ran()
    block = frame.pattern_bytes if frame.is_complete else None
    later = max(frame.later_pass(frame.graph.outputs), default=0) if frame.is_complete else None
    weights, dropped, packed = _weights(graph)
    return (
        Figure("later_runs_peak", later, "exact", "peak of the second run and of all after it, same shapes"),
        Figure("later_runs_block", block, "exact", "what these runs take at once before their first kernel"),
        Figure("resident_weights", weights - dropped + packed, "estimate", "weights once the session is there"),
        Figure("session_creation_peak", weights + packed, "estimate", "weights while the session is made"),
    )


def _weights(graph: Graph) -> tuple[int, int, int]:
    """Return the bytes of all initialisers, of those that are dropped for packed ones, and of the packed ones."""
    fixed = {i for i, role in enumerate(graph.roles) if role is _PARAMETER}
    if not INITIALISERS.isdisjoint(graph.ops):
        fixed |= {i for node in graph.nodes if node.op in INITIALISERS for i in node.writes}
    packed_reads: dict[int, int] = {}
    for node in graph.nodes if not graph.ops.isdisjoint(PREPACKED) else ():
        for position in PREPACKED.get(node.op, ()):
            value_id = node.inputs[position] if position < len(node.inputs) else None
            if value_id in fixed and value_id is not None:
                packed_reads[value_id] = packed_reads.get(value_id, 0) + 1
    total = sum(graph.value_bytes[i] or 0 for i in fixed)
    total += sum(body.parameter_bytes for body in graph.bodies)
    readers = graph.consumers if packed_reads else ()
    dropped = sum(graph.value_bytes[i] or 0 for i, count in packed_reads.items() if count >= len(readers[i]))
    return total, dropped, sum(_packed_bytes(graph, i) for i in packed_reads)


def _packed_bytes(graph: Graph, value_id: int) -> int:
    of = graph.values[value_id].type
    shape = [dim for dim in of.shape or () if isinstance(dim, int)]
    if len(shape) < 2:
        return 0
    element = max(1, DTYPE_BITS.get(of.dtype or "", 8) // 8)
    columns = -(-shape[-1] // _PACKED_COLUMNS) * _PACKED_COLUMNS
    return prod(shape[:-1]) * columns * element
