"""The picture of a report for a slide: the memory curve on top, under it who makes the peak, step by step.

    Peak 6.02 MB at step 4 of 100, features.1 (Conv)
    model, weights, together, runtime model

      bytes  ____--^^^^--#--___--          stacked by what the bytes are for; the peak's step is marked
             0 ----------------- step
      name   [=====]                bytes  the largest tensors alive at the peak, and the largest elsewhere
      name        [======|====]     bytes

A model of many steps is shown around its peak, and the picture says so. The poster (``lifetimes``) shows all of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import PurePath
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from memprof.analysis import Buffer
from memprof.analysis.categories import KINDS, buffer_kinds
from memprof.analysis.describing import describe_value, name_value
from memprof.base.palette import BYTES_FOR
from memprof.base.units import format_bytes
from memprof.plots import style
from memprof.plots.curve import known_peak
from memprof.plots.lifetimes import choose_runtime

if TYPE_CHECKING:
    from memprof.ir import Graph, Value
    from memprof.results.records import RuntimeReport
    from memprof.results.report import Report

_WIDTH, _HEIGHT = 12.8, 7.2
_MARGIN = 0.6
_LEFT = 3.1
_RIGHT = 1.5  # the column of bytes
_CURVE_BOTTOM, _CURVE_HEIGHT = 3.55, 2.1
_ROWS_BOTTOM, _ROWS_TOP = 0.75, 3.1
_ROWS = 11
_AT_PEAK = 8  # of these, at most for what is alive at the peak where there is more elsewhere
_LEAST_TEXT = 6  # letters; less than that says nothing


def plot_slide(report: Report, path: str | PathLike[str] | None = None, runtime: str | None = None) -> Figure:
    """Draw one runtime model of a report for a slide.

    Args:
        report: What was found out about a model.
        path: A .png, .svg or .pdf file to write; nothing is written if left out.
        runtime: Name of the runtime model, the headline's if left out.

    Returns:
        The figure.

    Raises:
        UsageError: The report has no such runtime model, or the file cannot be written.
    """
    found = choose_runtime(report, runtime)
    start, stop = _shown_steps(found)
    with style.house_style():
        page = style.Page(_WIDTH, _HEIGHT)
        _draw_header(page, report, found)
        _mark_peak(page, found, (start, stop))
        _draw_curve(page, found, (start, stop))
        _draw_rows(page, found, (start, stop))
        _draw_footer(page, found, (start, stop))
        if path is not None:
            style.save_figure(page.figure, path, title=f"{PurePath(report.model.path).name}: {known_peak(found)}")
    return page.figure


def _shown_steps(found: RuntimeReport) -> tuple[int, int]:
    count = found.lifetimes.schedule.step_count
    if count < style.ZOOMED_FROM:
        return 0, count
    start = max(0, min(count - style.ZOOMED_STEPS, found.peak.step - style.ZOOMED_STEPS // 2))
    return start, start + style.ZOOMED_STEPS


def _draw_header(page: style.Page, report: Report, found: RuntimeReport) -> None:
    top = page.height - _MARGIN
    what = f"Peak {known_peak(found)}"
    left = _MARGIN + style.text_width(what, size=style.TITLE, bold=True) + 0.25
    page.text(_MARGIN, top - 0.2, what, size=style.TITLE, bold=True, colour=style.ACCENT)
    where = f"step {found.peak.step:,} of {found.lifetimes.schedule.step_count:,}   {_running(found)}"
    page.text(left, top - 0.2, style.fit(where, page.width - left - _MARGIN, size=11), size=11)
    weights = report.model.parameter_bytes + report.model.foldable_constant_bytes
    total = "" if found.total_bytes is None else f", together {format_bytes(found.total_bytes)}"
    grade = f", {found.grade}" if found.grade else ""
    name = PurePath(report.model.path).name or "unnamed model"
    about = f"{name}    weights {format_bytes(weights)}{total}    runtime model {found.runtime.name}{grade}"
    page.text(_MARGIN, top - 0.5, style.fit(about, page.width - 2 * _MARGIN), colour=style.MUTED)


def _running(found: RuntimeReport) -> str:
    steps, nodes = found.lifetimes.schedule.steps, found.lifetimes.graph.nodes
    running = steps[found.peak.step] if steps else ()
    if len(running) == 1:
        return f"{nodes[running[0]].name} ({nodes[running[0]].op})"
    return f"{len(running):,} operations" if running else "nothing runs"


def _axes(page: style.Page, bottom: float, height: float, steps: tuple[int, int]) -> Axes:
    axes = page.axes(_LEFT, bottom, page.width - _LEFT - _RIGHT, height)
    axes.set_xlim(*steps)
    axes.set_xticks([])
    axes.set_yticks([])
    return axes


def _mark_peak(page: style.Page, found: RuntimeReport, steps: tuple[int, int]) -> None:
    axes = _axes(page, _ROWS_BOTTOM, _CURVE_BOTTOM + _CURVE_HEIGHT - _ROWS_BOTTOM, steps)
    step = found.peak.step
    axes.axvspan(step, step + 1, facecolor=style.ACCENT_TINT, edgecolor=style.ACCENT_TINT, linewidth=0.8)


def _draw_curve(page: style.Page, found: RuntimeReport, steps: tuple[int, int]) -> None:
    axes = _axes(page, _CURVE_BOTTOM, _CURVE_HEIGHT, steps)
    edges = np.arange(steps[0], steps[1] + 1, dtype=np.float64)
    level = np.zeros(steps[1] - steps[0])
    left = _LEFT
    for kind, values in _series(found).items():
        shown = values[steps[0] : steps[1]]
        title = "gaps and scratch" if kind == "scratch" and found.has_gaps else kind
        axes.stairs(level + shown, edges, baseline=level, fill=True, color=BYTES_FOR[kind], linewidth=0)
        level = level + shown
        page.text(left + 0.18, _CURVE_BOTTOM + _CURVE_HEIGHT + 0.13, title, size=style.SMALL, colour=style.MUTED)
        swatch = page.axes(left, _CURVE_BOTTOM + _CURVE_HEIGHT + 0.12, 0.11, 0.11)
        swatch.set_axis_off()
        swatch.axvspan(0, 1, color=BYTES_FOR[kind])
        left += 0.18 + style.text_width(title, size=style.SMALL) + 0.3
    axes.stairs(level, edges, color=style.INK, linewidth=0.8, baseline=None)
    axes.axhline(0, color=style.MUTED, linewidth=0.8, clip_on=False)
    style.byte_axis(axes, found.known_bytes_at_least)
    axes.grid(visible=True, axis="y", color=style.RULE, linewidth=0.5)
    axes.set_axisbelow(True)
    locator = MaxNLocator(12, integer=True, steps=[1, 2, 5, 10])
    ticks = [int(t) for t in locator.tick_values(*steps) if steps[0] <= t < steps[1] and float(t).is_integer()]
    axes.set_xticks([t + 0.5 for t in ticks], [f"{t:,}" for t in ticks])
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x - 0.5:,.0f}"))
    style.set_tick_type(axes)
    page.text(_LEFT - 0.14, _CURVE_BOTTOM - 0.16, "step", size=style.SMALL, colour=style.MUTED, ha="right")


def _series(found: RuntimeReport) -> dict[str, npt.NDArray[np.float64]]:
    """Return bytes by step of each kind that occurs, the order of the stack."""
    lifetimes = found.lifetimes
    kinds = found.buffer_kinds or buffer_kinds(lifetimes)
    count = lifetimes.schedule.step_count
    series = {}
    for kind in (kind for kind in KINDS if kind in set(kinds)):
        change = np.zeros(count + 1)
        for buffer, own in zip(lifetimes.buffers, kinds, strict=True):
            if own == kind and buffer.size_bytes:
                change[buffer.start] += buffer.size_bytes
                change[buffer.stop] -= buffer.size_bytes
        series[kind] = np.cumsum(change)[:-1]
    held = np.asarray(lifetimes.held or (0,) * count, dtype=np.float64)
    reserved = np.asarray(lifetimes.reserved or (0,) * count, dtype=np.float64) - held
    series |= {kind: values for kind, values in (("scratch", reserved), ("held", held)) if values.any()}
    return series


def _draw_rows(page: style.Page, found: RuntimeReport, steps: tuple[int, int]) -> None:
    lifetimes = found.lifetimes
    kinds = found.buffer_kinds or buffer_kinds(lifetimes)
    rows = _choose_rows(list(zip(lifetimes.buffers, kinds, strict=True)), found.peak.step, steps)
    axes = _axes(page, _ROWS_BOTTOM, _ROWS_TOP - _ROWS_BOTTOM, steps)
    axes.set_ylim(_ROWS, 0)
    pitch = (_ROWS_TOP - _ROWS_BOTTOM) / _ROWS
    for row, (buffer, kind) in enumerate(rows):
        is_at_peak = buffer.start <= found.peak.step < buffer.stop
        start, stop = max(buffer.start, steps[0]), min(buffer.stop, steps[1])
        axes.barh(row + 0.5, max(stop - start, 0.1), left=start, height=0.62, color=BYTES_FOR[kind], linewidth=0)
        y = _ROWS_TOP - (row + 0.5) * pitch
        place = {"va": "center_baseline", "ha": "right"}
        ink = style.INK if is_at_peak else style.MUTED
        name = name_value(lifetimes.graph.values[buffer.values[0]], lifetimes.graph)
        name = style.fit(name, _LEFT - _MARGIN - 0.14, bold=is_at_peak)
        page.text(_LEFT - 0.14, y, name, bold=is_at_peak, colour=ink, **place)
        said = _say_what(page, lifetimes.graph.values[buffer.values[0]], lifetimes.graph, (start, stop, steps), y)
        for left, right in ((steps[0], min(start, said[0])), (max(stop, said[1]), steps[1])):  # through no text
            axes.plot([left, max(left, right)], [row + 0.5] * 2, color=style.RULE, linewidth=0.5, zorder=0)
        amount = "size unknown" if buffer.size_bytes is None else format_bytes(buffer.size_bytes)
        colour = style.ACCENT if is_at_peak else style.MUTED
        page.text(page.width - _MARGIN, y, amount, colour=colour, bold=is_at_peak, **place)


def _say_what(
    page: style.Page, value: Value, graph: Graph, where: tuple[int, int, tuple[int, int]], y: float
) -> tuple[float, float]:
    """Write the operator and the shape of a tensor beside its bar: behind it, or before it where that has no room.

    Returns:
        Where it begins and ends, in steps; twice the bar's start if there is no room for it.
    """
    start, stop, steps = where
    unit = (page.width - _LEFT - _RIGHT) / (steps[1] - steps[0])
    before, behind = (start - steps[0]) * unit - 0.16, (steps[1] - stop) * unit - 0.16
    text = style.fit(describe_value(value, graph), max(before, behind), size=style.SMALL)
    if len(text) < _LEAST_TEXT:
        return start, start
    is_behind = style.text_width(text, size=style.SMALL) <= behind or behind >= before
    x = _LEFT + ((stop if is_behind else start) - steps[0]) * unit + (0.08 if is_behind else -0.08)
    side = "left" if is_behind else "right"
    page.text(x, y, text, size=style.SMALL, colour=style.MUTED, va="center_baseline", ha=side)
    width = style.text_width(text, size=style.SMALL)
    left = x - _LEFT - (0 if is_behind else width)
    return steps[0] + (left - 0.06) / unit, steps[0] + (left + width + 0.06) / unit


def _choose_rows(
    buffers: Sequence[tuple[Buffer, str]], peak_step: int, steps: tuple[int, int]
) -> list[tuple[Buffer, str]]:
    """Return the largest buffers alive at the peak, and the largest of the others on show, by birth."""
    shown = [pair for pair in buffers if steps[0] < pair[0].stop > pair[0].start < steps[1]]
    ranked = sorted(shown, key=lambda pair: (pair[0].size_bytes is not None, -(pair[0].size_bytes or 0)))
    at_peak = [pair for pair in ranked if pair[0].start <= peak_step < pair[0].stop]
    others = [pair for pair in ranked if not pair[0].start <= peak_step < pair[0].stop]
    own = max(_AT_PEAK, _ROWS - len(others))
    chosen = [*at_peak[:own], *others][:_ROWS]
    return sorted(chosen, key=lambda pair: (pair[0].start, pair[0].stop, pair[0].values))


def _draw_footer(page: style.Page, found: RuntimeReport, steps: tuple[int, int]) -> None:
    count, n = found.lifetimes.schedule.step_count, len(found.peak.live)
    alive = "1 tensor is" if n == 1 else f"{n:,} tensors are"
    parts = [
        f"{alive} alive at the peak, of {len(found.lifetimes.buffers):,}; the largest are listed, those in bold."
    ]
    if steps != (0, count):
        parts.append(f" Steps {steps[0]:,} to {steps[1] - 1:,} of {count:,}, around the peak.")
    if found.peak_intermediate_bytes is None:
        parts.append(" Sizes that are not known count nothing: the peak is at least what is drawn.")
    page.text(_MARGIN, 0.33, "".join(parts), size=style.SMALL, colour=style.MUTED)
