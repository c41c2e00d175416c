"""What the three definitions mean, simulated step by step with sets: slow, plain, and no line shared with memprof.

Only the records of a graph are read (values, nodes, inputs, outputs), none of the properties derived from them. For
every step the oracle asks of every tensor, from scratch, whether the definition holds it alive. Bodies are simulated
the same way. Nothing here is fast or clever, so that what it says can be checked against docs/definitions.md by eye.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil

from memprof.ir import Graph, Node, Role

BITS = {"uint8": 8, "float16": 16, "float32": 32, "int64": 64, "int4": 4}
COUNTED = (Role.INPUT, Role.INTERMEDIATE)


@dataclass(frozen=True)
class Simulation:
    """Bytes alive at each step, all counted and without buffers that hold an input or an output."""

    timeline: tuple[int, ...]
    without_io: tuple[int, ...]

    @property
    def peak(self) -> int:
        """The maximum."""
        return max(self.timeline)

    @property
    def peak_without_io(self) -> int:
        """The maximum without inputs and outputs."""
        return max(self.without_io)


def bytes_of(graph: Graph, value_id: int) -> int:
    """Return the bytes of a value with a known shape."""
    value = graph.values[value_id]
    assert value.type.shape is not None
    count = 1
    for dim in value.type.shape:
        assert isinstance(dim, int)
        count *= dim
    return ceil(count * BITS[str(value.type.dtype)] / 8)


def root_of(graph: Graph, value_id: int) -> int:
    """Follow views to the value that owns the storage."""
    while (base := graph.values[value_id].view_of) is not None:
        value_id = base
    return value_id


def read_by(node: Node) -> set[int]:
    """Return what a node needs to run."""
    return {i for i in node.inputs if i is not None} | set(node.captures)


def written_by(node: Node) -> set[int]:
    """Return what a node makes."""
    return {i for i in node.outputs if i is not None}


def body_bytes(node: Node, simulate: Callable[[Graph], Simulation]) -> int:
    """Return the highest peak of a node's bodies."""
    return max((simulate(body).peak for body in node.bodies), default=0)


def is_needed(graph: Graph, value_id: int, step: int) -> bool:
    """Whether a machine that runs node ``step`` must hold the value then."""
    nodes = graph.nodes
    exists = value_id not in set().union(*map(written_by, nodes[step + 1 :]))
    return exists and (
        (step < len(nodes) and value_id in read_by(nodes[step]) | written_by(nodes[step]))
        or any(value_id in read_by(later) for later in nodes[step + 1 :])
        or value_id in graph.outputs
        or (value_id in graph.inputs and step == 0)
    )


def simulate_sequence(graph: Graph, buffer_of: dict[int, int], simulate: Callable[[Graph], Simulation]) -> Simulation:
    """Simulate one node per step, given which buffer (named after its first value) each value lives in."""
    io_buffers = {buffer_of[i] for i in (*graph.inputs, *graph.outputs)}
    timeline, without_io = [], []
    for step in range(max(1, len(graph.nodes))):
        alive = {buffer_of[i] for i in range(len(graph.values)) if is_needed(graph, i, step)}
        alive = {i for i in alive if graph.values[i].role in COUNTED}
        body = body_bytes(graph.nodes[step], simulate) if graph.nodes else 0
        timeline.append(body + sum(bytes_of(graph, i) for i in alive))
        without_io.append(body + sum(bytes_of(graph, i) for i in alive - io_buffers))
    return Simulation(tuple(timeline), tuple(without_io))


def simulate_reference(graph: Graph) -> Simulation:
    """One operation at a time in file order, views share storage, nothing else in place."""
    buffer_of = {i: root_of(graph, i) for i in range(len(graph.values))}
    return simulate_sequence(graph, buffer_of, simulate_reference)


def simulate_ideal(graph: Graph) -> Simulation:
    """As reference; an elementwise operation may take the buffer of one dying input."""
    buffer_of = {i: root_of(graph, i) for i in range(len(graph.values))}
    for step, node in enumerate(graph.nodes):
        first = node.outputs[0] if node.outputs else None
        if not node.is_elementwise or first is None or graph.values[first].view_of is not None:
            continue
        needed_later = {i for later in graph.nodes[step + 1 :] for i in read_by(later)} | set(graph.outputs)
        for read in node.inputs:
            if read is None:
                continue
            buffer = buffer_of[read]
            residents = {i for i in buffer_of if buffer_of[i] == buffer}
            dies = not residents & needed_later
            owned = graph.values[buffer].role is Role.INTERMEDIATE
            if dies and owned and bytes_of(graph, buffer) == bytes_of(graph, first):
                for resident in {i for i in buffer_of if buffer_of[i] == buffer_of[first]}:
                    buffer_of[resident] = buffer
                break
    return simulate_sequence(graph, buffer_of, simulate_ideal)


def simulate_paper(graph: Graph) -> Simulation:
    """Figure 3: steps are levels, and a value does not count in the level where its last reader runs."""
    values, nodes = graph.values, graph.nodes
    running = [n for n in nodes if not written_by(n) or any(values[i].role in COUNTED for i in written_by(n))]
    level_of = {i: 0 for i, value in enumerate(values) if value.producer is None or value.role not in COUNTED}
    level_of_node: dict[str, int] = {}
    for node in running:
        level = 1 + max((level_of[i] for i in read_by(node)), default=0)
        level_of_node[node.name] = level
        level_of.update(dict.fromkeys(written_by(node), level))
    level_count = 1 + max(level_of_node.values(), default=0)

    def counts(value_id: int, level: int) -> bool:
        if level < level_of[value_id]:
            return False
        readers = [level_of_node[n.name] for n in running if value_id in read_by(n)]
        return value_id in graph.outputs or level < max(readers, default=level_of[value_id] + 1)

    io_buffers = {root_of(graph, i) for i in (*graph.inputs, *graph.outputs)}
    timeline, without_io = [], []
    for level in range(level_count):
        alive = {root_of(graph, i) for i in range(len(values)) if counts(i, level)}
        alive = {i for i in alive if values[i].role in COUNTED}
        body = sum(body_bytes(n, simulate_paper) for n in running if level_of_node[n.name] == level)
        timeline.append(body + sum(bytes_of(graph, i) for i in alive))
        without_io.append(body + sum(bytes_of(graph, i) for i in alive - io_buffers))
    return Simulation(tuple(timeline), tuple(without_io))


ORACLES: dict[str, Callable[[Graph], Simulation]] = {
    "reference": simulate_reference,
    "ideal": simulate_ideal,
    "paper": simulate_paper,
}
