"""Rows of RUNTIMES: what they name exists, and what is known of runtimes elsewhere is a view of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from memprof.analysis import Lifetimes
from memprof.api.running import runnable
from memprof.base.errors import UsageError
from memprof.ir import Graph, GraphBuilder, NewValue, TensorType
from memprof.ir.model import Model
from memprof.nas.space.budget import BUDGET_RUNTIMES
from memprof.planning.rules import RULES, find_rules
from memprof.results.building import build_report
from memprof.runtimes import RUNTIMES, Figure, Order, RuntimeModel, choose_runtimes
from memprof.runtimes.late import find
from memprof.runtimes.model import EVERY


@pytest.mark.parametrize("row", RUNTIMES.values(), ids=list(RUNTIMES))
def test_every_late_name_of_a_row_is_a_function(row: RuntimeModel) -> None:
    names = [] if row.measuring is None else [row.measuring.by]
    if row.ordering is not None:
        names += [row.ordering.bound, *row.ordering.related]
    for name in names:
        assert callable(find(name))


@pytest.mark.parametrize("row", RUNTIMES.values(), ids=list(RUNTIMES))
def test_a_row_says_what_people_read_of_it(row: RuntimeModel) -> None:
    assert row.name and row.definition
    assert 0 < len(row.summary) <= 34
    assert row.leads <= row.default_for
    assert (row.ordering is None) or row.order is not Order.GIVEN
    assert not row.in_place_of or row.in_place_of in RUNTIMES


_FORMATS = sorted({name for row in RUNTIMES.values() if row.default_for is not EVERY for name in row.default_for})


@pytest.mark.parametrize("source_format", _FORMATS)
def test_the_rows_of_a_report_stay_on_one_line_each_in_80_columns(source_format: str) -> None:
    rows = [row for row in RUNTIMES.values() if row.is_default_for(source_format)]
    names = max(len(row.name) for row in rows)
    numbers_and_grade = 2 + 7 + 2 + 7 + 2 + 11 + 2
    assert [row.name for row in rows if names + numbers_and_grade + len(row.summary) > 80] == []


@pytest.mark.parametrize("name", RUNTIMES)
def test_a_row_has_a_definition_in_the_docs(name: str) -> None:
    text = Path(__file__).parents[2].joinpath("docs/definitions.md").read_text(encoding="utf-8")
    table = text.split("## Runtime models")[1].split("\n## ")[0]
    assert f"\n| {name} |" in table


@pytest.mark.default_session
def test_what_commands_take_is_what_the_rows_say() -> None:
    assert set(RULES) == {"reference", "contracted", "ideal", "onnxruntime"}
    of_onnx = {"onnxruntime-default", "onnxruntime", "onnxruntime-optimized"}
    assert set(runnable()) == of_onnx | {"pytorch", "tflm", "litert", "executorch"}
    assert set(BUDGET_RUNTIMES) == {"reference", "ideal", "paper", "contracted", "onnxruntime", "tflm"}


def test_a_plan_for_what_has_no_order_to_choose_says_why() -> None:
    with pytest.raises(UsageError, match="the order of its steps is given"):
        find_rules("paper")
    with pytest.raises(UsageError, match="ordered already"):
        find_rules("onnxruntime-optimized")
    with pytest.raises(UsageError, match="In place is part of what 'ideal' counts"):
        find_rules("ideal", in_place=True)
    assert find_rules("reference", in_place=True).name == "contracted"


def one_operation(op: str, size: int | str) -> Graph:
    """Return x -> ``op`` -> y, both of ``size`` bytes."""
    builder = GraphBuilder()
    x = builder.add_input("x", TensorType("uint8", (size,)))
    (y,) = builder.add_node(op, [x], [NewValue("y", TensorType("uint8", (size,)))])
    assert y is not None
    return builder.build([y])


def odd_ones(lifetimes: Lifetimes) -> tuple[str, ...]:
    return tuple(node.op for node in lifetimes.graph.nodes if node.op == "Odd")


def extra_bytes(graph: Graph) -> tuple[Figure, ...]:
    return (Figure("extra", 5, "exact", "five"), Figure("open", None, "exact", "nobody knows"))


PICKY = replace(RUNTIMES["reference"], name="picky", best_grade="exact", lowered_by=odd_ones, figures=extra_bytes)


@pytest.mark.parametrize(
    ("graph", "grade", "lowered_by"),
    [
        (one_operation("Even", 4), "exact", ()),
        (one_operation("Odd", 4), "estimate", ("Odd",)),
        (one_operation("Even", "n"), None, ()),
        (one_operation("Odd", "n"), None, ()),
    ],
)
def test_a_grade_is_worked_out_for_the_graph_and_stands_beside_no_null(
    graph: Graph, grade: str | None, lowered_by: tuple[str, ...]
) -> None:
    model = Model.of(graph)
    found = build_report(model, {"picky": PICKY}).headline
    assert (found.grade, found.lowered_by) == (grade, lowered_by)
    assert (found.peak_intermediate_bytes is None) == (grade is None)
    extra, unknown = found.figures
    assert extra.grade == ("estimate" if lowered_by else "exact")
    assert unknown.grade is None


def test_rows_of_a_source_are_those_that_apply_and_the_one_that_leads_is_first() -> None:
    def source(kind: str) -> Model:
        return replace(Model.of(Graph(name="", values=(), nodes=(), inputs=(), outputs=())), format=kind)

    assert list(choose_runtimes(None, source("graph"))) == ["reference", "ideal", "paper"]
    assert next(iter(choose_runtimes(None, source("tflite")))) == "tflm"
    with pytest.raises(UsageError, match="onnxruntime-optimized does not apply here"):
        choose_runtimes(["onnxruntime-optimized"], source("onnx"))
    with pytest.raises(UsageError, match="no runtime model 'fast'"):
        choose_runtimes(["fast"], source("onnx"))
