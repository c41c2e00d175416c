"""Several arenas: never below the exact optimum of small problems, bounds never above it, every plan judged."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import product
from random import Random

import numpy as np
import pytest

from memprof.base.errors import BudgetError, UsageError
from memprof.planning import arenas as arenas_module
from memprof.planning.arenas import Arena, ArenasPlan, Place, check_arenas, plan_arenas
from memprof.planning.meter import Meter
from memprof.planning.offsets.problem import AllocationBuffer, AllocationProblem
from memprof.planning.offsets.shelves import Shelves
from memprof.planning.offsets.solver import _Run
from tests.planning.offsets.problems import GAP, fits
from tests.planning.work import WorkClock

FAST, SLOW = Arena("fast", 8, Fraction(1)), Arena("slow", 100, Fraction(10))


def problem_of(*rows: tuple[int, int, int, int], alignment: int = 1) -> AllocationProblem:
    """Return buffers from start, stop, size and traffic."""
    buffers = [
        AllocationBuffer(name=f"b{i}", start=start, stop=stop, size_bytes=size, traffic_bytes=traffic)
        for i, (start, stop, size, traffic) in enumerate(rows)
    ]
    return AllocationProblem(buffers=tuple(buffers), alignment=alignment)


def small_cases(count: int) -> Iterator[tuple[AllocationProblem, tuple[Arena, ...]]]:
    """Yield small problems with two or three arenas of which the last holds everything."""
    for seed in range(count):
        rng = Random(seed)
        rows = []
        for _ in range(rng.randint(1, 6)):
            start = rng.randint(0, 4)
            rows.append((start, start + rng.randint(0, 4), rng.randint(0, 5), rng.randint(0, 12)))
        costs = sorted(Fraction(rng.randint(0, 12), rng.choice([1, 2, 3])) for _ in range(3))
        arenas = [Arena("a", rng.randint(0, 9), costs[0]), Arena("b", rng.randint(0, 9), costs[1])]
        problem = problem_of(*rows, alignment=rng.choice([1, 1, 2]))
        yield problem, (*arenas[: rng.randint(1, 2)], Arena("c", 60, costs[2]))


def least_cost(problem: AllocationProblem, arenas: tuple[Arena, ...]) -> Fraction:
    """Return the least cost there is, by trying every assignment and every offset."""
    best = None
    for homes in product(range(len(arenas)), repeat=len(problem.buffers)):
        pairs = list(zip(homes, problem.buffers, strict=True))
        cost = sum((b.traffic_bytes * arenas[home].cost_per_byte for home, b in pairs), Fraction(0))
        if best is not None and cost >= best:
            continue
        parts = [replace(problem, buffers=tuple(b for home, b in pairs if home == a)) for a in range(len(arenas))]
        if all(fits(part, arena.size_bytes) for part, arena in zip(parts, arenas, strict=True)):
            best = cost
    assert best is not None
    return best


def test_on_small_problems_bound_and_plan_enclose_the_optimum_and_mostly_meet_it() -> None:
    optimal = proven = total = 0
    for problem, arenas in small_cases(250):
        plan = plan_arenas(problem, arenas)
        best = least_cost(problem, arenas)
        assert plan.lower_bound <= best <= plan.cost
        check_arenas(plan)
        total += 1
        optimal += plan.cost == best
        proven += plan.is_optimal
    assert optimal >= 0.95 * total
    assert proven >= 0.6 * total


def test_the_busy_buffer_gets_the_cheap_arena() -> None:
    plan = plan_arenas(problem_of((0, 4, 8, 16), (0, 4, 8, 80)), (SLOW, FAST))
    assert [plan.arenas[place.arena].name for place in plan.places] == ["slow", "fast"]
    assert (plan.cost, plan.is_optimal) == (16 * 10 + 80, True)


def test_buffers_that_never_meet_share_the_cheap_arena() -> None:
    plan = plan_arenas(problem_of((0, 2, 8, 10), (2, 4, 8, 10)), (FAST, SLOW))
    assert (plan.cost, plan.is_optimal) == (20, True)
    assert (plan.used_bytes(0), plan.used_bytes(1)) == (8, 0)
    assert (plan.traffic_bytes(0), plan.traffic_bytes(1)) == (20, 0)


def test_loads_that_fit_an_arena_but_no_addresses_do_are_not_taken_for_a_plan() -> None:
    # Nine bytes alive at every step, ten needed: one buffer must leave.
    problem = problem_of(*((start, stop, size, 2 * size) for start, stop, size in GAP))
    plan = plan_arenas(problem, (Arena("fast", 9, Fraction(1)), SLOW))
    assert plan.cost > sum(buffer.traffic_bytes for buffer in problem.buffers)


def test_an_interrupt_keeps_the_plan_so_far_and_leaves_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(arenas_module, "_moves", interrupt)
    meter = Meter(600)

    problem = problem_of((0, 4, 10, 1), (0, 4, 10, 9), (0, 4, 10, 5))
    plan = plan_arenas(problem, (Arena("fast", 15, Fraction(1)), Arena("slow", 40, Fraction(2))), meter.part(1))

    assert [place.arena for place in plan.places] == [1, 0, 1]
    assert meter.has_ended


def test_an_interrupt_inside_of_a_try_ends_all_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    begun = []

    def interrupted(run: object) -> None:
        begun.append(run)
        raise KeyboardInterrupt

    monkeypatch.setattr(_Run, "_run_greedies", interrupted)
    meter = Meter(600)
    problem = problem_of(*((start, stop, size, 2 * size) for start, stop, size in GAP))

    plan_arenas(problem, (Arena("fast", 9, Fraction(1)), SLOW), meter.part(1))

    assert len(begun) == 1
    assert meter.has_ended


def test_first_places_look_at_what_is_near_in_time_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten thousand buffers of which two are alive at once: each meets a few others, not all."""
    looked_at = []
    near = Shelves.near

    def count(shelves: Shelves, b: int) -> list[int]:
        found = near(shelves, b)
        looked_at.append(sum(len(shelves._on[k]) for k in range(shelves._first[b], shelves._last[b] + 1)))
        return found

    monkeypatch.setattr(Shelves, "near", count)
    n = 1500
    problem = problem_of(*((i, i + 2, 10 + i % 7, i % 11) for i in range(n)))
    plan = plan_arenas(problem, (Arena("fast", 20, Fraction(1)), Arena("slow", 60, Fraction(2))), 0.0)
    assert len(plan.places) == n
    assert max(looked_at) < 20
    assert len(looked_at) >= n


