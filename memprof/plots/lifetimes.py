"""The lifetime plot: when each tensor lives, how much lives together, and where that is most.

    model
    peak    weights    together    runtime model

      name  [=====]            |                   bytes    a bar per tensor, from birth to death, as thick as it
      name     [===============|=====]             bytes    has bytes; in the accent colour if alive at the peak
      name                 [===|===]               bytes
    a group ~~--____--~~~~~~---|-__--~~            bytes    what has no row of its own, added up, to the same scale
                               | peak, step, node
      bytes        ___--^^^^---#|#--___--                   the memory curve; accent: what the tensors alive at the
              0 ------------------------- step              peak take of it, before and after

What gets a row is decided in ``rows.py``, where things are in ``layout.py``, colours and type in ``style.py``. The
page's height follows from its rows, and text is measured before it is placed, so that nothing overlaps.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from os import PathLike
from pathlib import PurePath
from typing import TYPE_CHECKING

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from memprof.base.errors import UsageError
from memprof.base.units import format_bytes
from memprof.plots import layout as at
from memprof.plots import style
from memprof.plots.bars import LEGEND, draw_bar, draw_outline, mark_of, occurs
from memprof.plots.curve import draw_curve, draw_peak_label, known_peak
from memprof.plots.layout import Layout, lay_out
from memprof.plots.rows import Row, Rows, arrange_rows

if TYPE_CHECKING:
    from memprof.results.records import RuntimeReport
    from memprof.results.report import Report

_LEAST_LENGTH = 0.022  # inches of a bar, to be seen
_ON_PAPER = {"facecolor": style.PAPER, "edgecolor": "none", "pad": 1.5}  # hides what runs behind a text


def plot_lifetimes(
    report: Report, path: str | PathLike[str] | None = None, runtime: str | None = None, *, title: str = ""
) -> Figure:
    """Draw the lifetime plot of one runtime model.

    Args:
        report: What was found out about a model.
        path: A .png, .svg or .pdf file to write; nothing is written if left out.
        runtime: Name of the runtime model, the headline's if left out.
        title: What the model is called; the name of its file if left out.

    Returns:
        The figure.

    Raises:
        UsageError: The report has no such runtime model, or the file cannot be written.
    """
    found = choose_runtime(report, runtime)
    title = title or PurePath(report.model.path).name or "unnamed model"
    rows = arrange_rows(found.lifetimes, has_gaps=found.has_gaps)
    with style.house_style():
        layout = lay_out(rows)
        page = style.Page(at.WIDTH, layout.height)
        _draw_header(page, report, found, title)
        _draw_peak_band(page, layout, found)
        _draw_rows(page, layout, rows, found)
        draw_curve(page, layout, found)
        draw_peak_label(page, layout, found)
        _draw_footer(page, found)
        if path is not None:
            style.save_figure(page.figure, path, title=f"{title}: {known_peak(found)}")
    return page.figure


def choose_runtime(report: Report, runtime: str | None) -> RuntimeReport:
    """Return the answer of one runtime model, the headline's if none is named.

    Raises:
        UsageError: The report has no such runtime model.
    """
    if runtime is None:
        return report.headline
    if runtime not in report.runtimes:
        raise UsageError(
            f"The report has no runtime model {runtime!r}.", f"Choose from: {', '.join(report.runtimes)}."
        )
    return report.runtimes[runtime]


def _draw_header(page: style.Page, report: Report, found: RuntimeReport, title: str) -> None:
    top = page.height - at.MARGIN
    name = style.fit(title, 9.5, size=style.TITLE, bold=True)
    page.text(at.MARGIN, top - 0.1, "TENSOR LIFETIMES", size=style.SMALL, colour=style.MUTED)
    page.text(at.MARGIN, top - 0.48, name, size=style.TITLE, bold=True)
    left = at.MARGIN
    for value, meaning, colour in _figures(report, found):
        page.text(left, top - 1.03, value, size=style.LARGE, bold=True, colour=colour)
        page.text(left, top - 1.24, meaning, colour=style.MUTED)
        left += max(style.text_width(value, size=style.LARGE, bold=True), style.text_width(meaning)) + 0.6


def _figures(report: Report, found: RuntimeReport) -> list[tuple[str, str, str]]:
    """Return what the header says in large type: value, meaning, colour."""
    peak, weights = found.known_bytes_at_least, report.model.parameter_bytes + report.model.foldable_constant_bytes
    total = format_bytes(peak + weights)
    return [
        (known_peak(found), "peak of intermediates", style.ACCENT),
        (format_bytes(weights), "weights", style.INK),
        (f"≥ {total}" if found.total_bytes is None else total, "peak and weights", style.INK),
        (found.runtime.name, f"runtime model{_GRADES[found.grade]}", style.INK),
    ]


_GRADES: Mapping[str | None, str] = {
    "exact": ", exact",
    "upper bound": ", an upper bound",
    "estimate": ", an estimate",
    "measured": ", measured",
    None: "",  # no number, no promise
}


def _draw_peak_band(page: style.Page, layout: Layout, found: RuntimeReport) -> None:
    """Mark the peak's step through rows and curve: a band as wide as the step, and never thinner than a line."""
    axes = page.axes(layout.left, at.FOOTER, layout.width, layout.rows_top - at.FOOTER)
    _share_steps(axes, found)
    axes.set_yticks([])
    step = found.peak.step
    axes.axvspan(step, step + 1, facecolor=style.ACCENT_TINT, edgecolor=style.ACCENT_TINT, linewidth=0.8)
    if layout.width / found.lifetimes.schedule.step_count < 0.06:
        axes.axvline(step + 0.5, color=style.ACCENT, linewidth=0.7)


