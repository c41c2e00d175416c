"""The solver: equal to brute force on small problems, to an integer program on larger ones, honest under a clock."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import numpy as np
import pytest

from memprof.planning.meter import Meter
from memprof.planning.offsets import solver
from memprof.planning.offsets.engine import PLAIN, compiled_engine, has_compiler
from memprof.planning.offsets.problem import AllocationProblem
from memprof.planning.offsets.solver import OffsetProgress, decide_capacity, plan_offsets
from memprof.planning.validator import find_violation
from tests.planning.offsets.problems import (
    GAP,
    cut_rectangle,
    fits,
    loose_problem,
    problem_of,
    smallest_arena,
    tight_problems,
)

ENGINES = [
    pytest.param("plain", id="plain"),
    pytest.param("compiled", id="compiled", marks=pytest.mark.skipif(not has_compiler(), reason="numba is missing")),
]


def test_small_problems_get_the_arena_that_brute_force_finds() -> None:
    for seed in range(500):
        problem = loose_problem(Random(seed))
        plan = plan_offsets(problem)
        assert plan.is_optimal
        assert plan.arena_bytes == smallest_arena(problem), seed


def test_tight_problems_get_the_arena_that_brute_force_finds_even_above_the_load() -> None:
    gaps = 0
    for problem in [problem_of(GAP), *tight_problems(300, most=11)]:
        plan = plan_offsets(problem)
        assert plan.is_optimal
        assert fits(problem, plan.arena_bytes)
        assert not fits(problem, plan.arena_bytes - 1)
        gaps += plan.arena_bytes > problem.load_bytes
    assert gaps


@pytest.mark.parametrize("name", ENGINES)
def test_a_load_that_cannot_be_met_raises_the_bound_by_exhaustion(name: str) -> None:
    engine = PLAIN if name == "plain" else compiled_engine()
    plan = plan_offsets(problem_of([(start, stop, 1024 * size) for start, stop, size in GAP]), engine=engine)
    assert (plan.load_bytes, plan.lower_bound_bytes, plan.arena_bytes) == (9 * 1024, 10 * 1024, 10 * 1024)
    assert plan.proof == "exhaustive search"


def test_larger_problems_agree_with_an_integer_program() -> None:
    for problem in list(tight_problems(60, most=16))[-12:]:
        plan = plan_offsets(problem)
        assert plan.is_optimal
        assert plan.arena_bytes == smallest_by_integer_program(problem)


@pytest.mark.parametrize("seed", range(6))
def test_a_cut_rectangle_is_put_together_again(seed: int) -> None:
    plan = plan_offsets(cut_rectangle(Random(seed), 60), seconds=30)
    assert (plan.arena_bytes, plan.is_optimal) == (256, True)


def test_the_same_problem_gets_the_same_plan() -> None:
    problem = cut_rectangle(Random(3), 50)
    assert plan_offsets(problem, engine=PLAIN).offsets == plan_offsets(problem, engine=PLAIN).offsets


def test_without_time_the_best_greedy_comes_back_with_the_load_as_bound() -> None:
    plan = plan_offsets(problem_of(GAP), seconds=0)
    assert plan.strategy in solver.STRATEGIES
    assert (plan.lower_bound_bytes, plan.is_optimal) == (9, False)
    assert find_violation(plan.problem, plan.offsets) is None


def test_an_interrupt_keeps_the_best_so_far(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> tuple[int, int]:
        raise KeyboardInterrupt

    monkeypatch.setattr(solver.Tree, "advance", interrupt)
    meter = Meter(600)
    plan = plan_offsets(problem_of(GAP), meter.part(0.5))
    assert meter.has_ended  # what comes next has no time either
    assert plan.strategy in solver.STRATEGIES
    assert plan.arena_bytes > plan.lower_bound_bytes


def test_progress_never_goes_backwards_and_ends_at_the_plan() -> None:
    seen: list[OffsetProgress] = []
    plan = plan_offsets(problem_of(GAP), report=seen.append)
    arenas, bounds = [p.arena_bytes for p in seen], [p.lower_bound_bytes for p in seen]
    assert arenas == sorted(arenas, reverse=True)
    assert bounds == sorted(bounds)
    assert (arenas[-1], bounds[-1]) == (plan.arena_bytes, plan.lower_bound_bytes)


@pytest.mark.parametrize(("capacity", "answer"), [(8, False), (9, False), (10, True), (11, True)])
def test_a_capacity_is_decided_with_a_plan_or_a_proof(capacity: int, answer: bool) -> None:
    decision = decide_capacity(problem_of(GAP), capacity)
    assert decision.answer is answer
    assert (decision.plan.arena_bytes <= capacity) is answer
    assert (decision.plan.lower_bound_bytes > capacity) is not answer


def test_a_capacity_out_of_time_is_unknown() -> None:
    decision = decide_capacity(problem_of(GAP), 9, seconds=0)
    assert decision.answer is None
    assert decision.plan.lower_bound_bytes <= 9 < decision.plan.arena_bytes


def test_a_capacity_between_multiples_of_the_granule_is_decided_like_the_multiple_below() -> None:
    problem = problem_of([(start, stop, 8 * size) for start, stop, size in GAP])
    assert decide_capacity(problem, 79).answer is False
    assert decide_capacity(problem, 80).answer is True


def smallest_by_integer_program(problem: AllocationProblem) -> int:
    """Return the smallest arena by the textbook program: for each pair that meets, one is below the other."""
    from scipy.optimize import Bounds, LinearConstraint, milp

    buffers, sizes = problem.buffers, problem.sizes
    n = len(buffers)
    pairs = [(i, j) for i in range(n) for j in range(i) if buffers[i].overlaps(buffers[j])]
    big = sum(sizes)
    rows, lows = [], []

    def add(entries: dict[int, float], low: float) -> None:
        row = np.zeros(1 + n + len(pairs))
        for column, value in entries.items():
            row[column] = value
        rows.append(row)
        lows.append(low)

    for i in range(n):
        add({0: 1, 1 + i: -1}, sizes[i])
    for k, (i, j) in enumerate(pairs):
        add({1 + j: 1, 1 + i: -1, 1 + n + k: big}, sizes[i])  # i below j, unless the switch is on
        add({1 + i: 1, 1 + j: -1, 1 + n + k: -big}, sizes[j] - big)
    high = np.array([big] * (1 + n) + [1] * len(pairs))
    cost = np.zeros(len(high))
    cost[0] = 1
    found = milp(
        cost,
        constraints=LinearConstraint(np.array(rows), lows, np.inf),
        bounds=Bounds(np.zeros(len(high)), high),
        integrality=np.ones(len(high)),
    )
    assert found.success
    return round(found.fun)


@pytest.mark.parametrize("error", [RuntimeError("no compiled object yet for <Library>"), KeyboardInterrupt()])
def test_ctrl_c_while_the_search_is_compiled_keeps_the_plan(error: BaseException) -> None:
    def interrupted(*_: object) -> int:
        raise error

    calls = replace(PLAIN, begin=interrupted)
    plan = plan_offsets(problem_of(GAP), engine=calls)
    assert find_violation(plan.problem, plan.offsets) is None
    assert (plan.arena_bytes, plan.lower_bound_bytes) == (10, 9)


def test_another_error_of_the_engine_is_not_taken_for_ctrl_c() -> None:
    def broken(*_: object) -> int:
        raise RuntimeError("something else")

    with pytest.raises(RuntimeError, match="something else"):
        plan_offsets(problem_of(GAP), engine=replace(PLAIN, begin=broken))
