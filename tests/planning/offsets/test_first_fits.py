"""First fit on shelves: the lowest gap in both engines, orders that learn, and a plan in one pass over time."""

from __future__ import annotations

import math
from contextlib import suppress
from random import Random

import numpy as np
import pytest

from memprof.planning.meter import Meter, OutOfBudget
from memprof.planning.offsets import first_fits, solver
from memprof.planning.offsets.columns import columns_of
from memprof.planning.offsets.engine import PLAIN, Engine, compiled_engine, has_compiler
from memprof.planning.offsets.first_fits import FirstFits
from memprof.planning.offsets.in_time import best_fit_in_time
from memprof.planning.offsets.problem import AllocationProblem
from memprof.planning.offsets.rehearsal import rehearsal_of
from memprof.planning.offsets.shelving import COUNT
from memprof.planning.offsets.solver import plan_offsets
from memprof.planning.validator import find_violation
from tests.planning.offsets.problems import loose_problem, problem_of
from tests.planning.work import WorkClock


def random_rows(count: int, seed: int, longest: int) -> list[tuple[int, int, int]]:
    """Return rows of random buffers whose sizes are spread over four doublings of doublings."""
    rng = Random(seed)
    starts = [rng.randrange(count) for _ in range(count)]
    return [(start, start + rng.randint(1, longest), int(2 ** rng.uniform(0, 12))) for start in starts]


def lowest_gaps(rows: list[tuple[int, int, int]], order: list[int]) -> list[int]:
    """Return the offsets of first fit, looked up one candidate after the other."""
    offsets = [-1] * len(rows)
    for b in order:
        start, stop, size = rows[b]
        near = [t for t in range(len(rows)) if offsets[t] >= 0 and rows[t][0] < stop and rows[t][1] > start]
        ends = sorted({0, *(offsets[t] + rows[t][2] for t in near)})
        offsets[b] = next(
            o for o in ends if all(o >= offsets[t] + rows[t][2] or o + size <= offsets[t] for t in near)
        )
    return offsets


def fits_of(problem: AllocationProblem, engine: Engine, offered: list[list[int]]) -> FirstFits:
    """Return the first fits of a problem of which all buffers take room."""
    return FirstFits(
        columns_of(problem), problem.load_bytes, lambda offsets, _: offered.append(offsets), Meter(), engine
    )


@pytest.mark.parametrize("name", ["plain", "compiled"])
def test_a_turn_gives_each_buffer_the_lowest_gap(name: str) -> None:
    if name == "compiled" and not has_compiler():
        pytest.skip("numba is not installed")
    for seed in range(6):
        rows = random_rows(80, seed, longest=[5, 20, 80][seed % 3])
        problem = problem_of(rows)
        fits = fits_of(problem, compiled_engine() if name == "compiled" else PLAIN, [])
        for _ in range(3):
            fits.turn(Meter())
            order = [int(fits._by_birth[i]) for i in fits._shelving.order]  # type: ignore[union-attr] # it has shelves
            expected = lowest_gaps(rows, order)
            assert [expected[b] for b in fits._by_birth] == fits._offset.tolist()


def test_turns_only_lower_a_plan_and_end_at_the_bound() -> None:
    reached = 0
    for seed in range(5):
        problem = problem_of(random_rows(400, seed, longest=40))
        offered: list[list[int]] = []
        fits = fits_of(problem, PLAIN, offered)
        is_open = True
        for _ in range(60):
            is_open = is_open and fits.turn(Meter())
        arenas = [problem.arena_bytes(offsets) for offsets in offered]
        assert all(find_violation(problem, offsets) is None for offsets in offered)
        assert arenas == sorted(arenas, reverse=True)
        assert (arenas[-1] == problem.load_bytes) is not is_open
        reached += not is_open
    assert reached >= 3


def test_a_turn_that_is_cut_short_is_made_again() -> None:
    problem = problem_of(random_rows(600, 1, longest=60))
    runs: list[list[list[int]]] = [[], []]
    for offered, is_cut in zip(runs, (False, True), strict=True):
        fits = fits_of(problem, PLAIN, offered)
        for _ in range(25):
            if is_cut:
                with suppress(OutOfBudget):
                    fits.turn(Meter(effort=10))
            fits.turn(Meter())
    assert runs[0] == runs[1]


def test_what_learns_beats_every_order_that_does_not() -> None:
    for seed in (0, 1, 4):
        problem = problem_of(random_rows(300, seed, longest=150))
        fits = fits_of(problem, PLAIN, [])
        for _ in range(17):
            fits.turn(Meter())
        before = fits.best_bytes
        for _ in range(40):
            fits.turn(Meter())
        assert fits.best_bytes < before


def test_best_fit_in_time_takes_the_smallest_gap_that_was_free_at_birth() -> None:
    for seed in range(150):
        problem = loose_problem(Random(seed))
        columns = columns_of(problem)
        start, stop, size = columns.start.tolist(), columns.stop.tolist(), columns.size.tolist()
        offsets = best_fit_in_time(columns, Meter()).tolist()
        in_turn = sorted(range(columns.count), key=lambda b: (start[b], -stop[b], -size[b], b))
        for turn, b in enumerate(in_turn):
            taken = sorted((offsets[t], offsets[t] + size[t]) for t in in_turn[:turn] if stop[t] > start[b])
            edges = [0, *(edge for pair in taken for edge in pair)]
            gaps = [(z - a, a) for a, z in zip(edges[::2], edges[1::2], strict=False) if z - a >= size[b]]
            assert offsets[b] == min(gaps, default=(0, edges[-1]))[1]


