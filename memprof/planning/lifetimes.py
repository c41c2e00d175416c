"""Between the graph and both halves of the planner: lifetimes under an order, and the allocation problem they pose.

Lifetimes come from the runtime models; two things are added here. ``contracted``: elementwise operations in place
wherever that is safe in every order, the storages the ordering problem of that name counts. And a runtime model that
picks its own order (onnxruntime) is asked about the graph with its nodes in the planned order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from memprof.analysis import Buffer, Lifetimes, Schedule
from memprof.ir import Graph, Role
from memprof.planning.offsets.problem import AllocationBuffer, AllocationProblem
from memprof.planning.ordering.kinds import contracted_storage
from memprof.runtimes import RUNTIMES
from memprof.runtimes.bodies import reserve_bodies
from memprof.runtimes.ideal import ideal_lifetimes
from memprof.runtimes.reference import reference_lifetimes, storage_bytes

_COUNTED = frozenset({Role.INPUT, Role.INTERMEDIATE})


@dataclass(frozen=True, slots=True)
class ArenaContent:
    """What of a graph's buffers an arena holds.

    Attributes:
        alignment: Every offset is a multiple of it.
        has_inputs: Whether buffers that hold a graph input are in the arena, or the caller's.
        has_outputs: Whether buffers that hold a graph output are.
    """

    alignment: int = 64
    has_inputs: bool = True
    has_outputs: bool = True


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
    sizes = graph.value_bytes
    buffers = tuple(
        Buffer(tuple(group), storage_bytes(group, sizes), starts[root], stops[root])
        for root, group in members.items()
    )
    reserved, bodies_complete = reserve_bodies(graph, schedule, contracted_lifetimes)
    return Lifetimes(
        graph=graph,
        schedule=schedule,
        buffers=buffers,
        reserved=reserved,
        is_complete=bodies_complete and all(b.size_bytes is not None for b in buffers),
    )


def _own_order_lifetimes(graph: Graph, order: Sequence[int] | None = None) -> Lifetimes:
    return RUNTIMES["onnxruntime"].lifetimes(graph if order is None else reorder(graph, order))


LIFETIMES: Mapping[str, Callable[..., Lifetimes]] = MappingProxyType(
    {
        "reference": reference_lifetimes,
        "contracted": contracted_lifetimes,
        "ideal": ideal_lifetimes,
        "onnxruntime": _own_order_lifetimes,
    }
)
"""From a graph and an order to lifetimes, by name of the runtime model (or of the ordering problem)."""


def reorder(graph: Graph, order: Sequence[int]) -> Graph:
    """Return ``graph`` with its nodes in ``order``; values keep their ids."""
    position = {node_id: step for step, node_id in enumerate(order)}
    values = tuple(
        value if value.producer is None else replace(value, producer=position[value.producer])
        for value in graph.values
    )
    return replace(graph, nodes=tuple(graph.nodes[node_id] for node_id in order), values=values)


def pose_allocation(lifetimes: Lifetimes, content: ArenaContent) -> AllocationProblem:
    """Return the allocation problem of ``lifetimes``: their buffers, and what steps reserve, as one block per step.

    Buffers are named after their first value; unknown sizes count nothing.
    """
    graph = lifetimes.graph
    traffic = _traffic_bytes(graph)
    left_out = {*(() if content.has_inputs else graph.inputs), *(() if content.has_outputs else graph.outputs)}
    buffers = [
        AllocationBuffer(
            name=graph.values[buffer.values[0]].name,
            start=buffer.start,
            stop=buffer.stop,
            size_bytes=buffer.size_bytes or 0,
            traffic_bytes=sum(traffic[i] for i in buffer.values),
        )
        for buffer in lifetimes.buffers
        if left_out.isdisjoint(buffer.values)
    ]
    taken = {buffer.name for buffer in buffers}
    for step, size in enumerate(lifetimes.reserved):
        if size:
            running = " ".join(graph.nodes[i].name for i in lifetimes.schedule.steps[step])
            name = f"scratch of {running}"
            while name in taken:
                name += "'"
            taken.add(name)
            buffers.append(AllocationBuffer(name=name, start=step, stop=step + 1, size_bytes=size))
    return AllocationProblem(buffers=tuple(buffers), alignment=content.alignment)


def _traffic_bytes(graph: Graph) -> list[int]:
    """Return the bytes that operations read from and write to each value; a view neither reads nor writes."""
    sizes, values = graph.value_bytes, graph.values
    traffic = [0] * len(values)
    for node in graph.nodes:
        written = [i for i in node.writes if values[i].view_of is None]
        if not written and node.writes:
            continue
        for i in {*node.reads, *written}:
            traffic[i] += sizes[i] or 0
    return traffic
