"""The two questions of this package: the best order there is, and whether one stays within a budget.

One thing lies outside the solver's theory: bytes that only the first step holds (a graph input that nobody reads).
If the best order without them does not do with them, each operation that could go first is tried as the first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from memprof.base.collector import paused_collector
from memprof.planning.meter import Meter, OutOfBudget, meter_of
from memprof.planning.ordering.first_step import first_steps, pin_first
from memprof.planning.ordering.problem import OrderProblem
from memprof.planning.ordering.reduction import reduce_problem
from memprof.planning.ordering.result import Decision, Ending, OrderProgress, OrderResult
from memprof.planning.ordering.solver import Solver

_REPORT_INTERVAL_SECONDS = 0.1
_REDUCED_ANYWAY_OPS = 10_000

Report = Callable[[OrderProgress], None]


def find_order(problem: OrderProblem, seconds: float | Meter = 10.0, report: Report | None = None) -> OrderResult:
    """Return the order with the smallest peak that is found within ``seconds``, and what is proven about it.

    Never worse than the given order. Ctrl-C ends the search early and keeps the best so far.

    Args:
        problem: See ``memprof.planning.ordering.kinds``.
        seconds: Time to spend, or a meter that runs already; less if the answer is proven earlier.
        report: Called now and then while searching.
    """
    return _Run(problem, None, seconds, report).result()


def decide_order(
    problem: OrderProblem, budget_bytes: int, seconds: float | Meter = 10.0, report: Report | None = None
) -> Decision:
    """Return whether some order's peak is at most ``budget_bytes``: yes with the order, no with a proof, or unknown.

    Asking is cheaper than finding the best order: a bound or an order anywhere on the right side of the budget will
    do. Arguments are those of ``find_order``.
    """
    result = _Run(problem, budget_bytes, seconds, report).result()
    answer = True if result.peak_bytes <= budget_bytes else False if result.lower_bound_bytes > budget_bytes else None
    return Decision(answer=answer, budget_bytes=budget_bytes, result=result)


class _Run:
    """One question: keeps the best order and bound so far, whatever interrupts it."""

    def __init__(
        self, problem: OrderProblem, budget_bytes: int | None, seconds: float | Meter, report: Report | None
    ) -> None:
        self._meter = meter_of(seconds)
        self._problem = problem
        self._budget_bytes = budget_bytes
        self._report = report
        self._reported = (-1, -1)
        self._order = list(range(problem.op_count))
        self._before_bytes = self._peak_bytes = problem.peak_bytes(self._order)
        self._lower_bytes = max(problem.start_bytes, problem.end_bytes)
        self._proof = "bytes of one step"
        self._bounds_everything = True  # what is solved now is the whole problem, not one choice of the first step
        self._report_after = 0.0
        self._solving: tuple[Solver, Callable[[list[int]], list[int]]] | None = None

    def result(self) -> OrderResult:
        """Search, and return what was found."""
        ending: Ending = "interrupted"
        try:
            with paused_collector():
                self._solve()
            ending = "settled" if self._is_settled() else "limits"
        except OutOfBudget:
            self._harvest()
            ending = "settled" if self._is_settled() else "time" if self._meter.has_steps_left else "effort"
        except KeyboardInterrupt:
            self._meter.end()
            self._harvest()
        self._meter.settle()
        return OrderResult(
            order=tuple(self._order),
            peak_bytes=self._peak_bytes,
            before_bytes=self._before_bytes,
            lower_bound_bytes=min(self._lower_bytes, self._peak_bytes),
            proof=self._proof,
            ending=ending,
            seconds=self._meter.seconds,
        )

    def _solve(self) -> None:
        problem = self._problem
        self._run_solver(replace(problem, first_step_bytes=0), self._order)
        if not problem.first_step_bytes or self._is_settled():
            return
        self._bounds_everything = False
        bounds = [] if problem.op_count else [self._peak_bytes]
        for first, step_bytes in first_steps(problem):
            bound = max(self._lower_bytes, step_bytes)
            self._meter.spend()
            if bound < self._peak_bytes:
                bound = max(bound, self._run_solver(*pin_first(problem, first)).lower_bytes)
            bounds.append(bound)
        self._lower_bytes = max(self._lower_bytes, min(bounds))

    def _run_solver(self, problem: OrderProblem, numbering: Sequence[int]) -> Solver:
        """Solve ``problem``, whose operation i is ``numbering[i]`` of the whole one, and keep what is better."""
        begun = self._meter.seconds
        reduction = reduce_problem(problem, self._meter if problem.op_count > _REDUCED_ANYWAY_OPS else None)
        # Turning an order into an answer takes about as long, and comes after the deadline.
        self._meter.reserve(self._meter.seconds - begun)
        solver = Solver(reduction.piece, self._budget_bytes, self._meter, self._on_progress)
        self._solving = (solver, lambda order: [numbering[op] for op in reduction.expand(order)])
        solver.run()
        self._harvest()
        return solver

    def _harvest(self) -> None:
        """Take the order and the bound of the solver that is at work."""
        if self._solving is None:
            return
        solver, translate = self._solving
        self._take_bound(solver)
        order = translate(solver.order())
        if order == self._order:
            return
        peak_bytes = self._problem.peak_bytes(order)
        if peak_bytes < self._peak_bytes:
            assert self._problem.is_order(order), "the solver returned something that is no order"
            self._order, self._peak_bytes = order, peak_bytes

    def _take_bound(self, solver: Solver) -> None:
        if self._bounds_everything and solver.lower_bytes > self._lower_bytes:
            self._lower_bytes, self._proof = solver.lower_bytes, solver.proof

    def _is_settled(self) -> bool:
        if self._budget_bytes is None:
            return self._peak_bytes <= self._lower_bytes
        return self._peak_bytes <= self._budget_bytes or self._lower_bytes > self._budget_bytes

    def _on_progress(self, solver: Solver) -> None:
        if self._report is None:
            return
        self._take_bound(solver)
        peak_bytes = min(self._peak_bytes, solver.peak_bytes) if self._bounds_everything else self._peak_bytes
        now = self._meter.seconds
        if (peak_bytes, self._lower_bytes) != self._reported and now >= self._report_after:
            self._reported = (peak_bytes, self._lower_bytes)
            self._report_after = now + _REPORT_INTERVAL_SECONDS
            self._report(OrderProgress(peak_bytes=peak_bytes, lower_bound_bytes=self._lower_bytes, seconds=now))
