"""What ``-o FILE`` writes: the suffix decides, one row each. A flag such as ``--json`` prints the same to stdout."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from memprof.base.files import check_writable, strange_suffix, write_whole
from memprof.base.text import safe_text
from memprof.cli.output import note, telling
from memprof.cli.pages import UNSAID, Origin, print_page

if TYPE_CHECKING:
    from memprof.results.records import RuntimeReport
    from memprof.results.report import Report


SLIDE = "slide"

PICTURES: Mapping[str, str] = {SLIDE: "plot_slide", "poster": "plot_lifetimes"}
"""From a format of a picture to the function of ``memprof.plots`` that draws it."""


def check_targets(targets: Iterable[str]) -> None:
    """Fail before the work if a file cannot be written.

    Raises:
        UsageError: A suffix means nothing, or a place cannot be written.
    """
    for target in targets:
        _find_writer(target)
        check_writable(target)


def write_targets(report: Report, targets: Iterable[str], origin: Origin = UNSAID, picture: str = SLIDE) -> None:
    """Write ``report`` to each of ``targets``, whole or not at all, and say so on stderr.

    Args:
        report: What was found.
        targets: Files.
        origin: How a page comes to be.
        picture: Key in ``PICTURES``.
    """
    for target in targets:
        suffix = Path(target).suffix.lower()
        write = _find_writer(target)
        if suffix == ".html":
            write = partial(_write_text, partial(_render_page, origin=origin))
        elif suffix in PLOTS:
            write = partial(_write_plot, picture=picture)
        with telling(f"writing {safe_text(target)}"):
            write_whole(target, partial(write, report))
        note(f"wrote {safe_text(target)}")


def _find_writer(target: str) -> Callable[[Report, Path], None]:
    suffix = Path(target).suffix.lower()
    if suffix in PLOTS:
        return _write_plot
    for ending, render in VIEWERS.items():
        if target.lower().endswith(ending):
            return partial(_write_text, render)
    if suffix in RENDERERS:
        return partial(_write_text, RENDERERS[suffix])
    raise strange_suffix(target, (*PLOTS, *RENDERERS, *VIEWERS))


def _write_plot(report: Report, path: Path, picture: str = SLIDE) -> None:
    from memprof import plots

    if report.sweep is not None:
        plots.plot_sweep(report, path)
    else:
        getattr(plots, PICTURES[picture])(report, path)


def _write_text(render: Callable[[Report, TextIO], None], report: Report, path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        render(report, stream)


def _render_json(report: Report, stream: TextIO) -> None:
    from memprof.render.json import render_json

    render_json(report, stream)


def _render_csv(report: Report, stream: TextIO) -> None:
    from memprof.render.csv import render_csv

    render_csv(report.headline, stream)


def _render_markdown(report: Report, stream: TextIO) -> None:
    from memprof.render.markdown import render_markdown

    render_markdown(report, stream)


def _render_page(report: Report, stream: TextIO, origin: Origin = UNSAID) -> None:
    from memprof.render.page import report_page

    print_page(report_page(report), stream, origin)


def _render_trace(report: Report, stream: TextIO) -> None:
    from memprof.exporters.viewers import trace_document

    _dump(trace_document(report.headline.lifetimes), stream)


def _render_netron(report: Report, stream: TextIO) -> None:
    from memprof.exporters.viewers import netron_document

    found = _of_the_file(report)
    _dump(netron_document(found.lifetimes, found.runtime.name), stream)


def _render_node_data(report: Report, stream: TextIO) -> None:
    from memprof.exporters.viewers import node_data_document

    found = _of_the_file(report)
    _dump(node_data_document(found.lifetimes, found.runtime.name, report.model.format), stream)


def _of_the_file(report: Report) -> RuntimeReport:
    """Return the first answer about the operations that the file has, which viewers of the file show.

    A session fuses some and adds others; where nothing else was asked for, what is left of the file is shown.
    """
    found = report.runtimes.values()
    return next((row for row in found if len(row.lifetimes.graph.nodes) == report.model.nodes), report.headline)


def _dump(document: Mapping[str, Any], stream: TextIO) -> None:
    json.dump(document, stream, separators=(",", ":"), allow_nan=False)
    stream.write("\n")


PLOTS = (".png", ".svg", ".pdf")
"""Suffixes of pictures."""

RENDERERS: Mapping[str, Callable[[Report, TextIO], None]] = {
    ".json": _render_json,
    ".csv": _render_csv,
    ".md": _render_markdown,
    ".html": _render_page,
}
"""From a suffix to what writes such a text."""

VIEWERS: Mapping[str, Callable[[Report, TextIO], None]] = {
    ".trace.json": _render_trace,
    ".netron.json": _render_netron,
    ".model-explorer.json": _render_node_data,
}
"""From an ending to what writes the document of another viewer."""
