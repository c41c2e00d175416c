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

from memprof.analysis import Buffer, Lifetimes, Schedule
from memprof.ir import Graph
from memprof.runtimes.model import RuntimeModel
from memprof.runtimes.onnxruntime.lowering import lower
from memprof.runtimes.onnxruntime.order import execution_order
from memprof.runtimes.onnxruntime.plan import plan_reuse
from memprof.runtimes.onnxruntime.scratch import scratch_bytes
from memprof.runtimes.onnxruntime.tables import INITIALISERS


def onnxruntime_lifetimes(graph: Graph) -> Lifetimes:
    """Return the lifetimes of ``graph`` as onnxruntime's planner makes them.

    Complexity: O(values + reads).
    """
    lowered = lower(graph)
    graph = lowered.graph
    skipped = frozenset(i for i, node in enumerate(graph.nodes) if node.op in INITIALISERS)
    foreign = frozenset(value_id for i in skipped for value_id in graph.nodes[i].writes)
    order = execution_order(graph, skipped, lowered.index)
    plan = plan_reuse(graph, order, foreign)
    sizes = graph.value_bytes
    members: defaultdict[int, list[int]] = defaultdict(list)
    for node_id in order:
        for value_id in graph.nodes[node_id].writes:
            members[plan.home[value_id]].append(value_id)
    buffers = tuple(
        Buffer(tuple(members[i]), sizes[i], plan.start[i], plan.stop[i]) for i in plan.owned
    )
    scratch = [scratch_bytes(graph, graph.nodes[i], getattr(graph, 'opset', 20)) for i in order]
    reserved = tuple(found or 0 for found in scratch)
    return Lifetimes(
        graph=graph,
        schedule=Schedule.sequential(order),
        buffers=buffers,
        reserved=reserved if any(reserved) else (),
        is_complete=None not in scratch and all(b.size_bytes is not None for b in buffers),
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
