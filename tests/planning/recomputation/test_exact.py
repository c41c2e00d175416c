"""The exact search against every list of runs there is, judged by the runtime model alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random

import pytest

from memprof.ir import Graph, GraphBuilder, NewValue, TensorType
from memprof.planning.meter import Meter
from memprof.planning.recomputation.exact import Limits, find_best_runs
from memprof.planning.recomputation.problem import floor_bytes, follow, pose_rerun
from memprof.planning.recomputation.schedule import unroll
from memprof.runtimes.reference import reference_lifetimes

ENDLESS = 10**12


def mixed_graph(rng: Random, nodes: int) -> Graph:
    """Return a small graph: operations that are free, that cost, that may not repeat, views, two outputs."""
    builder = GraphBuilder("mixed")

    def type_() -> TensorType:
        return TensorType("uint8", (1, rng.choice([0, 1, 2, 4, 9])))

    weight = builder.add_parameter("w", TensorType("uint8", (9, 9)))
    types = {builder.add_input(f"x{i}", of := type_()): of for i in range(rng.choice([1, 1, 2]))}
    for step in range(nodes):
        op = rng.choice(["Relu", "Relu", "Add", "Concat", "MatMul", "Split", "Reshape", "Bernoulli"])
        reads = rng.sample(sorted(types), k=min(len(types), 2 if op in {"Add", "Concat"} else 1))
        is_view = op == "Reshape"
        new = [
            NewValue(f"t{step}.{k}", types[reads[0]] if is_view else type_(), reads[0] if is_view else None)
            for k in range(2 if op == "Split" else 1)
        ]
        operands = [*reads, weight] if op == "MatMul" else reads
        written = builder.add_node(op, operands, new, is_foldable=False)
        types.update(zip([i for i in written if i is not None], [value.type for value in new], strict=True))
    return builder.build(rng.sample(sorted(types), k=min(len(types), rng.choice([1, 2]))))


def skipping_graph(rng: Random) -> Graph:
    """Return a chain whose later operations read earlier values too: what runs again there often pays."""
    builder = GraphBuilder("skipping")
    weight = builder.add_parameter("w", TensorType("uint8", (9, 9)))
    known: list[int | None] = [builder.add_input("x", TensorType("uint8", (1, rng.choice([1, 2]))))]
    costly = rng.randrange(5)
    for step, columns in enumerate([*rng.sample([1, 2, 3, 5, 9, 9], k=5), 1]):
        reads = [known[-1]]
        if step >= 2:
            reads.append(rng.choice(known[1:-1]))
        op = "Bernoulli" if step == 3 else "MatMul" if step == costly else "Concat"
        operands = [reads[0], weight] if op == "MatMul" else reads
        new = NewValue(f"t{step}", TensorType("uint8", (1, columns)))
        known += builder.add_node(op, operands, [new], is_foldable=False)
    assert known[-1] is not None
    return builder.build([known[-1]])


def changing_graph(rng: Random) -> Graph:
    """Return a chain that skips, whose operations read a state that one of them changes, as torch's importer does."""
    builder = GraphBuilder("changing")
    state = builder.add_parameter("w", TensorType("uint8", (9, 9)))
    known: list[int | None] = [builder.add_input("x", TensorType("uint8", (1, rng.choice([1, 2]))))]
    tokens: list[int | None] = []
    change = rng.choice([2, 3, 4])
    for step, columns in enumerate([*rng.sample([1, 2, 3, 5, 9, 9], k=5), 1]):
        reads = [known[-1], *([rng.choice(known[1:-1])] if step >= 2 else [])]
        op = rng.choice(["aten.mm.default", "aten.cat.default", "aten.mul.Tensor"])
        has_state = op != "aten.cat.default"
        new = [NewValue(f"t{step}", TensorType("uint8", (1, columns)))]
        if has_state and step < change:
            new.append(NewValue(f"t{step}.done", TensorType("uint8", (0,))))
        written = builder.add_node(op, [reads[0], state, *reads[1:]] if has_state else reads, new, is_foldable=False)
        known.append(written[0])
        tokens += written[1:]
        if step + 1 == change:
            changed = NewValue("w.changed", TensorType("uint8", (9, 9)), view_of=state)
            (found,) = builder.add_node("aten.add_.Tensor", [state, *tokens], [changed], is_foldable=False)
            assert found is not None
            state = found
    assert known[-1] is not None
    return builder.build([known[-1]])


