"""From a graph and an order to an allocation problem: lifetimes as the ordering costs them, and what is in."""

from __future__ import annotations

from random import Random

import pytest

from memprof.ir import Graph, GraphBuilder, NewValue, TensorType
from memprof.ir.reorder import reorder
from memprof.planning.lifetimes import ArenaContent, pose_allocation
from memprof.planning.rules import PROBLEMS
from memprof.runtimes import RUNTIMES
from memprof.runtimes.contracted import contracted_lifetimes
from memprof.runtimes.reference import reference_lifetimes
from tests.random_graphs import random_graph


def chain() -> Graph:
    """Return x (8 bytes) -> conv (16) -> view of it -> relu (16) -> y (4)."""
    builder = GraphBuilder("chain")
    x = builder.add_input("x", TensorType.of_bytes(8))
    (conv,) = builder.add_node("Conv", [x], [NewValue("conv", TensorType.of_bytes(16))], name="a")
    (view,) = builder.add_node("Reshape", [conv], [NewValue("view", TensorType.of_bytes(16), conv)], name="b")
    (relu,) = builder.add_node(
        "Relu", [view], [NewValue("relu", TensorType.of_bytes(16))], name="c", is_elementwise=True
    )
    (y,) = builder.add_node("Gemm", [relu], [NewValue("y", TensorType.of_bytes(4))], name="d")
    assert y is not None
    return builder.build([y])


def random_order(graph: Graph, rng: Random) -> list[int]:
    """Return a random topological order."""
    before = PROBLEMS["reference"](graph).predecessors
    order: list[int] = []
    left = set(range(len(graph.nodes)))
    while left:
        ready = [op for op in sorted(left) if not left.intersection(before[op])]
        order.append(rng.choice(ready))
        left.remove(order[-1])
    return order


@pytest.mark.parametrize("kind", ["reference", "contracted"])
def test_lifetimes_under_any_order_peak_where_the_ordering_problem_says(kind: str) -> None:
    for seed in range(400):
        rng = Random(seed)
        graph = random_graph(rng)
        if graph.nodes:
            order = random_order(graph, rng)
            lifetimes = RUNTIMES[kind].lifetimes(graph, order)
            assert lifetimes.timeline.peak_bytes == PROBLEMS[kind](graph).peak_bytes(order), seed


def test_the_allocation_problem_has_the_load_of_the_lifetimes() -> None:
    for seed in range(300):
        graph = random_graph(Random(seed))
        for kind in ("reference", "contracted", "ideal"):
            lifetimes = RUNTIMES[kind].lifetimes(graph)
            assert pose_allocation(lifetimes, ArenaContent(1)).load_bytes == lifetimes.timeline.peak_bytes


def test_views_and_what_runs_in_place_share_one_buffer() -> None:
    plain = pose_allocation(reference_lifetimes(chain()), ArenaContent(1)).buffers
    assert [(b.name, b.start, b.stop, b.size_bytes) for b in plain] == [
        ("x", 0, 1, 8),
        ("conv", 0, 3, 16),
        ("relu", 2, 4, 16),
        ("y", 3, 4, 4),
    ]
    in_place = pose_allocation(contracted_lifetimes(chain()), ArenaContent(1)).buffers
    assert [(b.name, b.start, b.stop) for b in in_place] == [("x", 0, 1), ("conv", 0, 4), ("y", 3, 4)]


def test_inputs_and_outputs_can_be_left_to_the_caller() -> None:
    lifetimes = reference_lifetimes(chain())
    names = {
        (has_inputs, has_outputs): [b.name for b in pose_allocation(lifetimes, ArenaContent(1, *flags)).buffers]
        for flags in [(True, True), (False, True), (True, False), (False, False)]
        for has_inputs, has_outputs in [flags]
    }
    assert names == {
        (True, True): ["x", "conv", "relu", "y"],
        (False, True): ["conv", "relu", "y"],
        (True, False): ["x", "conv", "relu"],
        (False, False): ["conv", "relu"],
    }


def test_traffic_is_what_operations_read_and_write_and_a_view_does_neither() -> None:
    traffic = {b.name: b.traffic_bytes for b in pose_allocation(reference_lifetimes(chain()), ArenaContent()).buffers}
    assert traffic == {"x": 8, "conv": 16 + 16, "relu": 16 + 16, "y": 4}


def test_bytes_that_a_step_reserves_are_a_buffer_of_that_step() -> None:
    body_builder = GraphBuilder("body")
    captured = body_builder.add_capture("x", TensorType.of_bytes(8))
    (inner,) = body_builder.add_node("Exp", [captured], [NewValue("inner", TensorType.of_bytes(32))])
    assert inner is not None
    builder = GraphBuilder("outer")
    x = builder.add_input("x", TensorType.of_bytes(8))
    (y,) = builder.add_node(
        "If",
        [],
        [NewValue("y", TensorType.of_bytes(4))],
        name="choose",
        captures=[x],
        bodies=[body_builder.build([inner])],
    )
    assert y is not None
    buffers = pose_allocation(reference_lifetimes(builder.build([y])), ArenaContent()).buffers
    assert ("scratch of choose", 0, 1, 32) in [(b.name, b.start, b.stop, b.size_bytes) for b in buffers]


def test_a_reordered_graph_is_the_graph_under_that_order() -> None:
    for seed in range(200):
        rng = Random(seed)
        graph = random_graph(rng)
        order = random_order(graph, rng)
        new = reorder(graph, order)
        assert [node.name for node in new.nodes] == [graph.nodes[i].name for i in order]
        assert reference_lifetimes(new).timeline == reference_lifetimes(graph, order).timeline
        for value in new.values:
            if value.producer is not None:
                assert value.name in {new.values[i].name for i in new.nodes[value.producer].writes}
