"""What gets a row and what is folded: nothing is lost, the peak is named, the number of rows is bounded."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest

from memprof import analyze
from memprof.analysis import Lifetimes
from memprof.ir import Graph, GraphBuilder, NewValue, TensorType
from memprof.plots.rows import MAX_ROWS, Outline, arrange_rows, thin_out
from tests.random_graphs import random_graph

RUNTIMES = ("reference", "ideal", "paper")


def chain(sizes: list[int], modules: list[str] | None = None) -> Graph:
    """Return a chain of operations whose tensors have ``sizes`` bytes and are named ``t0``, ``t1``, ..."""
    builder = GraphBuilder("chain")
    previous = builder.add_input("x", TensorType.of_bytes(1))
    for i, size in enumerate(sizes):
        module = modules[i] if modules else ""
        (written,) = builder.add_node("Op", [previous], [NewValue(f"t{i}", TensorType.of_bytes(size))], module=module)
        assert written is not None
        previous = written
    return builder.build([previous])


def lifetimes_of(graph: Graph, runtime: str = "reference") -> Lifetimes:
    return analyze(graph, runtimes=[runtime]).headline.lifetimes


def bytes_by_step(outline: Outline, step_count: int) -> list[float]:
    """Return an outline's bytes at each step, which must begin and end at whole steps."""
    result = [0.0] * step_count
    for i, height in enumerate(outline.heights):
        for step in range(int(outline.edges[i]), int(outline.edges[i + 1])):
            result[step] += height
    return result


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("nodes", [8, 60, 300])
def test_all_rows_together_are_the_memory_curve(runtime: str, nodes: int) -> None:
    for seed in range(10):
        lifetimes = lifetimes_of(random_graph(Random(seed), nodes), runtime)
        rows = arrange_rows(lifetimes)
        steps = lifetimes.schedule.step_count
        drawn = np.zeros(steps)
        for row in (*rows.tensors, *rows.others):
            drawn += bytes_by_step(row.outline, steps)
        assert drawn.tolist() == list(lifetimes.timeline.step_bytes)


def test_up_to_a_page_of_tensors_each_has_its_row_and_its_name() -> None:
    rows = arrange_rows(lifetimes_of(chain([1] * (MAX_ROWS - 1))))
    assert [row.name for row in rows.tensors] == ["x", *(f"t{i}" for i in range(MAX_ROWS - 1))]
    assert rows.groups == ()
    assert rows.folded == 0


@pytest.mark.parametrize("count", [MAX_ROWS, 2_000, 20_000])
def test_more_tensors_than_that_are_folded_into_few_groups_that_count_them_all(count: int) -> None:
    rng = Random(count)
    rows = arrange_rows(lifetimes_of(chain([rng.randint(0, 1000) for _ in range(count)])))
    assert len(rows.tensors) <= 24 + 12 + 2 + 2
    assert 1 <= len(rows.groups) <= 8
    assert rows.folded == sum(group.tensors for group in rows.groups) == count + 1 - len(rows.tensors)
    assert rows.grouped_by == "birth"


def test_what_makes_up_the_peak_has_rows_and_crumbs_have_none() -> None:
    builder = GraphBuilder()
    x = builder.add_input("x", TensorType.of_bytes(1))
    (big,) = builder.add_node("Op", [x], [NewValue("big", TensorType.of_bytes(5000))])
    crumbs = []
    for i in range(200):
        crumbs += builder.add_node("Op", [x], [NewValue(f"crumb{i}", TensorType.of_bytes(10))])
    (wide,) = builder.add_node("Op", [big, *crumbs], [NewValue("wide", TensorType.of_bytes(3000))])
    assert wide is not None
    rows = arrange_rows(lifetimes_of(builder.build([wide])))
    at_peak = [row for row in rows.tensors if row.is_alive_at_peak]
    assert [(row.name, row.size_bytes) for row in at_peak] == [("big", 5000), ("wide", 3000)]
    assert rows.folded_peak_bytes == 200 * 10
    assert sum(group.size_bytes or 0 for group in rows.groups) == 200 * 10


def test_inputs_outputs_and_unknown_sizes_keep_a_row_however_small_they_are() -> None:
    builder = GraphBuilder()
    ids = [builder.add_input("x", TensorType.of_bytes(1))]
    for i in range(100):
        type_ = TensorType("float32", ("n",)) if i == 50 else TensorType.of_bytes(100 + i)
        ids += [j for j in builder.add_node("Op", [ids[-1]], [NewValue(f"t{i}", type_)]) if j is not None]
    (y,) = builder.add_node("Op", [ids[-1]], [NewValue("y", TensorType.of_bytes(1))])
    assert y is not None
    rows = {row.name: row for row in arrange_rows(lifetimes_of(builder.build([y]))).tensors}
    assert rows["x"].is_input
    assert rows["y"].is_output
    assert rows["t50"].size_bytes is None


def test_groups_follow_modules_where_these_tell_tensors_apart() -> None:
    modules = [f"stage{i // 40}.block{i}.conv" for i in range(200)]
    rows = arrange_rows(lifetimes_of(chain(list(range(1, 201)), modules)))
    assert rows.grouped_by == "module"
    assert [group.name.split(" ", 1)[1] for group in rows.groups] == [f"in stage{i}" for i in range(5)]


@pytest.mark.parametrize("modules", [["encoder"] * 200, [f"layer{i}" for i in range(200)]])
def test_groups_follow_births_where_modules_tell_nothing(modules: list[str]) -> None:
    rows = arrange_rows(lifetimes_of(chain(list(range(1, 201)), modules)))
    assert rows.grouped_by == "birth"
    assert len(rows.groups) == 8


def test_bytes_of_bodies_are_a_row_besides_tensors() -> None:
    inner = GraphBuilder("then")
    (y,) = inner.add_node("Op", [], [NewValue("y", TensorType.of_bytes(70))], is_foldable=False)
    assert y is not None
    builder = GraphBuilder()
    x = builder.add_input("x", TensorType.of_bytes(1))
    (z,) = builder.add_node("If", [x], [NewValue("z", TensorType.of_bytes(1))], bodies=[inner.build([y])])
    assert z is not None
    reserved = arrange_rows(lifetimes_of(builder.build([z]))).reserved
    assert reserved is not None
    assert reserved.size_bytes == 70
    assert reserved.is_alive_at_peak


@pytest.mark.parametrize("steps", [1, 1_499, 1_500, 1_501, 100_000])
def test_thinning_out_keeps_every_peak_and_bounds_the_outline(steps: int) -> None:
    rng = Random(steps)
    heights = [rng.random() for _ in range(steps)]
    outline = thin_out(heights)
    assert len(outline.heights) <= 1_500
    assert outline.edges[0] == 0
    assert outline.edges[-1] == steps
    for i in range(len(outline.heights)):
        start, stop = int(outline.edges[i]), int(outline.edges[i + 1])
        assert outline.heights[i] == max(heights[start:stop])
