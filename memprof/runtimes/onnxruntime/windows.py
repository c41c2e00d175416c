"""Where sessions of one model may run it in another order: stretches of the order, and the orders each may have.

onnxruntime makes the operations that leave the blocked layout in the order of addresses in memory, so their indices
are another permutation in each session. An index decides at one place alone: of the nodes that one node waits for,
the one with the largest index runs first, with all that it needs (see ``order``).

    ... b | pool  conv  R1  R2  Mul | ...        Mul reads R1 and R2, which leave the layout: either comes first,
    ... b | R2  pool  conv  R1  Mul | ...        each with what it needs; before and after, nothing changes

Why nothing else changes: a stretch ends with the node X that waits, and what is in it is read in it alone, so it
ran because of X; all that it reads from before is the one node b, which all of it needs, or ran before anything that
X needs. So whatever X visits first comes upon b first, and when X has run the same nodes have run. Orders that cannot
be may be among those of a stretch (of two nodes of which one needs the other, both are tried first); all that can be
are.

Complexity: O(nodes * nodes / 64) for who needs whom.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

from memprof.ir import Graph

LEAVING = "com.microsoft.nchwc.ReorderOutput"

_MAX_NODES = 4_000
_MAX_STRETCH = 64
_MAX_ORDERS = 24
_MAX_WAITED = 16
_LATE = "com.microsoft.FusedConv"
"""Made after those that leave, in an order that may follow from theirs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A stretch of an order.

    Attributes:
        start: Step of its first node.
        orders: Ids of its nodes in the orders they may run in, the one at hand first.
    """

    start: int
    orders: tuple[tuple[int, ...], ...]

    @property
    def stop(self) -> int:
        """The step after its last node."""
        return self.start + len(self.orders[0])


def find_windows(graph: Graph, order: Sequence[int]) -> tuple[Window, ...] | None:
    """Return the stretches of ``order`` that another session may run otherwise, ``None`` where that is not known.

    Args:
        graph: A graph that onnxruntime has optimised.
        order: Ids of the nodes that run, in the order in which one session runs them.
    """
    leaving = frozenset(i for i in order if graph.nodes[i].op == LEAVING)
    if len(leaving) < 2:
        return ()
    needs = _Needs(graph, order, leaving)
    if len(leaving - needs.read) > 1:
        return None  # which leaf comes first: all of the graph may run otherwise
    if not any(len(leaving.intersection(needs.producers[i])) > 1 for i in order):
        return ()
    if len(order) > _MAX_NODES or len(needs.drawn - needs.read) > 1:
        return None
    try:
        return _found(needs, order)
    except _UnknownError:
        return None


def _found(needs: _Needs, order: Sequence[int]) -> tuple[Window, ...]:
    found: list[Window] = []  # from the last one on
    for node_id in reversed(order):
        is_inside = found and found[-1].start <= needs.step[node_id] < found[-1].stop
        if is_inside or len(needs.drawn.intersection(needs.producers[node_id])) < 2:
            continue
        window = needs.window(node_id)
        if window is not None:
            while found and found[-1].stop <= window.stop:
                found.pop()  # it has the orders of those that it holds
            found.append(window)
    found.reverse()
    if any(before.stop > after.start for before, after in pairwise(found)):
        raise _UnknownError
    return tuple(found)


class _UnknownError(Exception):
    """No stretch can be told apart, or it has too many orders."""


class _Needs:
    """Who waits for whom.

    Attributes:
        producers: By node those that write what it reads.
        read: The nodes that others wait for.
        step: By node when it runs.
        drawn: The nodes whose index differs from session to session.
    """

    def __init__(self, graph: Graph, order: Sequence[int], leaving: frozenset[int]) -> None:
        self.step: Mapping[int, int] = {node_id: step for step, node_id in enumerate(order)}
        self._graph, self._order = graph, order
        self.producers: dict[int, list[int]] = {}
        self._readers: dict[int, list[int]] = {node_id: [] for node_id in order}
        for node_id in order:
            written = (graph.values[i].producer for i in graph.reads[node_id])
            self.producers[node_id] = list(dict.fromkeys([i for i in written if i is not None and i in self.step]))
            for producer in self.producers[node_id]:
                self._readers[producer].append(node_id)
        self.read = frozenset(node_id for node_id, readers in self._readers.items() if readers)
        self.drawn = leaving.union(i for i in order if graph.nodes[i].op == _LATE)
        self._all: list[int] = []
        """By step the steps of all that a node needs, itself included, as bits."""

    def window(self, node_id: int) -> Window | None:
        """Return where the order of what a node waits for matters, ``None`` if all of that but one ran before."""
        last = self.step[node_id]
        before = self._before(last)
        if sum(self.step[i] > before for i in self.producers[node_id] if i in self.drawn) < 2:
            return None
        earliest = last
        while True:
            before = self._before(last)
            start = self._start(last, before)
            if start > earliest or start == last:  # who reads of the stretch later does not wait for all of it
                raise _UnknownError
            until = self._read_until(start, last)
            if until == last:
                break
            last, earliest = until, start
        root = self._order[last]
        listed = tuple(self._order[start : last + 1])
        orders = self._runs(root, frozenset(listed), frozenset())
        if listed not in orders:
            raise _UnknownError
        return Window(start=start, orders=(listed, *(found for found in orders if found != listed)))

    def _before(self, last: int) -> int:
        """Return the last step of what surely ran before all that the node of step ``last`` needs from then on."""
        return (~self._needed(last) & ((1 << last) - 1)).bit_length() - 1

    def _start(self, last: int, before: int) -> int:
        """Return the step from which on what runs up to ``last`` needs at most one node of what ran lately."""
        waited = [self.step[i] for i in self.producers[self._order[last]] if self.step[i] > before]
        shared = self._needed(last)
        for step in waited:
            shared &= self._needed(step)
        start = max(before, shared.bit_length() - 1) + 1
        while not self._waits_for_one(start, last, self._lately(start, last, before)):
            start -= 1
        return start

    def _waits_for_one(self, start: int, last: int, lately: set[int]) -> bool:
        steps = [self.step[i] for i in lately]
        return not steps or (
            len(steps) == 1 and all(self._needed(step) >> steps[0] & 1 for step in range(start, last + 1))
        )

    def _lately(self, start: int, last: int, before: int) -> set[int]:
        if last - start >= _MAX_STRETCH:
            raise _UnknownError
        reads = (i for step in range(start, last + 1) for i in self.producers[self._order[step]])
        return {i for i in reads if before < self.step[i] < start}

    def _read_until(self, start: int, last: int) -> int:
        """Return the last step at which something is read of what runs from ``start`` to before ``last``."""
        outputs = set(self._graph.outputs)
        for step in range(start, last):
            if outputs.intersection(self._graph.writes[self._order[step]]):
                raise _UnknownError
        return max(self.step[reader] for step in range(start, last) for reader in self._readers[self._order[step]])

    def _needed(self, step: int) -> int:
        for at in range(len(self._all), step + 1):
            bits = 1 << at
            for producer in self.producers[self._order[at]]:
                bits |= self._all[self.step[producer]]
            self._all.append(bits)
        return self._all[step]

    def _runs(
        self, node_id: int, nodes: frozenset[int], seen: frozenset[int]
    ) -> dict[tuple[int, ...], frozenset[int]]:
        """Return the orders in which a node and what it waits for may run, each with all that has run then."""
        waited = [i for i in self.producers[node_id] if i in nodes]
        waited.sort(key=self.step.__getitem__)
        if len(waited) > _MAX_WAITED:
            raise _UnknownError
        settled = [(a, b) for a, b in combinations(waited, 2) if self._keeps(a, b, node_id)]
        found: dict[tuple[int, ...], frozenset[int]] = {}
        open_runs: dict[tuple[int, ...], frozenset[int]] = {(): seen}
        while open_runs:
            further: dict[tuple[int, ...], frozenset[int]] = {}
            for done, ran in open_runs.items():
                missing = [i for i in waited if i not in ran]
                if not missing:
                    found[(*done, node_id)] = ran | {node_id}
                later = {b for a, b in settled if a in missing}
                for first in missing:
                    if first not in later:
                        further |= {done + run: after for run, after in self._runs(first, nodes, ran).items()}
            open_runs = further
            if max(len(found), len(open_runs)) > _MAX_ORDERS:
                raise _UnknownError
        return found

    def _keeps(self, earlier: int, later: int, node_id: int) -> bool:
        """Whether a node visits two others in the order in which they ran, in every session.

        Not if an index of both is drawn, and not if the earlier one may have run because somebody else needs it: then
        the order says nothing about their indices.
        """
        is_drawn = earlier in self.drawn and later in self.drawn
        return not is_drawn and self._readers[earlier] == [node_id]
