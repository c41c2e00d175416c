"""Orders scored under runtime models whose reuse depends on the order: the bound holds, no given order is lost."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import pytest

from memprof.ir import Graph, GraphBuilder, NewValue, TensorType
from memprof.planning.meter import Meter
from memprof.planning.ordering import scored
from memprof.planning.ordering.kinds import contracted_problem, reference_problem
from memprof.planning.ordering.problem import OrderProblem
from memprof.planning.ordering.result import OrderResult
from memprof.planning.ordering.scored import find_scored_order
from memprof.planning.rules import PROBLEMS
from memprof.runtimes import RUNTIMES
from tests.planning.ordering.exhaustive import all_orders, wired_graph

FLOORS = ("ideal", "onnxruntime")


def score(runtime: str, graph: Graph, order: Sequence[int]) -> int:
    return RUNTIMES[runtime].lifetimes(graph, order).timeline.peak_bytes


def found(runtime: str, graph: Graph) -> OrderResult:
    return find_scored_order(
        graph,
        lambda g, order: score(runtime, g, order),
        floor=lambda: PROBLEMS[runtime](graph),
        related=[lambda: contracted_problem(graph), lambda: reference_problem(graph)],
    )


@pytest.mark.parametrize("runtime", FLOORS)
def test_no_order_scores_below_the_bound_and_the_result_is_an_order_with_its_score(runtime: str) -> None:
    for seed in range(100):
        graph = wired_graph(Random(seed), 1 + seed % 6)
        result = found(runtime, graph)
        problem = reference_problem(graph)
        scores = [score(runtime, graph, order) for order in all_orders(problem)]
        assert problem.is_order(result.order)
        assert result.peak_bytes == score(runtime, graph, result.order) <= result.before_bytes
        assert result.lower_bound_bytes <= min(scores) <= result.peak_bytes
        assert result.before_bytes == score(runtime, graph, range(len(graph.nodes)))


def unread_outputs_graph(rng: Random) -> Graph:
    """Return a graph whose operations write up to three values each, of sizes that recur, and not all are read."""
    builder = GraphBuilder("unread outputs")
    values: list[int | None] = [builder.add_input("x", TensorType.of_bytes(100))]
    for i in range(rng.randint(4, 8)):
        sizes = [rng.choice([0, 1, 2, 3, 7, 50, 100, 1000]) for _ in range(rng.choice([1, 2, 3]))]
        new = [NewValue(f"t{i}.{j}", TensorType.of_bytes(size)) for j, size in enumerate(sizes)]
        reads = [rng.choice(values[-6:]) for _ in range(rng.choice([1, 2]))]
        values += builder.add_node("Op", reads, new, is_foldable=False)
    return builder.build([i for i in rng.sample(values[1:], 2) if i is not None])


@pytest.mark.parametrize("runtime", FLOORS)
def test_no_order_scores_below_the_bound_where_outputs_are_not_read(runtime: str) -> None:
    for seed in range(150):
        graph = unread_outputs_graph(Random(seed))
        result = found(runtime, graph)
        assert result.lower_bound_bytes <= result.peak_bytes
        for order in list(all_orders(reference_problem(graph)))[:100]:
            assert result.lower_bound_bytes <= score(runtime, graph, order)


def test_under_ideal_nearly_every_small_graph_is_settled() -> None:
    settled = sum(found("ideal", wired_graph(Random(seed), 8)).is_optimal for seed in range(200))
    assert settled > 150


def test_an_interrupt_keeps_the_best_so_far() -> None:
    graph = wired_graph(Random(5), 9)
    calls = 0

    def interrupted_score(g: Graph, order: Sequence[int]) -> int:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise KeyboardInterrupt
        return 1000 - calls if calls < 3 else 10**6

    meter = Meter(600)
    result = find_scored_order(
        graph,
        interrupted_score,
        floor=lambda: PROBLEMS["onnxruntime"](graph),
        related=[lambda: contracted_problem(graph)],
        seconds=meter.part(0.5),
    )
    assert meter.has_ended  # what comes next has no time either
    assert result.ending == "interrupted"
    assert result.peak_bytes == 998
    assert reference_problem(graph).is_order(result.order)


def test_without_time_the_given_order_comes_back() -> None:
    graph = wired_graph(Random(5), 9)
    result = find_scored_order(
        graph, lambda g, order: 10**6, floor=lambda: PROBLEMS["onnxruntime"](graph), related=[], seconds=0
    )
    assert result.order == tuple(range(9))
    assert result.ending == "time"


def test_a_floor_that_is_none_is_a_bug_that_shows() -> None:
    graph = wired_graph(Random(5), 9)
    with pytest.raises(AssertionError, match="floor"):
        find_scored_order(graph, lambda g, order: 0, floor=lambda: reference_problem(graph), related=[])


def test_constants_are_tried_right_before_their_first_reader() -> None:
    of = TensorType("float32", (4,))
    builder = GraphBuilder("constants")
    (early,) = builder.add_node("ConstantOfShape", [], [NewValue("early", of)])
    (late,) = builder.add_node("ConstantOfShape", [], [NewValue("late", of)])
    value = builder.add_input("x", of)
    for name, weight in (("a", early), ("b", late)):
        (written,) = builder.add_node("Mul", [value, weight], [NewValue(name, of)])
        assert written is not None
        value = written
    graph = builder.build([value])
    tried: list[tuple[int, ...]] = []

    def remember(g: Graph, order: Sequence[int]) -> int:
        tried.append(tuple(order))
        return 10**6

    scored.find_scored_order(graph, remember, floor=lambda: PROBLEMS["onnxruntime"](graph), related=[])
    assert tried[0] == (0, 1, 2, 3)
    assert (0, 2, 1, 3) in tried


def chain(ops: int) -> Graph:
    builder = GraphBuilder("chain")
    value = builder.add_input("x", TensorType.of_bytes(4))
    for i in range(ops):
        (written,) = builder.add_node("Op", [value], [NewValue(f"t{i}", TensorType.of_bytes(4))], is_foldable=False)
        assert written is not None
        value = written
    return builder.build([value])


@pytest.mark.parametrize(("ops", "posed"), [(10_000, ["floor"]), (10_001, [])])
def test_without_time_related_problems_are_not_posed_nor_is_the_floor_of_a_large_graph(
    ops: int, posed: list[str]
) -> None:
    graph = chain(ops)
    asked: list[str] = []

    def pose(name: str) -> OrderProblem:
        asked.append(name)
        return reference_problem(graph)

    for budget in (Meter(0), Meter(effort=0)):
        asked.clear()
        result = find_scored_order(
            graph,
            lambda g, order: 10**6,
            floor=lambda: pose("floor"),
            related=[lambda: pose("related")],
            seconds=budget,
        )
        assert asked == posed
        assert result.lower_bound_bytes == (8 if posed else 0)
        assert result.order == tuple(range(ops))


def test_with_time_the_floor_and_the_related_problems_of_a_large_graph_are_posed() -> None:
    graph = chain(10_001)
    asked: list[str] = []

    def pose(name: str) -> OrderProblem:
        asked.append(name)
        return reference_problem(graph)

    floor, related = (lambda: pose("floor")), (lambda: pose("related"))
    find_scored_order(graph, lambda g, order: 10**6, floor=floor, related=[related], seconds=60)
    assert asked == ["floor", "related"]
