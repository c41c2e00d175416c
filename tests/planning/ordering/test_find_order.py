"""The answer as a whole: equal to exhaustive search, never worse than the given order, whatever interrupts it."""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest

from memprof.ir import Graph, GraphBuilder, NewValue, TensorType
from memprof.planning.meter import Meter
from memprof.planning.ordering import find, solver
from memprof.planning.ordering.find import decide_order, find_order
from memprof.planning.ordering.kinds import contracted_problem, reference_problem
from memprof.planning.ordering.problem import OrderProblem
from memprof.planning.ordering.result import OrderProgress
from memprof.planning.rules import PROBLEMS
from memprof.runtimes import RUNTIMES
from memprof.runtimes.reference import reference_lifetimes
from tests.planning.ordering.exhaustive import all_orders, random_problem, smallest_peak, wired_graph
from tests.random_graphs import random_graph
from tests.real_data import require_shared_data

F4 = TensorType("float32", (1,))


def test_the_best_order_of_1500_random_graphs_is_found_and_proven_with_and_without_in_place() -> None:
    for seed in range(1500):
        rng = Random(seed)
        graph = random_graph(rng, 9) if seed % 4 == 0 else wired_graph(rng, rng.randint(1, 10))
        for problem in (reference_problem(graph), contracted_problem(graph)):
            result = find_order(problem)
            assert problem.is_order(result.order)
            assert result.peak_bytes == problem.peak_bytes(result.order) <= result.before_bytes
            assert result.is_optimal
            assert result.peak_bytes == smallest_peak(problem)


def test_problems_with_scratch_of_either_sign_are_solved_too() -> None:
    for seed in range(600):
        problem = random_problem(Random(seed), 1 + seed % 9)
        result = find_order(problem)
        assert problem.peak_bytes(result.order) == result.peak_bytes == smallest_peak(problem)
        assert result.is_optimal


def test_the_smallest_peak_is_that_of_the_best_of_all_orders_under_the_runtime_model() -> None:
    for seed in range(150):
        graph = wired_graph(Random(seed), 1 + seed % 6)
        problem = reference_problem(graph)
        smallest = min(reference_lifetimes(graph, order).timeline.peak_bytes for order in all_orders(problem))
        result = find_order(problem)
        assert reference_lifetimes(graph, result.order).timeline.peak_bytes == smallest


def test_a_budget_is_answered_with_an_order_or_a_proof() -> None:
    for seed in range(400):
        problem = random_problem(Random(seed), 1 + seed % 9)
        smallest = smallest_peak(problem)
        for budget, expected in ((smallest - 1, False), (smallest, True), (smallest + 1, True)):
            decision = decide_order(problem, budget)
            assert decision.answer is expected
            assert problem.peak_bytes(decision.result.order) == decision.result.peak_bytes
            assert decision.result.lower_bound_bytes <= smallest <= decision.result.peak_bytes


def tangle(nodes: int = 60, seed: int = 3) -> OrderProblem:
    """Return a problem that no bound and no cheap order settles."""
    rng = Random(seed)
    builder = GraphBuilder("tangle")
    values = [builder.add_input("x", TensorType.of_bytes(100))]
    for i in range(nodes):
        reads = sorted({values[rng.randrange(max(0, len(values) - 25), len(values))] for _ in range(2)})
        size = TensorType.of_bytes(rng.randint(1, 100))
        (written,) = builder.add_node("Op", reads, [NewValue(f"t{i}", size)], is_foldable=False)
        assert written is not None
        values.append(written)
    return reference_problem(builder.build(values[-3:]))


def test_without_time_the_given_order_comes_back() -> None:
    problem = tangle()
    result = find_order(problem, seconds=0)
    assert result.order == tuple(range(problem.op_count))
    assert result.peak_bytes == result.before_bytes
    assert result.ending == "time"
    assert not result.is_optimal


def test_with_little_time_the_bound_and_the_order_are_valid() -> None:
    problem = tangle()
    best = find_order(problem, seconds=60)
    assert best.is_optimal
    assert best.ending == "settled"
    for seconds in (0.001, 0.005, 0.02, 0.05):
        result = find_order(problem, seconds=seconds)
        assert result.lower_bound_bytes <= best.peak_bytes <= result.peak_bytes <= result.before_bytes
        assert problem.peak_bytes(result.order) == result.peak_bytes


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Make the clock raise ``KeyboardInterrupt`` once, after as many readings as the list's item says."""
    left = [-1]
    monotonic = time.monotonic

    def interrupting() -> float:
        left[0] -= 1
        if left[0] == 0:
            raise KeyboardInterrupt
        return monotonic()

    monkeypatch.setattr(find, "meter_of", lambda budget: Meter(budget, clock=interrupting))
    yield left


def test_an_interrupt_at_any_time_keeps_the_best_so_far(clock: list[int]) -> None:
    problem = tangle()
    interrupted = []
    for readings in (2, 3, 4, 5, 8, 12, 20, 40):
        clock[0] = readings
        result = find_order(problem, seconds=60)
        assert problem.is_order(result.order)
        assert problem.peak_bytes(result.order) == result.peak_bytes <= result.before_bytes
        assert result.lower_bound_bytes <= result.peak_bytes
        if result.ending == "interrupted":
            interrupted.append(result)
    assert any(result.peak_bytes < result.before_bytes for result in interrupted)
    assert any(not result.is_optimal for result in interrupted)


