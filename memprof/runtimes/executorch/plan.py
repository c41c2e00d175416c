"""Where ExecuTorch keeps each tensor: as the plan in a .pte file says, or as its exporter would plan a module.

from a .pte file                                        from a module, lowered as the exporter lowers it
the file's addresses and arenas, whoever planned them    one arena, ``planner``
a tensor lives from what writes it to its last reader    the same; inputs and state that is written from the start,
                                                            state and outputs to the end
what delegates allocate is not in the plan               no delegates
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import accumulate

from memprof.ir import Graph, Role
from memprof.ir.program import Program
from memprof.runtimes.executorch.planner import Block, place, round_up

WRITE_BACK = "aten.copy_"

_GIVEN = frozenset({Role.PARAMETER, Role.CAPTURE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A tensor's storage, and where it lies.

    Attributes:
        values: Ids of the values in it, in order of birth.
        size_bytes: Its bytes, ``None`` if not known.
        start: First step at which it exists.
        stop: First step at which it no longer does; ``start`` for an input that nothing reads.
        home: Number of its arena.
        offset: Its address there.
        is_state: Whether it is kept from run to run.
    """

    values: tuple[int, ...]
    size_bytes: int | None
    start: int
    stop: int
    home: int
    offset: int
    is_state: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodPlan:
    """What a method needs planned memory for.

    Attributes:
        placed: Every storage in planned memory.
        arenas: Bytes of each arena by number; the first one is reserved and holds nothing.
        is_complete: Whether all sizes are known, those included that the runtime allocates by itself.
        unproven: What keeps the plan from being exact, in a few words each.
    """

    placed: tuple[Placed, ...]
    arenas: tuple[int, ...]
    is_complete: bool
    unproven: tuple[str, ...]

    @property
    def planned_bytes(self) -> int:
        """Bytes of all arenas together."""
        return sum(self.arenas)

    def heights(self, steps: int) -> list[int]:
        """Return for each step the highest addresses in use, summed over the arenas.

        A heap for each arena, the highest end on top; only where something begins or ends is it asked again.
        """
        starting: list[list[Placed]] = [[] for _ in range(steps + 1)]
        changed: list[set[int]] = [set() for _ in range(steps + 1)]
        for each in self.placed:
            if each.start < each.stop:
                starting[each.start].append(each)
                changed[each.start].add(each.home)
                changed[each.stop].add(each.home)
        heaps: dict[int, list[tuple[int, int]]] = defaultdict(list)
        tops: dict[int, int] = defaultdict(int)
        total, found = 0, []
        for step in range(steps):
            for each in starting[step]:
                heappush(heaps[each.home], (-each.offset - (each.size_bytes or 0), each.stop))
            for home in changed[step]:
                heap = heaps[home]
                while heap and heap[0][1] <= step:
                    heappop(heap)
                top = -heap[0][0] if heap else 0
                total += top - tops[home]
                tops[home] = top
            found.append(total)
        return found

    @property
    def living(self) -> tuple[Placed, ...]:
        """What comes and goes in a run and lives in a step of it."""
        return tuple([each for each in self.placed if not each.is_state and each.start < each.stop])

    @property
    def bases(self) -> tuple[int, ...]:
        """Where each arena begins, if they lie one behind the other."""
        return tuple(accumulate(self.arenas[:-1], initial=0)) if self.arenas else ()


def find_plan(graph: Graph, order: Sequence[int]) -> MethodPlan:
    """Return the plan that a graph's file brings, else the one that the exporter would make.

    Args:
        graph: From a .pte file, or a lowered module.
        order: Node ids in the order in which they run; a plan in a file holds for its own order.
    """
    spans = _Spans(graph, order)
    return _predict(graph, spans) if graph.program is None else _read(graph, graph.program, spans)


