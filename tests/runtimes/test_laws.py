"""What must hold for every graph, whatever the definition says in detail."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memprof import Graph, TensorType, analyze
from memprof.ir import Node, Role, Value
from memprof.runtimes import RUNTIMES
from tests.random_graphs import random_graph

NAMES = ("reference", "ideal", "paper")
randoms = st.randoms(use_true_random=False)


def timeline(graph: Graph, runtime: str) -> tuple[int, ...]:
    return RUNTIMES[runtime].lifetimes(graph).timeline.step_bytes


def without_bodies(graph: Graph) -> Graph:
    return replace(graph, nodes=tuple(node._replace(bodies=()) for node in graph.nodes))


def over_all_values(graph: Graph, change: Callable[[Value], Value]) -> Graph:
    nodes = tuple(n._replace(bodies=tuple(over_all_values(b, change) for b in n.bodies)) for n in graph.nodes)
    return replace(graph, values=tuple(map(change, graph.values)), nodes=nodes)


@pytest.mark.parametrize("runtime", NAMES)
@given(rng=randoms)
def test_renaming_changes_nothing(runtime: str, rng: Random) -> None:
    graph = random_graph(rng)
    renamed = over_all_values(graph, lambda value: value._replace(name=f"renamed {value.name[::-1]}"))
    renamed = replace(renamed, nodes=tuple(n._replace(name=f"{n.name[::-1]} renamed") for n in renamed.nodes))
    assert timeline(renamed, runtime) == timeline(graph, runtime)


@pytest.mark.parametrize("runtime", NAMES)
@given(rng=randoms, factor=st.integers(0, 9))
def test_all_sizes_times_k_give_the_whole_timeline_times_k(runtime: str, rng: Random, factor: int) -> None:
    def bytewise(value: Value) -> Value:  # sub-byte types round up, so only whole bytes scale
        return value._replace(type=TensorType.of_bytes(value.type.size_bytes or 0))

    def scaled(value: Value) -> Value:
        return value._replace(type=TensorType.of_bytes(factor * (value.type.size_bytes or 0)))

    graph = over_all_values(random_graph(rng), bytewise)
    before, after = timeline(graph, runtime), timeline(over_all_values(graph, scaled), runtime)
    # ideal asks for equal bytes: with factor 0 all are equal, and all are zero
    assert after == tuple(factor * size for size in before)


def with_view_behind(graph: Graph, value_id: int) -> Graph:
    """Return ``graph`` with a view of ``value_id`` made as soon as it exists, read by all that read it before."""
    value = graph.values[value_id]
    assert value.producer is not None
    at, view_id = value.producer + 1, len(graph.values)

    def moved(node: Node) -> Node:
        return node._replace(inputs=tuple(view_id if i == value_id else i for i in node.inputs))

    def later(other: Value) -> Value:
        return other._replace(producer=None if other.producer is None else other.producer + (other.producer >= at))

    view = Value(name="the view", type=value.type, role=value.role, producer=at, view_of=value_id)
    reshape = Node(name="the reshape", op="Reshape", inputs=(value_id,), outputs=(view_id,))
    return replace(
        graph,
        values=(*map(later, graph.values), view),
        nodes=(*graph.nodes[:at], reshape, *map(moved, graph.nodes[at:])),
    )


@given(rng=randoms)
def test_a_view_adds_no_bytes(rng: Random) -> None:
    graph = without_bodies(random_graph(rng))
    written = [i for i, value in enumerate(graph.values) if value.role is Role.INTERMEDIATE]
    if not written:
        return
    viewed = with_view_behind(graph, rng.choice(written))
    for runtime in NAMES:
        before, after = (RUNTIMES[runtime].lifetimes(g).buffers for g in (graph, viewed))
        assert sorted(b.size_bytes or 0 for b in after) == sorted(b.size_bytes or 0 for b in before)
    for runtime in ("reference", "ideal"):  # in paper a view is a level, and levels move
        assert max(timeline(viewed, runtime)) == max(timeline(graph, runtime))


@pytest.mark.parametrize("runtime", ["reference", "ideal"])
@given(rng=randoms)
def test_removing_a_reader_never_raises_the_peak(runtime: str, rng: Random) -> None:
    # Not a law of paper: there a node that waits for less runs a level earlier, beside others.
    graph = random_graph(rng)
    reads = [
        (node_id, k)
        for node_id, node in enumerate(graph.nodes)
        for k, value_id in enumerate(node.inputs)
        if value_id is not None and all(graph.values[i].view_of != value_id for i in node.writes)
    ]
    if not reads:
        return
    node_id, k = rng.choice(reads)
    node = graph.nodes[node_id]
    fewer = node._replace(inputs=(*node.inputs[:k], None, *node.inputs[k + 1 :]))
    freed = replace(graph, nodes=(*graph.nodes[:node_id], fewer, *graph.nodes[node_id + 1 :]))
    assert max(timeline(freed, runtime)) <= max(timeline(graph, runtime))


@given(rng=randoms)
def test_ideal_never_needs_more_than_reference_at_any_step(rng: Random) -> None:
    graph = random_graph(rng)
    assert all(a <= b for a, b in zip(timeline(graph, "ideal"), timeline(graph, "reference"), strict=True))


@given(rng=randoms)
def test_the_peak_lies_between_its_bounds(rng: Random) -> None:
    """The inputs, the outputs and each operation's own tensors are alive together; no more than all there is is."""
    graph = without_bodies(random_graph(rng))
    counted = {root: size or 0 for root, _, size in graph.activations}

    def bytes_of(value_ids: tuple[int, ...]) -> int:
        return sum(counted.get(root, 0) for root in {graph.storage[i] for i in value_ids})

    together = max((bytes_of(n.reads + n.writes) for n in graph.nodes), default=0)
    for runtime in NAMES:
        peak = max(timeline(graph, runtime))
        assert max(bytes_of(graph.inputs), bytes_of(graph.outputs)) <= peak <= sum(counted.values())
    assert together <= max(timeline(graph, "reference"))


@given(rng=randoms)
def test_without_inputs_and_outputs_never_needs_more_than_with_them(rng: Random) -> None:
    for found in analyze(random_graph(rng)).runtimes.values():
        inner = found.lifetimes.timeline_without_io.step_bytes
        assert all(a <= b for a, b in zip(inner, found.timeline, strict=True))
