"""The three definitions, compared with a brute-force simulation on random graphs: every step, not only the peak."""

from __future__ import annotations

from random import Random

import pytest

from memprof import analyze
from memprof.ir import Graph, Role
from tests.oracle import ORACLES
from tests.random_graphs import random_graph

GRAPHS = 1000


@pytest.fixture(scope="module")
def graphs() -> list[Graph]:
    return [random_graph(Random(seed)) for seed in range(GRAPHS)]


@pytest.mark.parametrize("runtime", ORACLES)
def test_timelines_and_peaks_equal_the_oracle_on_1000_random_graphs(runtime: str, graphs: list[Graph]) -> None:
    for seed, graph in enumerate(graphs):
        expected = ORACLES[runtime](graph)
        actual = analyze(graph, runtimes=[runtime]).headline
        assert actual.timeline == expected.timeline, f"seed {seed}"
        assert actual.peak_intermediate_bytes == expected.peak, f"seed {seed}"
        assert actual.known_bytes_at_least == expected.peak, f"seed {seed}"
        assert actual.lifetimes.timeline_without_io.step_bytes == expected.without_io, f"seed {seed}"
        assert actual.peak_without_io_bytes == expected.peak_without_io, f"seed {seed}"
        assert actual.peak.step == expected.timeline.index(expected.peak), f"seed {seed}"
        assert sum(live.size_bytes or 0 for live in actual.peak.live) + actual.peak.reserved_bytes == expected.peak


def test_the_random_graphs_hold_every_corner_the_definitions_speak_of(graphs: list[Graph]) -> None:
    def count(holds: str) -> int:
        return sum(1 for graph in graphs if _CORNERS[holds](graph))

    assert {holds: count(holds) for holds in _CORNERS if count(holds) < 20} == {}
    assert max(len(graph.nodes) for graph in graphs) == 8


_CORNERS = {
    "no node": lambda g: not g.nodes,
    "a view": lambda g: any(v.view_of is not None for v in g.values),
    "a view of a view": lambda g: any(
        v.view_of is not None and g.values[v.view_of].view_of is not None for v in g.values
    ),
    "an elementwise node": lambda g: any(n.is_elementwise for n in g.nodes),
    "a node with several outputs": lambda g: any(len(n.writes) > 1 for n in g.nodes),
    "a node with several inputs": lambda g: any(len(set(n.reads)) > 1 for n in g.nodes),
    "an input that is left out": lambda g: any(None in n.inputs for n in g.nodes),
    "an output that is left out": lambda g: any(None in n.outputs for n in g.nodes),
    "a parameter": lambda g: any(v.role is Role.PARAMETER for v in g.values),
    "a constant": lambda g: any(v.role is Role.CONSTANT for v in g.values),
    "a value nobody reads": lambda g: any(
        not g.consumers[i] and i not in g.outputs and v.role is Role.INTERMEDIATE for i, v in enumerate(g.values)
    ),
    "an input nobody reads": lambda g: any(not g.consumers[i] and i not in g.outputs for i in g.inputs),
    "an input that is an output": lambda g: any(i in g.outputs for i in g.inputs),
    "an output that is a view": lambda g: any(g.values[i].view_of is not None for i in g.outputs),
    "an output that is a parameter": lambda g: any(g.values[i].role is Role.PARAMETER for i in g.outputs),
    "a tensor of zero bytes": lambda g: any(v.type.size_bytes == 0 for v in g.values),
    "a body": lambda g: any(n.bodies for n in g.nodes),
    "a capture": lambda g: any(n.captures for n in g.nodes),
}
