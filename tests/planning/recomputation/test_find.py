"""Second runs in whole plans: never worse, within the allowance, validated, and on record."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import pytest

import memprof
from memprof.base.errors import UsageError
from memprof.importers.torch.training import Training
from memprof.ir import Graph, GraphBuilder, NewValue, TensorType
from memprof.ir.model import Model
from memprof.planning.meter import Meter
from memprof.planning.plan import PlanOptions, plan_graph
from memprof.planning.recomputation.find import Wish, find_runs
from memprof.planning.recomputation.problem import follow, pose_rerun
from memprof.planning.recomputation.repeatable import known_macs, parse_allowance, repeatable
from memprof.planning.recomputation.schedule import second_runs, unroll
from memprof.planning.recomputation.segments import segment_runs
from memprof.planning.record import Plan
from memprof.planning.rules import RULES
from memprof.planning.validator import find_violation
from tests.planning.recomputation.test_exact import mixed_graph, sees_what_it_saw
from tests.schemas import check_document


def square(n: int, columns: int) -> TensorType:
    return TensorType("float32", (n, columns))


def training_graph(layers: int) -> Graph:
    """Return forward and backward of layers of a product and a Tanh: each gradient reads what its layer wrote."""
    builder = GraphBuilder("training")
    x = builder.add_input("x", square(64, 8))
    weights = [builder.add_parameter(f"w{i}", square(8, 8)) for i in range(layers)]
    saved: list[int | None] = [x]
    for i, weight in enumerate(weights):
        (product,) = builder.add_node("MatMul", [saved[-1], weight], [NewValue(f"p{i}", square(64, 8))])
        saved += builder.add_node("Tanh", [product], [NewValue(f"t{i}", square(64, 8))])
    (gradient,) = builder.add_node("Neg", [saved[-1]], [NewValue("loss", square(64, 8))])
    for i in reversed(range(layers)):
        (slope,) = builder.add_node("Mul", [gradient, saved[i + 1]], [NewValue(f"s{i}", square(64, 8))])
        (gradient,) = builder.add_node("MatMul", [slope, weights[i]], [NewValue(f"g{i}", square(64, 8))])
    assert gradient is not None
    return builder.build([gradient])


def test_training_is_cut_into_segments() -> None:
    graph = training_graph(24)
    plan = plan_graph(Model.of(graph), PlanOptions(recompute="100%", effort=400_000, seconds=60))
    assert plan.order is not None
    assert plan.recomputation is not None
    assert plan.order.peak_bytes * 2 < plan.recomputation.single_bytes == 26 * 2048
    assert plan.recomputation.extra_macs <= plan.recomputation.allowed_macs == known_macs(graph)
    assert find_violation(plan.arena.problem, plan.arena.offsets) is None


def test_only_what_takes_no_macs_runs_twice_where_none_are_allowed() -> None:
    graph = training_graph(6)
    plan = plan_graph(Model.of(graph), PlanOptions(recompute=0, effort=100_000, seconds=60))
    assert plan.recomputation is not None
    assert plan.recomputation.extra_macs == 0
    assert all(graph.nodes[i].op != "MatMul" for i in second_runs(plan.order.node_ids if plan.order else ()))


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("rules", sorted({"reference", "contracted", "ideal"}))
def test_a_plan_with_second_runs_is_valid_never_worse_and_comes_back_from_json(seed: int, rules: str) -> None:
    rng = Random(f"plan {seed}")
    graph = mixed_graph(rng, 9)
    in_place = rules == "contracted"
    options = PlanOptions(
        runtime="reference" if in_place else rules, in_place=in_place, alignment=1, effort=20_000, seconds=60
    )
    once = plan_graph(Model.of(graph), options)
    twice = plan_graph(Model.of(graph), PlanOptions(**{**_fields(options), "recompute": "50%"}))
    assert once.order is not None
    assert twice.order is not None
    assert twice.recomputation is not None
    unrolled = unroll(graph, twice.order.node_ids)
    assert twice.order.peak_bytes == RULES[rules].lifetimes(unrolled).timeline.peak_bytes
    assert twice.order.lower_bound_bytes <= twice.order.peak_bytes <= once.order.peak_bytes
    assert twice.arena.load_bytes == twice.order.peak_bytes
    document = json.loads(json.dumps(twice.to_json()))
    check_document(document)
    assert Plan.from_json(document) == twice


def _fields(options: PlanOptions) -> dict[str, object]:
    return {name: getattr(options, name) for name in PlanOptions.__slots__}


@pytest.mark.parametrize("seed", range(20))
def test_dropping_many_storages_runs_each_operation_at_most_twice(seed: int) -> None:
    graph = mixed_graph(Random(f"segments {seed}"), 12)
    problem = pose_rerun(graph)
    lists = list(segment_runs(problem, range(len(graph.nodes)), 10**9, Meter()))
    for runs in lists:
        assert set(runs) == set(range(len(graph.nodes)))
        assert len(second_runs(runs)) == len(set(second_runs(runs)))
        assert all(problem.macs[node] is not None for node in second_runs(runs))
        assert (
            RULES["reference"].lifetimes(unroll(graph, runs)).timeline.step_bytes == follow(problem, runs).step_bytes
        )


def test_a_budget_is_met_with_the_least_work() -> None:
    graph = training_graph(14)
    order = [tuple(range(len(graph.nodes)))]
    lowest = find_runs(graph, order, Wish(extra_macs=10**9), None, Meter(effort=300_000))
    once = follow(pose_rerun(graph), order[0]).peak_bytes
    target = (once + lowest.peak_bytes) // 2
    found = find_runs(graph, order, Wish(extra_macs=10**9, target_bytes=target), None, Meter(effort=300_000))
    assert found.peak_bytes <= target
    assert 0 < found.extra_macs < lowest.extra_macs


def test_a_budget_is_refused_only_with_a_proof() -> None:
    graph = training_graph(5)
    plan = plan_graph(Model.of(graph), PlanOptions(recompute="100%", budget_bytes=2048, effort=100_000, seconds=60))
    assert plan.budget is not None
    assert plan.budget.answer is False
    assert plan.budget.lower_bound_bytes == 3 * 2048  # a Mul reads two and writes one


def in_place_graph(op: str) -> Graph:
    builder = GraphBuilder("torch")
    of = square(2, 2)
    x = builder.add_input("x", of)
    (a,) = builder.add_node("aten.relu.default", [x], [NewValue("a", of)])
    (b,) = builder.add_node(op, [a, x], [NewValue("b", of, view_of=a if op.endswith("_.Tensor") else None)])
    (c,) = builder.add_node("aten.sin.default", [a], [NewValue("c", of)])
    assert b is not None
    assert c is not None
    return builder.build([b, c])


def test_what_is_overwritten_or_random_or_unknown_never_runs_twice() -> None:
    assert repeatable(in_place_graph("aten.add.Tensor")).macs == (0, 0, 0)
    assert repeatable(in_place_graph("aten.add_.Tensor")).macs == (None, None, 0)  # the last one reads what is there
    assert repeatable(in_place_graph("aten.bernoulli.Tensor")).macs == (0, None, 0)
    assert repeatable(in_place_graph("my.op")).macs == (0, None, 0)


def test_what_reads_statistics_runs_again_before_a_normalisation_updates_them_alone() -> None:
    builder = GraphBuilder("torch")
    of, row = square(2, 2), TensorType("float32", (2,))
    x, mean = builder.add_input("x", of), builder.add_parameter("running_mean", row)
    (centred,) = builder.add_node("aten.sub.Tensor", [x, mean], [NewValue("centred", of)])
    (normal,) = builder.add_node("aten.native_batch_norm.default", [centred, mean], [NewValue("normal", of)])
    assert normal is not None
    found = repeatable(builder.build([normal]))
    assert (found.macs, found.spoilers) == ((0, None), ((1,), ()))


def test_what_writes_on_all_that_it_reads_never_runs_twice() -> None:
    builder = GraphBuilder("torch")
    of = square(2, 2)
    state, x = builder.add_parameter("w", of), builder.add_input("x", of)
    (read,) = builder.add_node("aten.sin.default", [state], [NewValue("read", of)])
    done = NewValue("done", TensorType("uint8", (0,)))
    builder.add_node("aten._foreach_add_.List", [state, x], [done])
    assert read is not None
    found = repeatable(builder.build([read]))
    assert (found.macs, found.spoilers[0]) == ((0, None), (1,))


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_training_step_runs_again_what_finds_its_weights_as_they_were(optimizer: str) -> None:
    torch = pytest.importorskip("torch")
    network = torch.nn.Sequential(*(layer for _ in range(9) for layer in (torch.nn.Linear(8, 8), torch.nn.GELU())))
    model = memprof.load(network, (torch.zeros(512, 8),), training=Training(optimizer))
    plan = plan_graph(model, PlanOptions(recompute="100%", effort=400_000, seconds=60))
    assert plan.order is not None
    assert plan.recomputation is not None
    assert plan.order.peak_bytes * 1.5 < plan.recomputation.single_bytes
    graph, runs = model.graph, plan.order.node_ids
    again = [graph.nodes[i].op for i in second_runs(runs)]
    assert {"aten.addmm", "aten.gelu"} <= {op.removesuffix(".default") for op in again}
    assert sees_what_it_saw(graph, runs)
    updated = [graph.nodes[i].op.split(".")[1] for i in runs]
    assert any(name.endswith("_") for name in updated)


@pytest.mark.parametrize(("dropout", "may"), [(0.0, True), (0.5, False)])
def test_attention_runs_again_without_dropout_alone(dropout: float, *, may: bool) -> None:
    torch = pytest.importorskip("torch")

    class Attention(torch.nn.Module):  # type: ignore[misc, name-defined] # torch is looked for at run time
        def forward(self, x: Any) -> Any:
            return torch.nn.functional.scaled_dot_product_attention(x, x, x, dropout_p=dropout)

    graph = memprof.load(Attention(), (torch.zeros(1, 2, 8, 4),)).graph
    macs = [macs for node, macs in zip(graph.nodes, repeatable(graph).macs, strict=True) if "attention" in node.op]
    assert [count is not None for count in macs] == [may]


def test_a_whole_number_of_macs_may_be_written_with_a_point() -> None:
    assert (parse_allowance("1000.0", 7), parse_allowance(" 5. ", 7), parse_allowance("50.0%", 8)) == (1000, 5, 4)


@pytest.mark.parametrize("text", ["", "x", "-1", "5 %%", "1e9", "0.5", "%", "1" * 40])
def test_an_amount_of_work_is_macs_or_a_share(text: str) -> None:
    with pytest.raises(UsageError):
        parse_allowance(text, 100)
    with pytest.raises(UsageError):
        PlanOptions(recompute=text)


@pytest.mark.parametrize("rules", sorted(RULES))
def test_a_graph_without_operations_has_nothing_to_run_twice(rules: str) -> None:
    builder = GraphBuilder("empty")
    x = builder.add_input("x", TensorType.of_bytes(64))
    plan = plan_graph(Model.of(builder.build([x])), PlanOptions(runtime=rules, recompute=0))
    assert plan.order is not None
    once = plan_graph(Model.of(builder.build([x])), PlanOptions(runtime=rules))
    assert once.order is not None
    assert (plan.order.peak_bytes, plan.order.is_optimal) == (once.order.peak_bytes, True)


def test_an_order_that_is_kept_has_no_second_runs() -> None:
    with pytest.raises(UsageError):
        PlanOptions(recompute=0, keep_order=True)
