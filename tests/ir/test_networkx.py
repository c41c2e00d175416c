"""networkx both ways: what comes out is documented, and what goes back in has the same lifetimes."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memprof import analyze, from_networkx
from memprof.base.errors import InputError
from memprof.ir import Graph, GraphBuilder, NewValue, Role, TensorType
from tests.random_graphs import random_graph

F4 = TensorType("float32", (2,))
NODE_ATTRIBUTES = {"bytes", "op", "tensors", "reads", "view_of", "elementwise", "outputs", "step", "module"}


def without_constants(graph: Graph) -> Graph:
    """Return ``graph`` with constants made intermediates and bodies taken out, and what these read read by the node.

    networkx shows neither.
    """
    return replace(
        graph,
        values=tuple(v._replace(role=Role.INTERMEDIATE) if v.role is Role.CONSTANT else v for v in graph.values),
        nodes=tuple(n._replace(bodies=(), inputs=(*n.inputs, *n.captures), captures=()) for n in graph.nodes),
    )


@given(st.randoms(use_true_random=False))
def test_a_round_trip_keeps_every_timeline(rng: Random) -> None:
    graph = without_constants(random_graph(rng))
    returned = from_networkx(graph.to_networkx())
    before, after = analyze(graph).runtimes, analyze(returned).runtimes
    for name, expected in before.items():
        assert after[name].timeline == expected.timeline
        assert after[name].peak_without_io_bytes == expected.peak_without_io_bytes


@given(st.randoms(use_true_random=False))
def test_a_round_trip_drops_no_more_than_the_steps_of_constants(rng: Random) -> None:
    graph = random_graph(rng, nesting=0)
    if any(not graph.consumers[i] for i in graph.inputs):
        return  # an unread input counts at step 0, whichever step that is
    steps = [
        size
        for node, size in zip(graph.nodes, analyze(graph).headline.timeline, strict=False)
        if not node.writes or any(graph.values[i].role is not Role.CONSTANT for i in node.writes)
    ]
    if steps:
        assert list(analyze(from_networkx(graph.to_networkx())).headline.timeline) == steps


def diamond() -> Graph:
    builder = GraphBuilder("diamond")
    x = builder.add_input("x", F4)
    w = builder.add_parameter("w", F4)
    (c,) = builder.add_node("Exp", [w], [NewValue("c", F4)], name="fold")
    a, v = builder.add_node("Split", [x, c], [NewValue("a", F4), NewValue("v", F4, view_of=x)], name="split")
    (y,) = builder.add_node("Add", [v, a], [NewValue("y", F4)], name="add", is_elementwise=True, module="head")
    assert y is not None
    return builder.build([y])


def test_nodes_and_edges_carry_the_documented_attributes() -> None:
    found = diamond().to_networkx()
    assert list(found) == ["x", "split", "add"]
    assert all(set(data) == NODE_ATTRIBUTES for _, data in found.nodes(data=True))
    assert found.nodes["split"] == {
        "bytes": 8,
        "op": "Split",
        "tensors": {"a": 8, "v": 8},
        "reads": ("x",),
        "view_of": {"v": "x"},
        "elementwise": False,
        "outputs": (),
        "step": 1,
        "module": "",
    }
    assert found.nodes["add"]["outputs"] == ("y",)
    assert found.nodes["add"]["elementwise"] is True
    assert found.nodes["add"]["module"] == "head"
    assert found.nodes["x"]["op"] == "Input"
    assert found.nodes["x"]["step"] == -1
    assert found.edges["split", "add"] == {"tensors": ("v", "a"), "bytes": 16}


def test_the_table_in_the_docstring_names_exactly_the_attributes() -> None:
    import memprof.ir.networkx as module

    table = str(module.__doc__).split("Edge attributes")[0]
    documented = {line.split()[0] for line in table.splitlines() if line.startswith("    ")}
    assert documented == NODE_ATTRIBUTES


def test_the_networkx_graph_is_built_once() -> None:
    graph = diamond()
    assert graph.to_networkx() is graph.to_networkx()


def test_keys_that_clash_stay_apart() -> None:
    builder = GraphBuilder()
    x = builder.add_input("relu", F4)
    (y,) = builder.add_node("Relu", [x], [NewValue("y", F4)], name="relu")
    assert y is not None
    assert list(builder.build([y]).to_networkx()) == ["relu", "relu'"]


def digraph(*edges: tuple[Any, Any], **sizes: Any) -> nx.DiGraph[Any]:
    source: nx.DiGraph[Any] = nx.DiGraph()
    for key, size in sizes.items():
        source.add_node(key, bytes=size)
    source.add_edges_from(edges)
    return source


def test_bytes_alone_are_enough() -> None:
    # a: 1, then b reads it: 1 + 2, then c reads b: 2 + 4 and leaves the graph
    report = analyze(from_networkx(digraph(("a", "b"), ("b", "c"), a=1, b=2, c=4)))
    assert report.headline.timeline == (1, 3, 6)
    assert report.headline.peak_without_io_bytes == 3


def test_a_node_named_input_is_a_graph_input() -> None:
    source = digraph(("x", "y"), x=3, y=5)
    source.nodes["x"]["op"] = "Input"
    assert analyze(from_networkx(source)).headline.timeline == (8,)


def test_an_order_that_is_not_topological_is_sorted_keeping_close_to_it() -> None:
    graph = from_networkx(digraph(("c", "a"), ("b", "a"), a=1, b=1, c=1))
    assert [node.name for node in graph.nodes] == ["b", "c", "a"]


def test_unknown_bytes_stay_unknown() -> None:
    report = analyze(from_networkx(digraph(("a", "b"), a=1, b=None)))
    assert report.peak_intermediate_bytes is None
    assert report.headline.known_bytes_at_least == 1


def test_numpy_integers_are_bytes() -> None:
    import numpy as np

    assert analyze(from_networkx(digraph(a=np.int64(7)))).peak_intermediate_bytes == 7


def test_keys_may_be_any_hashable() -> None:
    source: nx.DiGraph[Any] = nx.DiGraph()
    source.add_node((0, "a"), bytes=1)
    assert from_networkx(source).nodes[0].name == "(0, 'a')"


def missing_bytes() -> nx.DiGraph[Any]:
    source = digraph(a=1)
    source.add_node("b")
    return source


def with_node(**attributes: Any) -> nx.DiGraph[Any]:
    source = digraph(("a", "b"), a=1, b=1)
    source.nodes["b"].update(attributes)
    return source


def with_edge(**attributes: Any) -> nx.DiGraph[Any]:
    source = digraph(("a", "b"), a=1, b=1)
    source.edges["a", "b"].update(attributes)
    return source


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (digraph(("a", "b"), ("b", "a"), a=1, b=1), "cycle"),
        (digraph(("a", "a"), a=1), "cycle"),
        (missing_bytes(), "'b' has no 'bytes'"),
        (digraph(a=-1), "bytes=-1"),
        (digraph(a=1.5), "bytes=1.5"),
        (digraph(a=True), "bytes=True"),
        (nx.Graph(), "not a networkx DiGraph"),
        (nx.MultiDiGraph(), "not a networkx DiGraph"),
        (with_node(op="Input"), "'b' has predecessors"),
        (with_node(view_of={"b": "nowhere"}), "'nowhere'"),
        (with_node(outputs=("nowhere",)), "'nowhere'"),
        (with_edge(tensors=("nowhere",)), "'nowhere'"),
    ],
)
def test_what_cannot_be_analysed_is_refused_by_name(source: nx.DiGraph[Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        from_networkx(source)
