"""Allocation problems: what counts, what cannot exist."""

from __future__ import annotations

from random import Random

import pytest

from memprof.base.errors import InputError, LimitError, UsageError
from memprof.planning.offsets.problem import AllocationBuffer, AllocationProblem, MemoryPlan
from tests.planning.offsets.problems import loose_problem, problem_of


def test_sizes_are_rounded_up_before_anything_else() -> None:
    problem = problem_of([(0, 2, 1), (0, 2, 64), (1, 2, 65)], alignment=64)
    assert (problem.sizes, problem.load_bytes, problem.granule_bytes) == ((64, 64, 128), 256, 64)


def test_live_ranges_are_half_open_so_that_neighbours_share_no_step() -> None:
    assert problem_of([(0, 3, 5), (3, 6, 5)]).load_bytes == 5
    assert problem_of([(0, 4, 5), (3, 6, 5)]).load_bytes == 10


def test_a_buffer_that_lives_at_no_step_needs_no_bytes() -> None:
    problem = problem_of([(2, 2, 100), (0, 1, 3)])
    assert (problem.sizes, problem.load_bytes, problem.arena_bytes([0, 0])) == ((0, 3), 3, 3)


def test_the_load_is_the_highest_sum_over_the_steps() -> None:
    for seed in range(200):
        problem = loose_problem(Random(seed))
        sums = [
            sum(size for b, size in zip(problem.buffers, problem.sizes, strict=True) if b.start <= step < b.stop)
            for step in range(14)
        ]
        assert problem.load_bytes == max(sums)


def test_an_empty_problem_needs_nothing() -> None:
    problem = AllocationProblem(buffers=())
    plan = MemoryPlan(problem=problem, offsets=(), lower_bound_bytes=0, proof="load", strategy="", seconds=0.0)
    assert (plan.arena_bytes, plan.is_optimal, plan.fragmentation) == (0, True, 0.0)


def test_fragmentation_is_what_the_arena_has_over_the_load() -> None:
    problem = problem_of([(0, 1, 8)])
    plan = MemoryPlan(problem=problem, offsets=(2,), lower_bound_bytes=8, proof="load", strategy="", seconds=0.0)
    assert (plan.arena_bytes, plan.is_optimal, plan.fragmentation) == (10, False, 0.25)


@pytest.mark.parametrize("numbers", [(3, 2, 1, 0), (-1, 2, 1, 0), (0, 2, -1, 0), (0, 2, 2**60, 0), (0, 2, 1, -1)])
def test_a_buffer_out_of_range_cannot_exist(numbers: tuple[int, int, int, int]) -> None:
    start, stop, size, traffic = numbers
    with pytest.raises(InputError, match="Buffer 'x'"):
        AllocationBuffer(name="x", start=start, stop=stop, size_bytes=size, traffic_bytes=traffic)


def test_names_are_unique_and_alignments_positive() -> None:
    buffer = AllocationBuffer(name="x", start=0, stop=1, size_bytes=1)
    with pytest.raises(InputError, match="Two buffers are named 'x'"):
        AllocationProblem(buffers=(buffer, buffer))
    with pytest.raises(LimitError, match="bytes together"):
        problem_of([(0, 1, 2**56)] * 17)
    with pytest.raises(UsageError, match="alignment of 0"):
        AllocationProblem(buffers=(buffer,), alignment=0)
