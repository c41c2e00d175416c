"""The kernel: both engines walk the same tree, its rules lose no solution, and it can stop and go on anywhere."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import pytest

from memprof.planning.offsets.columns import columns_of
from memprof.planning.offsets.engine import PLAIN, compiled_engine, has_compiler
from memprof.planning.offsets.kernel import EXHAUSTED, FOUND, RUNNING
from memprof.planning.offsets.layout import Layout, lay_out
from memprof.planning.offsets.problem import AllocationProblem
from memprof.planning.offsets.tree import RANKINGS, Tree
from memprof.planning.validator import find_violation
from tests.planning.offsets.problems import (
    GAP,
    cut_rectangle,
    loose_problem,
    problem_of,
    smallest_arena,
    tight_problems,
)


def layout_of(problem: AllocationProblem) -> Layout | None:
    """Return the problem as the search sees it, ``None`` if there is nothing to place."""
    return lay_out(columns_of(problem), problem.granule_bytes, most_overlaps=10**6)


def run(tree: Tree, capacity: int, ranking: tuple[int, int], limit: int = 10**6) -> tuple[int, list[int]]:
    """Search to the end; return the state and the offsets."""
    state = tree.begin(capacity, ranking)
    while state == RUNNING and limit > 0:
        state, tried = tree.advance(limit)
        limit -= tried
    return state, tree.offsets()


def small_problems() -> Iterator[AllocationProblem]:
    """Yield problems that brute force can decide."""
    yield problem_of(GAP)
    yield from tight_problems(80, most=10)
    yield from (loose_problem(Random(seed)) for seed in range(150))


@pytest.fixture(scope="module")
def decided() -> list[tuple[AllocationProblem, int]]:
    """Return small problems, and for each its smallest arena by brute force."""
    return [(problem, smallest_arena(problem)) for problem in small_problems() if problem.load_bytes]


@pytest.mark.parametrize("ranking", RANKINGS)
def test_every_ranking_decides_every_capacity_as_brute_force_does(
    ranking: tuple[int, int], decided: list[tuple[AllocationProblem, int]]
) -> None:
    states = set()
    for problem, smallest in decided:
        layout = layout_of(problem)
        assert layout is not None
        tree = Tree(layout, PLAIN)
        for granules in (-1, 0, 1):
            capacity = problem.load_bytes + granules * problem.granule_bytes
            state, offsets = run(tree, capacity, ranking)
            assert state == (FOUND if smallest <= capacity else EXHAUSTED)
            states.add((granules, state))
            if state == FOUND:
                full = [0] * len(problem.buffers)
                for i, offset in zip(columns_of(problem).ids.tolist(), offsets, strict=True):
                    full[i] = offset
                assert find_violation(problem, full, capacity) is None
    assert states == {(-1, EXHAUSTED), (0, EXHAUSTED), (0, FOUND), (1, FOUND)}


@pytest.mark.parametrize("ranking", RANKINGS)
def test_no_rule_gives_up_a_plan_that_exists(ranking: tuple[int, int]) -> None:
    # A rectangle cut to pieces fits its own height with no byte to spare: to exhaust that is a false proof.
    found = 0
    for seed in range(160):
        rng = Random(seed)
        problem = cut_rectangle(rng, rng.randint(8, 26), steps=64, size=64)
        layout = layout_of(problem)
        assert layout is not None
        state, _ = run(Tree(layout, PLAIN), 64, ranking, limit=1500)
        assert state != EXHAUSTED, seed
        found += state == FOUND
    assert found >= 150


@pytest.mark.skipif(not has_compiler(), reason="numba is missing")
def test_both_engines_walk_the_same_tree() -> None:
    problems = [*tight_problems(20, most=24), *(cut_rectangle(Random(seed), 50) for seed in range(6))]
    for problem in problems:
        layout = layout_of(problem)
        assert layout is not None
        trees = [Tree(layout, engine) for engine in (PLAIN, compiled_engine())]
        for ranking in RANKINGS:
            found = [run(tree, problem.load_bytes, ranking, limit=400) for tree in trees]
            assert found[0] == found[1]
            assert trees[0].weights() == trees[1].weights()


@pytest.mark.parametrize("seed", range(4))
def test_a_search_in_single_steps_is_the_search_in_one_go(seed: int) -> None:
    problem = cut_rectangle(Random(seed), 40)
    layout = layout_of(problem)
    assert layout is not None
    stepwise, at_once = Tree(layout, PLAIN), Tree(layout, PLAIN)
    state = stepwise.begin(problem.load_bytes, RANKINGS[1])
    placements = 0
    while state == RUNNING and placements < 5000:
        state = PLAIN.advance(stepwise._kernel, 1)
        placements += 1
    assert at_once.begin(problem.load_bytes, RANKINGS[1]) == RUNNING
    assert PLAIN.advance(at_once._kernel, 5000) == state
    assert at_once.offsets() == stepwise.offsets()


def test_a_thousand_buffers_need_no_recursion() -> None:
    problem = cut_rectangle(Random(1), 1200, steps=4096, size=4096)
    layout = layout_of(problem)
    assert layout is not None
    state, _ = run(Tree(layout, PLAIN), problem.load_bytes * 2, RANKINGS[0], limit=2400)
    assert state == FOUND


def test_sections_hold_what_lives_together_and_no_section_is_part_of_another() -> None:
    for problem in small_problems():
        layout = layout_of(problem)
        if layout is None:
            continue
        columns = columns_of(problem)
        sections = [
            frozenset(layout.member[layout.member_start[s] : layout.member_start[s + 1]].tolist())
            for s in range(layout.section_count)
        ]
        alive = [
            frozenset(b for b in range(columns.count) if columns.start[b] <= step < columns.stop[b])
            for step in range(int(columns.stop.max()))
        ]
        assert set(sections) == {one for one in alive if one and not any(one < other for other in alive)}
        assert len(set(sections)) == len(sections)


def test_a_layout_is_refused_where_it_would_take_too_much_room() -> None:
    problem = cut_rectangle(Random(0), 40)
    assert lay_out(columns_of(problem), problem.granule_bytes, most_overlaps=10) is None