def _share_steps(axes: Axes, found: RuntimeReport) -> None:
    axes.set_xlim(0, found.lifetimes.schedule.step_count)
    axes.set_xticks([])


def _draw_rows(page: style.Page, layout: Layout, rows: Rows, found: RuntimeReport) -> None:
    height = layout.rows_top - layout.rows_bottom
    axes = page.axes(layout.left, layout.rows_bottom, layout.width, height)
    _share_steps(axes, found)
    axes.set_ylim(0, height)  # y is in inches: thickness is
    axes.set_yticks([])
    inches_per_byte = _thickness_scale(rows, layout.pitch)
    least = _LEAST_LENGTH * found.lifetimes.schedule.step_count / layout.width
    y = height
    for row in rows.tensors:
        y -= layout.pitch
        middle = y + layout.pitch / 2
        axes.axhline(middle, color=style.RULE, linewidth=0.5, zorder=0)
        draw_bar(axes, _visible(row, least), middle, inches_per_byte * row.outline.heights[0], mark_of(row))
        _write_row(page, layout, layout.rows_bottom + middle, row, found)
    if rows.others:
        y -= at.GROUP_HEADING
        page.text(layout.left, layout.rows_bottom + y + 0.1, _group_heading(rows), colour=style.MUTED, bbox=_ON_PAPER)
    for row in rows.others:
        y -= at.GROUP_PITCH
        middle = y + at.GROUP_PITCH / 2
        axes.axhline(middle, color=style.RULE, linewidth=0.5, zorder=0)
        draw_outline(axes, row.outline, middle, inches_per_byte, found.peak.step)
        _write_row(page, layout, layout.rows_bottom + middle, row, found)
    _draw_legend(page, layout, rows)


def _visible(row: Row, least: float) -> tuple[float, float]:
    """Return from where to where a bar goes, in steps: its life, widened evenly to ``least`` if it is shorter."""
    start, stop = row.outline.edges
    more = max(0.0, least - (stop - start)) / 2
    return float(start - more), float(stop + more)


