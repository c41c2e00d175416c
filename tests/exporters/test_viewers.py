"""Files for other viewers: what they hold is what memprof says, in the shapes those viewers read."""

from __future__ import annotations

import json
from collections import defaultdict
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memprof import analyze
from memprof.analysis import Lifetimes
from memprof.exporters.viewers import netron_document, node_data_document, trace_document
from tests.cli.conftest import write_chain
from tests.random_graphs import random_graph
from tests.render.graphs import chain, figure_1b


def lifetimes_of(rng: Random) -> Lifetimes:
    return analyze(random_graph(rng), runtimes=("ideal",)).headline.lifetimes


@given(st.randoms(use_true_random=False))
def test_a_trace_adds_up_to_the_curve_and_each_tensor_has_its_place(rng: Random) -> None:
    lifetimes = lifetimes_of(rng)
    events = json.loads(json.dumps(trace_document(lifetimes), allow_nan=False))["traceEvents"]
    counter = {event["ts"]: event["args"]["bytes"] for event in events if event["ph"] == "C"}
    assert tuple(counter.values()) == (*lifetimes.timeline.step_bytes, 0)
    tensors = [event for event in events if event.get("cat") == "tensor"]
    lives = sorted((b.start, b.stop - b.start, b.size_bytes) for b in lifetimes.buffers if b.start < b.stop)
    assert sorted((event["ts"], event["dur"], event["args"]["bytes"]) for event in tensors) == lives
    lanes = defaultdict(list)
    for event in tensors:
        lanes[event["tid"]].append((event["ts"], event["ts"] + event["dur"]))
    assert all(one[1] <= other[0] for lane in lanes.values() for one, other in pairwise(sorted(lane)))
    steps = range(max((b.stop for b in lifetimes.buffers), default=0))
    alive = (sum(b.start <= step < b.stop for b in lifetimes.buffers) for step in steps)
    assert len(lanes) == max(alive, default=0)
    assert {*lanes} <= {event["tid"] for event in events if event["name"] == "thread_name"}
    slices = [event for event in events if event.get("cat") == "operation"]
    assert [event["ts"] for event in slices] == [i for i, nodes in enumerate(lifetimes.schedule.steps) if nodes]


@given(st.randoms(use_true_random=False))
def test_an_attachment_names_what_the_model_names_and_each_fact_once(rng: Random) -> None:
    lifetimes = lifetimes_of(rng)
    document = netron_document(lifetimes, "ideal")
    assert document["signature"] == "netron:attachment"
    facts = [(row["kind"], row["target"], row["name"]) for row in document["metrics"]]
    assert len(facts) == len(set(facts))
    graph = lifetimes.graph
    known = {"node": {n.name for n in graph.nodes}, "value": {v.name for v in graph.values}, "model": {""}}
    assert all(target in known[kind] for kind, target, _ in facts)
    sizes = {row["target"]: row["value"].split(" ")[0] for row in document["metrics"] if row["name"] == "bytes"}
    wanted = {graph.values[b.values[0]].name: b.size_bytes for b in lifetimes.buffers}
    assert all(sizes.get(name) == (None if size is None else f"{size:,}") for name, size in wanted.items())


@pytest.mark.parametrize(
    ("format_", "key", "names"),
    [
        ("onnx", "chain", ["op1", "op2"]),
        ("torch.export", "graph", ["op1", "op2"]),
        ("tflite", "main", ["t1", "t2"]),
    ],
)
def test_node_data_is_found_as_model_explorer_names_it_in_each_format(
    format_: str, key: str, names: list[str]
) -> None:
    (found,) = node_data_document(analyze(chain([1, 2, 3])).headline.lifetimes, "ideal", format_).items()
    assert found[0] == key
    assert [(name, result["value"]) for name, result in found[1]["results"].items()] == [
        *zip(names, [3, 5], strict=True)
    ]


def test_the_papers_figure_in_a_trace() -> None:
    events = trace_document(analyze(figure_1b()).headline.lifetimes)["traceEvents"]
    assert [e["args"]["bytes"] for e in events if e["ph"] == "C"] == [2, 3, 4, 4, 3, 4, 4, 3, 4, 3, 0]


def test_the_command_writes_all_three(tmp_path: Path) -> None:
    from click.testing import CliRunner

    from memprof.cli import main

    model = write_chain(tmp_path / "net.onnx", ["Relu", "Sigmoid"], [1, 250])
    endings = (".trace.json", ".netron.json", ".model-explorer.json")
    words = [word for ending in endings for word in ("-o", str(tmp_path / f"net{ending}"))]
    assert CliRunner().invoke(main, ["analyze", str(model), *words]).exit_code == 0
    keys = [set(json.loads((tmp_path / f"net{ending}").read_text())) for ending in endings]
    assert keys == [{"displayTimeUnit", "otherData", "traceEvents"}, {"signature", "metadata", "metrics"}, {"chain"}]
