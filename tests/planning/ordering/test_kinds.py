"""What a problem says of an order is what the runtime models say, on random graphs and random orders."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from memprof.ir import Graph, GraphBuilder, NewValue, TensorType
from memprof.ir.model import Model
from memprof.planning.ordering.kinds import (
    contracted_problem,
    ideal_floor_problem,
    reference_problem,
    runtime_floor_problem,
)
from memprof.planning.plan import PlanOptions, plan_graph
from memprof.planning.rules import PROBLEMS
from memprof.runtimes import RUNTIMES
from memprof.runtimes.ideal import ideal_lifetimes
from memprof.runtimes.reference import reference_lifetimes
from tests.planning.ordering.exhaustive import random_order, wired_graph
from tests.random_graphs import random_graph

F4 = TensorType("float32", (1,))


def graphs() -> list[tuple[Graph, Random]]:
    """Half with every corner of the definitions, half with more order to choose."""
    found = []
    for seed in range(600):
        rng = Random(seed)
        found.append((random_graph(rng, 10) if seed % 2 else wired_graph(rng, rng.randint(1, 12)), rng))
    return found


def test_the_cost_of_every_order_is_the_peak_of_the_reference_model() -> None:
    for graph, rng in graphs():
        problem = reference_problem(graph)
        for _ in range(3):
            order = random_order(problem, rng)
            assert problem.peak_bytes(order) == reference_lifetimes(graph, order).timeline.peak_bytes


def test_no_order_costs_less_contracted_than_under_ideal_nor_more_than_under_reference() -> None:
    is_strict = False
    for graph, rng in graphs():
        problem = contracted_problem(graph)
        for _ in range(3):
            order = random_order(problem, rng)
            ideal = ideal_lifetimes(graph, order).timeline.peak_bytes
            reference = reference_lifetimes(graph, order).timeline.peak_bytes
            assert ideal <= problem.peak_bytes(order) <= reference
            is_strict |= problem.peak_bytes(order) < reference
    assert is_strict


def test_no_order_costs_more_in_a_floor_than_under_ideal() -> None:
    is_tight = False
    for graph, rng in graphs():
        floor, runtime_floor = ideal_floor_problem(graph), runtime_floor_problem(graph)
        for _ in range(3):
            order = random_order(floor, rng)
            ideal = ideal_lifetimes(graph, order).timeline.peak_bytes
            assert runtime_floor.peak_bytes(order) <= floor.peak_bytes(order) <= ideal
            is_tight |= floor.peak_bytes(order) == ideal < reference_lifetimes(graph, order).timeline.peak_bytes
    assert is_tight


def test_a_chain_of_elementwise_operations_is_one_storage_when_contracted() -> None:
    builder = GraphBuilder()
    value = builder.add_input("x", F4)
    for i in range(5):
        (written,) = builder.add_node("Relu", [value], [NewValue(f"t{i}", F4)], is_elementwise=True)
        assert written is not None
        value = written
    problem = contracted_problem(builder.build([value]))
    assert problem.storage_bytes == (4, 4)  # the graph input is nobody's to overwrite
    assert problem.peak_bytes(range(5)) == 8


def test_an_operand_with_a_second_reader_elsewhere_is_not_contracted() -> None:
    builder = GraphBuilder()
    x = builder.add_input("x", F4)
    (a,) = builder.add_node("Conv", [x], [NewValue("a", F4)])
    (b,) = builder.add_node("Relu", [a], [NewValue("b", F4)], is_elementwise=True)
    (c,) = builder.add_node("Conv", [a], [NewValue("c", F4)])
    (d,) = builder.add_node("Add", [b, c], [NewValue("d", F4)])
    assert d is not None
    assert len(contracted_problem(builder.build([d])).storage_bytes) == 5


def test_an_operand_read_through_a_view_before_is_contracted() -> None:
    builder = GraphBuilder()
    x = builder.add_input("x", F4)
    (a,) = builder.add_node("Conv", [x], [NewValue("a", F4)])
    (b,) = builder.add_node("Reshape", [a], [NewValue("b", F4, view_of=a)])
    (c,) = builder.add_node("Relu", [b], [NewValue("c", F4)], is_elementwise=True)
    assert c is not None
    assert len(contracted_problem(builder.build([c])).storage_bytes) == 2


def test_an_operand_that_is_a_graph_output_is_not_contracted() -> None:
    builder = GraphBuilder()
    x = builder.add_input("x", F4)
    (a,) = builder.add_node("Conv", [x], [NewValue("a", F4)])
    (b,) = builder.add_node("Relu", [a], [NewValue("b", F4)], is_elementwise=True)
    assert a is not None
    assert b is not None
    assert len(contracted_problem(builder.build([a, b])).storage_bytes) == 3


def test_a_floor_grants_no_saving_over_a_graph_output() -> None:
    builder = GraphBuilder()
    x = builder.add_input("x", F4)
    (a,) = builder.add_node("Conv", [x], [NewValue("a", F4)])
    (b,) = builder.add_node("Relu", [a], [NewValue("b", F4)], is_elementwise=True)
    (c,) = builder.add_node("Relu", [b], [NewValue("c", F4)], is_elementwise=True)
    assert a is not None
    assert c is not None
    assert ideal_floor_problem(builder.build([a, c])).scratch_bytes == (0, 0, -4)


def test_a_view_waits_for_the_storage_it_shows_even_if_it_does_not_read_it() -> None:
    builder = GraphBuilder()
    x = builder.add_input("x", F4)
    (a,) = builder.add_node("Conv", [x], [NewValue("a", F4)])
    (b,) = builder.add_node("Slot", [x], [NewValue("b", F4, view_of=a)])
    assert b is not None
    assert reference_problem(builder.build([b])).predecessors == ((), (0,))


@pytest.mark.parametrize("kind", PROBLEMS)
def test_the_given_order_is_an_order_of_every_problem(kind: str) -> None:
    for graph, _ in graphs()[:100]:
        problem = PROBLEMS[kind](graph)
        assert problem.is_order(range(len(graph.nodes)))


def test_what_is_no_order_is_told_apart() -> None:
    problem = reference_problem(wired_graph(Random(1), 6))
    chained = replace(problem, predecessors=((), *((op - 1,) for op in range(1, 6))))
    assert chained.is_order([0, 1, 2, 3, 4, 5])
    assert not chained.is_order([1, 0, 2, 3, 4, 5])
    assert not chained.is_order([0, 1, 2, 3, 4])
    assert not chained.is_order([0, 1, 2, 3, 4, 4])


def test_the_floor_of_onnxruntime_is_that_of_the_parts_of_an_operation_that_runs_as_its_definition() -> None:
    """1,000 bytes become 1 become 900: the operation never holds both ends, and a bound that says so is too high."""
    inner = GraphBuilder("definition")
    given = inner.add_input("given", TensorType.of_bytes(1000))
    (small,) = inner.add_node("ReduceMax", [given], [NewValue("small", TensorType.of_bytes(1))])
    assert small is not None
    (large,) = inner.add_node("Expand", [small], [NewValue("large", TensorType.of_bytes(900))])
    assert large is not None
    builder = GraphBuilder("outer")
    x = builder.add_input("x", TensorType.of_bytes(1))
    (a,) = builder.add_node("Expand", [x], [NewValue("a", TensorType.of_bytes(1000))])
    (b,) = builder.add_node("NoKernelHere", [a], [NewValue("b", TensorType.of_bytes(900))])
    (y,) = builder.add_node("ReduceMax", [b], [NewValue("y", TensorType.of_bytes(1))])
    assert y is not None
    plain = builder.build([y])
    whole, part, last = plain.nodes
    graph = replace(plain, nodes=(whole, part._replace(definition=inner.build([large])), last))

    peak_bytes = RUNTIMES["onnxruntime"].lifetimes(graph).timeline.peak_bytes

    assert peak_bytes == 1001
    assert (
        PROBLEMS["onnxruntime"](graph).peak_bytes(range(4))
        <= peak_bytes
        < runtime_floor_problem(graph).peak_bytes(range(3))
    )
    plan = plan_graph(Model.of(graph), PlanOptions(runtime="onnxruntime", alignment=1, seconds=1, budget_bytes=1500))
    assert plan.budget is not None
    assert plan.budget.answer is True