def _thickness_scale(rows: Rows, pitch: float) -> float:
    """Return inches per byte, such that no row's outline leaves its row."""
    needed = [row.outline.highest / (0.8 * pitch) for row in rows.tensors]
    needed += [row.outline.highest / (0.9 * at.GROUP_PITCH) for row in rows.others]
    highest = max(needed, default=0.0)
    return 1 / highest if highest else 0.0


def _write_row(page: style.Page, layout: Layout, middle: float, row: Row, found: RuntimeReport) -> None:
    """Write the name on the left of the bars, and on the right the bytes and their share of the peak."""
    stress = row.is_alive_at_peak
    colour = style.ACCENT if stress else style.MUTED
    column = layout.left - at.GAP - at.MARGIN
    name = style.fit(row.name, column, bold=stress and not row.is_group)
    place = {"verticalalignment": "center_baseline", "horizontalalignment": "right"}
    ink = style.INK if stress and not row.is_group else style.MUTED
    page.text(layout.left - at.GAP, middle, name, bold=stress and not row.is_group, colour=ink, **place)
    page.text(layout.right + at.AMOUNTS, middle, _amount(row), colour=colour, **place)
    peak = found.known_bytes_at_least
    if stress and row.size_bytes and peak:
        page.text(layout.right + at.BYTES, middle, _percent(row.size_bytes, peak), colour=colour, **place)


def _amount(row: Row) -> str:
    if row.size_bytes is None:
        return "size unknown"
    if row.is_group and not row.is_alive_at_peak:
        return f"up to {format_bytes(round(row.outline.highest))}"
    return format_bytes(row.size_bytes)


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.0f} %" if 200 * part >= whole else "<1 %"


def _group_heading(rows: Rows) -> str:
    if not rows.folded:
        return "besides tensors"
    how = {"module": "by module", "birth": "by when they are born"}[rows.grouped_by]
    at_peak = f"together {format_bytes(rows.folded_peak_bytes)}" if rows.folded_peak_bytes else "none of them alive"
    return f"{rows.folded:,} more tensors, {how}; {at_peak} at the peak"


def _draw_legend(page: style.Page, layout: Layout, rows: Rows) -> None:
    """Explain, in a line above the rows, the marks that occur in them."""
    bottom = layout.rows_top + 0.22
    shown = {mark_of(row) for row in rows.tensors}
    axes = page.axes(0, bottom - 0.1, page.width, 0.2)
    axes.set_xlim(0, page.width)
    axes.set_ylim(0, 0.2)
    axes.set_axis_off()
    left = at.MARGIN
    for mark, meaning in LEGEND:
        if not occurs(mark, shown):
            continue
        draw_bar(axes, (left, left + 0.3), 0.1, 0.1, mark)
        page.text(left + 0.38, bottom, meaning, size=style.SMALL, colour=style.MUTED, va="center_baseline")
        left += 0.38 + style.text_width(meaning, size=style.SMALL) + 0.3
    for right, text in ((at.AMOUNTS, "bytes"), (at.BYTES, "of peak")):
        place = {"horizontalalignment": "right", "verticalalignment": "center_baseline"}
        page.text(layout.right + right, bottom, text, size=style.SMALL, colour=style.MUTED, **place)


def _draw_footer(page: style.Page, found: RuntimeReport) -> None:
    notes = [
        f"{found.runtime.name}: {found.runtime.definition}.",
        "A bar runs from the step that writes a tensor to the last that needs it; its thickness stands for its "
        "bytes. The shaded part of the curve is what the tensors alive at the peak take.",
    ]
    if found.peak_intermediate_bytes is None:
        notes.append("Sizes that are not known count nothing here: the peak is at least what is drawn.")
    lines = [line for note in notes for line in textwrap.wrap(note, 190)]
    for i, line in enumerate(lines):
        page.text(at.MARGIN, at.FOOTER - 0.82 - i * at.LINE, line, size=style.SMALL, colour=style.MUTED)
