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

What gets a row is decided in ``rows.py``, colours and type in ``style.py``; here is the layout of the page. Its
height follows from its rows, and text is measured before it is placed, so that nothing overlaps.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from os import PathLike
from pathlib import PurePath
from typing import TYPE_CHECKING

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from memprof.errors import UsageError
from memprof.plots import style
from memprof.plots.bars import LEGEND, draw_bar, draw_outline, mark_of, occurs
from memprof.plots.rows import Outline, Row, Rows, arrange_rows, outline_of, thin_out
from memprof.units import format_bytes

if TYPE_CHECKING:
    from memprof.report import Report, RuntimeReport

# All in inches.
_WIDTH = 12.0
_MARGIN = 0.7
_HEADER = 2.55
_CURVE = 2.0
_HEADROOM = 0.5  # between the curve and the rows, for the label of the peak
_FOOTER = 1.85
_NAMES = (1.2, 3.2)  # the column of names, at least and at most
_BYTES = 1.65  # the column of bytes and of shares of the peak
_AMOUNTS = 1.1  # where its bytes end
_GAP = 0.14
_PITCH = (0.2, 0.34)  # of rows, at least and at most
_ROWS = 8.0  # what the rows of tensors share before the least pitch makes the page higher
_GROUP_PITCH = 0.38
_GROUP_HEADING = 0.42
_LINE = 0.17
_PEAK_LABEL = 2.5  # the room that the label of the peak wants at least
_LEAST_LENGTH = 0.022  # of a bar, to be seen

_ON_PAPER = {"facecolor": style.PAPER, "edgecolor": "none", "pad": 1.5}  # hides what runs behind a text

_MOST_NAMED_STEPS = 20
_FEW_STEPS = 200  # the curve's line is thinner where there are more


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layout:
    """Where things are, in inches from the bottom left corner of the page.

    Attributes:
        height: Of the page.
        left: Of the bars and of the curve.
        width: Of the bars and of the curve.
        rows_bottom: Of the lowest row.
        rows_top: Of the highest row.
        pitch: From one tensor's row to the next.
    """

    height: float
    left: float
    width: float
    rows_bottom: float
    rows_top: float
    pitch: float

    @property
    def right(self) -> float:
        """Where bars end and the column of bytes begins."""
        return self.left + self.width


def plot_lifetimes(report: Report, path: str | PathLike[str] | None = None, runtime: str | None = None) -> Figure:
    """Draw the lifetime plot of one runtime model.

    Args:
        report: What was found out about a model.
        path: A .png, .svg or .pdf file to write; nothing is written if left out.
        runtime: Name of the runtime model, the headline's if left out.

    Returns:
        The figure.

    Raises:
        UsageError: The report has no such runtime model, or the file cannot be written.
    """
    if path is not None:
        style.check_suffix(path)
    found = _choose(report, runtime)
    rows = arrange_rows(found.lifetimes)
    with style.house_style():
        layout = _lay_out(rows)
        page = style.Page(_WIDTH, layout.height)
        _draw_header(page, report, found)
        _draw_peak_band(page, layout, found)
        _draw_rows(page, layout, rows, found)
        _draw_curve(page, layout, found)
        _draw_peak_label(page, layout, found)
        _draw_footer(page, rows, found)
        if path is not None:
            style.save_figure(page.figure, path)
    return page.figure


def _choose(report: Report, runtime: str | None) -> RuntimeReport:
    if runtime is None:
        return report.headline
    if runtime not in report.runtimes:
        raise UsageError(
            f"The report has no runtime model {runtime!r}.", f"Choose from: {', '.join(report.runtimes)}."
        )
    return report.runtimes[runtime]


def _lay_out(rows: Rows) -> _Layout:
    names = [style.fit(row.name, _NAMES[1], bold=True) for row in (*rows.tensors, *rows.others)]
    column = max(_NAMES[0], max((style.text_width(name, bold=True) for name in names), default=0.0))
    pitch = min(_PITCH[1], max(_PITCH[0], _ROWS / max(1, len(rows.tensors))))
    height = pitch * max(1, len(rows.tensors))
    if rows.others:
        height += _GROUP_HEADING + _GROUP_PITCH * len(rows.others)
    bottom = _FOOTER + _CURVE + _HEADROOM
    left = _MARGIN + column + _GAP
    return _Layout(
        height=bottom + height + _HEADER,
        left=left,
        width=_WIDTH - _MARGIN - _BYTES - left,
        rows_bottom=bottom,
        rows_top=bottom + height,
        pitch=pitch,
    )


