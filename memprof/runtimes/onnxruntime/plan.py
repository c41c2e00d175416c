"""Which tensors share a buffer in onnxruntime, and from when to when each buffer lives.

The planner walks the nodes in execution order. For each output of a node the first rule that fits decides:

    rule                                                                    consequence
    1 a graph output                                                        gets a buffer of its own
    2 alias: the operation is in ``ALIASES``                                shares the input's buffer, always
    3 in place: the operation is in ``IN_PLACE``, this is the last use      takes over the input's buffer
      of the input's buffer, and shape and element size are equal
    4 same shape: a dead buffer has this very shape and element size        takes the one that died last; it is held,
                                                                            not freed, from its death on
    5 else                                                                  a new buffer

A buffer dies in the plan when its last reader has run, or at once if nobody reads it. It is freed when the last
reader of the last tensor in it has run. What nobody ever reads is freed when the run ends. A graph output that is a
constant is a copy of it, made before the first node runs. Graph inputs, initialisers and values of the graph around a
body belong to others: their buffers are never taken, only aliased. Scalars (rank 0), strings and what nobody reads
never take a dead buffer.

Complexity: O(values + reads), dead buffers kept by shape.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from itertools import chain

from memprof.analysis import Buffer
from memprof.ir import DTYPE_BITS, Graph, Role, TensorType
from memprof.runtimes.onnxruntime.tables import ALIASES, IN_PLACE

NEVER_SHARED = frozenset({"string", "tensors", "map"})
"""Element types whose buffers nothing takes over, and which are no part of a memory pattern."""

_record = tuple.__new__  # with all fields in order: half of the time
_FOREIGN = (Role.INPUT, Role.PARAMETER, Role.CAPTURE)  # a tuple, since hashing an Enum is slow


@dataclass(frozen=True, slots=True, kw_only=True)
class ReusePlan:
    """Who lives where.

    Attributes:
        order: Ids of the nodes in execution order.
        home: For each value the id of the value whose buffer it lives in.
        start: For each value that has a buffer of its own the step that writes it.
        stop: For each value that has a buffer of its own the first step at which it is free.
        owned: Ids of the values that have a buffer of their own in this graph, in order of birth.
    """

    order: tuple[int, ...]
    home: tuple[int, ...]
    start: tuple[int, ...]
    stop: tuple[int, ...]
    owned: tuple[int, ...]


class Planning:
    """A plan while it is made, node by node: what has been decided, and what the decisions to come depend on.

    Args:
        graph: Any graph.
        order: Ids of the nodes that run; in which order is said when they are planned.
        types: What onnxruntime knows of each value when it plans: a named dimension is equal to itself alone.
        foreign: Ids of further values that belong to others: initialisers that the graph writes as nodes.
        shared: Ids of graph outputs that share their node's first input all the same.
        copied: Ids of graph outputs that are constants: copies that exist before the first node runs.

    Attributes:
        home: As in the plan, so far.
        start: As in the plan, so far.
        owned: As in the plan, so far.
        uses: By value how often its buffer is still needed.
        dead: Buffers that may be taken, by element size and shape, the one that died last at the end.
    """

    def __init__(
        self,
        graph: Graph,
        order: Sequence[int],
        *,
        types: Sequence[TensorType],
        foreign: frozenset[int] = frozenset(),
        shared: frozenset[int] = frozenset(),
        copied: Sequence[int] = (),
    ) -> None:
        self._graph, self._shared = graph, shared
        self._is_output = bytearray(len(graph.values))
        for output in graph.outputs:
            self._is_output[output] = 1
        self._keys = _shape_keys(types)
        self._shares = frozenset([op for op in graph.ops if op in ALIASES or op in IN_PLACE])
        self.uses = _count_uses(graph, order, foreign)
        self.home = list(range(len(graph.values)))
        self.start = [0] * len(graph.values)
        self.owned: list[int] = list(copied)
        self.dead: defaultdict[int, list[int]] = defaultdict(list)

    def fork(self) -> Planning:
        """Return a plan that goes on from here by itself."""
        other = copy(self)
        other.uses, other.home, other.start = self.uses.copy(), self.home.copy(), self.start.copy()
        other.owned = self.owned.copy()
        other.dead = defaultdict(list, {key: buffers.copy() for key, buffers in self.dead.items() if buffers})
        return other

    def decides_like(self, other: Planning) -> bool:
        """Whether all that is decided is the same, and all that is to come will be."""
        same = self.home == other.home and self.uses == other.uses
        return same and all(self.dead[key] == other.dead[key] for key in {*self.dead, *other.dead})

    def whole(self, order: Sequence[int]) -> ReusePlan:
        """Plan ``order`` from its first node on, and return the plan."""
        self.run(order, 0)
        return self.plan(order)

    def plan(self, order: Sequence[int]) -> ReusePlan:
        """Return the plan for ``order``, all of which has been planned."""
        return ReusePlan(
            order=tuple(order),
            home=tuple(self.home),
            start=tuple(self.start),
            stop=tuple(_stops(self._graph, order, self.home)),
            owned=tuple(self.owned),
        )

    def run(self, order: Sequence[int], step: int) -> None:
        """Plan the nodes of ``order``, the first of which runs at ``step``."""
        nodes, reads, writes = self._graph.nodes, self._graph.reads, self._graph.writes
        is_output, shared, keys = self._is_output, self._shared, self._keys
        uses, home, start, owned, dead = self.uses, self.home, self.start, self.owned, self.dead
        shares = self._shares
        for at, node_id in enumerate(order, step):
            node = nodes[node_id]
            for position, value_id in enumerate(node.outputs):
                if value_id is None:
                    continue
                target: int | None = None
                if not is_output[value_id] or value_id in shared:
                    if node.op in shares:
                        target = _reusable_input(node.op, node.inputs, position, (home, uses, keys), value_id)
                    is_read = uses[value_id] > 1
                    if target is None and is_read and (key := keys[value_id]) > 0 and (free := dead[key]):
                        target = free.pop()
                if target is None:
                    start[value_id] = at
                    owned.append(value_id)
                else:
                    home[value_id] = target
                    uses[target] += uses[value_id]
            for value_id in reads[node_id] + writes[node_id]:
                buffer = home[value_id]
                uses[buffer] -= 1
                if not uses[buffer] and (key := keys[buffer]):
                    dead[key].append(buffer)


def plan_buffers(graph: Graph, plan: ReusePlan) -> tuple[Buffer, ...]:
    """Return the buffers of a plan in order of birth, each with all that lives in it in the order it is written."""
    sizes, writes, home = graph.value_bytes, graph.writes, plan.home
    members: dict[int, list[int]] = {}
    for node_id in plan.order:
        for value_id in writes[node_id]:
            root = home[value_id]
            if root in members:
                members[root].append(value_id)
            else:
                members[root] = [value_id]
    starts, stops = plan.start, plan.stop
    return tuple([_record(Buffer, (tuple(members.get(i, (i,))), sizes[i], starts[i], stops[i])) for i in plan.owned])


def _count_uses(graph: Graph, order: Sequence[int], foreign: frozenset[int]) -> list[int]:
    """Return by value how often it is read, plus one for the node that writes it and one for each outside owner."""
    uses = [1 if value.role in _FOREIGN else 0 for value in graph.values]
    for value_id in foreign:
        uses[value_id] = 1
    for ends in (graph.reads, graph.writes):
        for value_id in chain.from_iterable(map(ends.__getitem__, order)):
            uses[value_id] += 1
    for value_id in graph.outputs:
        uses[value_id] += 1
    return uses


def _shape_keys(types: Sequence[TensorType]) -> list[int]:
    """Return by value a number for its element bits and shape: negative for scalars, 0 if it is not compared."""
    known: dict[int, int] = {}
    numbers: dict[tuple[int, tuple[object, ...]], int] = {}
    keys: list[int] = []
    for of in types:
        identity = id(of)
        if identity not in known:
            key = _shape_key(of)
            number = 0 if key is None else numbers.setdefault(key, len(numbers) + 1)
            known[identity] = number if key is None or key[1] else -number
        keys.append(known[identity])
    return keys


def _shape_key(of: TensorType) -> tuple[int, tuple[object, ...]] | None:
    bits = DTYPE_BITS.get(of.dtype or "")
    if bits is None or of.dtype in NEVER_SHARED or of.shape is None or None in of.shape:
        return None
    return max(bits, 8), of.shape


def _reusable_input(
    op: str,
    inputs: Sequence[int | None],
    position: int,
    state: tuple[list[int], list[int], list[int]],
    value_id: int,
) -> int | None:
    """Return the buffer that output ``position`` of a node takes over from one of its inputs, if any."""
    home, uses, keys = state
    for source, target in ALIASES.get(op, ()):
        if target == position and source < len(inputs) and (read := inputs[source]) is not None:
            return home[read]
    for source, target in IN_PLACE.get(op, ()):
        if target == position and source < len(inputs) and (read := inputs[source]) is not None:
            found = home[read]
            if uses[found] == 1 and keys[read] and keys[read] == keys[value_id]:
                return found
    return None


def _stops(graph: Graph, order: Sequence[int], home: Sequence[int]) -> list[int]:
    """Return by buffer the step after its last reader; the end for graph outputs and for what nobody reads."""
    reads, end = graph.reads, max(1, len(order))
    stop = [0] * len(home)
    for step, node_id in enumerate(order):
        for value_id in reads[node_id]:
            stop[home[value_id]] = step + 1
    for value_id in graph.outputs:
        stop[home[value_id]] = end
    return [found or end for found in stop]
