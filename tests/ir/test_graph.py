"""What is derived from a graph once: who reads what, and which values share storage."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest

from memprof.ir import Activation, Graph, GraphBuilder, NewValue, TensorType


def u1(count: int | str) -> TensorType:
    return TensorType("uint8", (count,))


def example() -> Graph:
    """Return: x and w make y; v views y, vv views v; pw views w; a node reads y twice and v through a body."""
    builder = GraphBuilder("example")
    x, w = builder.add_input("x", u1(1)), builder.add_parameter("w", u1(2))
    (y,) = builder.add_node("Op", [x, None, w], [NewValue("y", u1(4))])
    (v,) = builder.add_node("Reshape", [y], [NewValue("v", u1(4), view_of=y)])
    (vv,) = builder.add_node("Reshape", [v], [NewValue("vv", u1(4), view_of=v)])
    (pw,) = builder.add_node("Reshape", [w], [NewValue("pw", u1(2), view_of=w)])
    assert y is not None and v is not None and vv is not None and pw is not None
    builder.add_node("If", [y, y], [None], captures=[v])
    return builder.build([vv])


def test_consumers_are_the_readers_in_order_each_once_captures_included() -> None:
    assert example().consumers == ((0,), (0, 3), (1, 4), (2, 4), (), ())


def test_reads_and_writes_leave_out_what_is_left_out() -> None:
    graph = example()
    assert graph.reads == ((0, 1), (2,), (3,), (1,), (2, 2, 3)) == tuple(node.reads for node in graph.nodes)
    assert graph.writes == ((2,), (3,), (4,), (5,), ()) == tuple(node.writes for node in graph.nodes)


def test_storage_follows_chains_of_views_to_their_root() -> None:
    graph = example()
    assert graph.storage == (0, 1, 2, 2, 2, 1)
    assert dict(graph.storage_members) == {0: (0,), 1: (1, 5), 2: (2, 3, 4)}


def test_activations_are_the_storages_of_inputs_and_intermediates() -> None:
    assert example().activations == (Activation(0, (0,), 1), Activation(2, (2, 3, 4), 4))


def test_a_storage_whose_root_is_open_has_the_bytes_of_its_largest_known_view() -> None:
    builder = GraphBuilder()
    x = builder.add_input("x", u1("n"))
    builder.add_node("Reshape", [x], [NewValue("a", u1(3), view_of=x), NewValue("b", u1(5), view_of=x)])
    builder.add_node("Reshape", [x], [NewValue("c", u1("m"), view_of=x)])
    assert builder.build([]).activations == (Activation(0, (0, 1, 2, 3), 5),)


def test_weights_count_once_and_views_of_them_not_at_all() -> None:
    graph = example()
    assert graph.parameter_bytes == 2
    assert graph.foldable_constant_bytes == 0
    assert graph.has_known_weights


def test_open_weights_are_said_to_be_open() -> None:
    builder = GraphBuilder()
    w = builder.add_parameter("w", TensorType("opaque", (2,)))
    builder.add_node("Op", [w], [NewValue("c", u1("n"))])
    graph = builder.build([])
    assert not graph.has_known_weights
    assert graph.parameter_bytes == graph.foldable_constant_bytes == 0


def test_a_graph_cannot_be_changed() -> None:
    graph = example()
    with pytest.raises(FrozenInstanceError):
        graph.name = "other"  # type: ignore[misc]
    with pytest.raises(AttributeError):
        graph.values[0].name = "other"  # type: ignore[misc]
