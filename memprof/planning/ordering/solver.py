"""Brings a piece's peak and its lower bound together, cheapest means first, until they meet or time is up.

    the piece falls apart at operations that every order must pass; a task is such a part that leaves a choice
    always work on the task with the highest peak; the others need no more than to stay below it
        1  a minimum cut at the peak of the given order        often proves it optimal at once
        2  branches become runs of segments, twins take turns: what is left is a smaller piece, solved in its place
        3  cheap orders, and the cut again at the best one's peak: where it is lower, the state that it found runs
           first, then that operation, then the rest, as long as that helps
        4  series-parallel once each value is charged to one of its readers: a good order, and a bound
        5  fall apart at the lightest state, and at the operations that must be passed then
        6  exact search from both ends in turns with growing budgets, beams of growing width between
           (beyond some thousand operations only in windows around the peak, which improves the order, not the bound)
        7  where that takes longer, what all orders below a level have in common (``forced``): a bound where there are
           none, and beams and searches among fewer orders where there may be some
    a bound on one task is a bound on the whole; a task whose peak is at the bound is done

What an interrupt may find half done is replaced in one assignment, so that there is a valid order at any time.
Turns count states, never seconds: the same input gives the same answer unless time runs out. All work is told to a
meter, which ends it from wherever it is by ``OutOfBudget``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from heapq import heapify, heappop, heappush
from itertools import count, pairwise
from math import ceil
from typing import Literal

from memprof.planning.meter import Meter, OutOfBudget
from memprof.planning.ordering.beam import beam_order
from memprof.planning.ordering.bounds import lightest_state, operation_bound, trivial_bound
from memprof.planning.ordering.candidates import BACKWARD_CANDIDATES, CANDIDATES
from memprof.planning.ordering.forced import Precedences
from memprof.planning.ordering.piece import Piece, must_pass_cuts, windows
from memprof.planning.ordering.rewrite import Rewrite
from memprof.planning.ordering.search import Search
from memprof.planning.ordering.series_parallel import contract, relax
from memprof.planning.ordering.sides import Side, forced_sides, from_end, sides_of, state_bytes
from memprof.planning.ordering.twins import order_twins

Proof = Literal["bytes of one step", "minimum cut", "series-parallel", "forced precedences", "exhaustive search"]
"""What the lower bound rests on."""

_FLOWS_PER_ORDER = 3  # the highest step needs no more than a few cuts to be proven
_FLOWS_PER_ROUND = {0: 20, 2: 100, 4: 10_000}  # others lift the level at which the search works
_SCANNED_ANYWAY_OPS = 10_000
_SEARCHABLE_OPS = 6000  # masks take n^2 / 8 bytes, several times
_WINDOW_OPS = (1000, 2000, 4000)
_WINDOW_TURNS = 5
_RELAXATIONS = 5
_FIRST_BUDGET, _DOUBLINGS = 500, 5  # states per round of the search: 500 to 16,000, a third of a second
_LAGGARD_SHARE = 4  # a search that has proven less than the other gets this part of its budget
_BEAM_WIDTHS = {2: 10, 5: 100, 12: 1000}  # after which round of the search
_LAST_BEAM_WIDTHS = (3_000, 10_000)  # once the search is out of memory
_STATE_MEMORY_BYTES = 600_000_000
_FORCING_STEPS = 40  # per square of operations: what it takes, about, to find what orders have in common
_FORCED_SHARE = 0.5  # of what is left goes to that at most
_FORCED_FINENESS = 500  # parts of the peak to which a bound is worked out
_FORCED_SPARED = 0.5  # of what is between bound and ceiling is not halved once a level has been searched,
_FEW_LEVELS = 3  # nor are so few levels
_FORCED_BEAM_WIDTHS = (10, 100)
_NEVER = 2**62


class Task:
    """A part of the piece that leaves a choice: steps ``[start, start + len(order))`` of the whole."""

    def __init__(self, start: int, piece: Piece) -> None:
        self.start = start
        self.piece = piece
        self.order = list(range(len(piece.ops)))
        self.peak_bytes = piece.peak_bytes(self.order)
        self.bounded: set[int] = set()  # operations whose minimum cut is known
        self.work: Iterator[None] = iter(())

    def offer(self, order: Sequence[int]) -> bool:
        """Take ``order`` if it is better; return whether it is."""
        peak_bytes = self.piece.peak_bytes(order)
        if peak_bytes >= self.peak_bytes:
            return False
        self.order, self.peak_bytes = list(order), peak_bytes
        return True


class Solver:
    """Looks for the best order of ``piece``, whose numbering is the given order.

    Args:
        piece: The problem.
        target_bytes: A peak that is good enough: then no better one is looked for, nor a bound above it.
        meter: Told of all work; where it runs out, ``run`` raises.
        report: Called with itself after each piece of work.
        turns: Rounds of the search in one task.
    """

    def __init__(
        self,
        piece: Piece,
        target_bytes: int | None,
        meter: Meter,
        report: Callable[[Solver], None],
        turns: int = 10_000,
    ) -> None:
        self.lower_bytes = max(piece.start_bytes, piece.end_bytes)
        self.proof: Proof = "bytes of one step"
        self._target_bytes = target_bytes
        self._meter = meter
        self._report = report
        self._turns = turns
        self._piece = piece
        self._fixed_bytes = max(piece.start_bytes, piece.end_bytes)  # the peak outside all tasks
        self._plan: tuple[list[int], list[Task]] = (list(range(len(piece.ops))), [])
        self._open: list[tuple[int, int, Task]] = []  # heap, highest peak first

    @property
    def peak_bytes(self) -> int:
        """The peak of ``order()``, once ``run`` has begun."""
        return max([self._fixed_bytes, *(task.peak_bytes for task in self._plan[1])])

    def order(self) -> list[int]:
        """Return the best order so far, as numbers of the piece's operations."""
        base, tasks = self._plan
        result = list(base)
        for task in tasks:
            stop = task.start + len(task.order)
            result[task.start : stop] = [base[task.start + op] for op in task.order]
        return result

    def run(self) -> None:
        """Work until the peak is good enough or proven, or nothing is left to try.

        Raises:
            OutOfBudget: The meter ran out; order and bound so far hold.
        """
        for _ in self.work():
            self._report(self)

    def work(self) -> Iterator[None]:
        """Do what ``run`` does, and pause after each piece of work."""
        # A small piece is scanned even without time: its bound is worth those milliseconds.
        meter = self._meter if len(self._piece.ops) > _SCANNED_ANYWAY_OPS else Meter()
        tasks = self._split(0, self._piece, meter)
        self._plan = (self._plan[0], tasks)
        self._open = [(-task.peak_bytes, task.start, task) for task in tasks]
        heapify(self._open)
        while self._open and not self._is_settled(-self._open[0][0]):
            self._meter.spend()
            _, _, task = heappop(self._open)
            if next(task.work, self) is None:
                heappush(self._open, (-task.peak_bytes, task.start, task))
            yield

    def _is_settled(self, peak_bytes: int) -> bool:
        """Whether a task with this peak needs no more work."""
        if self._target_bytes is None:
            return peak_bytes <= self.lower_bytes
        return peak_bytes <= self._target_bytes or self.lower_bytes > self._target_bytes

    def _raise_bound(self, lower_bytes: int, proof: Proof) -> None:
        if lower_bytes > self.lower_bytes:
            self.lower_bytes, self.proof = lower_bytes, proof

    def _split(self, start: int, piece: Piece, meter: Meter) -> list[Task]:
        """Return the tasks that ``piece`` (steps from ``start`` on, in its numbering) falls into."""
        meter.spend(_scan_steps(piece))
        during, _ = piece.steps(range(len(piece.ops)))
        meter.spend(_scan_steps(piece))
        ranges = []
        for begin, end in pairwise(must_pass_cuts(piece)):
            if end - begin > 1:
                ranges.append((begin, end))
            else:
                self._fixed_bytes = max(self._fixed_bytes, during[begin])
                self._raise_bound(during[begin], "bytes of one step")
        meter.spend(len(piece.ops))
        parts = windows(piece, range(len(piece.ops)), ranges, meter)
        tasks = []
        for (begin, _), part in zip(ranges, parts, strict=True):
            meter.spend(_scan_steps(part))
            self._raise_bound(trivial_bound(part), "bytes of one step")
            meter.spend(_scan_steps(part))
            task = Task(start + begin, part)
            task.work = self._improve(task)
            tasks.append(task)
        return tasks

    def _improve(self, task: Task) -> Iterator[None]:
        """Improve order and bound of ``task`` step by step; ends when nothing more can be done."""
        self._bound_by_flow(task, _FLOWS_PER_ORDER)
        yield
        rewrite = _rewritten(task.piece, self._meter)
        if rewrite is not None:
            yield from self._improve_rewritten(task, rewrite)
            return
        is_large = len(task.order) > _SEARCHABLE_OPS
        if is_large:
            yield from self._improve_windows(task, _WINDOW_OPS[:1])
        found_better = False
        for order in _cheap_orders(task.piece, self._meter):
            self._meter.spend(_scan_steps(task.piece))
            found_better |= task.offer(order)
            yield
        if found_better:
            self._bound_by_flow(task, _FLOWS_PER_ORDER)
            yield
        yield from self._follow_cuts(task)
        for _ in range(_RELAXATIONS):
            if not self._relax(task):
                break
            yield
            yield from self._follow_cuts(task)
        if is_large:
            yield from self._improve_windows(task, _WINDOW_OPS)
        elif not self._split_at_lightest_state(task):
            yield
            yield from self._search(task)

    def _improve_rewritten(self, task: Task, rewrite: Rewrite) -> Iterator[None]:
        """Solve the piece that takes the place of the task's; its bound is one of the task as well."""
        is_run = must_pass_cuts(rewrite.piece) == list(range(len(rewrite.parts) + 1))
        solver = Solver(rewrite.piece, self._target_bytes, self._meter, lambda _: None, self._turns)
        solver.lower_bytes = max(solver.lower_bytes, self.lower_bytes)
        solver.proof = self.proof
        best = task.piece.peak_bytes(rewrite.expand(solver.order()))
        task.offer(rewrite.expand(solver.order()))
        try:
            for _ in solver.work():
                self._raise_bound(solver.lower_bytes, "series-parallel" if is_run else solver.proof)
                if solver.peak_bytes < best:
                    best = solver.peak_bytes
                    task.offer(rewrite.expand(solver.order()))
                solver.lower_bytes = max(solver.lower_bytes, self.lower_bytes)
                yield
        finally:
            self._raise_bound(solver.lower_bytes, "series-parallel" if is_run else solver.proof)

    def _relax(self, task: Task) -> bool:
        """Bound the task by its relaxation along its order; return whether the best order of that is better."""
        self._meter.spend(_scan_steps(task.piece))
        relaxed = relax(task.piece, task.order)
        rewrite = contract(relaxed, self._meter)
        if must_pass_cuts(rewrite.piece) != list(range(len(rewrite.parts) + 1)):
            return False
        order = rewrite.expand(range(len(rewrite.parts)))
        self._raise_bound(relaxed.peak_bytes(order), "series-parallel")
        return task.offer(order)

    def _improve_windows(self, task: Task, window_ops: Sequence[int]) -> Iterator[None]:
        """Improve the order around its highest step until that does not help in windows of any of these lengths."""
        for radius in (ops // 2 for ops in window_ops):
            has_improved = True
            while has_improved:
                self._meter.spend(2 * _scan_steps(task.piece))
                during, _ = task.piece.steps(task.order)
                step = during.index(max(during))
                start, stop = max(0, step - radius), min(len(during), step + radius)
                (window,) = windows(task.piece, task.order, [(start, stop)], self._meter)
                solver = Solver(window, self._target_bytes, self._meter, lambda _: None, _WINDOW_TURNS)
                solver.lower_bytes = max(solver.lower_bytes, self.lower_bytes)
                with suppress(OutOfBudget):  # the next step raises it again
                    solver.run()
                inside_bytes = window.peak_bytes(solver.order())
                has_improved = inside_bytes < max(during[start:stop])
                inside = task.order[start:stop]
                order = task.order[:start] + [inside[op] for op in solver.order()] + task.order[stop:]
                others = (task.piece.start_bytes, task.piece.end_bytes, *during[:start], *during[stop:])
                task.order, task.peak_bytes = order, max(*others, inside_bytes)
                yield
            self._bound_by_flow(task, _FLOWS_PER_ORDER)
            yield

    def _bound_by_flow(self, task: Task, flows: int) -> None:
        """Bound the highest steps from below by a minimum cut each, as long as that can lift the bound."""
        if self._is_settled(task.peak_bytes):
            return
        self._meter.spend(2 * _scan_steps(task.piece))
        during, _ = task.piece.steps(task.order)
        by_step = sorted(range(len(during)), key=lambda i: (-during[i], i))
        for i in by_step[:flows]:
            if during[i] <= self.lower_bytes or self._is_settled(task.peak_bytes):
                return
            op = task.order[i]
            if op not in task.bounded:
                task.bounded.add(op)
                self._raise_bound(operation_bound(task.piece, op, self._meter)[0], "minimum cut")

    def _follow_cuts(self, task: Task) -> Iterator[None]:
        """Run the highest step where its minimum cut has the fewest bytes alive, as long as that lowers the peak.

        What else runs keeps its order, before the step or after it: the state is a downset, so that is an order.
        """
        while not self._is_settled(task.peak_bytes):
            self._meter.spend(2 * _scan_steps(task.piece))
            during, _ = task.piece.steps(task.order)
            op = task.order[during.index(max(during))]
            bound, before = operation_bound(task.piece, op, self._meter)
            task.bounded.add(op)
            self._raise_bound(bound, "minimum cut")
            if before is None or bound >= task.peak_bytes:
                return
            first = [other for other in task.order if other in before]
            if not task.offer([*first, op, *(other for other in task.order if other not in before and other != op)]):
                return
            yield

    def _split_at_lightest_state(self, task: Task) -> bool:
        """Replace ``task`` by those it falls into at its lightest state; return whether there is one inside."""
        found = lightest_state(task.piece, self._meter)
        if found is None or not 0 < len(found) < len(task.order):
            return False
        self._meter.spend(2 * _scan_steps(task.piece))
        first = set(found)
        order = [op for op in task.order if op in first] + [op for op in task.order if op not in first]
        ranges = [(0, len(found)), (len(found), len(order))]
        parts = windows(task.piece, order, ranges, self._meter)
        tasks = [
            new
            for (begin, _), part in zip(ranges, parts, strict=True)
            for new in self._split(task.start + begin, part, self._meter)
        ]
        base, others = list(self._plan[0]), self._plan[1]
        stop = task.start + len(order)
        base[task.start : stop] = [base[task.start + op] for op in order]
        self._plan = (base, [other for other in others if other is not task] + tasks)
        for new in tasks:
            heappush(self._open, (-new.peak_bytes, new.start, new))
        return True

    def _search(self, task: Task) -> Iterator[None]:
        """Search from the end and from the start in turns; ends with an answer, or without memory."""
        sides = sides_of(task.piece, list, self._meter)
        level, ceiling = self.lower_bytes, task.peak_bytes
        if self._target_bytes is not None:
            level, ceiling = self._target_bytes, self._target_bytes + 1
        searches = [(Search(masks, level, ceiling), restore) for masks, restore in sides]
        forced_from = self._meter.spent + _FORCING_STEPS * len(task.order) ** 2
        for turn in range(self._turns):
            self._bound_by_flow(task, _FLOWS_PER_ROUND.get(turn, 0))
            yield
            for search, restore in list(searches):
                is_behind = search.progress < max(other.progress for other, _ in searches)
                budget = (_FIRST_BUDGET << min(turn, _DOUBLINGS)) // (_LAGGARD_SHARE if is_behind else 1)
                if self._advance(task, search, restore, budget):
                    return
                if search.state_count * state_bytes(task.piece) > _STATE_MEMORY_BYTES / len(sides):
                    searches.remove((search, restore))
                yield
            if not searches:
                break
            if turn in _BEAM_WIDTHS:
                self._beam(task, sides, _BEAM_WIDTHS[turn])
                yield
            if self._meter.spent >= forced_from:
                forced_from = _NEVER
                yield from self._search_forced(task, searches.clear)
        for width in _LAST_BEAM_WIDTHS if not searches else ():
            self._beam(task, sides, width)
            yield

    def _search_forced(self, task: Task, make_room: Callable[[], None]) -> Iterator[None]:
        """Ask at one level after another for an order within it, among those that keep what all such have in common.

        Ends with an answer, without memory, or where it takes too long to find what orders have in common. Calls
        ``make_room`` once it searches: then what was searched before is of no more use.
        """
        spared = 0.0
        common: Precedences | None = None
        while True:
            may_exist = None
            with self._meter.share(_FORCED_SHARE) as part:
                common = common or Precedences(task.piece, part)
                may_exist = common.keep_within(self._ceiling(task) - 1, part)
            if may_exist is False:
                self._raise_bound(self._ceiling(task), "forced precedences")
            if common is None or not may_exist:
                return
            yield
            sides = forced_sides(common, self._meter)
            if any(self._beam(task, sides, width) for width in _FORCED_BEAM_WIDTHS):
                if self._is_settled(task.peak_bytes):
                    return
                continue
            level, within = self._lowest_level(task, common, spared)
            spared = _FORCED_SPARED
            yield
            if not self._is_settled(task.peak_bytes):
                make_room()
                yield from self._search_within(task, within, level)
            if self._is_settled(task.peak_bytes) or self.lower_bytes <= level < task.peak_bytes:
                return

    def _ceiling(self, task: Task) -> int:
        """Return the bytes below which an order of ``task`` is looked for."""
        return task.peak_bytes if self._target_bytes is None else self._target_bytes + 1

    def _lowest_level(self, task: Task, common: Precedences, spared: float) -> tuple[int, Precedences]:
        """Return a level within which there may be an order, and what all such orders have in common.

        What is between bound and ceiling is halved as long as what is forced tells the halves apart, and the bound
        raised, down to a small part of the peak, or to the part ``spared`` of it: a level is searched in little more
        time than one below it, so of a few levels the highest answers for all.
        """
        if self._target_bytes is not None:
            return self._target_bytes, common
        grain = task.piece.grain_bytes
        low, high = (self.lower_bytes - 1) // grain, (task.peak_bytes - 1) // grain  # no order so low, perhaps one
        finest = max(1, high // _FORCED_FINENESS, ceil((high - low) * spared), _FEW_LEVELS if spared else 0)
        with self._meter.share(_FORCED_SHARE) as part:
            while high - low > finest:
                middle = (low + high) // 2
                lower = common.copy()
                if lower.keep_within(middle * grain, part):
                    common, high = lower, middle
                else:
                    low = middle
                    self._raise_bound((low + 1) * grain, "forced precedences")
        return high * grain, common

    def _search_within(self, task: Task, common: Precedences, level: int) -> Iterator[None]:
        """Look for an order within ``level``, from both ends, until one is found, none is left, or memory is full."""
        sides = forced_sides(common, self._meter)
        searches = [(Search(masks, level, level + 1), restore) for masks, restore in sides]
        for turn in count():
            for search, restore in list(searches):
                is_behind = search.progress < max(other.progress for other, _ in searches)
                budget = (_FIRST_BUDGET << min(turn, _DOUBLINGS)) // (_LAGGARD_SHARE if is_behind else 1)
                outcome = search.advance(budget)
                if outcome == "solved":
                    task.offer(restore(search.order))
                    return
                if outcome == "exhausted":
                    grain = task.piece.grain_bytes
                    self._raise_bound((level // grain + 1) * grain, "exhaustive search")
                    return
                if search.state_count * state_bytes(task.piece) > _STATE_MEMORY_BYTES / len(sides):
                    searches.remove((search, restore))
                yield
            if not searches:
                return
            if turn in _BEAM_WIDTHS:
                self._beam(task, sides, _BEAM_WIDTHS[turn])
                yield

    def _advance(
        self, task: Task, search: Search, restore: Callable[[Sequence[int]], list[int]], budget: int
    ) -> bool:
        """Let one side search on; return whether that settles the task."""
        search.ceiling = min(search.ceiling, task.peak_bytes)
        search.skip_to(self.lower_bytes)
        try:
            outcome = search.advance(budget)
        finally:
            if self._target_bytes is None:
                self._raise_bound(search.level, "exhaustive search")
        if outcome == "solved":
            task.offer(restore(search.order))
        if outcome == "exhausted":
            self._raise_bound(search.ceiling, "exhaustive search")
        return outcome != "paused"

    def _beam(self, task: Task, sides: Sequence[Side], width: int) -> bool:
        """Offer the best order of a beam from each end, and try to prove what is better; return whether one is."""
        found_better = False
        for masks, restore in sides:
            order = beam_order(masks, width, self.lower_bytes, task.peak_bytes)
            found_better |= order is not None and task.offer(restore(order))
        if found_better:
            self._bound_by_flow(task, _FLOWS_PER_ORDER)
            for _ in self._follow_cuts(task):
                pass
        return found_better


def _rewritten(piece: Piece, meter: Meter) -> Rewrite | None:
    """Return a smaller piece, or one with fewer orders, that has the same smallest peak."""
    rewrite = contract(piece, meter)
    if len(rewrite.parts) < len(piece.ops):
        return rewrite
    return order_twins(piece, meter)


def _cheap_orders(piece: Piece, meter: Meter) -> Iterator[list[int]]:
    for rule in CANDIDATES.values():
        yield rule(piece, meter)
    for rule in BACKWARD_CANDIDATES:
        meter.spend(_scan_steps(piece))
        yield from_end(rule(piece.mirrored, meter))


def _scan_steps(piece: Piece) -> int:
    """Return the steps that one scan of the piece is."""
    return len(piece.ops) + len(piece.cells)
