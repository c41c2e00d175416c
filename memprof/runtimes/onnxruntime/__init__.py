"""onnxruntime: what the CPU provider allocates in its first run, default settings, one thread, optimisation off.

rule                                                                    where
the order is a depth-first search backwards, not the file's             order
graph inputs belong to the caller and are not counted; outputs are
aliases, in-place operations, same-shape reuse with held gaps           plan, tables
``Constant`` nodes are initialisers; every other node runs, also one    tables
    that computes from constants alone
kernels take scratch from the same allocator while they run             scratch
"""

from __future__ import annotations

from collections import defaultdict
from functools import partial
from operator import sub

from memprof.analysis import Buffer, Lifetimes, Schedule
from memprof.ir import Graph
from memprof.runtimes.model import RuntimeModel
from memprof.runtimes.onnxruntime.figures import runtime_figures
from memprof.runtimes.onnxruntime.frame import Frame, as_listed, as_planned, run_frame


def onnxruntime_lifetimes(graph: Graph) -> Lifetimes:
    """Return the lifetimes of a graph from a file as onnxruntime's planner makes them.

    Complexity: O(values + reads), edges of one node sorted.
    """
    return _lifetimes(run_frame(graph, graph.ahead, as_planned))


def optimized_lifetimes(graph: Graph) -> Lifetimes:
    """Return the lifetimes of a graph that onnxruntime has optimised, written, and lists in the order it runs it."""
    return _lifetimes(run_frame(graph, graph.ahead, as_listed))


def _lifetimes(frame: Frame) -> Lifetimes:
    ran, plan, writes = frame.graph, frame.plan, frame.graph.writes
    members: defaultdict[int, list[int]] = defaultdict(list)
    for node_id in plan.order:
        for value_id in writes[node_id]:
            members[plan.home[value_id]].append(value_id)
    buffers = tuple([Buffer(tuple(members[i]), ran.value_bytes[i], plan.start[i], plan.stop[i]) for i in plan.owned])
    reserved = frame.reserved
    bare = frame.without_scratch.reserved if frame.bodies else (0,) * len(reserved)
    return Lifetimes(
        graph=ran,
        schedule=Schedule.sequential(plan.order),
        buffers=buffers,
        reserved=reserved if any(reserved) else (),
        scratch=tuple(map(sub, reserved, bare)),
        is_complete=frame.is_complete,
    )


_COUNTED = (
    "its own order, aliases, in-place operations, buffers held for a later tensor of the same shape, kernel scratch; "
    "graph inputs are the caller's"
)

MODEL = RuntimeModel(
    name="onnxruntime",
    definition=f"what onnxruntime allocates on a CPU in its first run, optimisation off, one thread: {_COUNTED}",
    grade="exact",
    counts_inputs=False,
    lifetimes=onnxruntime_lifetimes,
    figures=partial(runtime_figures, arrange=as_planned),
    summary="onnxruntime CPU, no optimisation",
)

OPTIMIZED_MODEL = RuntimeModel(
    name="onnxruntime",
    definition=f"what onnxruntime allocates on a CPU in its first run of this graph, which it optimised itself, one "
    f"thread: {_COUNTED}",
    grade="exact",
    counts_inputs=False,
    lifetimes=optimized_lifetimes,
    figures=partial(runtime_figures, arrange=as_listed),
    summary="onnxruntime CPU, optimised by it",
)
