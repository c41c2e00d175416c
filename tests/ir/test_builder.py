"""What the builder guarantees to everything behind it."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memprof.base.errors import InputError
from memprof.ir import GraphBuilder, NewValue, Role, TensorType, Unknown
from tests.random_graphs import random_graph

F4 = TensorType("float32", (2,))


def test_ids_are_positions_in_the_order_of_adding() -> None:
    builder = GraphBuilder("g")
    x = builder.add_input("x", F4)
    w = builder.add_parameter("w", F4, module="head")
    written = builder.add_node("Op", [x, None, w], [NewValue("y", F4), None, NewValue("z", F4)], name="op")
    graph = builder.build([written[2] or 0])
    assert (x, w, written) == (0, 1, (2, None, 3))
    assert [value.name for value in graph.values] == ["x", "w", "y", "z"]
    assert graph.inputs == (0,)
    assert graph.outputs == (3,)
    assert graph.nodes[0].inputs == (0, None, 1)
    assert graph.nodes[0].outputs == (2, None, 3)
    assert graph.values[2].producer == 0
    assert graph.values[1].module == "head"


def test_roles_are_settled() -> None:
    builder = GraphBuilder()
    x = builder.add_input("x", F4)
    w = builder.add_parameter("w", F4)
    o = builder.add_capture("o", F4)
    (c,) = builder.add_node("Exp", [w], [NewValue("c", F4)])
    (d,) = builder.add_node("Add", [w, c], [NewValue("d", F4)])
    builder.add_node("Shape", [], [NewValue("e", F4)])
    builder.add_node("RandomNormal", [], [NewValue("f", F4)], is_foldable=False)
    builder.add_node("Add", [x, d], [NewValue("g", F4)])
    builder.add_node("Add", [o, d], [NewValue("h", F4)])
    builder.add_node("If", [w], [NewValue("i", F4)], captures=[x])
    roles = {value.name: value.role for value in builder.build([]).values}
    assert roles == {
        "x": Role.INPUT,
        "w": Role.PARAMETER,
        "o": Role.CAPTURE,
        "c": Role.CONSTANT,
        "d": Role.CONSTANT,
        "e": Role.CONSTANT,
        "f": Role.INTERMEDIATE,
        "g": Role.INTERMEDIATE,
        "h": Role.INTERMEDIATE,
        "i": Role.INTERMEDIATE,
    }


def test_two_tensors_cannot_share_a_name() -> None:
    builder = GraphBuilder()
    builder.add_input("x", F4)
    with pytest.raises(InputError, match="'x'"):
        builder.add_parameter("x", F4)
    with pytest.raises(InputError, match="'x'"):
        builder.add_node("Op", [], [NewValue("x", F4)])


def test_node_names_are_made_where_missing_and_made_unique_where_taken() -> None:
    builder = GraphBuilder()
    for name in ("", "conv", "conv", "conv#3", "conv"):
        builder.add_node("Conv", [], [], name=name)
    names = [node.name for node in builder.build([]).nodes]
    assert names[:2] == ["Conv_0", "conv"]
    assert len(set(names)) == 5


def test_ten_thousand_nodes_of_one_name_stay_quick_to_name() -> None:
    builder = GraphBuilder()
    for _ in range(10_000):
        builder.add_node("Op", [], [], name="same")
    assert len({node.name for node in builder.build([]).nodes}) == 10_000


@pytest.mark.parametrize("ids", [[1], [-1], [0, 7]])
def test_a_node_reads_only_what_already_exists(ids: list[int]) -> None:
    builder = GraphBuilder()
    builder.add_input("x", F4)
    with pytest.raises(AssertionError, match="does not exist yet"):
        builder.add_node("Op", ids, [NewValue("y", F4)])
    with pytest.raises(AssertionError, match="does not exist yet"):
        builder.add_node("Op", [0], [NewValue("y", F4)], captures=ids)


@pytest.mark.parametrize("base", [1, -1, 5])
def test_a_view_comes_after_what_it_views(base: int) -> None:
    builder = GraphBuilder()
    builder.add_input("x", F4)
    with pytest.raises(AssertionError, match="after what it views"):
        builder.add_node("Reshape", [0], [NewValue("y", F4, view_of=base)])


def test_an_output_must_exist() -> None:
    with pytest.raises(AssertionError, match="output id"):
        GraphBuilder().build([0])


def test_an_output_takes_the_module_of_its_node_unless_it_has_one() -> None:
    builder = GraphBuilder()
    new = [NewValue("a", F4), NewValue("b", F4, module="own")]
    builder.add_node("Op", [], new, module="block")
    assert [value.module for value in builder.build([]).values] == ["block", "own"]


def test_unknowns_are_kept_in_order() -> None:
    builder = GraphBuilder()
    first, second = (Unknown(kind="dimension", name=n, reason="open") for n in "ab")
    builder.add_unknown(first)
    builder.add_unknown(second)
    assert builder.build([]).unknown == (first, second)


@given(st.randoms(use_true_random=False))
def test_what_is_built_is_in_execution_order_and_uniquely_named(rng: Random) -> None:
    graph = random_graph(rng)
    for node_id, node in enumerate(graph.nodes):
        for value_id in node.reads:
            producer = graph.values[value_id].producer
            assert producer is None or producer < node_id
        assert all(graph.values[i].producer == node_id for i in node.writes)
    assert all(v.view_of is None or v.view_of < i for i, v in enumerate(graph.values))
    assert len({value.name for value in graph.values}) == len(graph.values)
    assert len({node.name for node in graph.nodes}) == len(graph.nodes)
