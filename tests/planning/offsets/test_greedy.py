"""What every greedy of the table promises, and what single ones do."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest

from memprof.planning.offsets.columns import columns_of
from memprof.planning.offsets.greedy import STRATEGIES, place_all
from memprof.planning.offsets.problem import AllocationProblem
from memprof.planning.validator import find_violation
from tests.planning.offsets.problems import breaks_a_rule, cut_rectangle, loose_problem, problem_of, tight_problems


def offsets_of(problem: AllocationProblem, strategy: str) -> list[int]:
    """Return one offset per buffer of the problem."""
    columns = columns_of(problem)
    offsets = [0] * len(problem.buffers)
    for i, offset in zip(columns.ids.tolist(), place_all(columns, strategy), strict=True):
        offsets[i] = offset
    return offsets


PROBLEMS = [
    *(loose_problem(Random(seed), most=12) for seed in range(60)),
    *tight_problems(40, most=20),
    *(cut_rectangle(Random(seed), 40) for seed in range(4)),
]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_greedy_gives_a_valid_plan_never_below_the_load_and_always_the_same(strategy: str) -> None:
    for problem in PROBLEMS:
        offsets = offsets_of(problem, strategy)
        assert find_violation(problem, offsets) is None
        if len(problem.buffers) < 20:
            assert not breaks_a_rule(problem, offsets)
        assert problem.arena_bytes(offsets) >= problem.load_bytes
        assert offsets_of(problem, strategy) == offsets


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_no_greedy_leaves_a_lone_buffer_off_the_ground(strategy: str) -> None:
    assert offsets_of(problem_of([(0, 2, 5)]), strategy) == [0]
    assert offsets_of(problem_of([]), strategy) == []


def test_first_fit_takes_the_lowest_gap_and_best_fit_the_smallest() -> None:
    # By size: a floor of 20; then twice a short-lived one of 9 and 6 with a wall on it; the last sees two gaps.
    problem = problem_of([(0, 9, 20), (0, 4, 9), (0, 9, 8), (0, 4, 6), (0, 9, 5), (4, 9, 4)])
    first, best = (offsets_of(problem, f"size, {rule} fit") for rule in ("first", "best"))
    assert first[:5] == best[:5] == [0, 20, 29, 37, 43]
    assert (first[5], best[5]) == (20, 37)


def test_the_load_of_a_buffer_is_the_most_bytes_alive_with_it() -> None:
    for seed in range(200):
        problem = loose_problem(Random(seed), most=12)
        columns = columns_of(problem)
        alive = np.zeros(20, dtype=np.int64)
        for start, stop, size in zip(columns.start, columns.stop, columns.size, strict=True):
            alive[start:stop] += size
        expected = [alive[start:stop].max() for start, stop in zip(columns.start, columns.stop, strict=True)]
        assert columns.load.tolist() == expected


def test_the_allocator_in_time_joins_gaps_that_meet() -> None:
    # Two neighbours die at step 1; only their joined gap has room for what is born then.
    problem = problem_of([(0, 1, 4), (0, 1, 3), (0, 3, 2), (1, 3, 7)])
    for rule in ("first", "best"):
        assert problem.arena_bytes(offsets_of(problem, f"time, {rule} fit")) == 9
