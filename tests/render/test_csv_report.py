"""CSV: one row per buffer, read back by the csv module, and no cell that a spreadsheet runs."""

from __future__ import annotations

import csv
import io

from memprof import Graph, analyze
from memprof.render.csv import render_csv
from tests.render.graphs import HOSTILE_NAMES, chain, figure_1b, wide


def rows(graph: Graph, runtime: str = "reference") -> list[dict[str, str]]:
    stream = io.StringIO()
    render_csv(analyze(graph).runtimes[runtime], stream)
    return list(csv.DictReader(io.StringIO(stream.getvalue(), newline="")))


def test_each_buffer_is_a_row_in_order_of_birth() -> None:
    stream = io.StringIO()
    render_csv(analyze(chain([1, 20, 4])).headline, stream)
    assert stream.getvalue() == (
        "name,bytes,dtype,start,stop,alive_at_peak,producer,held_by,module\n"
        "t0,1,uint8,0,1,0,,op1,\n"
        "t1,20,uint8,0,2,1,op1,op2,\n"
        "t2,4,uint8,1,2,1,op2,,\n"
    )


def test_the_rows_alive_at_the_peak_add_up_to_it() -> None:
    found = rows(figure_1b(), "paper")
    assert sum(int(row["bytes"]) for row in found if row["alive_at_peak"] == "1") == 3


def test_an_unknown_size_is_an_empty_cell() -> None:
    assert [row["bytes"] for row in rows(chain([1, None]))] == ["1", ""]


def test_no_cell_is_a_formula_or_leaves_its_line() -> None:
    found = rows(wide(HOSTILE_NAMES))
    assert len(found) == len(HOSTILE_NAMES) + 2
    for row in found:
        for cell in row.values():
            assert not cell.startswith(("=", "+", "-", "@"))
            assert cell.isprintable()
            assert len(cell) <= 1001
    names = {row["name"] for row in found}
    assert {"'=cmd()", "'+1", "'-1", "'@SUM(1)", "[/]", "<script>alert(1)</script>"} <= names
