"""What the bodies of control flow (If, Loop, Scan) add: their own peak, reserved at the node that owns them.

The node's inputs, outputs and captured outer values are alive around it anyway. Of several bodies the one with the
highest peak counts, since one runs at a time. Importers limit how deep bodies nest, so the recursion is short. An
operation of another domain (a search for texts) has rules of its own, which nobody told: what it takes is not known.
"""

from __future__ import annotations

from collections.abc import Callable

from memprof.analysis import Lifetimes, Schedule
from memprof.ir import Graph

_TOLD = ("", "higher_order", "tfl")
"""Domains whose operations run one body at a time: of ONNX, PyTorch and TensorFlow Lite (where runtimes give bodies
arenas of their own, their rows say so)."""


def reserve_bodies(
    graph: Graph, schedule: Schedule, model: Callable[[Graph], Lifetimes]
) -> tuple[tuple[int, ...], bool]:
    """Return the bytes that bodies reserve at each step of ``schedule``, and whether all of them are known.

    Args:
        graph: The graph whose nodes may own bodies.
        schedule: The order its nodes run in.
        model: The runtime model, applied to each body.

    Returns:
        Bytes by step, ``()`` if no node owns a body; and false if the size of some value in a body is unknown, or how
        an operation runs its own.
    """
    if not graph.bodies:
        return (), True
    peaks: dict[int, int] = {}
    is_complete = True
    for node_id, node in enumerate(graph.nodes):
        if node.bodies:
            lifetimes = [model(body) for body in node.bodies]
            peaks[node_id] = max(found.timeline.peak_bytes for found in lifetimes)
            is_told = node.op.rpartition(".")[0] in _TOLD
            is_complete = is_complete and is_told and all(found.is_complete for found in lifetimes)
    return tuple(sum(peaks.get(i, 0) for i in step) for step in schedule.steps), is_complete