def _draw_header(page: style.Page, report: Report, found: RuntimeReport) -> None:
    top = page.height - _MARGIN
    name = style.fit(PurePath(report.model.path).name or "unnamed model", 9.5, size=style.TITLE, bold=True)
    page.text(_MARGIN, top - 0.1, "TENSOR LIFETIMES", size=style.SMALL, colour=style.MUTED)
    page.text(_MARGIN, top - 0.48, name, size=style.TITLE, bold=True)
    left = _MARGIN
    for value, meaning, colour in _figures(report, found):
        page.text(left, top - 1.03, value, size=style.LARGE, bold=True, colour=colour)
        page.text(left, top - 1.24, meaning, colour=style.MUTED)
        left += max(style.text_width(value, size=style.LARGE, bold=True), style.text_width(meaning)) + 0.6


def _figures(report: Report, found: RuntimeReport) -> list[tuple[str, str, str]]:
    """Return what the header says in large type: value, meaning, colour."""
    at_least = "≥ " if found.peak_intermediate_bytes is None else ""
    peak = found.known_bytes_at_least
    weights = report.model.parameter_bytes + report.model.foldable_constant_bytes
    return [
        (at_least + format_bytes(peak), "peak of intermediates", style.ACCENT),
        (format_bytes(weights), "weights", style.INK),
        (at_least + format_bytes(peak + weights), "peak and weights", style.INK),
        (found.runtime.name, f"runtime model, {_GRADES[found.grade]}", style.INK),
    ]


_GRADES = {"exact": "exact", "upper bound": "an upper bound", "estimate": "an estimate", "measured": "measured"}


def _draw_peak_band(page: style.Page, layout: _Layout, found: RuntimeReport) -> None:
    """Mark the peak's step through rows and curve: a band as wide as the step, and never thinner than a line."""
    axes = page.axes(layout.left, _FOOTER, layout.width, layout.rows_top - _FOOTER)
    _share_steps(axes, found)
    axes.set_yticks([])
    step = found.peak.step
    axes.axvspan(step, step + 1, facecolor=style.ACCENT_TINT, edgecolor=style.ACCENT_TINT, linewidth=0.8)
    if layout.width / found.lifetimes.schedule.step_count < 0.06:
        axes.axvline(step + 0.5, color=style.ACCENT, linewidth=0.7)


def _share_steps(axes: Axes, found: RuntimeReport) -> None:
    axes.set_xlim(0, found.lifetimes.schedule.step_count)
    axes.set_xticks([])


def _draw_rows(page: style.Page, layout: _Layout, rows: Rows, found: RuntimeReport) -> None:
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
        y -= _GROUP_HEADING
        page.text(layout.left, layout.rows_bottom + y + 0.1, _group_heading(rows), colour=style.MUTED, bbox=_ON_PAPER)
    for row in rows.others:
        y -= _GROUP_PITCH
        middle = y + _GROUP_PITCH / 2
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
    needed += [row.outline.highest / (0.9 * _GROUP_PITCH) for row in rows.others]
    highest = max(needed, default=0.0)
    return 1 / highest if highest else 0.0


def _write_row(page: style.Page, layout: _Layout, middle: float, row: Row, found: RuntimeReport) -> None:
    """Write the name on the left of the bars, and on the right the bytes and their share of the peak."""
    stress = row.is_alive_at_peak
    colour = style.ACCENT if stress else style.MUTED
    column = layout.left - _GAP - _MARGIN
    name = style.fit(row.name, column, bold=stress and not row.is_group)
    place = {"verticalalignment": "center_baseline", "horizontalalignment": "right"}
    ink = style.INK if stress and not row.is_group else style.MUTED
    page.text(layout.left - _GAP, middle, name, bold=stress and not row.is_group, colour=ink, **place)
    page.text(layout.right + _AMOUNTS, middle, _amount(row), colour=colour, **place)
    peak = found.known_bytes_at_least
    if stress and row.size_bytes and peak:
        page.text(layout.right + _BYTES, middle, _percent(row.size_bytes, peak), colour=colour, **place)


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


def _draw_legend(page: style.Page, layout: _Layout, rows: Rows) -> None:
    """Explain, in a line above the rows, the marks that occur in them."""
    bottom = layout.rows_top + 0.22
    shown = {mark_of(row) for row in rows.tensors}
    axes = page.axes(0, bottom - 0.1, page.width, 0.2)
    axes.set_xlim(0, page.width)
    axes.set_ylim(0, 0.2)
    axes.set_axis_off()
    left = _MARGIN
    for mark, meaning in LEGEND:
        if not occurs(mark, shown):
            continue
        draw_bar(axes, (left, left + 0.3), 0.1, 0.1, mark)
        page.text(left + 0.38, bottom, meaning, size=style.SMALL, colour=style.MUTED, va="center_baseline")
        left += 0.38 + style.text_width(meaning, size=style.SMALL) + 0.3
    for right, text in ((_AMOUNTS, "bytes"), (_BYTES, "of peak")):
        place = {"horizontalalignment": "right", "verticalalignment": "center_baseline"}
        page.text(layout.right + right, bottom, text, size=style.SMALL, colour=style.MUTED, **place)


