"""Whole plans: order and arena together, what is proven, and what a budget is answered."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import replace
from math import inf
from pathlib import Path
from random import Random
from typing import Any

import pytest

from memprof.analysis import Lifetimes
from memprof.base.errors import IncompleteError, UsageError
from memprof.ir import Graph, GraphBuilder, NewValue, TensorType
from memprof.ir.model import OPTIMIZED_FORMAT, Model
from memprof.planning import plan as plan_module
from memprof.planning.lifetimes import ArenaContent, pose_allocation
from memprof.planning.plan import (
    PlanOptions,
    PlanProgress,
    arena_order_problem,
    plan_allocation,
    plan_graph,
)
from memprof.planning.record import Plan
from memprof.planning.rules import PROBLEMS, RULES
from memprof.planning.validator import find_violation
from memprof.runtimes import RuntimeModel
from tests.planning.offsets.problems import GAP, problem_of
from tests.planning.ordering.exhaustive import wired_graph
from tests.random_graphs import random_graph
from tests.real_data import require_shared_data

RULE_NAMES = tuple(RULES)


def forked() -> Graph:
    """Return a graph that the given order runs badly: both wide branches open before either is closed."""
    builder = GraphBuilder("forked")
    x = builder.add_input("x", TensorType.of_bytes(10))

    def add(name: str, size: int, *reads: int | None) -> int | None:
        return builder.add_node("Op", reads, [NewValue(name, TensorType.of_bytes(size))], name=f"node_{name}")[0]

    wide = [add(f"wide{i}", 100, x) for i in range(2)]
    slim = [add(f"slim{i}", 10, w) for i, w in enumerate(wide)]
    y = add("y", 10, *slim)
    assert y is not None
    return builder.build([y])


def read_graph(path: Path) -> Graph:
    """Read one of the shared operator graphs."""
    data = json.loads(path.read_text())
    builder = GraphBuilder(path.stem)
    sizes: list[int] = data["sizes"]
    ids: dict[int, int | None] = {
        t: builder.add_input(f"t{t}", TensorType.of_bytes(sizes[t])) for t in data["inputs"]
    }
    for op in data["ops"]:
        written = builder.add_node(
            op["name"],
            [ids[t] for t in op["ins"]],
            [NewValue(f"t{t}", TensorType.of_bytes(sizes[t])) for t in op["outs"]],
            is_elementwise=op["inp"],
            is_foldable=False,
        )
        ids.update(zip(op["outs"], written, strict=True))
    return builder.build([i for t in data["outputs"] if (i := ids[t]) is not None])


def names_of(plan: Plan) -> tuple[str, ...]:
    """Return the names of the operations in the planned order."""
    assert plan.order is not None
    return plan.order.nodes


def test_a_better_order_is_found_and_proven_and_its_arena_is_its_peak() -> None:
    plan = plan_graph(Model.of(forked()), PlanOptions(alignment=1))
    assert plan.order is not None
    assert (plan.order.before_bytes, plan.order.peak_bytes, plan.order.is_optimal) == (210, 120, True)
    assert plan.order.is_changed
    assert (plan.arena.arena_bytes, plan.arena.is_optimal) == (120, True)


def test_a_kept_order_is_kept_and_not_called_optimal_without_a_proof() -> None:
    plan = plan_graph(Model.of(forked()), PlanOptions(alignment=1, keep_order=True))
    assert plan.order is not None
    assert not plan.order.is_changed
    assert (plan.order.peak_bytes, plan.order.is_optimal, plan.arena.arena_bytes) == (210, False, 210)
    assert plan.order.lower_bound_bytes <= 120


@pytest.mark.parametrize("rules", RULE_NAMES)
def test_peaks_are_those_of_the_runtime_model_and_bounds_hold_for_every_order(rules: str) -> None:
    planned = 0
    for seed in range(120):
        graph = random_graph(Random(seed))
        lifetimes = RULES[rules].lifetimes
        if not lifetimes(graph).is_complete:  # onnxruntime's model knows no bodies of operations made up here
            continue
        planned += 1
        plan = plan_graph(Model.of(graph), PlanOptions(runtime=rules, alignment=1))
        order = plan.order
        assert order is not None
        assert order.before_bytes == lifetimes(graph).timeline.peak_bytes
        assert order.peak_bytes == lifetimes(graph, order.node_ids).timeline.peak_bytes <= order.before_bytes
        assert order.lower_bound_bytes <= order.peak_bytes
        assert sorted(order.node_ids) == list(range(len(graph.nodes)))
        assert plan.arena.load_bytes == order.peak_bytes
        assert find_violation(plan.arena.problem, plan.arena.offsets) is None
    assert planned > 50


@pytest.mark.parametrize("content", [ArenaContent(1), ArenaContent(8), ArenaContent(1, False, True)], ids=str)
@pytest.mark.parametrize("rules", RULE_NAMES)
def test_a_budget_is_refused_only_where_no_order_at_all_fits(rules: str, content: ArenaContent) -> None:
    """A proven no above the least that any order holds would be false, however large this order's arena is."""
    open_answers = 0
    for seed in range(40):
        graph = wired_graph(Random(seed), 1 + seed % 6)
        loads = [
            pose_allocation(RULES[rules].lifetimes(graph, order), content).load_bytes for order in all_orders(graph)
        ]
        options = PlanOptions(
            runtime=rules,
            alignment=content.alignment,
            with_inputs=content.has_inputs,
            with_outputs=content.has_outputs,
            seconds=0 if seed % 2 else 0.5,
        )
        for budget in (min(loads), max(loads) - 1):
            plan = plan_graph(Model.of(graph), replace(options, budget_bytes=max(1, budget)))
            assert plan.budget is not None
            assert plan.budget.answer is not False or min(loads) > plan.budget.budget_bytes
            assert plan.budget.lower_bound_bytes <= min(loads)
            assert plan.budget.answer is not True or plan.arena.arena_bytes <= plan.budget.budget_bytes
            open_answers += plan.budget.answer is None
    assert open_answers > 0


