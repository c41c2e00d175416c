"""The report: complete, frozen, and the same numbers as the definitions give."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError, replace

import pytest

from memprof import Graph, GraphBuilder, Report, TensorType, analyze
from memprof.analysis import Buffer, Lifetimes, Schedule
from memprof.ir import NewValue, Unknown
from memprof.results.peak import find_peak


def u1(count: int | str) -> TensorType:
    return TensorType("uint8", (count,))


def example(*, last: int | str = 50) -> Graph:
    """Return x (1) -> a (100) -> b (20) -> c (3) -> y; a is read again by the last operation."""
    builder = GraphBuilder("example")
    x = builder.add_input("x", u1(1))
    w = builder.add_parameter("w", TensorType("float16", (4,)))

    def add(name: str, size: int | str, *reads: int) -> int:
        (made,) = builder.add_node("Op", reads, [NewValue(name, u1(size))], name=f"make {name}", module="block")
        assert made is not None
        return made

    a = add("a", 100, x, w)
    b = add("b", 20, a)
    c = add("c", 3, b)
    d = add("unread", 2, c)
    assert d
    y = add("y", last, c, a)
    builder.add_unknown(Unknown(kind="dimension", name="n", reason="open", hint="--dim n=1"))
    return builder.build([y])


def live(report: Report, runtime: str) -> dict[str, tuple[str | None, str | None, int, str]]:
    tensors = report.runtimes[runtime].peak.live
    return {t.name: (t.producer, t.held_by, t.held_steps, t.cause) for t in tensors}


def test_what_is_alive_is_shown_and_compared_as_a_tuple() -> None:
    found = analyze(example()).headline.peak.live
    assert found == tuple(found)
    assert hash(found) == hash(tuple(found))
    assert repr(found) == repr(tuple(found))


def test_the_peak_names_its_step_its_operation_and_who_is_alive_and_why() -> None:
    report = analyze(example())
    # make a 101, make b 120, make c 123, make unread 105, make y 153
    assert report.headline.timeline == (101, 120, 123, 105, 153)
    peak = report.headline.peak
    assert (peak.step, peak.node, peak.nodes) == (4, "make y", ("make y",))
    assert live(report, "reference") == {
        "a": ("make a", "make y", 0, "written by make a; being read for the last time, by make y"),
        "y": ("make y", None, 0, "being written by make y; a graph output, kept to the end"),
        "c": ("make c", "make y", 0, "written by make c; being read for the last time, by make y"),
    }
    assert [round(t.share, 3) for t in peak.live] == [0.654, 0.327, 0.02]
    assert all(t.module == "block" for t in peak.live)


def test_a_tensor_that_waits_says_for_whom_and_how_long() -> None:
    report = analyze(example(last=1))  # 101, 120, 123, 105, 104: the peak is at make c
    assert live(report, "reference") == {
        "a": ("make a", "make y", 2, "written by make a; waits 2 more steps for make y"),
        "b": ("make b", "make c", 0, "written by make b; being read for the last time, by make c"),
        "c": ("make c", "make y", 2, "being written by make c; waits 2 more steps for make y"),
    }


def test_in_paper_a_tensor_waits_for_a_reader_that_runs_in_a_later_level() -> None:
    report = analyze(example(last=1))  # levels: x | a | b | c | unread, y
    assert report.runtimes["paper"].timeline == (1, 100, 120, 103, 3)
    assert live(report, "paper") == {
        "a": ("make a", "make y", 1, "written by make a; waits 2 more steps for make y"),
        "b": ("make b", "make c", 0, "being written by make b; waits 1 more step for make c"),
    }


def test_an_input_and_a_tensor_that_nobody_reads_say_so() -> None:
    builder = GraphBuilder()
    x = builder.add_input("x", u1(9))
    builder.add_input("idle", u1(8))
    builder.add_node("Op", [x], [NewValue("unread", u1(7))], name="op")
    report = analyze(builder.build([]))
    assert {name: cause for name, (*_, cause) in live(report, "reference").items()} == {
        "x": "given by the caller; being read for the last time, by op",
        "idle": "given by the caller; nobody reads it",
        "unread": "being written by op; nobody reads it",
    }


def test_the_headline_is_the_first_runtime_model_asked_for() -> None:
    report = analyze(example(), runtimes=["paper", "reference", "paper"])
    assert list(report.runtimes) == ["paper", "reference"]
    assert report.headline is report.runtimes["paper"]
    assert report.peak_intermediate_bytes == report.runtimes["paper"].peak_intermediate_bytes


def test_three_lines_parameters_peak_and_total() -> None:
    report = analyze(example())
    assert report.parameter_bytes == 8
    assert report.peak_intermediate_bytes == 153
    assert report.headline.total_bytes == 161
    assert report.headline.peak_without_io_bytes == 123
    assert report.model.bytes_by_dtype == {"float16": 8}


def test_an_open_size_makes_what_it_touches_null_and_leaves_a_lower_bound() -> None:
    report = analyze(example(last="n"))
    found = report.headline
    assert (found.peak_intermediate_bytes, found.peak_without_io_bytes, found.total_bytes) == (None, None, None)
    assert found.known_bytes_at_least == 123
    assert report.parameter_bytes == 8
    assert report.unknown[0] == Unknown(kind="dimension", name="n", reason="open", hint="--dim n=1")


def test_an_open_weight_makes_the_total_null_and_not_the_peak() -> None:
    builder = GraphBuilder()
    x = builder.add_input("x", u1(9))
    w = builder.add_parameter("w", TensorType(None, (1,)))
    (y,) = builder.add_node("Op", [x, w], [NewValue("y", u1(1))])
    assert y is not None
    found = analyze(builder.build([y])).headline
    assert (found.peak_intermediate_bytes, found.total_bytes) == (10, None)


def test_json_holds_every_promised_field() -> None:
    found = json.loads(json.dumps(analyze(example()).to_json()))
    assert found["schema"] == "memprof/analysis/2"
    assert found["model"] | {"macs": None} == {
        "path": "example",
        "format": "graph",
        "structure_sha256": "",
        "nodes": 5,
        "parameter_bytes": 8,
        "foldable_constant_bytes": 0,
        "stored_constant_bytes": 0,
        "has_known_weights": True,
        "macs": None,
        "bytes_by_dtype": {"float16": 8},
    }
    assert list(found["runtimes"]) == ["reference", "ideal", "paper"]
    reference = found["runtimes"]["reference"]
    assert {
        "peak_intermediate_bytes": 153,
        "peak_without_io_bytes": 123,
        "known_bytes_at_least": 153,
        "total_bytes": 161,
        "counts_inputs": True,
        "grade": "upper bound",
        "timeline": [101, 120, 123, 105, 153],
    }.items() <= reference.items()
    assert (reference["peak"]["step"], reference["peak"]["node"]) == (4, "make y")
    assert {
        "name": "a",
        "bytes": 100,
        "producer": "make a",
        "held_by": "make y",
        "module": "block",
    }.items() <= reference["peak"]["live"][0].items()
    assert found["unknown"][0] == {"kind": "dimension", "name": "n", "reason": "open", "hint": "--dim n=1"}


def test_json_says_null_where_nothing_is_known() -> None:
    reference = analyze(example(last="n")).to_json()["runtimes"]["reference"]
    assert reference["peak_intermediate_bytes"] is None
    assert reference["total_bytes"] is None
    assert reference["known_bytes_at_least"] == 123


def test_paper_names_no_single_node_where_several_share_the_level() -> None:
    builder = GraphBuilder()
    x = builder.add_input("x", u1(1))
    a, b = (builder.add_node("Op", [x], [NewValue(n, u1(5))], name=n)[0] for n in "ab")
    assert a is not None and b is not None
    peak = analyze(builder.build([a, b])).to_json()["runtimes"]["paper"]["peak"]
    assert (peak["node"], peak["nodes"]) == (None, ["a", "b"])


def test_a_report_cannot_be_changed() -> None:
    report = analyze(example())
    with pytest.raises(FrozenInstanceError):
        report.unknown = ()  # type: ignore[misc]
    with pytest.raises(AttributeError):
        report.headline.peak.live[0].name = "other"  # type: ignore[misc]


def test_what_comes_beside_a_block_that_stays_is_told_by_its_step() -> None:
    builder = GraphBuilder()
    x = builder.add_input("x", u1(1))
    (wide,) = builder.add_node("Op", [x], [NewValue("wide", u1(90))])
    (y,) = builder.add_node("Op", [wide], [NewValue("y", u1(20))])
    assert wide is not None
    assert y is not None
    graph = builder.build([y])
    lifetimes = Lifetimes(
        graph=graph,
        schedule=Schedule.sequential((0, 1)),
        buffers=(Buffer((wide,), 90, 0, 1), Buffer((y,), 20, 1, 2)),
        reserved=(0, 90),
        held=(0, 90),
    )
    found = replace(analyze(graph).headline, lifetimes=lifetimes, peak=find_peak(lifetimes))
    assert found.peak.step == 0  # what fills the block
    assert found.later == (1, 20)
    assert replace(found, lifetimes=replace(lifetimes, held=(), reserved=(0, 0))).later is None