class _Spans:
    """When each storage of a graph lives."""

    def __init__(self, graph: Graph, order: Sequence[int]) -> None:
        self.step_count = max(1, len(graph.nodes))
        self.starts: dict[int, int] = {}
        self.stops: dict[int, int] = defaultdict(int)
        self.births: dict[int, int] = {}  # storages that nodes make, in the order of their birth
        for step, node_id in enumerate(order):
            for value_id in graph.reads[node_id]:
                self.stops[graph.storage[value_id]] = step + 1
            for value_id in graph.writes[node_id]:
                root = graph.storage[value_id]
                self.starts.setdefault(root, step)
                self.births.setdefault(root, len(self.births))
                self.stops[root] = step + 1
        for value_id in graph.outputs:
            self.stops[graph.storage[value_id]] = self.step_count


def _read(graph: Graph, program: Program, spans: _Spans) -> MethodPlan:
    tensors = program.subgraphs[0].tensors
    places = {
        tensor.name: (home, offset)
        for tensor, home, offset in zip(tensors, program.homes, program.offsets, strict=False)
        if home >= 0
    }
    placed = []
    for root, members in graph.storage_members.items():
        home_offset = places.get(graph.values[root].name)
        if home_offset is None:
            continue
        is_state = graph.values[root].role is Role.PARAMETER
        is_given = graph.values[root].producer is None
        placed.append(
            Placed(
                values=members,
                size_bytes=graph.values[root].type.size_bytes,
                start=0 if is_given else spans.starts.get(root, 0),
                stop=spans.step_count if is_state else spans.stops[root],
                home=home_offset[0],
                offset=home_offset[1],
                is_state=is_state,
            )
        )
    sizes = program.arenas[0] if program.arenas else ()
    return MethodPlan(
        placed=tuple(placed),
        arenas=(0, *sizes[1:]),
        is_complete=all(unknown.kind not in ("dimension", "dtype") for unknown in graph.unknown),
        unproven=(),
    )


def _is_write_back(graph: Graph, value_id: int) -> bool:
    """Whether a value is state that was written: the exporter copies it back in one operation."""
    producer = graph.values[value_id].producer
    return producer is not None and graph.nodes[producer].op == WRITE_BACK


def _size(graph: Graph, values: Iterable[int | None]) -> int:
    return sum(graph.values[i].type.size_bytes or 0 for i in values if i is not None)


def _predict(graph: Graph, spans: _Spans) -> MethodPlan:
    members = graph.storage_members
    end = spans.step_count + 2  # one step before the first operation holds what is given, one behind the last outputs
    outputs = frozenset(graph.outputs)
    roots: list[int] = []
    blocks: list[Block] = []
    made = [root for root in members if graph.values[root].producer is not None]
    given = [root for root in members if graph.values[root].producer is None]
    for root in [*given, *sorted(made, key=lambda root: spans.births[root])]:
        value, values = graph.values[root], members[root]
        is_written = any(_is_write_back(graph, i) for i in values)
        if value.role in _GIVEN and not is_written:
            continue
        is_output = not outputs.isdisjoint(values)
        is_state = value.role in _GIVEN
        start = spans.starts[root] + 1 if value.producer is not None else 0
        stop = end if is_output or is_state else max(spans.stops[root] + 1, start + 1)
        roots.append(root)
        blocks.append(Block(round_up(value.type.size_bytes or 0), start, stop))
    # a copy back returns what it wrote on, which the planner takes for one more output
    returned = [_size(graph, node.outputs) for node in graph.nodes if node.op == WRITE_BACK]
    offsets, arena = place([*blocks, *[Block(round_up(size), end - 1, end) for size in returned]])
    placed = [
        Placed(
            values=members[root],
            size_bytes=graph.values[root].type.size_bytes,
            start=max(0, block.start - 1),
            stop=min(spans.step_count, block.stop - 1),
            home=1,
            offset=offset,
            is_state=graph.values[root].role in _GIVEN,
        )
        for root, block, offset in zip(roots, blocks, offsets, strict=False)
    ]
    known = all(each.size_bytes is not None for each in placed)
    bodies = [node.op for node in graph.nodes if node.bodies]
    bodies += [unknown.name for unknown in graph.unknown if unknown.kind == "operator"]
    return MethodPlan(
        placed=tuple(placed),
        arenas=(0, arena),
        is_complete=known and not bodies,
        unproven=tuple(dict.fromkeys(bodies)),
    )
