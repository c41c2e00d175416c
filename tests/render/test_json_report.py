"""The JSON contract, field by field."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import cycle, islice
from random import Random
from typing import Any

import pytest

from memprof import Graph, analyze
from memprof.base.rows import Rows, as_lists
from memprof.render.json import format_document, render_json, write_document
from memprof.results.peak import find_peak
from tests.render.graphs import HOSTILE_NAMES, chain, figure_1b, wide


def document(graph: Graph) -> dict[str, Any]:
    stream = io.StringIO()
    render_json(analyze(graph), stream)
    assert stream.getvalue().isascii()
    found = json.loads(stream.getvalue())
    assert isinstance(found, dict)
    return found


def test_every_field_of_the_contract_is_there_with_its_type() -> None:
    found = document(figure_1b())
    assert found["schema"] == "memprof/analysis/2"
    model = found["model"]
    assert {name: type(model[name]) for name in model} == {
        "path": str,
        "format": str,
        "structure_sha256": str,
        "nodes": int,
        "parameter_bytes": int,
        "foldable_constant_bytes": int,
        "stored_constant_bytes": int,
        "has_known_weights": bool,
        "macs": type(None),
        "bytes_by_dtype": dict,
    }
    assert list(found["runtimes"]) == ["reference", "ideal", "paper"]
    reference = found["runtimes"]["reference"]
    contract = {
        "peak_intermediate_bytes": int,
        "peak_without_io_bytes": int,
        "known_bytes_at_least": int,
        "total_bytes": int,
        "counts_inputs": bool,
        "grade": str,
        "peak": dict,
        "timeline": list,
    }
    assert contract == {name: type(reference[name]) for name in contract}
    assert {name: type(reference["peak"][name]) for name in ("step", "node", "live")} == {
        "step": int,
        "node": str,
        "live": list,
    }
    live = reference["peak"]["live"][0]
    assert {name: type(live[name]) for name in ("name", "bytes", "producer", "held_by", "module")} == {
        "name": str,
        "bytes": int,
        "producer": type(None),
        "held_by": str,
        "module": str,
    }
    assert [set(unknown) for unknown in found["unknown"]] == [{"kind", "name", "reason", "hint"}] * 6


def test_the_numbers_of_the_papers_figure() -> None:
    found = document(figure_1b())["runtimes"]
    assert found["reference"]["timeline"] == [2, 3, 4, 4, 3, 4, 4, 3, 4, 3]
    assert found["reference"]["peak_intermediate_bytes"] == max(found["reference"]["timeline"]) == 4
    assert found["reference"]["peak"]["step"] == found["reference"]["timeline"].index(4)
    assert found["paper"]["timeline"] == [1, 3, 2, 3, 2, 3, 2, 1]
    assert found["paper"]["peak"]["node"] is None
    assert found["paper"]["peak"]["nodes"] == ["dw_r2", "fac_r3", "dw_r5"]
    assert sum(live["bytes"] for live in found["reference"]["peak"]["live"]) == 4


def test_what_is_not_known_is_null() -> None:
    found = document(chain([1, None, 4]))
    reference = found["runtimes"]["reference"]
    assert reference["peak_intermediate_bytes"] is None
    assert reference["peak_without_io_bytes"] is None
    assert reference["total_bytes"] is None
    assert reference["known_bytes_at_least"] == 4
    assert found["unknown"][0] == {
        "kind": "dimension",
        "name": "n",
        "reason": "The file gives no number for it.",
        "hint": "--dim n=N",
    }


def test_names_are_kept_exactly_whatever_they_hold() -> None:
    live = document(wide(HOSTILE_NAMES))["runtimes"]["reference"]["peak"]["live"]
    assert set(HOSTILE_NAMES) <= {tensor["name"] for tensor in live}


def test_a_long_timeline_stays_on_one_line() -> None:
    stream = io.StringIO()
    render_json(analyze(chain([1] * 10_000)), stream)
    assert stream.getvalue().count("\n") < 300


@pytest.mark.parametrize("seed", range(20))
def test_long_columns_are_written_as_any_other(seed: int) -> None:
    rng = Random(seed)
    texts = ["a", "", "t1", 'a"b', '", "', "\\", "\n", "\x7f", "é", " ", "~", "[", "]"]
    kinds: list[Callable[[], Any]] = [
        lambda: rng.randint(-9, 2**70),
        lambda: rng.choice([None, 0, 7]),
        lambda: rng.choice([True, 1, 0, False]),
        lambda: rng.choice([1.0, 1]),
        lambda: rng.choice(texts),
        lambda: rng.choice(texts[:3]),
        lambda: [rng.randint(0, 9)],
        lambda: [rng.randint(0, 9)] * rng.randint(0, 3),
        lambda: (rng.randint(0, 9),) * rng.randint(0, 3),
        lambda: [rng.randint(0, 9)] * rng.randint(0, 200),
        lambda: rng.choice([[1], [None], ["a"], [[1]], [True]]),
        lambda: rng.choice([[1], 1, "1", None]),
    ]
    plain = json.JSONEncoder(allow_nan=False)
    columns = [[kind() for _ in range(100)] for kind in kinds]
    for column in columns:
        assert format_document({"column": column}) == f'{{\n  "column": {plain.encode(column)}\n}}\n'
    whole = {"some": {"columns": {str(i): column for i, column in enumerate(columns)}}, "n": columns[0]}
    assert json.loads(format_document(whole)) == as_lists(whole)


@pytest.mark.parametrize("count", [0, 1, 3, 25_000])
def test_rows_are_written_as_the_objects_that_they_stand_for(count: int) -> None:
    values: list[tuple[Any, ...]] = [(1, "é", 0.5, True), (None, None, 1, False), (2**70, '%s"', 1e-7, 0)]
    rows = Rows(fields=("a", "100 %", "share", "is_on"), count=count, make=lambda: islice(cycle(values), count))
    plain = json.JSONEncoder(allow_nan=False)
    twice = f'{{\n  "live": {plain.encode(list(rows))},\n  "again": {plain.encode(list(rows))}\n}}\n'
    assert format_document({"live": rows, "again": rows}) == twice


def test_a_number_that_is_none_is_refused_in_rows_too() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        format_document({"live": Rows(fields=("share",), count=1, make=lambda: [(float("nan"),)])})


def test_a_report_is_written_as_what_it_says_of_itself() -> None:
    report = analyze(wide(["a", "b", "c"]))
    stream = io.StringIO()
    render_json(report, stream)
    assert json.loads(stream.getvalue()) == report.to_json()


def test_what_runtime_models_agree_on_is_made_once_and_written_each_time() -> None:
    report = analyze(wide([f"t{i}" for i in range(100)]))
    row = report.headline
    other = replace(row, peak=find_peak(replace(row.lifetimes, reserved=(10**6,) * len(row.timeline))))
    report = replace(report, runtimes={"a": row, "b": replace(row, peak=find_peak(row.lifetimes)), "c": other})
    first, again, apart = (found["peak"]["live"] for found in report.document()["runtimes"].values())
    assert (first is again, first is apart) == (True, False)
    stream = io.StringIO()
    render_json(report, stream)
    assert json.loads(stream.getvalue()) == report.to_json()


def test_a_document_is_written_while_it_is_made() -> None:
    class Stream(io.StringIO):
        def writelines(self, lines: Iterable[str]) -> None:
            first = next(iter(lines))
            self.write(first)

    stream = Stream()
    write_document({"a": 1, "b": float("nan")}, stream)
    assert stream.getvalue() == '{\n  "a": \n'