def test_the_relaxed_bound_of_ideal_is_below_its_peak_under_any_order() -> None:
    for seed in range(60):
        rng = Random(seed)
        graph = random_graph(rng, max_nodes=6)
        order = plan_graph(Model.of(graph), PlanOptions(runtime="ideal", alignment=1)).order
        assert order is not None
        best = min(RULES["ideal"].lifetimes(graph, other).timeline.peak_bytes for other in all_orders(graph))
        assert order.lower_bound_bytes <= best <= order.peak_bytes


def all_orders(graph: Graph) -> list[list[int]]:
    """Return every topological order."""
    before = PROBLEMS["reference"](graph).predecessors
    orders: list[list[int]] = [[]]
    for _ in graph.nodes:
        orders = [
            [*order, op]
            for order in orders
            for op in range(len(graph.nodes))
            if op not in order and set(before[op]) <= set(order)
        ]
    return orders


@pytest.mark.parametrize(("budget", "answer"), [(119, False), (120, True), (150, True), (500, True)])
def test_a_budget_gets_a_plan_or_a_proof(budget: int, answer: bool) -> None:
    plan = plan_graph(Model.of(forked()), PlanOptions(alignment=1, budget_bytes=budget))
    assert plan.budget is not None
    assert plan.budget.answer is answer
    assert (plan.arena.arena_bytes <= budget) is answer
    assert (plan.budget.lower_bound_bytes > budget) is not answer


@pytest.mark.parametrize(("budget", "answer"), [(120, False), (255, False), (256, True), (319, True)])
def test_a_budget_is_decided_for_the_arena_with_its_rounded_sizes(budget: int, answer: bool) -> None:
    # 64 each for x and a slim tensor, 128 for a wide one. The peak of the same order is 120 bytes, not rounded.
    plan = plan_graph(Model.of(forked()), PlanOptions(alignment=64, budget_bytes=budget))
    assert plan.budget is not None
    assert (plan.budget.answer, plan.arena.arena_bytes <= budget) == (answer, answer)


@pytest.mark.parametrize("kind", ["reference", "contracted"])
def test_the_order_problem_of_an_arena_costs_what_its_arena_loads(kind: str) -> None:
    for seed in range(300):
        rng = Random(seed)
        graph = random_graph(rng)
        content = ArenaContent(rng.choice([1, 4]), rng.random() < 0.5, rng.random() < 0.5)
        if graph.nodes:
            order = range(len(graph.nodes))
            problem = arena_order_problem(PROBLEMS[kind](graph), content)
            load_bytes = pose_allocation(RULES[kind].lifetimes(graph), content).load_bytes
            assert problem.peak_bytes(order) <= load_bytes, seed
            # Several inputs that nobody reads are one number there, rounded once.
            assert problem.peak_bytes(order) == load_bytes or problem.first_step_bytes, seed


def test_a_plan_of_bare_buffers_has_an_arena_alone() -> None:
    document = plan_allocation(problem_of(GAP), PlanOptions()).to_json()
    assert set(document) == {"schema", "arena"}
    assert document["schema"] == "memprof/plan/2"
    arena = document["arena"]
    assert (arena["arena_bytes"], arena["lower_bound_bytes"], arena["optimal"]) == (10, 10, True)
    assert set(arena["buffers"][0]) == {"name", "offset", "size_bytes", "traffic_bytes", "start", "stop"}


def test_the_json_of_a_graph_names_every_node_once_in_running_order() -> None:
    plan = plan_graph(Model.of(forked()), PlanOptions())
    document: dict[str, Any] = plan.to_json()
    assert json.loads(json.dumps(document)) == document
    assert (document["schema"], document["runtime"]) == ("memprof/plan/2", "reference")
    assert set(document["order"]) >= {
        "nodes",
        "peak_before_bytes",
        "peak_bytes",
        "lower_bound_bytes",
        "optimal",
        "seconds",
    }
    assert document["order"]["nodes"] == list(names_of(plan))
    assert sorted(names_of(plan)) == sorted(node.name for node in forked().nodes)
    assert "budget" not in document


def test_a_size_that_is_open_stops_the_plan() -> None:
    builder = GraphBuilder("open")
    x = builder.add_input("x", TensorType("float32", ("batch", 4)))
    with pytest.raises(IncompleteError, match="needs every size"):
        plan_graph(Model.of(builder.build([x])), PlanOptions())


