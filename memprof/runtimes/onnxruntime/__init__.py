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
from operator import sub

from memprof.analysis import Buffer, Lifetimes, Schedule
from memprof.ir import Graph
from memprof.runtimes.model import RuntimeModel
from memprof.runtimes.onnxruntime.frame import run_frame


def onnxruntime_lifetimes(graph: Graph) -> Lifetimes:
    """Return the lifetimes of ``graph`` as onnxruntime's planner makes them.

    Complexity: O(values + reads).
    """
    frame = run_frame(graph, graph.ahead)
    ran, plan = frame.graph, frame.plan
    members: defaultdict[int, list[int]] = defaultdict(list)
    for node_id in plan.order:
        for value_id in ran.nodes[node_id].writes:
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


MODEL = RuntimeModel(
    name="onnxruntime",
    definition="what onnxruntime's CPU provider allocates in its first run, optimisation off, one thread: its own "
    "order, aliases, in-place operations, buffers held for a later tensor of the same shape, kernel scratch; graph "
    "inputs are the caller's",
    grade="exact",
    counts_inputs=False,
    lifetimes=onnxruntime_lifetimes,
    summary="onnxruntime CPU, no optimisation",
)
