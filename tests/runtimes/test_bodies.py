"""The bodies of If, Loop and Scan reserve their own peak at the node that owns them."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from memprof import Graph, GraphBuilder, TensorType, analyze
from memprof.ir import NewValue

NAMES = ("reference", "ideal", "paper")


def u1(count: int) -> TensorType:
    return TensorType("uint8", (count,))


def body(size: int, type_: TensorType | None = None, *, bodies: Sequence[Graph] = ()) -> Graph:
    """Return a body that reads 3 captured bytes and makes ``size`` bytes of its own, its output."""
    builder = GraphBuilder("body")
    captured = builder.add_capture("outer", u1(3))
    (made,) = builder.add_node("Op", [captured], [NewValue("made", type_ or u1(size))], bodies=bodies)
    assert made is not None
    return builder.build([made])


def graph_around(*bodies: Graph) -> Graph:
    """Return: x (5 bytes) -> captured (3 bytes) -> If with ``bodies`` -> result (7 bytes) -> last (1 byte)."""
    builder = GraphBuilder("outer")
    x = builder.add_input("x", u1(5))
    (captured,) = builder.add_node("Op", [x], [NewValue("captured", u1(3))])
    assert captured is not None
    (result,) = builder.add_node("If", [], [NewValue("result", u1(7))], captures=[captured], bodies=bodies)
    (last,) = builder.add_node("Op", [result], [NewValue("last", u1(1))])
    assert last is not None
    return builder.build([last])


def test_a_body_counts_on_top_of_what_it_reads_and_what_its_node_writes() -> None:
    # step 0: x 5 + captured 3; step 1: captured 3 + result 7 + body 10; step 2: result 7 + last 1
    assert analyze(graph_around(body(10))).headline.timeline == (8, 20, 8)


def test_of_two_branches_the_larger_counts() -> None:
    assert analyze(graph_around(body(10), body(90))).headline.timeline == (8, 100, 8)


def test_a_body_in_a_body_counts_in_both() -> None:
    assert analyze(graph_around(body(10, bodies=[body(20)]))).headline.timeline == (8, 40, 8)


def test_the_report_names_the_bytes_that_bodies_reserve_at_the_peak() -> None:
    peak = analyze(graph_around(body(10))).headline.peak
    assert peak.reserved_bytes == 10
    assert sum(live.size_bytes or 0 for live in peak.live) == 10


def test_bodies_count_without_inputs_and_outputs_too() -> None:
    assert analyze(graph_around(body(10))).headline.lifetimes.timeline_without_io.step_bytes == (3, 20, 7)


def test_paper_reserves_a_body_at_the_level_of_its_node() -> None:
    # levels: x | captured | If | last; a tensor does not count where its last reader runs
    assert analyze(graph_around(body(10)), runtimes=["paper"]).headline.timeline == (5, 3, 17, 1)


@pytest.mark.parametrize("runtime", NAMES)
def test_an_unknown_size_in_a_body_makes_the_peak_unknown(runtime: str) -> None:
    graph = graph_around(body(0, TensorType("uint8", ("n",))))
    found = analyze(graph, runtimes=[runtime]).headline
    assert found.peak_intermediate_bytes is None
    assert found.peak_without_io_bytes is None
    assert found.total_bytes is None
    assert found.known_bytes_at_least == max(found.timeline) > 0


def test_weights_of_bodies_count_as_weights() -> None:
    builder = GraphBuilder("body")
    w = builder.add_parameter("w", TensorType("float32", (6,)))
    (c,) = builder.add_node("Exp", [w], [NewValue("c", u1(2))])
    assert c is not None
    report = analyze(graph_around(builder.build([c])))
    assert report.parameter_bytes == 24
    assert report.model.bytes_by_dtype == {"float32": 24}
    assert report.model.foldable_constant_bytes == 2
    assert report.headline.timeline == (8, 10, 8)
