"""Plans of many buffers: shelves, repairs, and budgets that are kept."""

from __future__ import annotations

from contextlib import suppress
from random import Random

import pytest

from memprof.planning.meter import Meter, OutOfBudget
from memprof.planning.offsets import solver
from memprof.planning.offsets.columns import columns_of
from memprof.planning.offsets.engine import PLAIN
from memprof.planning.offsets.greedy import place_all
from memprof.planning.offsets.in_time import place_by_class, place_largest_in_time
from memprof.planning.offsets.problem import AllocationProblem
from memprof.planning.offsets.repair import Repairs
from memprof.planning.offsets.shelves import Shelves
from memprof.planning.offsets.solver import plan_offsets
from memprof.planning.validator import find_violation
from tests.planning.offsets.problems import GAP, loose_problem, problem_of
from tests.planning.work import WorkClock

LINES_OVER = 1_500_000
"""Lines of Python that may run after the end: less than two tenths of a second."""

LINES_A_BUFFER = 60
"""Lines for each of many buffers: reading, best fit in time, the judge."""


def uniform(count: int, seed: int, alive: int = 50) -> AllocationProblem:
    """Return buffers with uniform starts, lengths and sizes, about ``alive`` of them at each step."""
    rng = Random(seed)
    rows = []
    for _ in range(count):
        start = rng.randrange(count)
        rows.append((start, start + rng.randint(1, 2 * alive), 64 * rng.randint(1, 1024)))
    return problem_of(rows)


def bursts(count: int, seed: int) -> AllocationProblem:
    """Return buffers that are born in crowds."""
    rng = Random(seed)
    rows: list[tuple[int, int, int]] = []
    while len(rows) < count:
        birth = rng.randrange(count)
        for _ in range(rng.randint(10, 200)):
            start = birth + rng.randint(0, 20)
            rows.append((start, start + rng.randint(1, 200), 64 * rng.randint(1, 1024)))
    return problem_of(rows[:count])


def test_shelves_know_who_is_near_and_where_the_lowest_gap_is() -> None:
    for seed in range(300):
        rng = Random(seed)
        columns = columns_of(loose_problem(rng))
        starts, stops, sizes = columns.start.tolist(), columns.stop.tolist(), columns.size.tolist()
        shelves = Shelves(columns, Meter())
        placed: set[int] = set()
        for b in rng.sample(range(columns.count), columns.count):
            expected = {t for t in placed if starts[t] < stops[b] and stops[t] > starts[b]}
            assert sorted(shelves.near(b)) == sorted(expected)
            taken = [(shelves.offset[t], shelves.offset[t] + sizes[t]) for t in expected]
            lowest = min(
                o for o in (0, *(end for _, end in taken)) if all(o >= z or o + sizes[b] <= a for a, z in taken)
            )
            assert shelves.lowest_gap(b) == lowest
            shelves.put(b, lowest)
            placed.add(b)
            if rng.random() < 0.3:
                gone = rng.choice(sorted(placed))
                shelves.take(gone)
                placed.remove(gone)


def test_the_last_resort_is_a_plan() -> None:
    for seed in range(200):
        problem = loose_problem(Random(seed))
        columns = columns_of(problem)
        offsets = [0] * len(problem.buffers)
        for i, offset in zip(columns.ids.tolist(), place_by_class(columns), strict=True):
            offsets[i] = offset
        assert find_violation(problem, offsets) is None


@pytest.mark.parametrize("seed", [1])
def test_repairs_only_lower_a_plan_and_leave_it_valid_wherever_they_end(seed: int) -> None:
    problem = uniform(1500, seed)
    columns = columns_of(problem)
    offsets = place_all(columns, "time, best fit")
    for effort in (2_000, 50_000, 1_500_000):
        seen = [offsets]

        def solve(crowd: list[int], height: int, meter: Meter) -> list[int] | None:
            part = AllocationProblem(buffers=tuple(problem.buffers[columns.ids[i]] for i in crowd))
            plan = plan_offsets(part, Meter(effort=60_000), engine=PLAIN)
            return list(plan.offsets) if plan.arena_bytes <= height else None

        repairs = Repairs(
            columns,
            offsets,
            bound_bytes=problem.load_bytes,
            granule_bytes=problem.granule_bytes,
            solve=solve,  # type: ignore[arg-type] # the crowd is a list here
            offer=seen.append,
            meter=Meter(effort=effort),
        )
        with suppress(OutOfBudget):
            repairs.run()
        arenas = [problem.arena_bytes(found) for found in seen]
        assert arenas == sorted(arenas, reverse=True)
        for found in (*seen, repairs.offsets()):
            assert find_violation(problem, found) is None
    assert arenas[-1] < arenas[0]


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow)])
@pytest.mark.parametrize(("make", "within"), [(uniform, 1.005), (bursts, 1.005)])
def test_thousands_of_buffers_come_close_to_the_bound(make: object, within: float, seed: int) -> None:
    problem = make(4000, seed)  # type: ignore[operator] # a function of this file
    plan = plan_offsets(problem, Meter(effort=6_000_000), engine=PLAIN)
    assert plan.arena_bytes <= within * plan.load_bytes


