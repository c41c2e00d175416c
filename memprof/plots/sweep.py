"""The picture of a sweep: the peak and the process over one dimension; a line for each size of a second one.

Points that were evaluated are dots, those that the formula gives lie on the line between them.
"""

from __future__ import annotations

from os import PathLike
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from memprof.base.palette import SERIES
from memprof.base.units import format_bytes
from memprof.plots import style

if TYPE_CHECKING:
    from memprof.results.report import Report
    from memprof.results.sweep import Sweep, SweepPoint

_WIDTH, _HEIGHT = 12.8, 7.2
_MARGIN = 0.6
_LEFT, _RIGHT = 1.5, 2.2
_BOTTOM, _TOP = 1.1, 1.6
_MOST_LINES = 8


def plot_sweep(report: Report, path: str | PathLike[str] | None = None) -> Figure:
    """Draw the sweep of a report.

    Args:
        report: A report with a sweep.
        path: A .png, .svg or .pdf file to write; nothing is written if left out.

    Returns:
        The figure.

    Raises:
        UsageError: The file cannot be written.
    """
    sweep = report.sweep
    assert sweep is not None, "a report without a sweep has another picture"
    with style.house_style():
        page = style.Page(_WIDTH, _HEIGHT)
        axes = page.axes(_LEFT, _BOTTOM, _WIDTH - _LEFT - _RIGHT, _HEIGHT - _BOTTOM - _TOP)
        _draw_lines(axes, sweep)
        name = style.fit([*sweep.dims][-1], 4.0)
        page.text(_WIDTH - _RIGHT, _BOTTOM - 0.62, name, colour=style.MUTED, ha="right")
        _draw_header(page, report, sweep)
        if path is not None:
            style.save_figure(page.figure, path, title=PurePath(report.model.path).name)
    return page.figure


def _draw_header(page: style.Page, report: Report, sweep: Sweep) -> None:
    peaks = [p.peak_intermediate_bytes for p in sweep.points if p.peak_intermediate_bytes is not None]
    what = f"Peak {format_bytes(min(peaks))} to {format_bytes(max(peaks))}" if peaks else "Peak unknown"
    page.text(_MARGIN, page.height - _MARGIN - 0.1, what, size=style.TITLE, bold=True, colour=style.ACCENT)
    sizes = " and ".join(f"{name} {found[0]:,} to {found[-1]:,}" for name, found in sweep.dims.items())
    about = f"{PurePath(report.model.path).name or 'model'}   over {sizes}   {sweep.runtime}"
    page.text(_MARGIN, page.height - _MARGIN - 0.5, style.fit(about, page.width - 2 * _MARGIN), colour=style.MUTED)


def _draw_lines(axes: Axes, sweep: Sweep) -> None:
    across = [*sweep.dims][-1]
    highest = 0
    for i, (label, points) in enumerate(_lines(sweep)):
        known = [(p.dims[across], p.peak_intermediate_bytes, p.is_evaluated) for p in points]
        drawn = [(size, peak, is_evaluated) for size, peak, is_evaluated in known if peak is not None]
        if not drawn:
            continue
        colour = style.ACCENT if len(sweep.dims) == 1 else SERIES[i % len(SERIES)]
        axes.plot([d[0] for d in drawn], [d[1] for d in drawn], color=colour, linewidth=1.6)
        dots = [d for d in drawn if d[2]]
        axes.plot([d[0] for d in dots], [d[1] for d in dots], "o", color=colour, markersize=4.5)
        _label(axes, drawn[-1], f"peak{label}", colour)
        highest = max(highest, *(d[1] for d in drawn))
    if len(sweep.dims) == 1:
        process = [(p.dims[across], p.process_bytes) for p in sweep.points if p.process_bytes is not None]
        if process:
            sizes, amounts = zip(*process, strict=True)
            axes.plot(sizes, amounts, color=style.MUTED, linewidth=1.2, linestyle="--")
            _label(axes, (*process[-1], True), "process, estimate", style.MUTED)
            highest = max(highest, *(d[1] for d in process))
    style.byte_axis(axes, highest)
    axes.grid(axis="y", color=style.RULE, linewidth=0.6)
    style.set_tick_type(axes)


def _lines(sweep: Sweep) -> list[tuple[str, list[SweepPoint]]]:
    if len(sweep.dims) == 1:
        return [("", list(sweep.points))]
    down, sizes = next(iter(sweep.dims.items()))
    count = min(len(sizes), _MOST_LINES)  # the first, the last, and of those between as many as can be told apart
    shown = [sizes[i * (len(sizes) - 1) // max(1, count - 1)] for i in range(count)]
    return [
        (f", {style.fit(down, 1.0)} {size:,}", [p for p in sweep.points if p.dims[down] == size]) for size in shown
    ]


def _label(axes: Axes, point: tuple[int, int, bool], text: str, colour: str) -> None:
    place: dict[str, Any] = {
        "textcoords": "offset points",
        "xytext": (8, 0),
        "va": "center",
        "annotation_clip": False,
    }
    axes.annotate(text, (point[0], point[1]), **place, **style.text_style(colour=colour))
