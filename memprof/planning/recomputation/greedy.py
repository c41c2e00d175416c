"""Fewer bytes at the peak, storage by storage: a copy that lies idle there is made again where it is used next.

    at the peak step   every copy that is alive, not touched, and can be made again is a candidate
    its next use       its node runs again right before it, with the views of it that are still to be read
    what that reads    is there until then if something else still needs it; else it is held on, or made again as well
    order of trial     most bytes freed per MAC, then per byte written again; the first that lowers the peak, or the
                       number of steps at it, is taken

At the end runs that turn out to be of no use are taken back. Complexity: O(runs) per trial.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from memprof.planning.meter import Meter
from memprof.planning.recomputation.problem import Copy, Course, RerunProblem, follow
from memprof.planning.recomputation.schedule import second_runs

_MOST_TRIALS = 24
_LONGEST_CHAIN = 64


@dataclass(frozen=True, slots=True)
class _Trial:
    """A list of nodes that run again before a step, and what that is expected to save and cost."""

    step: int
    nodes: tuple[int, ...]
    freed_bytes: int
    macs: int
    written_bytes: int

    @property
    def rank(self) -> tuple[float, float]:
        """Small is good: work per byte freed."""
        return self.macs / self.freed_bytes, self.written_bytes / self.freed_bytes


def lower_peak(
    problem: RerunProblem, runs: Sequence[int], extra_macs: int, target_bytes: int, meter: Meter
) -> Iterator[list[int]]:
    """Yield better and better lists of runs, until none is found or ``target_bytes`` are reached.

    Args:
        problem: The graph.
        runs: Where to begin.
        extra_macs: MACs that all runs but the first of each node may take.
        target_bytes: A peak that is low enough.
        meter: What the search may spend; raises ``OutOfBudget`` where it ends.
    """
    best = list(runs)
    course = follow(problem, best)
    while course.peak_bytes > target_bytes:
        found = _step(problem, best, course, extra_macs - problem.extra_macs(best), meter)
        if found is None:
            return
        best, course = found
        yield list(best)


def drop_useless(problem: RerunProblem, runs: Sequence[int], most_bytes: int, meter: Meter) -> list[int]:
    """Return ``runs`` without those later runs of a node that ``most_bytes`` can do without."""
    best = list(runs)
    later = second_runs(best)
    for node in sorted(later, key=lambda node: -(problem.macs[node] or 0)):
        meter.spend(len(best))
        last = len(best) - 1 - best[::-1].index(node)
        shorter = best[:last] + best[last + 1 :]
        if follow(problem, shorter).peak_bytes <= most_bytes:
            best = shorter
    return best


def _step(
    problem: RerunProblem, runs: list[int], course: Course, macs_left: int, meter: Meter
) -> tuple[list[int], Course] | None:
    peak = course.peak_bytes
    at_peak = course.step_bytes.count(peak)
    step = course.step_bytes.index(peak)
    meter.spend(2 * len(runs))
    trials = sorted(_trials(problem, runs, course, step), key=lambda trial: trial.rank)
    affordable = [trial for trial in trials if trial.macs <= macs_left]
    for trial in affordable[:_MOST_TRIALS]:
        meter.spend(3 * len(runs))
        longer = [*runs[: trial.step], *trial.nodes, *runs[trial.step :]]
        after = follow(problem, longer)
        if (after.peak_bytes, after.step_bytes.count(after.peak_bytes)) < (peak, at_peak):
            return longer, after
    return None


def _trials(problem: RerunProblem, runs: Sequence[int], course: Course, step: int) -> Iterator[_Trial]:
    counts = Counter(runs)
    makers: dict[int, list[tuple[int, int]]] = {}
    for at, node in enumerate(runs):
        for root in {problem.root[i] for i in problem.writes[node]} if counts[node] == 1 else ():
            makers.setdefault(root, []).append((at, node))
    latest: dict[int, list[Copy]] = {}
    for copy in course.copies:
        latest.setdefault(copy.root, []).append(copy)
    spoiling = {spoiler for spoilers in problem.spoilers for spoiler in spoilers}
    begun = {node: at for at, node in enumerate(runs) if node in spoiling}
    maker = _Maker(problem, runs, counts, makers, latest, begun, step)
    for copy in course.copies:
        if problem.storage_bytes[copy.root] and copy.birth < step and _is_idle(copy, step):
            for is_deep in (False, True):
                trial = maker.trial(copy, is_deep=is_deep)
                if trial is not None:
                    yield trial
                    if not trial.nodes[1:]:
                        break


def _is_idle(copy: Copy, step: int) -> bool:
    """Tell whether a copy lives at ``step`` although nothing touches it there."""
    at = bisect_left(copy.touches, step)
    has_later = at < len(copy.touches)
    return copy.touches[at] != step if has_later else copy.is_kept


@dataclass(frozen=True, slots=True)
class _Maker:
    """Works out which nodes must run again so that a copy need not be held."""

    problem: RerunProblem
    runs: Sequence[int]
    counts: Counter[int]
    makers: dict[int, list[tuple[int, int]]]
    copies: dict[int, list[Copy]]
    begun: dict[int, int]
    step: int

    def trial(self, copy: Copy, *, is_deep: bool) -> _Trial | None:
        """Return what makes ``copy`` again before its next use; deep: also what that reads and nobody else holds."""
        at = bisect_left(copy.touches, self.step)
        use = copy.touches[at] if at < len(copy.touches) else len(self.runs)
        nodes: list[int] = []
        held = self._make(copy.root, use, nodes, is_deep=is_deep)
        if held is None or not nodes or len(set(nodes)) < len(nodes):
            return None
        freed = self.problem.storage_bytes[copy.root] - held
        if freed <= 0:
            return None
        written = {i for node in nodes for i in self.problem.writes[node] if self.problem.root[i] == i}
        return _Trial(
            step=use,
            nodes=tuple(nodes),
            freed_bytes=freed,
            macs=sum(self.problem.macs[node] or 0 for node in nodes),
            written_bytes=sum(self.problem.storage_bytes[i] for i in written),
        )

    def _make(self, root: int, use: int, nodes: list[int], *, is_deep: bool) -> int | None:
        """Add to ``nodes`` what makes a storage again; return the bytes that are held across the peak for it."""
        held = set[int]()
        wanted = [(root, iter(self._parts(root, use)))]
        opened = {root}
        while wanted:
            if len(wanted) + len(nodes) > _LONGEST_CHAIN:
                return None
            current, parts = wanted[-1]
            node = next(parts, None)
            if node is None:
                wanted.pop()
                continue
            if self.counts[node] != 1 or self.problem.macs[node] is None or self._is_spoilt(node, use):
                return None
            deeper = []
            for value in self.problem.reads[node]:
                operand = self.problem.root[value]
                if operand == current or operand in opened:
                    continue
                copy = self._copy_at(operand, use)
                if copy is None:
                    return None
                if copy.is_kept or (copy.touches and copy.touches[-1] >= use):
                    continue
                if is_deep and operand in self.makers:
                    deeper.append(operand)
                    opened.add(operand)
                elif not copy.touches or copy.touches[-1] < self.step:
                    held.add(operand)
            if deeper:
                wanted[-1] = (current, iter([node, *parts]))
                wanted += [(operand, iter(self._parts(operand, use))) for operand in deeper]
            else:
                nodes.append(node)
        return sum(self.problem.storage_bytes[operand] for operand in held)

    def _is_spoilt(self, node: int, use: int) -> bool:
        return any(self.begun.get(spoiler, use) < use for spoiler in self.problem.spoilers[node])

    def _parts(self, root: int, use: int) -> list[int]:
        """Return the node that writes a storage, then those that make its views, as far as they have run by then."""
        return [node for step, node in self.makers.get(root, ()) if step < use]

    def _copy_at(self, root: int, use: int) -> Copy | None:
        return next((copy for copy in reversed(self.copies[root]) if copy.birth < use), None)