def test_many_buffers_are_spread_within_the_time() -> None:
    rng = Random(4)
    starts = [rng.randrange(3000) for _ in range(6000)]
    rows = [(start, start + rng.randint(1, 300), rng.choice((64, 96)), 10) for start in starts]
    load = problem_of(*rows).load_bytes
    arenas = (Arena("fast", load // 2, Fraction(1)), Arena("slow", 2 * load, Fraction(5)))
    clock = WorkClock()
    with clock.running():
        plan = plan_arenas(problem_of(*rows), arenas, Meter(1_000_000, clock=clock))
    assert clock.lines <= 4_000_000
    assert {place.arena for place in plan.places} == {0, 1}
    check_arenas(plan)


def test_what_thousands_pay_at_the_best_prices_decides_where_they_are_born(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = Random(7)
    rows = []
    for _ in range(2500):
        start, size = rng.randrange(2500), 64 * rng.randint(1, 64)
        rows.append((start, start + rng.randint(1, 400), size, size * rng.randint(1, 8)))
    problem = problem_of(*rows)
    arenas = (Arena("fast", problem.load_bytes // 3, Fraction(1)), Arena("slow", 2 * problem.load_bytes, Fraction(9)))
    monkeypatch.setattr(arenas_module, "_orders", lambda *_: [])
    monkeypatch.setattr(arenas_module, "_improve", lambda table, places, bound, meter: places)
    at_prices = plan_arenas(problem, arenas, Meter())
    assert at_prices.cost < Fraction(13, 10) * at_prices.lower_bound
    assert at_prices.cost < Fraction(8, 10) * plan_arenas(problem, arenas, Meter(seconds=0)).cost


def test_the_bound_is_exactly_what_buffers_pay_at_rounded_prices_less_what_arenas_earn() -> None:
    for number, (problem, arenas) in enumerate(small_cases(200)):
        table = arenas_module._Table(problem, arenas)
        rng = np.random.default_rng(number)
        prices = rng.random((len(arenas), table.span_count)) * rng.choice([0, 0.1, 3])
        exact = [
            [Fraction(round(p * arenas_module._PRICE_UNIT), arenas_module._PRICE_UNIT) for p in row] for row in prices
        ]
        paid = sum(
            min(
                b.traffic_bytes * arena.cost_per_byte
                + size * sum(exact[a][table.first[i] : table.last[i]], Fraction(0))
                for a, arena in enumerate(arenas)
                if size <= arena.size_bytes
            )
            for i, (b, size) in enumerate(zip(problem.buffers, problem.sizes, strict=True))
        )
        earned = sum(sum(row) * arena.size_bytes for row, arena in zip(exact, arenas, strict=True))
        found = arenas_module._exact_bound(table, prices)
        assert found >= max(paid - earned, 0)  # the next sum of traffics times costs
        assert found == arenas_module._next_possible(table, max(Fraction(paid - earned), Fraction(0)))


def test_no_room_is_said_with_the_numbers() -> None:
    with pytest.raises(BudgetError, match="12 bytes are alive at one step; the arenas have 11 together"):
        plan_arenas(problem_of((0, 1, 6, 1), (0, 1, 6, 1)), (Arena("a", 6, Fraction(1)), Arena("b", 5, Fraction(2))))
    with pytest.raises(BudgetError, match="'b0' of 7 bytes is larger than every arena"):
        plan_arenas(problem_of((0, 1, 7, 1)), (Arena("a", 6, Fraction(1)), Arena("b", 5, Fraction(2))))


def test_arenas_need_names_of_their_own() -> None:
    for arenas in ((), (FAST, FAST)):
        with pytest.raises(UsageError):
            plan_arenas(problem_of((0, 1, 1, 1)), arenas)
    with pytest.raises(UsageError, match="negative"):
        Arena("x", -1, Fraction(1))


@pytest.mark.parametrize(
    ("places", "message"),
    [
        ((Place(0, 0), Place(0, 4)), "overlap"),
        ((Place(0, 0), Place(0, 8)), "capacity"),
        ((Place(0, 0), Place(0, -1)), "outside"),
        ((Place(0, 0),), "every buffer has one place"),
    ],
)
def test_the_judge_of_arenas_finds_what_is_broken(places: tuple[Place, ...], message: str) -> None:
    plan = ArenasPlan(
        problem=problem_of((0, 2, 8, 1), (0, 2, 8, 1)),
        arenas=(FAST, SLOW),
        places=places,
        lower_bound=Fraction(0),
        seconds=0.0,
    )
    with pytest.raises(AssertionError, match=message):
        check_arenas(plan)


def test_an_empty_problem_costs_nothing() -> None:
    plan = plan_arenas(AllocationProblem(buffers=()), (FAST,))
    assert (plan.cost, plan.is_optimal, plan.places) == (0, True, ())


def test_the_json_says_where_each_buffer_is() -> None:
    document = plan_arenas(problem_of((0, 4, 8, 16), (0, 4, 8, 80)), (FAST, SLOW)).to_json()
    assert [(b["name"], b["arena"], b["offset"]) for b in document["buffers"]] == [
        ("b0", "slow", 0),
        ("b1", "fast", 0),
    ]
    assert document["arenas"][0] == {
        "name": "fast",
        "size_bytes": 8,
        "cost_per_byte": 1.0,
        "exact_cost_per_byte": "1",
        "used_bytes": 8,
        "traffic_bytes": 80,
    }
    assert (document["cost"], document["lower_bound_cost"], document["optimal"]) == (240.0, 240.0, True)
