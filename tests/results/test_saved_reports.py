"""A saved report says all that a fresh one says, anywhere, and is believed only where it agrees with itself."""

from __future__ import annotations

import copy
import io
import json
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memprof import Report, analyze
from memprof.base.errors import InputError, UsageError
from memprof.ir import GraphBuilder
from memprof.plots import plot_lifetimes
from memprof.render.csv import render_csv
from memprof.render.html import render_html
from memprof.render.json import render_json
from memprof.render.markdown import render_markdown
from memprof.render.page import report_page, write_page
from memprof.render.text import TextView, render_text
from memprof.runtimes import Process
from tests.random_graphs import random_graph
from tests.render.graphs import HOSTILE_NAMES, chain, figure_1b, wide

RENDERERS: tuple[Callable[[Report, io.StringIO], object], ...] = (
    render_json,
    render_markdown,
    lambda report, stream: write_page(report_page(report), stream),
    lambda report, stream: stream.write(render_html(report)),
    lambda report, stream: render_csv(report.headline, stream),
    lambda report, stream: render_text(report, stream, TextView(why=True, modules=2)),
)


def saved(report: Report) -> Any:
    stream = io.StringIO()
    render_json(report, stream)
    return json.loads(stream.getvalue())


def shown(report: Report) -> list[str]:
    streams = []
    for render in RENDERERS:
        stream = io.StringIO()
        render(report, stream)
        streams.append(stream.getvalue())
    return streams


@given(st.randoms(use_true_random=False))
def test_every_renderer_draws_a_saved_report_as_it_drew_the_fresh_one(rng: Random) -> None:
    report = analyze(random_graph(rng), runtimes=("reference", "ideal", "paper", "pytorch", "onnxruntime"))
    again = Report.from_json(saved(report))
    assert shown(again) == shown(report)
    assert Report.from_json(saved(again)) == again


@given(st.randoms(use_true_random=False))
def test_reports_and_graphs_pickle_and_copy(rng: Random) -> None:
    report = analyze(random_graph(rng))
    for again in (pickle.loads(pickle.dumps(report)), copy.deepcopy(report)):
        assert again == report
        assert shown(again) == shown(report)


@pytest.mark.parametrize("graph", [GraphBuilder().build([]), figure_1b(), wide(HOSTILE_NAMES), chain([1, None] * 20)])
def test_corners_survive(graph: Any) -> None:
    report = analyze(graph)
    read = Report.from_json(saved(report))
    assert shown(read) == shown(report)
    assert read.headline.lifetimes.schedule == report.headline.lifetimes.schedule


def test_a_picture_of_a_saved_report_is_the_picture_of_the_fresh_one(tmp_path: Path) -> None:
    report = analyze(figure_1b())
    for name, drawn in (("fresh", report), ("saved", Report.from_json(saved(report)))):
        plot_lifetimes(drawn, tmp_path / f"{name}.svg")
    assert (tmp_path / "fresh.svg").read_bytes() == (tmp_path / "saved.svg").read_bytes()


def test_a_representation_is_one_line() -> None:
    report = analyze(wide(HOSTILE_NAMES))
    for thing in (report, report.headline, report.headline.lifetimes, report.headline.lifetimes.graph):
        assert len(repr(thing)) < 200
        assert repr(thing).isprintable()
    assert repr(analyze(figure_1b())) == "<Report of fig1b: peak 4 B (reference)>"


def test_columns_keep_a_large_report_small() -> None:
    report = analyze(chain([1] * 5_000), runtimes=("reference",))
    stream = io.StringIO()
    render_json(report, stream)
    assert len(stream.getvalue()) < 120 * 5_000  # bytes per tensor, names of 4 letters and of operations included
    assert stream.getvalue().count("\n") < 200


def change(document: Any, path: str, value: object) -> Any:
    *parents, last = (int(part) if part.isdigit() else part for part in path.split("/"))
    record = document
    for parent in parents:
        record = record[parent]
    record[last] = value
    return document


LIFE = "runtimes/reference/lifetimes"


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("graphs/0/values/view_of/0", 2, "later tensor"),
        ("graphs/0/values/producer/0", 10**6, "producer"),
        ("graphs/0/values/type/table/0", ["float32", [-1]], "table"),
        ("graphs/0/values/type/table/0", ["float32", [True]], "table"),
        ("graphs/0/values/type/table/0", "float32", "table"),
        ("graphs/0/values/role/table/0", "villain", "table"),
        ("graphs/0/values/type/index/0", 99, "index"),
        ("graphs/0/values/name", ["t0"], "differ"),
        ("graphs/0/nodes/reads/0", [99], "reads"),
        ("graphs/0/nodes/op", {"table": [3], "index": []}, "table"),
        ("graphs/0/inputs", [99], "inputs"),
        (f"{LIFE}/steps", [[0], [0], [0], [0], [0], [0]], "twice"),
        (f"{LIFE}/steps", [[10**9]], "steps"),
        (f"{LIFE}/buffers/bytes/0", 2**60, "bytes"),
        (f"{LIFE}/buffers/bytes/0", -1, "bytes"),
        (f"{LIFE}/buffers/bytes/0", 7, "add up to"),
        (f"{LIFE}/buffers/start/0", 2, "stop"),
        (f"{LIFE}/buffers/stop/0", 10**9, "stop"),
        (f"{LIFE}/buffers/values/0", [], "stop"),
        (f"{LIFE}/reserved", [1], "reserved"),
        (f"{LIFE}/scratch", 5, "scratch"),
        (f"{LIFE}/is_complete", 1, "is_complete"),
        ("runtimes/reference/graph", 1, "graph"),
        ("runtimes/reference/grade", "superb", "grade"),
        ("runtimes/reference/peak_intermediate_bytes", 6, "add up to"),
        ("runtimes", {}, "headline"),
        ("headline", "nobody", "headline"),
        ("model", None, "model"),
        ("model/macs", "many", "macs"),
        ("unknown", {}, "unknown"),
        ("schema", "memprof/analysis/99", "can be read"),
        ("schema", "memprof/plan/2", "no memprof report"),
        ("schema", "memprof/analysis/1", "numbers only"),
    ],
)
def test_a_report_that_lies_is_an_input_error_that_names_the_field(path: str, value: object, said: str) -> None:
    document = change(saved(analyze(chain([1, 2, 3]))), path, value)
    with pytest.raises(InputError, match=said):
        Report.from_json(document, "saved.json")


def test_analyze_opens_a_saved_report_and_picks_runtime_models_from_it(tmp_path: Path) -> None:
    path = tmp_path / "saved.json"
    report = analyze(figure_1b())
    path.write_text(json.dumps(report.to_json()))
    assert shown(analyze(path)) == shown(report)
    assert list(analyze(path, runtimes=["paper", "reference"]).runtimes) == ["paper", "reference"]
    with pytest.raises(UsageError, match="has no runtime model 'onnxruntime'"):
        analyze(path, runtimes=["onnxruntime"])
    with pytest.raises(UsageError, match="saved report"):
        analyze(path, dims={"batch": 1})


def test_a_process_comes_back_with_its_range_and_one_the_wrong_way_round_is_refused() -> None:
    report = replace(analyze(figure_1b()), process=Process(5, {"graph_objects": 5}, "median 1 %", (3, 9)))
    document = report.to_json()
    assert Report.from_json(document).process == report.process

    document["process"]["range_bytes"] = [9, 3]
    with pytest.raises(InputError, match="no lower and upper end"):
        Report.from_json(document)
