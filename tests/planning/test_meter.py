"""Budgets are kept: on a clock that runs on work, no search goes on for long once its time or its steps are spent."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from random import Random

import pytest

from memprof.ir import GraphBuilder, NewValue, TensorType
from memprof.planning.meter import STEPS_PER_LOOK, Meter, OutOfBudget
from memprof.planning.ordering.find import find_order
from memprof.planning.ordering.kinds import reference_problem
from memprof.planning.ordering.problem import OrderProblem
from tests.planning.work import WorkClock

LINES_OVER = 1_000_000
"""Lines of Python that may run after the end: a tenth of a second."""


def fan(branches: int, is_equal: bool) -> OrderProblem:
    """Return a value read by branches of two operations, large then small, that are joined again."""
    rng = Random(branches)
    builder = GraphBuilder("fan")
    x = builder.add_input("x", TensorType.of_bytes(300))
    ends = []
    for i in range(branches):
        sizes = (1000, 10) if is_equal else (rng.randint(500, 1000), rng.randint(1, 10))
        value = x
        for k, size in enumerate(sizes):
            new = NewValue(f"t{i}.{k}", TensorType.of_bytes(size))
            (written,) = builder.add_node("Op", [value], [new], is_foldable=False)
            assert written is not None
            value = written
        ends.append(value)
    (y,) = builder.add_node("Join", ends, [NewValue("y", TensorType.of_bytes(64))], is_foldable=False)
    assert y is not None
    return reference_problem(builder.build([y]))


def tangle(nodes: int) -> OrderProblem:
    """Return operations that each read two of the last twenty-five values."""
    rng = Random(nodes)
    builder = GraphBuilder("tangle")
    values = [builder.add_input("x", TensorType.of_bytes(100))]
    for i in range(nodes):
        reads = sorted({values[rng.randrange(max(0, len(values) - 25), len(values))] for _ in range(2)})
        new = NewValue(f"t{i}", TensorType.of_bytes(rng.randint(1, 100)))
        (written,) = builder.add_node("Op", reads, [new], is_foldable=False)
        assert written is not None
        values.append(written)
    return reference_problem(builder.build(values[-3:]))


PROBLEMS: dict[str, Callable[[], OrderProblem]] = {
    "2,000 unequal branches": lambda: fan(2000, is_equal=False),
    "500 unequal branches": lambda: fan(500, is_equal=False),
    "2,000 equal branches": lambda: fan(2000, is_equal=True),
    "a tangle of 150": lambda: tangle(150),
    "a tangle of 3,000": lambda: tangle(3000),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_a_search_for_an_order_ends_soon_after_its_time(name: str) -> None:
    problem = PROBLEMS[name]()
    for lines in (0, 300_000, 2_000_000):
        clock = WorkClock()
        with clock.running():
            result = find_order(problem, Meter(lines, clock=clock))
        assert clock.lines <= lines * 1.1 + LINES_OVER
        assert problem.peak_bytes(result.order) == result.peak_bytes <= result.before_bytes
        assert result.lower_bound_bytes <= result.peak_bytes
        assert result.ending in {"time", "settled"}


def test_a_large_graph_is_not_gone_through_more_than_a_few_times_between_two_looks_at_the_clock() -> None:
    problem = tangle(11_000)
    clock = WorkClock()
    with clock.running():
        find_order(problem, Meter(effort=400_000, clock=clock))
    assert max(after - before for before, after in pairwise(clock.readings)) < 60 * problem.op_count


@pytest.mark.parametrize("name", PROBLEMS)
def test_a_budget_in_steps_gives_the_same_order_however_slow_the_clock(name: str) -> None:
    problem = PROBLEMS[name]()
    clocks = [lambda: 0.0, iter(range(10**9)).__next__]
    first, second = (find_order(problem, Meter(effort=60_000, clock=clock)) for clock in clocks)
    assert (first.order, first.lower_bound_bytes) == (second.order, second.lower_bound_bytes)
    assert first.ending == second.ending in {"effort", "settled"}


def test_more_steps_never_give_a_worse_order_or_bound() -> None:
    problem = tangle(150)
    results = [find_order(problem, Meter(effort=effort)) for effort in (0, 1000, 10_000, 100_000)]
    peaks = [result.peak_bytes for result in results]
    bounds = [result.lower_bound_bytes for result in results]
    assert peaks == sorted(peaks, reverse=True)
    assert bounds == sorted(bounds)
    assert peaks[-1] < peaks[0]


def test_a_meter_ends_at_its_last_step_and_stays_ended() -> None:
    meter = Meter(effort=STEPS_PER_LOOK + 7)
    for _ in range(STEPS_PER_LOOK + 7):
        meter.spend()
    for _ in range(2):
        with pytest.raises(OutOfBudget):
            meter.spend()
    assert meter.has_ended


def test_a_meter_reads_the_clock_every_few_hundred_steps_and_ends_with_its_time() -> None:
    now = [0.0]
    meter = Meter(seconds=1, clock=lambda: now[0])
    meter.spend()
    now[0] = 1.0
    with pytest.raises(OutOfBudget):
        for _ in range(STEPS_PER_LOOK + 1):
            meter.spend()
    assert meter.seconds_left == 0


def test_what_a_part_spends_its_parent_has_spent() -> None:
    meter = Meter(effort=1000)
    meter.spend(200)
    part = meter.part(0.5)
    with pytest.raises(OutOfBudget):
        for _ in range(500):
            part.spend()
    part.settle()
    assert 600 <= meter.spent <= 601
    assert meter.part(1).part(1).has_ended is False


def test_a_patient_meter_has_more_time_and_its_first_steps_and_its_parent_is_charged() -> None:
    now = [0.0]
    meter = Meter(seconds=1, effort=100, clock=lambda: now[0])
    patient = meter.patient(3000, seconds=2)
    now[0] = 2.5
    patient.spend(3000)
    with pytest.raises(OutOfBudget):
        patient.spend()
    assert meter.spent >= 3000
    late = Meter(seconds=1, clock=lambda: now[0]).patient(10**9, seconds=2)
    now[0] = 6.0
    with pytest.raises(OutOfBudget):
        late.spend(STEPS_PER_LOOK + 1)
