"""reference: one operation at a time in file order. The headline, and an upper bound for runtimes that neither copy
nor need scratch.

    rule                                                        consequence
    the inputs and outputs of the running operation are alive   a tensor read last at step t lives to [.., t + 1)
    so is everything that is needed later
    views share storage                                         a view adds no bytes, and keeps its root alive
    nothing else is in place
    a graph input lives from step 0 to its last reader          one that nobody reads lives at step 0
    a graph output lives to the end
    an output that nobody reads lives while its node runs
    parameters and constants are not intermediates              they count as weights
    a body's peak is reserved at the node that owns it
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from memprof.analysis import Buffer, Lifetimes, Schedule
from memprof.ir import Graph
from memprof.ir.model import Model
from memprof.ir.trace import Category, Trace
from memprof.runtimes.bodies import reserve_bodies
from memprof.runtimes.late import find
from memprof.runtimes.model import EVERY, Ordering, RuntimeModel


def reference_lifetimes(graph: Graph, order: Sequence[int] | None = None) -> Lifetimes:
    """Return the lifetimes of ``graph`` run one operation at a time.

    Args:
        graph: Any graph.
        order: Node ids in a topological order; the graph's own if left out.

    Complexity: O(values + reads).
    """
    schedule = graph.derived(as_listed) if order is None else Schedule.sequential(order)
    order = range(len(graph.nodes)) if order is None else order
    starts, stops = storage_spans(graph, order)
    buffers = tuple(
        [_record(Buffer, (values, size, starts[root], stops[root])) for root, values, size in graph.activations]
    )
    reserved, bodies_complete = reserve_bodies(graph, schedule, reference_lifetimes)
    return Lifetimes(
        graph=graph,
        schedule=schedule,
        buffers=buffers,
        reserved=reserved,
        is_complete=bodies_complete and None not in {b[1] for b in buffers},  # sizes; by place: twice as fast
    )


def as_listed(graph: Graph) -> Schedule:
    """Return the schedule that runs the nodes of a graph as it lists them."""
    return Schedule.sequential(range(len(graph.nodes)))


_record = tuple.__new__  # with all fields in order: half of the time


def storage_spans(graph: Graph, order: Sequence[int]) -> tuple[list[int], list[int]]:
    """Return when each storage is first written and, exclusively, last needed, by id of its root value."""
    roots, reads, writes = graph.storage, graph.reads, graph.writes
    starts = [0] * len(roots)
    stops = [0] * len(roots)
    for step, node_id in enumerate(order):
        after = step + 1
        for value_id in reads[node_id]:
            stops[roots[value_id]] = after
        for value_id in writes[node_id]:
            root = roots[value_id]
            if root == value_id:
                starts[root] = step
            stops[root] = after
    for value_id in graph.inputs:
        stops[value_id] = max(stops[value_id], 1)
    end = max(1, len(order))
    for value_id in graph.outputs:
        stops[roots[value_id]] = end
    return starts, stops


def _of_source(model: Model) -> RuntimeModel:
    """Return the row for a source: of a module that was run, a bound only where its run takes no more."""
    trace = model.trace
    return MODEL if trace is None else replace(MODEL, lowered_by=partial(_kept_longer, trace))


def _kept_longer(trace: Trace, lifetimes: Lifetimes) -> tuple[str, ...]:
    """Return what lowers the grade: Python keeps what it has a name for, and the caller keeps the inputs."""
    ran: Lifetimes = find(_RUN)(trace)
    given = sum(life.size_bytes for life in trace.storages if life.category is Category.INPUT)
    is_more = ran.timeline.peak_bytes + given > lifetimes.timeline.peak_bytes
    return ("tensors that Python or the caller keeps",) if is_more else ()


_RUN = "memprof.runtimes.pytorch:trace_lifetimes"  # by late name: that file reads this one

MODEL = RuntimeModel(
    name="reference",
    definition="one operation at a time in file order; its inputs, its outputs and all that is needed later are "
    "alive; views share storage; nothing else in place",
    summary="one by one, in file order",
    best_grade="upper bound",
    counts_inputs=True,
    lifetimes=reference_lifetimes,
    default_for=EVERY,
    of_source=_of_source,
    ordering=Ordering(bound="memprof.planning.ordering.kinds:reference_problem", is_exact=True),
)
