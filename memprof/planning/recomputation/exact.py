"""The best list of runs of a small graph, found by looking at all of them.

    state   which nodes have run once, which twice, which values are there
    move    run a node whose operands are there, then keep or drop each storage that it touched

A copy that is dropped is dropped right after the last run that touches it: earlier is impossible, later never lower.
So what a run touches is all there is to decide about, and only where it may be made again or be of no more use.
A node runs again only when none of its own storages is there: dropping what is left of them first is never worse.

States are taken from a heap by (peak, extra MACs, extra runs), or, under a ceiling, by (extra MACs, extra runs,
peak): the first that has run everything is the best. While the heap goes by peak, what is taken from it is a bound.

Complexity: exponential; the number of states is limited.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import product

from memprof.planning.meter import Meter, OutOfBudget
from memprof.planning.recomputation.problem import RerunProblem

_MOST_STATES = 150_000

_State = tuple[int, int, int]
_Key = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Found:
    """What a search came to.

    Attributes:
        runs: The best list of runs, ``None`` if none was found within the limits.
        lower_bound_bytes: No list of runs within the allowance has a lower peak.
        is_complete: Whether every list of runs has been looked at, or is no better.
    """

    runs: tuple[int, ...] | None
    lower_bound_bytes: int
    is_complete: bool


@dataclass(frozen=True, slots=True)
class Limits:
    """What a list of runs may cost.

    Attributes:
        extra_macs: MACs of all runs but the first of each node.
        peak_bytes: Bytes alive at once.
        is_ceiling: Whether any peak up to that is as good as another, so that the least work wins.
    """

    extra_macs: int
    peak_bytes: int
    is_ceiling: bool = False


def find_best_runs(problem: RerunProblem, limits: Limits, meter: Meter) -> Found:
    """Return the list of runs of the lowest peak, of those the one of the least extra work.

    Args:
        problem: A graph of a few dozen nodes.
        limits: What a list of runs may cost.
        meter: What the search may spend.
    """
    return _Search(problem, limits, meter).result()


class _Search:
    def __init__(self, problem: RerunProblem, limits: Limits, meter: Meter) -> None:
        self._problem = problem
        self._limits = limits
        self._meter = meter
        p = problem
        self._all = (1 << len(p.reads)) - 1
        self._needs = [_mask(reads) for reads in p.reads]
        self._writes = [_mask(writes) for writes in p.writes]
        self._before = [_mask(found) for found in p.waits_for]
        self._spoilers = [_mask(found) for found in p.spoilers]
        self._members: dict[int, int] = {}
        for value, root in enumerate(p.root):
            if root in p.storage_bytes:
                self._members[root] = self._members.get(root, 0) | 1 << value
        self._own = [[i for i in writes if p.root[i] == i and p.storage_bytes[i]] for writes in p.writes]
        self._touched = [
            sorted({p.root[i] for i in (*reads, *writes)}) for reads, writes in zip(p.reads, p.writes, strict=True)
        ]
        self._producer = {i: node for node, writes in enumerate(p.writes) for i in writes}
        self._readers: dict[int, int] = dict.fromkeys(p.storage_bytes, 0)
        for node, touched in enumerate(self._touched):
            for root in touched:
                self._readers[root] |= 1 << node
        self._repeatable = _mask([node for node, macs in enumerate(p.macs) if macs is not None])
        self._wanted = _mask(p.outputs)
        self._unread_bytes = sum(p.storage_bytes[p.root[i]] for i in p.inputs if self._is_unread(i))
        self._silent = [
            node for node in range(len(p.reads)) if not (p.reads[node] or p.writes[node] or p.scratch_bytes[node])
        ]

    def result(self) -> Found:
        """Search, and return what was found."""
        start, silent = self._start()
        level = sum(self._problem.storage_bytes[self._problem.root[i]] for i in self._problem.inputs)
        heap: list[tuple[_Key, int]] = [(self._key(level, 0, 0), 0)]
        states, origin = [start], [(-1, silent)]
        closed: dict[_State, tuple[int, int]] = {}
        reached: dict[_State, list[tuple[int, tuple[int, int]]]] = {}
        try:
            while heap:
                key, label = heappop(heap)
                peak, macs, runs = self._read(key)
                state = states[label]
                if state in closed and closed[state] <= (macs, runs):
                    continue
                closed[state] = (macs, runs)
                level = level if self._limits.is_ceiling else max(level, peak)
                if state[0] == self._all and not self._wanted & ~state[2]:
                    return Found(self._trace(origin, label), level, True)
                for node, step_bytes, extra, following in self._moves(state, macs):
                    self._meter.spend(4)
                    highest = max(peak, step_bytes)
                    work = (macs + (extra or 0), runs + (extra is not None))
                    if highest > self._limits.peak_bytes or self._is_beaten(reached, following, highest, work):
                        continue
                    if len(states) >= _MOST_STATES:
                        return Found(None, level, False)
                    steps = [node]
                    states.append(self._run_silent(following, steps))
                    origin.append((label, tuple(steps)))
                    heappush(heap, (self._key(highest, *work), len(states) - 1))
        except OutOfBudget:
            return Found(None, level, False)
        return Found(None, self._limits.peak_bytes + 1, True)

    def _is_beaten(
        self,
        reached: dict[_State, list[tuple[int, tuple[int, int]]]],
        state: _State,
        peak: int,
        work: tuple[int, int],
    ) -> bool:
        """Tell whether the state was reached with no more bytes and no more work; if not, note that it is now."""
        peak = 0 if self._limits.is_ceiling else peak
        found = reached.setdefault(state, [])
        if any(other <= peak and spent <= work for other, spent in found):
            return True
        found.append((peak, work))
        return False

    def _key(self, peak: int, macs: int, runs: int) -> _Key:
        return (macs, runs, peak) if self._limits.is_ceiling else (peak, macs, runs)

    def _read(self, key: _Key) -> tuple[int, int, int]:
        """Return peak, extra MACs and extra runs."""
        return (key[2], key[0], key[1]) if self._limits.is_ceiling else key

    def _start(self) -> tuple[_State, tuple[int, ...]]:
        steps: list[int] = []
        there = _mask([i for i in self._problem.inputs if not self._is_unread(i)])
        state = self._run_silent((0, 0, there), steps)
        return state, tuple(steps)

    def _is_unread(self, value: int) -> bool:
        """Tell whether a graph input is there at the first run alone."""
        root = self._problem.root[value]
        return not self._readers[root] and not self._members[root] & self._wanted

    def _run_silent(self, state: _State, steps: list[int]) -> _State:
        """Run at once what neither touches nor needs a byte: it changes nothing, wherever it runs."""
        once, twice, there = state
        is_changed = bool(self._silent)
        while is_changed:
            is_changed = False
            for node in self._silent:
                if not once >> node & 1 and not self._before[node] & ~once:
                    once |= 1 << node
                    steps.append(node)
                    is_changed = True
        return once, twice, there

    def _moves(self, state: _State, macs: int) -> Iterator[tuple[int, int, int | None, _State]]:
        """Yield the node, the bytes at its run, the MACs if it is not its first one, and the state after it."""
        once, twice, there = state
        resident = {root for root, members in self._members.items() if there & members}
        alive = sum(self._problem.storage_bytes[root] for root in resident)
        for node, needs in enumerate(self._needs):
            if needs & ~there or self._before[node] & ~once:
                continue
            bit = 1 << node
            extra: int | None = None
            if once & bit:
                extra = self._problem.macs[node]
                if (
                    extra is None
                    or twice & bit
                    or once & self._spoilers[node]
                    or macs + extra > self._limits.extra_macs
                ):
                    continue
                if not self._writes[node] & ~there or any(root in resident for root in self._own[node]):
                    continue
            if self._bases_missing(node, there):
                continue
            born = sum(self._problem.storage_bytes[i] for i in self._own[node])
            step_bytes = alive + born + self._problem.scratch_bytes[node]
            if not once:
                step_bytes += self._unread_bytes
            after = (once | bit, twice | (bit if extra is not None else 0), there | self._writes[node])
            for following in self._endings(node, after):
                yield node, step_bytes, extra, following

    def _bases_missing(self, node: int, there: int) -> bool:
        base = self._problem.base
        return any(base[i] != i and not there >> base[i] & 1 for i in self._problem.writes[node])

    def _endings(self, node: int, state: _State) -> Iterator[_State]:
        """Yield ``state`` with each touched storage kept or dropped, wherever either can be of use."""
        once, twice, there = state
        choices: list[Sequence[int]] = []
        for root in self._touched[node]:
            members = self._members[root]
            readers = self._readers[root]
            is_needed = bool(readers & ~once) or bool(members & self._wanted)
            producer = self._producer.get(root, -1)
            can_return = producer >= 0 and bool(self._repeatable & ~twice & once & 1 << producer)
            may_serve = bool(readers & self._repeatable & ~twice)
            if not self._problem.storage_bytes[root]:
                choices.append((0,))
            elif is_needed:
                choices.append((0, members) if can_return else (0,))
            else:
                choices.append((members, 0) if may_serve else (members,))
        for dropped in product(*choices):
            left = there
            for members in dropped:
                left &= ~members
            yield once, twice, left

    def _trace(self, origin: Sequence[tuple[int, tuple[int, ...]]], label: int) -> tuple[int, ...]:
        parts: list[tuple[int, ...]] = []
        while label >= 0:
            label, steps = origin[label]
            parts.append(steps)
        return tuple(node for steps in reversed(parts) for node in steps)


def _mask(ids: Sequence[int]) -> int:
    mask = 0
    for i in ids:
        mask |= 1 << i
    return mask
