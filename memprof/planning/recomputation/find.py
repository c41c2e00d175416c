"""Chooses which operations run twice: greedy from several orders, exactly where the graph is small.

What is looked for counts as ``reference`` does. For other rules the lists found on the way are scored under them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from memprof.analysis import Lifetimes
from memprof.ir import Graph
from memprof.planning.meter import Meter, OutOfBudget
from memprof.planning.ordering.find import find_order
from memprof.planning.ordering.kinds import reference_problem
from memprof.planning.recomputation.exact import Limits, find_best_runs
from memprof.planning.recomputation.greedy import drop_useless, lower_peak
from memprof.planning.recomputation.problem import RerunProblem, floor_bytes, follow, pose_rerun
from memprof.planning.recomputation.schedule import unroll
from memprof.planning.recomputation.segments import segment_runs

_EXACT_NODES = 40
_MOST_SCORED = 40
_ROUNDS = 3
_MOST_BEGINS = 4

PROOF = "every list of runs, each operation at most twice"


@dataclass(frozen=True, slots=True)
class Scoring:
    """Other rules than those of ``reference``.

    Attributes:
        rule: The lifetimes of a list of runs.
        floor_bytes: No list of runs needs less under it.
        proof: What that rests on.
    """

    rule: Callable[[Sequence[int]], Lifetimes]
    floor_bytes: int
    proof: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is asked for.

    Attributes:
        extra_macs: MACs that all runs but the first of each operation may take.
        target_bytes: A peak that is low enough, so that the least work counts from there on; 0 for the lowest.
        alignment: Sizes are rounded up to a multiple of it.
    """

    extra_macs: int
    target_bytes: int = 0
    alignment: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Runs:
    """What was found.

    Attributes:
        runs: Ids of nodes in running order; one that is there twice runs twice.
        peak_bytes: Peak of these runs, under the rules that they were scored by.
        lower_bound_bytes: No list of runs within the allowance needs less.
        proof: What the bound rests on.
        extra_macs: What its second runs take.
        is_least_work: Whether no list of runs does with less work, proven.
        was_interrupted: Whether Ctrl-C ended the search.
    """

    runs: tuple[int, ...]
    peak_bytes: int
    lower_bound_bytes: int
    proof: str
    extra_macs: int
    is_least_work: bool = False
    was_interrupted: bool = False


def find_runs(
    graph: Graph, orders: Sequence[Sequence[int]], wish: Wish, scoring: Scoring | None, meter: Meter
) -> Runs:
    """Return the list of runs with the lowest peak that is found.

    Args:
        graph: A graph whose sizes are known.
        orders: Orders to begin from, the best one first; its peak is never exceeded.
        wish: What is asked for.
        scoring: What counts if not ``reference``.
        meter: What the search may spend.
    """
    problem = pose_rerun(graph, wish.alignment)
    found = _Finder(graph, problem, wish, meter)
    is_complete = found.search(orders, is_exact=scoring is None)
    if scoring is None:
        peak_bytes = found.best_bytes
        return Runs(
            runs=tuple(found.best),
            peak_bytes=peak_bytes,
            lower_bound_bytes=min(found.bound_bytes, peak_bytes),
            proof=PROOF if found.bound_bytes > floor_bytes(problem) else "bytes of one step",
            extra_macs=problem.extra_macs(found.best),
            is_least_work=is_complete,
            was_interrupted=found.was_interrupted,
        )
    return _scored(found, scoring, meter)