def sees_what_it_saw(graph: Graph, runs: Sequence[int]) -> bool:
    """Tell whether each run of a node finds what it reads as its first run did: each change in place counts."""
    changes = [0] * len(graph.values)
    seen: dict[int, list[int]] = {}
    for node_id in runs:
        node = graph.nodes[node_id]
        found = [changes[graph.storage[i]] for i in node.reads]
        if seen.setdefault(node_id, found) != found:
            return False
        if node.op.split(".")[:2][-1].endswith("_"):
            changes[graph.storage[node.reads[0]]] += 1
    return True


def all_runs(graph: Graph, macs: tuple[int | None, ...]) -> Iterator[list[int]]:
    """Yield every list of runs in which each node runs once, or twice if it may."""
    producers = [{graph.values[i].producer for i in node.reads} - {None} for node in graph.nodes]
    stack: list[list[int]] = [[]]
    while stack:
        runs = stack.pop()
        if set(runs) == set(range(len(graph.nodes))) and sees_what_it_saw(graph, runs):
            yield runs
        for node, before in enumerate(producers):
            if runs.count(node) < (1 if macs[node] is None else 2) and before <= set(runs):
                stack.append([*runs, node])


@pytest.mark.parametrize("seed", range(30))
def test_no_list_of_runs_beats_the_one_that_is_found(seed: int) -> None:
    rng = Random(f"runs {seed}")
    if seed % 3:
        graph = skipping_graph(rng) if seed % 2 else mixed_graph(rng, rng.choice([2, 3, 4, 4]))
    else:
        graph = changing_graph(rng)
    problem = pose_rerun(graph)
    costs = {}
    for runs in all_runs(graph, problem.macs):
        course = follow(problem, runs)
        key = (course.peak_bytes, problem.extra_macs(runs), len(runs))
        costs.setdefault(key, runs)
    allowed = rng.choice([0, 1, 5, 50, ENDLESS])
    best = min(key for key in costs if key[1] <= allowed)
    found = find_best_runs(problem, Limits(allowed, ENDLESS), Meter())
    assert found.runs is not None
    assert sees_what_it_saw(graph, found.runs)
    course = reference_lifetimes(unroll(graph, found.runs)).timeline
    assert (course.peak_bytes, problem.extra_macs(found.runs), len(found.runs)) == best
    assert found.lower_bound_bytes == best[0] >= floor_bytes(problem)


@pytest.mark.parametrize("seed", range(15))
def test_under_a_ceiling_the_least_work_is_found_or_that_there_is_none(seed: int) -> None:
    rng = Random(f"ceiling {seed}")
    graph = skipping_graph(rng) if seed % 2 else mixed_graph(rng, 4)
    problem = pose_rerun(graph)
    keys = [
        (problem.extra_macs(runs), len(runs), follow(problem, runs).peak_bytes)
        for runs in all_runs(graph, problem.macs)
    ]
    ceiling = rng.choice(sorted({peak for _, _, peak in keys} | {min(peak for _, _, peak in keys) - 1}))
    found = find_best_runs(problem, Limits(ENDLESS, ceiling, is_ceiling=True), Meter())
    assert found.is_complete
    fitting = [key for key in keys if key[2] <= ceiling]
    if not fitting:
        assert (found.runs, found.lower_bound_bytes) == (None, ceiling + 1)
        return
    assert found.runs is not None
    assert (problem.extra_macs(found.runs), len(found.runs)) == min(fitting)[:2]
    assert follow(problem, found.runs).peak_bytes <= ceiling


@pytest.mark.parametrize("seed", range(30))
def test_what_runs_cost_is_the_peak_of_the_unrolled_graph(seed: int) -> None:
    rng = Random(f"cost {seed}")
    graph = mixed_graph(rng, 8)
    problem = pose_rerun(graph)
    runs = list(range(len(graph.nodes)))
    for node in rng.sample(runs, k=3):
        last = max(i for i, other in enumerate(runs) if other == node)
        runs.insert(rng.randint(last + 1, len(runs)), node)
    unrolled = unroll(graph, runs)
    assert follow(problem, runs).step_bytes == reference_lifetimes(unrolled).timeline.step_bytes
    assert len({value.name for value in unrolled.values}) == len(unrolled.values)
