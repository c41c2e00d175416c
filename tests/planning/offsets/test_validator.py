"""The judge finds every kind of broken plan, names the rule and the buffers, and lets every valid plan pass."""

from __future__ import annotations

from itertools import combinations
from random import Random

import pytest

from memprof.planning import validator
from memprof.planning.offsets.columns import columns_of
from memprof.planning.offsets.greedy import place_all
from memprof.planning.offsets.problem import MemoryPlan
from memprof.planning.validator import RULES, check_plan, find_violation
from tests.planning.offsets.problems import breaks_a_rule, loose_problem, problem_of

TWO = problem_of([(0, 3, 4), (2, 5, 4)], alignment=4)


def test_a_valid_plan_passes() -> None:
    assert find_violation(TWO, [0, 4]) is None
    assert find_violation(TWO, [4, 0], capacity_bytes=8) is None


@pytest.mark.parametrize(
    ("offsets", "rule", "buffers"),
    [
        ([0], "missing", ("b1",)),
        ([0, 4, 8], "missing", ()),
        ([0, -4], "outside", ("b1",)),
        ([0, 6], "misaligned", ("b1",)),
        ([0, 0], "overlap", ("b1", "b0")),
        ([4, 8], "capacity", ("b1",)),
    ],
)
def test_each_rule_is_named_with_its_buffers(offsets: list[int], rule: str, buffers: tuple[str, ...]) -> None:
    found = find_violation(TWO, offsets, capacity_bytes=8)
    assert found is not None
    assert (found.rule, found.buffers) == (rule, buffers)
    assert rule in RULES


def test_an_overlap_says_where_both_are() -> None:
    found = find_violation(TWO, [0, 0])
    assert found is not None
    assert "'b1' (steps [2, 5), bytes [0, 4)) and 'b0' (steps [0, 3), bytes [0, 4))" in found.message


def test_identical_live_ranges_overlap_and_touching_ones_do_not() -> None:
    same = find_violation(problem_of([(1, 3, 4), (1, 3, 4)]), [0, 2])
    assert same is not None
    assert same.rule == "overlap"
    assert find_violation(problem_of([(0, 2, 4), (2, 4, 4)]), [0, 0]) is None


def test_random_offsets_are_judged_as_by_writing_down_every_byte() -> None:
    verdicts = set()
    for seed in range(3000):
        rng = Random(seed)
        problem = loose_problem(rng, most=4)
        offsets = [rng.randint(0, 14) * rng.choice([1, 2, 4]) for _ in problem.buffers]
        is_broken = find_violation(problem, offsets) is not None
        assert is_broken == breaks_a_rule(problem, offsets), (seed, problem, offsets)
        verdicts.add(is_broken)
    assert verdicts == {True, False}


def test_crowds_that_are_looked_through_in_rows_are_judged_as_by_comparing_all_pairs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(validator, "_ROW_LENGTH", 1)
    verdicts = set()
    for seed in range(400):
        rng = Random(seed)
        rows = [(start, start + rng.randint(1, 20), rng.randint(1, 4)) for start in rng.choices(range(30), k=40)]
        problem = problem_of(rows)
        offsets = place_all(columns_of(problem), "size, first fit")
        if rng.random() < 0.7:
            offsets[rng.randrange(40)] = rng.randrange(60)
        is_broken = find_violation(problem, offsets) is not None
        ends = [offset + size for offset, (_, _, size) in zip(offsets, rows, strict=True)]
        assert is_broken == any(
            problem.buffers[a].overlaps(problem.buffers[b]) and offsets[a] < ends[b] and offsets[b] < ends[a]
            for a, b in combinations(range(40), 2)
        )
        verdicts.add(is_broken)
    assert verdicts == {True, False}


def test_offsets_of_strangers_may_be_any_numbers() -> None:
    assert find_violation(TWO, [2**70, 0]) is None
    found = find_violation(TWO, [2**70, 2**70])
    assert found is not None
    assert found.rule == "overlap"


def test_check_plan_lets_no_wrong_plan_and_no_wrong_bound_through() -> None:
    def plan(offsets: tuple[int, ...], bound: int) -> MemoryPlan:
        return MemoryPlan(
            problem=TWO, offsets=offsets, lower_bound_bytes=bound, proof="load", strategy="by hand", seconds=0.0
        )

    assert check_plan(plan((0, 4), 8)).is_optimal
    with pytest.raises(AssertionError, match="invalid plan by by hand: overlap"):
        check_plan(plan((0, 0), 8))
    for bound in (4, 12):
        with pytest.raises(AssertionError, match="contradicts"):
            check_plan(plan((0, 4), bound))