def test_many_dense_buffers_come_close_to_the_bound_in_few_turns() -> None:
    problem = problem_of(random_rows(1500, 1, longest=300))
    plan = plan_offsets(problem, Meter(effort=700_000), engine=PLAIN)
    assert plan.arena_bytes <= 1.01 * plan.load_bytes


def test_three_tenths_of_a_second_are_kept_by_a_hundred_thousand_buffers(monkeypatch: pytest.MonkeyPatch) -> None:
    # Three tenths of them, and of everything else; ten million lines are a second, of these short ones less.
    monkeypatch.setattr(solver, "_FASTEST_BUFFERS", solver._FASTEST_BUFFERS * 3 // 10)
    buffers = problem_of(random_rows(30_000, 1, longest=100)).buffers
    for lines, most in ((0, 1.3), (600_000, 1.3), (1_500_000, 1.1)):
        clock = WorkClock()
        with clock.running():
            plan = plan_offsets(AllocationProblem(buffers=buffers), Meter(lines, clock=clock), engine=PLAIN)
        assert clock.lines <= 1.1 * lines + 1_200_000
        assert plan.arena_bytes <= most * plan.load_bytes


def test_too_many_to_be_laid_often_go_outward_from_each_of_a_few_peaks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(first_fits, "_PLAIN_BUFFERS", 1000)
    monkeypatch.setattr(first_fits, "_CROWDED", 100)
    problem = problem_of(random_rows(1500, 3, longest=300))
    fits = fits_of(problem, PLAIN, [])
    begun = set()
    for _ in range(1 + 3 * len(first_fits._LAID_SELDOM)):
        fits.turn(Meter())
        assert fits._shelving.control[COUNT] == 1500  # type: ignore[union-attr] # it has shelves
        begun.add(int(fits._shelving.order[0]))  # type: ignore[union-attr] # the same
    assert len(fits._centres) == 3
    assert len(begun) >= 3


def test_where_hundreds_are_alive_orders_learn_by_rehearsals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(first_fits, "_CROWDED", 100)
    problem = problem_of(random_rows(1500, 3, longest=300))
    offered: list[list[int]] = []
    fits = fits_of(problem, PLAIN, offered)
    monkeypatch.setattr(fits, "_portfolio", lambda: iter([fits._loaded(first_fits._LOADED[2])]))
    fits.turn(Meter())
    before = fits._top
    tops = []
    while fits.turn(Meter()) and fits._shelving.control[COUNT] < 1500:  # type: ignore[union-attr] # it has shelves
        assert fits._shelving.control[COUNT] == 450  # type: ignore[union-attr] # three tenths of them
        assert len(offered) == 1  # what is laid without the others is no plan
        tops.append(fits._top)
    assert min(tops) < tops[0]
    assert fits._top < before
    assert all(find_violation(problem, offsets) is None for offsets in offered)


def test_what_waits_is_the_most_that_others_take_at_a_full_step_of_a_life() -> None:
    for seed in range(30):
        rows = random_rows(60, seed, longest=25)
        columns = columns_of(problem_of(rows))
        start, stop, size = columns.start, columns.stop, columns.size
        order = np.array(Random(seed).sample(range(60), 60))
        loads = {step: sum(z for a, e, z in rows if a <= step < e) for step in range(90)}
        full = [step for step, load in loads.items() if load >= 0.8 * max(loads.values())]
        full_bytes = math.ceil(0.8 * max(loads.values()))
        found = rehearsal_of(order, start, stop, size, columns.profile, full_bytes=full_bytes)
        members = found.members.tolist()
        assert members == order[:18].tolist()
        others = [rows[b] for b in range(60) if b not in members]
        taken = {step: sum(z for a, e, z in others if a <= step < e) for step in full}
        for b, waiting in zip(members, found.waiting.tolist(), strict=True):
            assert waiting == max((taken[step] for step in full if rows[b][0] <= step < rows[b][1]), default=0)


def test_moments_far_apart_take_no_more_shelves() -> None:
    rows = random_rows(2000, 2, longest=3)
    far = problem_of([(start * 2**40, stop * 2**40, size) for start, stop, size in rows])
    near = problem_of(rows)
    for problem in (near, far):
        fits = fits_of(problem, PLAIN, [])
        fits.turn(Meter())
        assert len(fits._shelving.block) <= 2000 // 16  # type: ignore[union-attr] # the same


@pytest.mark.skipif(not has_compiler(), reason="there is one engine alone")
@pytest.mark.parametrize("effort", [300_000, 700_000])
def test_what_is_left_of_a_budget_is_the_same_whichever_engine_runs(
    effort: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = problem_of(random_rows(2500, seed=3, longest=900))
    found = []
    for plain_seconds in (math.inf, 0.0, 0.2):
        monkeypatch.setattr(first_fits, "_PLAIN_SECONDS", plain_seconds)
        meter = Meter(effort=effort)
        found.append((plan_offsets(problem, meter).offsets, meter.spent))
    assert found[0][1] >= effort
    assert found[1:] == [found[0]] * 2