def test_a_plan_ends_soon_after_its_time() -> None:
    problem = uniform(6000, 5)
    for lines in (0, 1_000_000, 3_000_000):
        clock = WorkClock()
        with clock.running():
            plan = plan_offsets(problem, Meter(lines, clock=clock), engine=PLAIN)
        assert clock.lines <= 1.1 * lines + LINES_OVER
        assert plan.arena_bytes < sum(problem.sizes)


@pytest.mark.parametrize("alive", [50, 2000])
def test_what_follows_the_deadline_is_a_few_lines_a_buffer(alive: int) -> None:
    problem = uniform(20_000, 5, alive)
    for lines in (0, 100_000, 400_000):
        clock = WorkClock()
        with clock.running():
            plan = plan_offsets(problem, Meter(lines, clock=clock), engine=PLAIN)
        assert clock.lines <= lines + LINES_A_BUFFER * len(problem.buffers)
        assert plan.arena_bytes < sum(problem.sizes)


def test_without_time_the_largest_of_very_many_are_placed_by_the_fastest_rule(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = Random(3)
    starts = [rng.randrange(2000) for _ in range(12_000)]
    buffers = problem_of([(start, start + rng.randint(1, 200), rng.choice((64, 96))) for start in starts]).buffers
    plan = plan_offsets(AllocationProblem(buffers=buffers), Meter(effort=0), engine=PLAIN)
    assert plan.arena_bytes <= 1.05 * plan.load_bytes
    monkeypatch.setattr(solver, "_FASTEST_BUFFERS", 10_000)
    most_of_them = plan_offsets(AllocationProblem(buffers=buffers), Meter(effort=0), engine=PLAIN)
    assert plan.arena_bytes < most_of_them.arena_bytes < 1.15 * plan.load_bytes
    assert find_violation(most_of_them.problem, most_of_them.offsets) is None


def test_of_the_largest_and_the_classes_none_is_in_the_way_of_another() -> None:
    for seed in range(100):
        problem = loose_problem(Random(seed), most=20)
        columns = columns_of(problem)
        for most in (1, columns.count // 2, columns.count):
            offsets = [0] * len(problem.buffers)
            for i, offset in zip(columns.ids.tolist(), place_largest_in_time(columns, most, Meter()), strict=True):
                offsets[i] = offset
            assert find_violation(problem, offsets) is None


def test_alike_buffers_are_all_placed_by_class() -> None:
    rng = Random(4)
    problem = problem_of(
        [(start, start + rng.randint(1, 60), 64) for start in (rng.randrange(300) for _ in range(900))]
    )
    columns = columns_of(problem)
    assert problem.arena_bytes(place_largest_in_time(columns, 300, Meter()).tolist()) == problem.load_bytes


def test_a_budget_in_steps_gives_the_same_plan_however_slow_the_clock() -> None:
    problem = uniform(2000, 3)
    clocks = [lambda: 0.0, iter(range(10**9)).__next__]
    first, second = (plan_offsets(problem, Meter(effort=300_000, clock=c), engine=PLAIN) for c in clocks)
    assert first.offsets == second.offsets
    assert not first.is_optimal


def test_ctrl_c_in_the_search_of_a_crowd_ends_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def interrupt(*_: object) -> None:
        calls.append(1)
        raise KeyboardInterrupt

    monkeypatch.setattr(solver, "lay_out", interrupt)
    problem = uniform(2000, 3)
    plan = plan_offsets(problem, Meter(effort=10_000_000), engine=PLAIN)
    assert calls == [1]
    assert problem.load_bytes < plan.arena_bytes < sum(problem.sizes)


def test_a_few_thousand_with_many_alive_are_searched_before_first_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    class BegunError(Exception):
        pass

    def begin(*_: object) -> None:
        raise BegunError

    monkeypatch.setattr(solver, "FirstFits", begin)
    monkeypatch.setattr(solver, "_MANY", 5)
    monkeypatch.setattr(solver, "_CROWDED", 2)
    assert plan_offsets(problem_of(GAP), Meter(effort=10_000_000), engine=PLAIN).proof == "exhaustive search"
    for limit, value in (("_CROWDED", 50), ("_SEARCHED_WHOLE", 8)):
        with monkeypatch.context() as patch, pytest.raises(BegunError):
            patch.setattr(solver, limit, value)
            plan_offsets(problem_of(GAP), Meter(effort=10_000_000), engine=PLAIN)


def test_repairs_come_first_where_a_turn_of_first_fit_would_take_all_the_time() -> None:
    plan = plan_offsets(uniform(51_000, 9), Meter(effort=1_900_000), engine=PLAIN)
    assert plan.strategy == "repair"