def _scored(found: _Finder, scoring: Scoring, meter: Meter) -> Runs:
    """Return the best list found, under other rules: as many of them as there is time to score."""
    lists, rule = found.passed, scoring.rule
    stride = max(1, len(lists) // _MOST_SCORED)
    best, peak_bytes = lists[0], rule(lists[0]).timeline.peak_bytes
    try:
        for runs in lists[-1:0:-stride]:
            meter.spend(10 * len(runs))
            scored = rule(runs).timeline.peak_bytes
            if scored < peak_bytes:
                best, peak_bytes = runs, scored
    except OutOfBudget:
        pass
    except KeyboardInterrupt:
        meter.end()
    return Runs(
        runs=tuple(best),
        peak_bytes=peak_bytes,
        lower_bound_bytes=min(scoring.floor_bytes, peak_bytes),
        proof=scoring.proof,
        extra_macs=found.problem.extra_macs(best),
        was_interrupted=found.was_interrupted,
    )


class _Finder:
    def __init__(self, graph: Graph, problem: RerunProblem, wish: Wish, meter: Meter) -> None:
        self.graph = graph
        self.problem = problem
        self._wish = wish
        self._meter = meter
        self.best: list[int] = []
        self.best_bytes = 0
        self.passed: list[list[int]] = []  # every list that was the best once
        self.was_interrupted = False
        self.bound_bytes = floor_bytes(problem)
        self._enough_bytes = max(wish.target_bytes, self.bound_bytes)

    def search(self, orders: Sequence[Sequence[int]], *, is_exact: bool) -> bool:
        """Look for better lists; return whether all have been looked at."""
        for order in orders:
            self._take(list(order))
        is_complete = False
        try:
            for order in self._begins(orders):
                self._improve(order, self._meter.part(0.4))
            if not self.problem.extra_macs(self.best) and self.best_bytes <= self._enough_bytes:
                is_complete = True  # no list is lower, and none takes less work
            elif is_exact and len(self.graph.nodes) <= _EXACT_NODES:
                is_complete = self._search_all()
        except OutOfBudget:
            pass
        except KeyboardInterrupt:
            self.was_interrupted = True
            self._meter.end()
        self._meter.settle()
        return is_complete

    def _begins(self, orders: Sequence[Sequence[int]]) -> list[list[int]]:
        """Return where to begin: the orders, and the best lists that drop many storages at once."""
        begins = [list(order) for order in orders]
        meter = self._meter.part(0.2)
        found: list[tuple[int, list[int]]] = []
        try:
            for order in begins:
                for runs in segment_runs(self.problem, order, self._wish.extra_macs, meter):
                    self._take(runs)
                    found.append((self._peak(runs), runs))
        except OutOfBudget:
            pass
        meter.settle()
        found.sort(key=lambda pair: pair[0])
        return begins + [runs for _, runs in found[:_MOST_BEGINS]]

    def _improve(self, order: list[int], meter: Meter) -> None:
        """Lower the peak of ``order``, look for a better order of the runs that came of it, and again."""
        runs = order
        try:
            for _ in range(_ROUNDS):
                before = runs
                for lower in lower_peak(self.problem, before, self._wish.extra_macs, self._enough_bytes, meter):
                    self._take(lower)
                    runs = lower
                runs = drop_useless(self.problem, runs, self._enough(runs), meter)
                self._take(runs)
                if runs == before:
                    break
                runs = self._reordered(runs, meter)
                self._take(runs)
        except OutOfBudget:
            pass
        meter.settle()

    def _reordered(self, runs: list[int], meter: Meter) -> list[int]:
        """Return the same runs in a better order, if there is one."""
        found = find_order(reference_problem(unroll(self.graph, runs)), meter.part(0.5))
        better = [runs[i] for i in found.order]
        is_lower = follow(self.problem, better).peak_bytes < follow(self.problem, runs).peak_bytes
        return better if is_lower and not self.problem.is_spoilt(better) else runs

    def _enough(self, runs: Sequence[int]) -> int:
        return max(self._enough_bytes, self._peak(runs))

    def _search_all(self) -> bool:
        limits = Limits(self._wish.extra_macs, max(self._wish.target_bytes, self.best_bytes))
        if self._wish.target_bytes and self.best_bytes <= self._wish.target_bytes:
            limits = Limits(self._wish.extra_macs, self._wish.target_bytes, is_ceiling=True)
        found = find_best_runs(self.problem, limits, self._meter)
        if found.runs is not None:
            self._take(list(found.runs))
        if not limits.is_ceiling:
            self.bound_bytes = max(self.bound_bytes, found.lower_bound_bytes)
        return found.is_complete

    def _take(self, runs: list[int]) -> None:
        if self.passed and runs == self.best:
            return
        peak_bytes = self._peak(runs)
        if not self.passed or self._key(runs, peak_bytes) < self._key(self.best, self.best_bytes):
            self.best, self.best_bytes = list(runs), peak_bytes
            self.passed.append(self.best)

    def _key(self, runs: Sequence[int], peak_bytes: int) -> tuple[int, int, int]:
        return max(self._wish.target_bytes, peak_bytes), self.problem.extra_macs(runs), len(runs)

    def _peak(self, runs: Sequence[int]) -> int:
        return follow(self.problem, runs).peak_bytes
