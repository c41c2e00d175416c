"""paper: the lifetime table of MemNAS (CVPR 2020), section 3.4.1 and Figure 3.

    rule                                                        consequence
    steps are levels: level 0 holds the inputs, a node runs     several nodes share a level
    one level after the last of what it reads
    a tensor does not count in the level where its last         the table under-counts what one machine needs:
    reader runs                                                 a layer's input and output exist together
    a tensor that nobody reads counts in its own level
    a graph output counts to the last level
    views share storage; nothing else is in place
    nodes that compute constants are not levels                 their results count as weights

Kept for comparison with the paper's figures; ``reference`` is what a machine needs.
"""

from __future__ import annotations

from memprof.analysis import Buffer, Lifetimes, Schedule
from memprof.ir import Graph, Role
from memprof.runtimes.bodies import reserve_bodies
from memprof.runtimes.model import EVERY, Order, RuntimeModel, fixed


def paper_lifetimes(graph: Graph) -> Lifetimes:
    """Return the lifetimes of ``graph`` as the paper's Figure 3 draws them.

    Complexity: O(values + reads).
    """
    roots, roles = graph.storage, graph.roles
    has_constants = Role.CONSTANT in roles
    level_of_value = [0] * len(roles)
    births = [0] * len(roles)
    deaths = [1] * len(roles)  # an input that nobody reads counts at level 0
    levels: list[list[int]] = [[]]
    for node_id, (reads, writes) in enumerate(zip(graph.reads, graph.writes, strict=True)):
        if has_constants and writes and roles[writes[0]] is Role.CONSTANT:  # then all it writes is
            continue
        level = 1
        for value_id in reads:
            if level_of_value[value_id] >= level:
                level = level_of_value[value_id] + 1
        if level == len(levels):
            levels.append([])
        levels[level].append(node_id)
        for value_id in reads:
            root = roots[value_id]
            if deaths[root] < level:  # noqa: PLR1730 - a call for each read would take half of the time
                deaths[root] = level
        for value_id in writes:
            level_of_value[value_id] = level
            root = roots[value_id]
            if root == value_id:
                births[root] = level
            if deaths[root] <= level:  # at least, even if nobody reads it
                deaths[root] = level + 1
    for value_id in graph.outputs:
        deaths[roots[value_id]] = len(levels)
    schedule = Schedule(tuple(map(tuple, levels)))
    buffers = tuple(
        [_record(Buffer, (values, size, births[root], deaths[root])) for root, values, size in graph.activations]
    )
    reserved, bodies_complete = reserve_bodies(graph, schedule, paper_lifetimes)
    return Lifetimes(
        graph=graph,
        schedule=schedule,
        buffers=buffers,
        reserved=reserved,
        is_complete=bodies_complete and None not in {b[1] for b in buffers},  # sizes; by place: twice as fast
    )


_record = tuple.__new__  # with all fields in order: half of the time


MODEL = RuntimeModel(
    name="paper",
    definition="MemNAS Figure 3: steps are levels, several nodes may share one, and a tensor does not count in the "
    "level where its last reader runs",
    summary="levels of MemNAS, Figure 3",
    best_grade="estimate",
    counts_inputs=True,
    lifetimes=fixed(paper_lifetimes, "paper"),
    order=Order.GIVEN,
    default_for=EVERY,
)