def test_an_early_interrupt_is_reported(clock: list[int]) -> None:
    clock[0] = 3
    assert find_order(tangle(), seconds=60).ending == "interrupted"


def test_an_interrupt_leaves_what_comes_next_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(find._Run, "_solve", interrupt)
    meter = Meter(600)
    assert find_order(tangle(), meter.part(0.5)).ending == "interrupted"
    assert meter.has_ended


def test_progress_only_gets_better_and_ends_at_the_result() -> None:
    seen: list[OrderProgress] = []
    problem = tangle()
    result = find_order(problem, 60, seen.append)
    assert seen
    assert all(a.peak_bytes >= b.peak_bytes for a, b in pairwise(seen))
    assert all(a.lower_bound_bytes <= b.lower_bound_bytes for a, b in pairwise(seen))
    assert seen[-1].peak_bytes >= result.peak_bytes
    assert seen[-1].lower_bound_bytes <= result.lower_bound_bytes


def test_gradients_of_layers_that_are_computed_again_wait_where_that_is_lower(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[3] / "benchmarks"))
    from networks import checkpointed_training_step  # type: ignore[import-not-found] # a script's neighbour

    problem = reference_problem(checkpointed_training_step(12))
    result = find_order(problem, Meter(effort=200_000))
    assert result.peak_bytes < result.before_bytes
    assert result.is_optimal


def test_the_same_problem_gets_the_same_order() -> None:
    assert find_order(tangle(), 60).order == find_order(tangle(), 60).order


def test_the_search_stops_at_its_memory_limit_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(solver, "_STATE_MEMORY_BYTES", 1)
    monkeypatch.setattr(solver, "_FIRST_BUDGET", 1)
    monkeypatch.setattr(solver, "_BEAM_WIDTHS", {})
    monkeypatch.setattr(solver, "_LAST_BEAM_WIDTHS", ())
    result = find_order(tangle(), 60)
    assert result.ending == "limits"
    assert result.lower_bound_bytes < result.peak_bytes <= result.before_bytes


def chain(nodes: int) -> Graph:
    builder = GraphBuilder("chain")
    value = builder.add_input("x", F4)
    for i in range(nodes):
        (written,) = builder.add_node("Op", [value], [NewValue(f"t{i}", F4)], is_foldable=False)
        assert written is not None
        value = written
    return builder.build([value])


def test_depth_is_no_limit() -> None:
    result = find_order(reference_problem(chain(20_000)))
    assert result.is_optimal
    assert result.peak_bytes == 8


def test_beyond_the_size_of_the_exact_search_windows_still_improve_the_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(solver, "_SEARCHABLE_OPS", 12)
    monkeypatch.setattr(solver, "_WINDOW_OPS", (8, 12))
    monkeypatch.setattr(solver, "_cheap_orders", lambda piece, meter: iter(()))
    has_improved = False
    for seed in range(60):
        problem = reference_problem(wired_graph(Random(seed), 30))
        result = find_order(problem)
        assert problem.is_order(result.order)
        assert problem.peak_bytes(result.order) == result.peak_bytes <= result.before_bytes
        has_improved |= result.peak_bytes < result.before_bytes
    assert has_improved


@pytest.mark.parametrize("kind", PROBLEMS)
def test_an_empty_graph_has_an_optimal_order(kind: str) -> None:
    builder = GraphBuilder("empty")
    x = builder.add_input("x", F4)
    builder.add_input("unread", F4)
    result = find_order(PROBLEMS[kind](builder.build([x])))
    assert result.order == ()
    assert result.is_optimal
    assert result.peak_bytes == (8 if RUNTIMES[kind].counts_inputs else 0)


def read_study_graph(path: Path) -> Graph:
    """Read one of the graphs of the study: operations with tensor ids in and out, and the tensors' bytes."""
    data = json.loads(path.read_text())
    builder = GraphBuilder(data["name"])
    ids: dict[int, int] = {}
    for tensor in data["inputs"]:
        ids[tensor] = builder.add_input(f"t{tensor}", TensorType.of_bytes(data["sizes"][tensor]))
    for op in data["ops"]:
        written = builder.add_node(
            op["name"],
            [ids[tensor] for tensor in op["ins"]],
            [NewValue(f"t{tensor}", TensorType.of_bytes(data["sizes"][tensor])) for tensor in op["outs"]],
            is_elementwise=op["inp"],
            is_foldable=False,
        )
        ids.update(zip(op["outs"], (i for i in written if i is not None), strict=True))
    return builder.build([ids[tensor] for tensor in data["outputs"]])


def test_real_networks_reach_their_proven_peaks() -> None:
    folder = require_shared_data() / "graphs"
    with (folder / "optima.csv").open() as file:
        expected = {row["graph"]: row for row in csv.DictReader(file)}
    assert expected
    for name, row in expected.items():
        graph = read_study_graph(folder / f"{name}.json")
        result = find_order(reference_problem(graph), seconds=60)
        assert result.before_bytes == int(row["given_order_peak_bytes"])
        assert (name, result.peak_bytes, result.is_optimal) == (name, int(row["optimal_peak_bytes"]), True)
        assert find_order(contracted_problem(graph), seconds=60).is_optimal
