"""One list of sections: every renderer draws all of them, and all of them are in the document."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest

from memprof import Report, analyze
from memprof.render.html import render_html
from memprof.render.markdown import render_markdown
from memprof.render.text import TextView, render_text
from memprof.render.wording import reserved_words
from memprof.results.helped import Change, Helped, Untried
from memprof.results.sections import SECTIONS, drawn_by
from memprof.results.sweep import Sweep, SweepPoint
from memprof.runtimes import Figure
from tests.render.graphs import HOSTILE_NAMES, wide


def full_report() -> Report:
    """Return a report of which no section is empty."""
    report = analyze(wide(HOSTILE_NAMES))
    found = replace(
        report.headline,
        categories={"parameters": 30, "saved <b>activations": 10},
        phase="optimizer",
        find_figures=None,
        saved_figures=(Figure("later_runs_peak", 2_000, "exact", "the second run"),),
    )
    point = SweepPoint(
        dims={"<b>activations": 3}, peak_intermediate_bytes=2_000, process_bytes=None, is_evaluated=True
    )
    sweep = Sweep(
        path="", runtime="reference", dims={"<b>activations": (3,)}, points=(point,), pieces=None, grade=None
    )
    change = Change(what="<b>activations", runtime="reference", saved_bytes=5, peak_bytes=2_000, command="memprof")
    return replace(
        report,
        runtimes={**report.runtimes, "reference": found},
        sweep=sweep,
        helped=Helped((change,), ("less",), (Untried("more", "memprof plan"),)),
    )


def text(report: Report) -> str:
    stream = io.StringIO()
    render_text(report, stream, TextView(modules=2, why=True))
    return stream.getvalue()


def markdown(report: Report) -> str:
    stream = io.StringIO()
    render_markdown(report, stream)
    return stream.getvalue()


def test_what_a_figure_is_stands_below_the_table() -> None:
    assert "\nlater runs peak: the second run.\n" in text(full_report())


def test_a_curve_that_is_lower_than_the_peak_says_so() -> None:
    report = full_report()
    assert "without what is held" not in text(report)
    held = replace(report.headline, peak=replace(report.headline.peak, held_bytes=5))
    assert "without what is held" in text(replace(report, runtimes={**report.runtimes, "reference": held}))


def test_bytes_of_no_tensor_are_gaps_too_where_an_arena_is_laid_out() -> None:
    found = analyze(wide(HOSTILE_NAMES)).headline
    assert reserved_words(found) == "inside the step itself"
    arena = replace(found, runtime=replace(found.runtime, name="tflm"))
    assert reserved_words(arena) == "in gaps between them and scratch"


@pytest.mark.parametrize("render", [text, markdown, render_html])
def test_every_section_is_drawn_and_its_names_are_no_markup(render) -> None:  # type: ignore[no-untyped-def]
    shown = render(full_report())
    for title in (
        "What for",
        "By module",
        "Besides the peak",
        "Over other sizes",
        "What would help",
        "optimizer's step",
        "later runs peak",
        "the second run",
    ):
        assert title.replace("'", "&#x27;" if render is render_html else "'") in shown
    assert "2.00 kB" in shown
    if render is not text:
        assert "<b>activations" not in shown


def test_the_document_holds_every_section() -> None:
    document = full_report().to_json()
    for section in SECTIONS:
        records = [document]
        for part in section.json_path:
            records = [value for r in records for value in (r.values() if part == "*" else [r[part]])]
        assert records, section.name


def test_a_renderer_that_forgets_a_section_does_not_draw() -> None:
    table = {section.name: None for section in SECTIONS}
    assert list(drawn_by(table)) == list(SECTIONS)
    del table["figures"]
    with pytest.raises(AssertionError, match="figures"):
        drawn_by(table)
