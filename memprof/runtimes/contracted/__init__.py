"""contracted: as reference, and elementwise operations are in place wherever that is safe in every order.

    rule                                                        consequence
    all rules of reference
    an elementwise operation writes over an input of equal,     the two storages are one from the start, so the
    known bytes if in every order it is the last to touch       bytes of a step depend on what has run alone, and
    that input's storage, which is no graph input, weight       the best order is found exactly
    or output

No order's peak is below its peak under ``ideal``, which also sees the reuse that depends on the order.
"""

from __future__ import annotations

from collections.abc import Sequence

from memprof.analysis import Buffer, Lifetimes, Schedule
from memprof.analysis.dependencies import (
    find_predecessors,
    find_successors,
    find_touchers,
    operand_storages,
    own_output,
    storage_sizes,
)
from memprof.ir import Graph, Role
from memprof.runtimes.bodies import reserve_bodies
from memprof.runtimes.model import Ordering, RuntimeModel

_COUNTED = frozenset({Role.INPUT, Role.INTERMEDIATE})


def contracted_lifetimes(graph: Graph, order: Sequence[int] | None = None) -> Lifetimes:
    """Return the lifetimes of ``graph`` with elementwise operations in place wherever that is safe in every order.

    Args:
        graph: Any graph.
        order: Node ids in a topological order; the graph's own if left out.
    """
    order = range(len(graph.nodes)) if order is None else order
    schedule = Schedule.sequential(order)
    roots = contracted_storage(graph)
    starts: dict[int, int] = {}
    stops: dict[int, int] = {}
    for step, node_id in enumerate(order):
        node = graph.nodes[node_id]
        for value_id in (*node.reads, *node.writes):
            stops[roots[value_id]] = step + 1
        for value_id in node.writes:
            starts.setdefault(roots[value_id], step)
    for value_id in graph.inputs:
        starts[value_id] = 0
        stops[value_id] = max(stops.get(value_id, 0), 1)
    for value_id in graph.outputs:
        stops[roots[value_id]] = schedule.step_count
    members: dict[int, list[int]] = {}
    for value_id, root in enumerate(roots):
        if graph.values[root].role in _COUNTED:
            members.setdefault(root, []).append(value_id)
    sizes = {root: size for root, _, size in graph.activations}
    buffers = tuple(Buffer(tuple(group), sizes[root], starts[root], stops[root]) for root, group in members.items())
    reserved, bodies_complete = reserve_bodies(graph, schedule, contracted_lifetimes)
    return Lifetimes(
        graph=graph,
        schedule=schedule,
        buffers=buffers,
        reserved=reserved,
        is_complete=bodies_complete and all(b.size_bytes is not None for b in buffers),
    )


def contracted_storage(graph: Graph) -> list[int]:
    """Return, for each value, the root of the storage it shares once elementwise operations are in place.

    Where several inputs would do, the lowest index wins. O(values + reads), times the views of one storage.
    """
    sizes = storage_sizes(graph, _COUNTED)
    kept = {graph.storage[i] for i in graph.outputs}
    home = list(graph.storage)
    # Of the operations that touch a storage, those that every other one of them is sure to run before.
    last_touchers = find_touchers(graph, sizes)
    successors = find_successors(find_predecessors(graph))
    for op in range(len(graph.nodes)):
        output = own_output(graph, op)
        if output is None or not sizes.get(output):
            continue
        for root in operand_storages(graph, op):
            target = home[root]
            if (
                graph.values[target].role is Role.INTERMEDIATE
                and root not in kept
                and sizes.get(target) == sizes[output]
                and _is_last_in_every_order(op, last_touchers[target], successors)
            ):
                home[output] = target
                last_touchers[target] = last_touchers.pop(output)
                break
    return [home[root] for root in graph.storage]


def _is_last_in_every_order(op: int, touchers: Sequence[int], successors: Sequence[Sequence[int]]) -> bool:
    """Whether a path leads to ``op`` from each of the ``touchers`` (ascending), by way of others of them."""
    reached = {op}
    for toucher in reversed(touchers):
        if toucher != op:
            if toucher > op or reached.isdisjoint(successors[toucher]):
                return False
            reached.add(toucher)
    return True


MODEL = RuntimeModel(
    name="contracted",
    definition="as reference, and an elementwise operation is in place wherever that is safe in every order",
    summary="in place, safe in any order",
    best_grade="estimate",
    counts_inputs=True,
    lifetimes=contracted_lifetimes,
    in_place_of="reference",
    ordering=Ordering(bound="memprof.planning.ordering.kinds:contracted_problem", is_exact=True),
)
