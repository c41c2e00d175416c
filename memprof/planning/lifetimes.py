"""From lifetimes, as a runtime model gives them for an order, to the allocation problem that they pose."""

from __future__ import annotations

from dataclasses import dataclass

from memprof.analysis import Lifetimes
from memprof.ir import Graph
from memprof.planning.offsets.problem import AllocationBuffer, AllocationProblem


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