def test_rules_that_do_not_exist_are_refused() -> None:
    with pytest.raises(UsageError, match="no plan for the runtime 'paper'"):
        plan_graph(Model.of(forked()), PlanOptions(runtime="paper"))


def test_progress_names_its_stage() -> None:
    seen: list[PlanProgress] = []
    plan_graph(Model.of(forked()), PlanOptions(alignment=1), seen.append)
    assert {progress.stage for progress in seen} <= {"order", "offsets"}
    assert seen[-1].stage == "offsets"
    assert seen[-1].size_bytes == 120


@pytest.mark.parametrize("name", ["densenet121", "mb_8x", "rwcell_n24", "resnet50", "unetpp", "lay_n200_w6"])
def test_shared_graphs_meet_their_proven_peak_and_the_arena_is_that_peak_in_both_orders(name: str) -> None:
    folder = require_shared_data() / "graphs"
    with (folder / "optima.csv").open() as stream:
        optima = {row["graph"]: int(row["optimal_peak_bytes"]) for row in csv.DictReader(stream)}
    graph = read_graph(folder / f"{name}.json")
    plan = plan_graph(Model.of(graph), PlanOptions())
    kept = plan_graph(Model.of(graph), PlanOptions(keep_order=True))
    assert plan.order is not None
    assert (plan.order.peak_bytes, plan.order.is_optimal) == (optima[name], True)
    for arena in (plan.arena, kept.arena):
        assert arena.is_optimal
        assert arena.arena_bytes == arena.load_bytes


def test_a_plan_of_so_many_steps_is_the_same_whatever_the_time() -> None:
    rng = Random(4)
    graph = wired_graph(rng, 60)
    options = PlanOptions(effort=20_000, seconds=inf)
    first, second = (plan_graph(Model.of(graph), options) for _ in range(2))
    assert first.order is not None
    assert second.order is not None
    assert first.order.node_ids == second.order.node_ids
    assert first.arena.offsets == second.arena.offsets


@pytest.fixture(name="worked_out")
def orders_whose_lifetimes_are_worked_out(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...] | None]:
    """Keep the orders, ``None`` for the graph's own, whose lifetimes a plan works out."""
    orders: list[tuple[int, ...] | None] = []

    def watched(row: RuntimeModel, model: Model) -> RuntimeModel:
        def lifetimes(graph: Graph, order: Sequence[int] | None = None) -> Lifetimes:
            orders.append(None if order is None else tuple(order))
            return row.lifetimes(graph) if order is None else row.lifetimes(graph, order)

        return replace(row, lifetimes=lifetimes)

    monkeypatch.setattr(plan_module, "as_read", watched)
    return orders


@pytest.mark.parametrize("rules", RULE_NAMES)
def test_lifetimes_of_no_order_are_worked_out_twice(rules: str, worked_out: list[tuple[int, ...] | None]) -> None:
    plan = plan_graph(Model.of(forked()), PlanOptions(runtime=rules))
    assert plan.order is not None
    assert plan.order.is_changed == (rules != "onnxruntime")  # which finds the best order by itself
    assert (plan.order.node_ids in worked_out) == plan.order.is_changed
    assert worked_out[0] is None
    assert tuple(range(5)) not in worked_out
    assert len(set(worked_out)) == len(worked_out)


@pytest.mark.parametrize("rules", RULE_NAMES)
@pytest.mark.parametrize("is_kept", [True, False])
def test_without_time_a_large_graph_is_scored_once_and_no_problem_is_posed(
    rules: str, is_kept: bool, worked_out: list[tuple[int, ...] | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    builder = GraphBuilder("chain")
    value: int | None = builder.add_input("x", TensorType.of_bytes(4))
    for i in range(10_001):
        new = NewValue(f"t{i}", TensorType.of_bytes(4))
        (value,) = builder.add_node("Op", [value], [new], is_foldable=False)
    assert value is not None
    monkeypatch.setattr(plan_module, "find", lambda *_: pytest.fail("a problem is posed"))
    options = PlanOptions(runtime=rules, seconds=0, keep_order=is_kept)
    plan = plan_graph(Model.of(builder.build([value])), options)
    assert worked_out == [None]
    assert plan.order is not None
    assert not plan.order.is_changed
    assert plan.order.lower_bound_bytes == 0


def test_time_and_steps_are_not_negative() -> None:
    for options in ({"seconds": -1.0}, {"effort": -1}):
        with pytest.raises(UsageError, match="negative"):
            PlanOptions(**options)  # type: ignore[arg-type] # one field each


def test_a_graph_that_onnxruntime_has_optimised_has_no_plan_for_it() -> None:
    model = replace(Model.of(wired_graph(Random(1), 4)), format=OPTIMIZED_FORMAT)
    with pytest.raises(UsageError, match="no plan for the runtime 'onnxruntime-optimized': what it runs is ordered"):
        plan_graph(model, PlanOptions(runtime="onnxruntime"))
    assert plan_graph(model, PlanOptions()).order is not None
