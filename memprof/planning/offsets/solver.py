"""Brings an arena and its lower bound together: greedy plans, then search, until they meet or time is up.

    1  the portfolio of greedies; the load bound; most networks end here, in milliseconds
    2  of many buffers, first fit in orders that learn, and repairs where the plan is too high; of a few thousand with
       many alive, 3 for a while before that: training steps of real networks are easy for it
    3  search for a plan at the bound: rounds of growing limits, in each one attempt per ranking
         found      the plan is optimal, proven
         exhausted  nothing fits the bound: it rises to the next multiple of the greatest common divisor of the sizes
    4  in between, capacities between the bound and the best plan
         found      a better plan        exhausted  a better bound

Weights learnt in one attempt rank buffers in the next. Limits count placements, never seconds: the same problem gives
the same plan unless time runs out. All work is told to a meter,
which ends it by ``OutOfBudget``. Every plan passes the validator before anyone sees it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np

from memprof.planning.meter import Meter, OutOfBudget, meter_of
from memprof.planning.offsets.columns import columns_of
from memprof.planning.offsets.engine import (
    PLAIN,
    Engine,
    compiled_engine,
    has_compiler,
    is_compiled_before,
)
from memprof.planning.offsets.first_fits import FirstFits
from memprof.planning.offsets.greedy import STRATEGIES, place_all
from memprof.planning.offsets.in_time import place_largest_in_time
from memprof.planning.offsets.kernel import EXHAUSTED, FOUND, FULL, RUNNING
from memprof.planning.offsets.layout import lay_out
from memprof.planning.offsets.problem import AllocationProblem, MemoryPlan
from memprof.planning.offsets.repair import Repairs
from memprof.planning.offsets.tree import LEARNT_RANKINGS, RANKINGS, Tree
from memprof.planning.validator import check_plan

_MOST_OVERLAPS = 30_000_000
_COMPILED_SPEED = 5  # at least, over plain Python's, of what every search begins with
_PLAIN_SECONDS = 2.0  # before a compiled search is worth its start
_COMPILE_SECONDS = 20.0  # time that must be left to compile for the first time
_GROWTH = 3  # of the limit, from round to round
_BOUND_SHARE = 2  # effort at the bound, over effort at capacities above it; the other way round for many buffers
_MANY = 1000
_SEARCHED_WHOLE = 3000  # buffers that a search of the whole is worth a try for
_FIRST_SEARCH_SHARE = 0.2  # of the time, where hundreds are alive: some are easy for it and hard for first fit
_FIRST_FIT_SHARE = 0.1  # of the time, where repairs follow
_CROWDED, _CROWDED_SHARE = 100, 0.8  # with so many alive at once, a crowd is large for a search
_SLOW_SHARE = 0.5  # of the time, for repairs of what is there, where a turn of first fit would be slow
_FEW_TURNS = 8  # with time for no more than that, repairs would be slower still
_FASTEST = "time, best fit"
_FASTEST_BUFFERS = 40_000  # that are placed so in a tenth of a second, which they get in any case
_LARGEST_FASTEST = "time, largest by best fit"
_FAR = 1.1  # over the bound: then it is worth the time to place all so
_JUDGED_OVER_READ = 5  # with those placed before
_GREEDY_FREELY = 10_000
_GREEDY_STEPS = 200_000  # that greedies get in any case, of so few buffers
_ITEMS_PER_STEP = 20  # copied, or waiting at a node
_SHORTEST_STRIDE, _LONGEST_STRIDE = 1 / 64, 1 / 2  # from the best plan towards the bound, of the gap


@dataclass(frozen=True, slots=True, kw_only=True)
class OffsetProgress:
    """How far a search is.

    Attributes:
        arena_bytes: The best arena so far.
        lower_bound_bytes: What is proven so far.
        seconds: Wall time since the start.
    """

    arena_bytes: int
    lower_bound_bytes: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class OffsetDecision:
    """Whether the buffers fit a capacity.

    Attributes:
        answer: Yes (``plan`` does), no (proven: its lower bound is over the capacity), or ``None``: unknown.
        capacity_bytes: The capacity.
        plan: The best plan found, and the bound.
    """

    answer: bool | None
    capacity_bytes: int
    plan: MemoryPlan


Report = Callable[[OffsetProgress], None]


def plan_offsets(
    problem: AllocationProblem,
    seconds: float | Meter = 10.0,
    report: Report | None = None,
    engine: Engine | None = None,
) -> MemoryPlan:
    """Return the plan with the smallest arena that is found within ``seconds``, and what is proven about it.

    Ctrl-C ends the search early and keeps the best so far.

    Args:
        problem: The buffers.
        seconds: Time to spend, or a meter that runs already; less if the answer is proven earlier. 0 keeps to the
            greedies, and of many buffers to the fastest of them.
        report: Called now and then while searching.
        engine: How to run the search; by default plain, and compiled if that is there and the search is long.
    """
    return _Run(problem, None, seconds, report, engine).plan()


def decide_capacity(
    problem: AllocationProblem,
    capacity_bytes: int,
    seconds: float | Meter = 10.0,
    report: Report | None = None,
    engine: Engine | None = None,
) -> OffsetDecision:
    """Return whether the buffers fit ``capacity_bytes``: yes with a plan, no with a proof, or unknown.

    Other arguments are those of ``plan_offsets``.
    """
    plan = _Run(problem, capacity_bytes, seconds, report, engine).plan()
    answer = (
        True if plan.arena_bytes <= capacity_bytes else False if plan.lower_bound_bytes > capacity_bytes else None
    )
    return OffsetDecision(answer=answer, capacity_bytes=capacity_bytes, plan=plan)


class _Run:
    """One question: keeps the best plan and bound so far, whatever interrupts it."""

    def __init__(
        self,
        problem: AllocationProblem,
        capacity_bytes: int | None,
        seconds: float | Meter,
        report: Report | None,
        engine: Engine | None,
    ) -> None:
        self._meter = meter_of(seconds)
        begun = self._meter.seconds
        self._problem = problem
        self._columns = columns_of(problem)
        self._capacity_bytes = capacity_bytes
        self._report = report
        self._engine = engine
        self._lower_bytes = problem.load_bytes
        self._proof = "load"
        # Always a plan: one on top of the other.
        self._best = (np.cumsum(self._columns.size) - self._columns.size).tolist()
        self._best_bytes = int(self._columns.size.sum())
        self._strategy = "stack"
        self._stride = _LONGEST_STRIDE
        # The last resort and the judge come after the deadline, and take longer than reading the problem did.
        self._meter.reserve(_JUDGED_OVER_READ * (self._meter.seconds - begun))

    def plan(self) -> MemoryPlan:
        """Search, and return what was found, validated."""
        try:
            self._run_greedies()
            if not self._is_settled() and self._columns.count > _MANY:
                self._work_on_many()
            if not self._is_settled():
                self._search()
        except OutOfBudget:
            pass
        except KeyboardInterrupt:
            self._meter.end()
        return self._judged()

    def offsets_within(self, height_bytes: int) -> list[int] | None:
        """Search, and return offsets within a height, ``None`` if none were found. Ctrl-C is the caller's."""
        with suppress(OutOfBudget):
            self._run_greedies()
            if not self._is_settled():
                self._search()
        plan = self._judged()
        return list(plan.offsets) if plan.arena_bytes <= height_bytes else None

    def _judged(self) -> MemoryPlan:
        self._meter.settle()
        offsets = [0] * len(self._problem.buffers)
        for i, offset in zip(self._columns.ids.tolist(), self._best, strict=True):
            offsets[i] = offset
        return check_plan(
            MemoryPlan(
                problem=self._problem,
                offsets=tuple(offsets),
                lower_bound_bytes=self._lower_bytes,
                proof=self._proof,
                strategy=self._strategy,
                seconds=self._meter.seconds,
            )
        )

    def _run_greedies(self) -> None:
        """Try the portfolio, cheapest first. Some steps are free: few buffers get all of it even without time."""
        if self._columns.count > _GREEDY_FREELY:
            self._run_fastest()
            return
        free = Meter(effort=_GREEDY_STEPS)
        try:
            for name in STRATEGIES:
                if self._best_bytes <= self._enough_bytes:
                    break
                try:
                    self._offer(place_all(self._columns, name, free), name)
                except OutOfBudget:
                    if self._columns.count > _MANY:
                        break  # there is better for them
                    self._offer(place_all(self._columns, name, self._meter), name)
        finally:
            self._meter.charge(free.spent)

    def _run_fastest(self) -> None:
        """Plan in the order of birth: of very many the largest at first, and all if that is far from the bound."""
        free = Meter()
        try:
            is_all = self._columns.count <= _FASTEST_BUFFERS
            offsets = place_largest_in_time(self._columns, _FASTEST_BUFFERS, free)
            self._offer(offsets.tolist(), _FASTEST if is_all else _LARGEST_FASTEST)
        finally:
            self._meter.charge(free.spent)
        if not is_all and self._best_bytes > _FAR * self._enough_bytes:
            self._offer(place_all(self._columns, _FASTEST, self._meter), _FASTEST)

    def _work_on_many(self) -> None:
        """First fit in many orders, then repairs, then what is left of the time for either; a first search before."""
        if self._meter.has_ended:
            return
        if self._columns.count <= _SEARCHED_WHOLE and self._columns.mean_alive >= _CROWDED:
            self._search_for_a_while()
            if self._is_settled():
                return
        fits = FirstFits(self._columns, self._enough_bytes, self._offer, self._meter, self._engine)
        if fits.is_slow and self._columns.mean_alive < _CROWDED:
            part = self._meter.part(_SLOW_SHARE)
            with suppress(OutOfBudget):
                self._repair(part)
            part.settle()
            if self._is_settled():
                return
        before = self._meter.spent, self._meter.seconds
        is_open = fits.turn(self._meter)
        steps, seconds = self._meter.spent - before[0], self._meter.seconds - before[1]
        if _FEW_TURNS * steps < self._meter.steps_left and _FEW_TURNS * seconds < self._meter.seconds_left:
            alive = self._columns.mean_alive
            part = self._meter.part(_FIRST_FIT_SHARE if alive < _CROWDED else _CROWDED_SHARE)
            with suppress(OutOfBudget):
                while is_open:
                    is_open = fits.turn(part)
                    self._tell()
            part.settle()
            if is_open and not self._is_settled():
                self._repair(self._meter)
            is_open = self._columns.count > _SEARCHED_WHOLE
        while is_open and not self._is_settled():
            is_open = fits.turn(self._meter)
            self._tell()

    def _search_for_a_while(self) -> None:
        """Search the whole with a part of the time."""
        whole, self._meter = self._meter, self._meter.part(_FIRST_SEARCH_SHARE)
        try:
            with suppress(OutOfBudget):
                self._search()
        finally:
            self._meter.settle()
            self._meter = whole

    @property
    def _enough_bytes(self) -> int:
        return max(self._lower_bytes, self._capacity_bytes or 0)

    def _repair(self, meter: Meter) -> None:
        """Lower the best plan where it is too high."""
        repairs = Repairs(
            self._columns,
            self._best,
            bound_bytes=self._enough_bytes,
            granule_bytes=self._problem.granule_bytes,
            solve=self._solve_crowd,
            offer=lambda offsets: self._offer(offsets, "repair"),
            meter=meter,
        )
        repairs.run()

    def _solve_crowd(self, crowd: Sequence[int], height_bytes: int, meter: Meter) -> list[int] | None:
        self._tell()
        ids = self._columns.ids[list(crowd)].tolist()
        part = replace(self._problem, buffers=tuple(self._problem.buffers[i] for i in ids))
        return _Run(part, height_bytes, meter, None, self._engine).offsets_within(height_bytes)

    def _offer(self, offsets: list[int], strategy: str) -> None:
        arena_bytes = int((np.array(offsets, dtype=np.int64) + self._columns.size).max(initial=0))
        if arena_bytes < self._best_bytes:
            self._best, self._best_bytes, self._strategy = offsets, arena_bytes, strategy
            self._tell()

    def _raise_bound(self, lower_bytes: int) -> None:
        if lower_bytes > self._lower_bytes:
            self._lower_bytes, self._proof = min(lower_bytes, self._best_bytes), "exhaustive search"
            self._tell()

    def _search(self) -> None:
        most_overlaps = _MOST_OVERLAPS if has_compiler() else _MOST_OVERLAPS // _COMPILED_SPEED
        layout = lay_out(self._columns, self._problem.granule_bytes, most_overlaps, self._meter)
        if layout is None:
            return
        self._meter.spend((len(layout.near) + len(layout.member)) // _ITEMS_PER_STEP)
        tree = Tree(layout, self._engine or PLAIN)
        n = layout.count
        share = _BOUND_SHARE if n <= _MANY else 1 / _BOUND_SHARE
        bound_effort = n if n > _MANY else 0  # of many buffers, the bound's turn comes second
        approach_effort = 0
        limit, approach_limit = 2 * n, n + n // 4
        is_worth_it = True
        while is_worth_it and not self._is_settled():
            self._meter.spend()
            tree = self._faster(tree)
            before = tree.placements
            if self._capacity_bytes is not None or bound_effort <= share * approach_effort:
                target = self._lower_bytes if self._capacity_bytes is None else self._capacity_bytes
                is_worth_it = self._try(tree, target, limit, RANKINGS)
                limit *= _GROWTH
                bound_effort += tree.placements - before
            else:
                is_worth_it = self._approach(tree, approach_limit)
                approach_effort += tree.placements - before
                if self._stride < _SHORTEST_STRIDE:
                    self._stride = _LONGEST_STRIDE
                    approach_limit *= _GROWTH

    def _faster(self, tree: Tree) -> Tree:
        """Return the tree on compiled code, once that is worth its start."""
        patience = _PLAIN_SECONDS if tree.layout.count <= _MANY else 0.0
        if self._engine is not None or tree.engine is not PLAIN or self._meter.seconds < patience:
            return tree
        if not has_compiler():
            return tree
        engine = compiled_engine()
        if not is_compiled_before(engine.advance) and self._meter.seconds_left < _COMPILE_SECONDS:
            return tree
        return Tree(tree.layout, engine, tree.weights())

    def _approach(self, tree: Tree, limit: int) -> bool:
        """Try a capacity between the bound and the best plan; return whether to go on.

        A plan found doubles the next stride towards the bound; a failure halves it.
        """
        granule = self._problem.granule_bytes
        gap = self._best_bytes - self._lower_bytes
        # At least one granule below the best plan, at least the bound.
        target = min(self._lower_bytes + int(gap * (1 - self._stride)), self._best_bytes - granule)
        before = self._best_bytes
        is_worth_it = self._try(tree, max(target, self._lower_bytes), limit, LEARNT_RANKINGS)
        is_better = self._best_bytes < before
        self._stride = min(self._stride * 2, _LONGEST_STRIDE) if is_better else self._stride / 2
        return is_worth_it

    def _try(self, tree: Tree, capacity_bytes: int, limit: int, rankings: Iterable[tuple[int, int]]) -> bool:
        """Try each of ``rankings`` at one capacity; return whether it is worth going on."""
        for ranking in rankings:
            self._tell()
            state = tree.begin(capacity_bytes, ranking)
            left = limit
            while state == RUNNING and left > 0:
                step_count = 1 + tree.layout.count // _ITEMS_PER_STEP
                state, tried = tree.advance(min(left, 1 + self._meter.steps_left // step_count))
                left -= tried
                self._meter.spend(tried * step_count)
            if state == FOUND:
                self._offer(tree.offsets(), "search")
                return True
            if state == EXHAUSTED:
                self._raise_bound(capacity_bytes + self._problem.granule_bytes)
                return True
            if state == FULL:
                return False
        return True

    def _is_settled(self) -> bool:
        if self._best_bytes <= self._lower_bytes:
            return True
        capacity_bytes = self._capacity_bytes
        if capacity_bytes is None:
            return False
        return self._best_bytes <= capacity_bytes or self._lower_bytes > capacity_bytes

    def _tell(self) -> None:
        if self._report is not None:
            progress = OffsetProgress(
                arena_bytes=self._best_bytes,
                lower_bound_bytes=self._lower_bytes,
                seconds=self._meter.seconds,
            )
            self._report(progress)