def _draw_curve(page: style.Page, layout: _Layout, found: RuntimeReport) -> None:
    axes = page.axes(layout.left, _FOOTER, layout.width, _CURVE)
    _share_steps(axes, found)
    highest = found.known_bytes_at_least
    axes.set_ylim(0, highest * 1.02 or 1)
    curve = thin_out(found.timeline)
    at_peak = outline_of(found.lifetimes.alive_at(found.peak.step), found.lifetimes.schedule.step_count)
    _fill(axes, curve, style.CURVE)
    _fill(axes, at_peak, style.ACCENT_SHADE)
    line = 0.9 if len(curve.heights) <= _FEW_STEPS else 0.4
    axes.stairs(curve.heights, curve.edges, color=style.INK, linewidth=line, baseline=None)
    axes.axhline(0, color=style.MUTED, linewidth=0.8, clip_on=False)
    axes.plot([found.peak.step + 0.5], [highest], "o", color=style.ACCENT, markersize=5, clip_on=False, zorder=5)
    style.byte_axis(axes, highest)
    axes.grid(visible=True, axis="y", color=style.RULE, linewidth=0.5)
    axes.set_axisbelow(True)
    style.set_tick_type(axes)
    _label_steps(page, layout, axes, found)


def _fill(axes: Axes, outline: Outline, colour: str) -> None:
    axes.stairs(outline.heights, outline.edges, fill=True, facecolor=colour, edgecolor="none", linewidth=0)


def _label_steps(page: style.Page, layout: _Layout, axes: Axes, found: RuntimeReport) -> None:
    """Number the steps at their middles; where there are few, say what runs."""
    count = found.lifetimes.schedule.step_count
    nice = MaxNLocator(12, integer=True, steps=[1, 2, 5, 10]).tick_values(0, count)
    ticks = [int(t) for t in nice if t < count]
    if count <= _MOST_NAMED_STEPS:
        ticks = list(range(count))
        cell = layout.width / count
        for step, running in enumerate(_running(found)):
            text = style.fit(running, cell - 0.06, size=style.SMALL)
            left = layout.left + (step + 0.5) * cell
            page.text(left, _FOOTER - 0.34, text, size=style.SMALL, colour=style.MUTED, ha="center")
    axes.set_xticks([t + 0.5 for t in ticks], [f"{t:,}" for t in ticks])
    style.set_tick_type(axes)
    place = {"horizontalalignment": "right"}
    page.text(layout.left - _GAP, _FOOTER - 0.145, "step", size=style.SMALL, colour=style.MUTED, **place)


def _running(found: RuntimeReport) -> list[str]:
    """Return what runs at each step: the kind of operation, or how many there are."""
    nodes = found.lifetimes.graph.nodes
    names = []
    for running in found.lifetimes.schedule.steps:
        kinds = {nodes[i].op for i in running}
        names.append(kinds.pop() if len(running) == 1 else f"{len(running)} ops" if running else "")
    return names


def _draw_peak_label(page: style.Page, layout: _Layout, found: RuntimeReport) -> None:
    """Write bytes, step and operation of the peak above the curve, on the side of its step that has more room."""
    cell = layout.width / found.lifetimes.schedule.step_count
    before, after = found.peak.step * cell, layout.width - (found.peak.step + 1) * cell
    if max(before, after) < _PEAK_LABEL:  # few wide steps: across them
        left, room = layout.left, layout.width
    elif after >= before:
        left, room = layout.right - after, after
    else:
        left, room = layout.left, before
    room -= 0.2
    at_least = "≥ " if found.peak_intermediate_bytes is None else ""
    amount = f"{at_least}{format_bytes(found.known_bytes_at_least)}"
    step = f"   step {found.peak.step:,}   "
    width = style.text_width(amount, bold=True)
    where = step + style.fit(_peak_nodes(found), room - width - style.text_width(step))
    if before > after:
        left += room - width - style.text_width(where)
    y = _FOOTER + _CURVE + 0.17
    page.text(left + 0.1, y, amount, bold=True, colour=style.ACCENT)
    page.text(left + 0.1 + width, y, where, colour=style.INK)


def _peak_nodes(found: RuntimeReport) -> str:
    nodes = found.peak.nodes
    if not nodes:
        return "nothing runs"
    return nodes[0] if len(nodes) == 1 else f"{len(nodes):,} operations"


def _draw_footer(page: style.Page, rows: Rows, found: RuntimeReport) -> None:
    notes = [
        f"{found.runtime.name}: {found.runtime.definition}.",
        "A bar runs from the step that writes a tensor to the last that needs it; its thickness stands for its "
        "bytes. The shaded part of the curve is what the tensors alive at the peak take.",
    ]
    if found.peak_intermediate_bytes is None:
        notes.append("Sizes that are not known count nothing here: the peak is at least what is drawn.")
    lines = [line for note in notes for line in textwrap.wrap(note, 190)]
    for i, line in enumerate(lines):
        page.text(_MARGIN, _FOOTER - 0.82 - i * _LINE, line, size=style.SMALL, colour=style.MUTED)
