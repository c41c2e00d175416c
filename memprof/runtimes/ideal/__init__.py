"""ideal: as reference, and an elementwise operation may write over one input that nobody needs any more.

    rule                                                        consequence
    all rules of reference
    the first output of an elementwise operation takes the      both are one buffer from then on
    buffer of the first input for which all of this holds:
        the input is no graph input, parameter or constant   their owners may still read them
        this operation is the last to need anything in its      views of it and what it overwrote included;
        buffer, which holds no graph output                     a graph output is needed to the end
        both have the same, known number of bytes
    views of the output go where the output goes

Which operations are elementwise is the importers' table (``Node.is_elementwise``).
"""

from __future__ import annotations

from collections.abc import Sequence

from memprof.analysis import Buffer, Lifetimes, Schedule
from memprof.ir import Graph, Role
from memprof.runtimes.bodies import reserve_bodies
from memprof.runtimes.model import EVERY, Ordering, RuntimeModel
from memprof.runtimes.reference import as_listed, storage_spans


def ideal_lifetimes(graph: Graph, order: Sequence[int] | None = None) -> Lifetimes:
    """Return the lifetimes of ``graph`` with elementwise operations in place where that is safe.

    Args:
        graph: Any graph.
        order: Node ids in a topological order; the graph's own if left out.

    Complexity: O(values + reads).
    """
    schedule = graph.derived(as_listed) if order is None else Schedule.sequential(order)
    order = range(len(graph.nodes)) if order is None else order
    starts, stops = storage_spans(graph, order)
    nodes, roles, roots, members = graph.nodes, graph.roles, graph.storage, graph.storage_members
    for leaving in graph.outputs:
        stops[roots[leaving]] = schedule.step_count + 1  # needed after the last step: never overwritten
    sizes = {root: size for root, _, size in graph.activations}
    home = list(roots)  # by storage root: the root whose buffer it lives in
    merged: dict[int, list[int]] = {}  # by storage root: the values of all that live in it
    for step, node_id in enumerate(order):
        node = nodes[node_id]
        output = node.outputs[0] if node.is_elementwise and node.outputs else None
        if output is None or roots[output] != output:
            continue
        for value_id in node.inputs:
            if value_id is None:
                continue
            target = home[roots[value_id]]
            if (
                stops[target] == step + 1
                and roles[target] is Role.INTERMEDIATE
                and sizes[target] is not None
                and sizes[target] == sizes.get(output)
            ):
                home[output] = target
                merged.setdefault(target, [*members[target]]).extend(members[output])
                stops[target] = stops[output]
                break
    end = schedule.step_count
    ends = [stop if stop < end else end for stop in stops]
    buffers = tuple(
        [
            _record(Buffer, (tuple(merged[root]) if root in merged else values, size, starts[root], ends[root]))
            for root, values, size in graph.activations
            if home[root] == root
        ]
    )
    reserved, bodies_complete = reserve_bodies(graph, schedule, ideal_lifetimes)
    return Lifetimes(
        graph=graph,
        schedule=schedule,
        buffers=buffers,
        reserved=reserved,
        is_complete=bodies_complete and None not in {b[1] for b in buffers},  # sizes; by place: twice as fast
    )


_record = tuple.__new__  # with all fields in order: half of the time


MODEL = RuntimeModel(
    name="ideal",
    definition="as reference, and an elementwise operation takes the buffer of one dying input of equal bytes",
    summary="elementwise in place",
    best_grade="estimate",
    counts_inputs=True,
    lifetimes=ideal_lifetimes,
    default_for=EVERY,
    ordering=Ordering(
        bound="memprof.planning.ordering.kinds:ideal_floor_problem",
        related=(
            "memprof.planning.ordering.kinds:contracted_problem",
            "memprof.planning.ordering.kinds:reference_problem",
        ),
    ),
)
