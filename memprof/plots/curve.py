"""The memory curve at the foot of the lifetime plot: bytes at each step, the peak, what runs at each step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from memprof.base.units import format_bytes
from memprof.plots import style
from memprof.plots.layout import CURVE, FOOTER, GAP, Layout
from memprof.plots.rows import Outline, outline_of, thin_out

if TYPE_CHECKING:
    from memprof.results.records import RuntimeReport

_MOST_NAMED_STEPS = 20
_FEW_STEPS = 200  # the line is thinner where there are more
_LEAST_ROOM = 2.5  # inches that the label of the peak wants


def draw_curve(page: style.Page, layout: Layout, found: RuntimeReport) -> None:
    """Draw the bytes at each step, the part of the tensors alive at the peak, and the steps' numbers."""
    axes = page.axes(layout.left, FOOTER, layout.width, CURVE)
    axes.set_xlim(0, found.lifetimes.schedule.step_count)
    highest = found.known_bytes_at_least
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


def _label_steps(page: style.Page, layout: Layout, axes: Axes, found: RuntimeReport) -> None:
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
            page.text(left, FOOTER - 0.34, text, size=style.SMALL, colour=style.MUTED, ha="center")
    axes.set_xticks([t + 0.5 for t in ticks], [f"{t:,}" for t in ticks])
    style.set_tick_type(axes)
    place = {"horizontalalignment": "right"}
    page.text(layout.left - GAP, FOOTER - 0.145, "step", size=style.SMALL, colour=style.MUTED, **place)


def _running(found: RuntimeReport) -> list[str]:
    """Return what runs at each step: the kind of operation, or how many there are."""
    nodes = found.lifetimes.graph.nodes
    names = []
    for running in found.lifetimes.schedule.steps:
        kinds = {nodes[i].op for i in running}
        names.append(kinds.pop() if len(running) == 1 else f"{len(running)} ops" if running else "")
    return names


def draw_peak_label(page: style.Page, layout: Layout, found: RuntimeReport) -> None:
    """Write bytes, step and operation of the peak above the curve, on the side of its step that has more room."""
    cell = layout.width / found.lifetimes.schedule.step_count
    before, after = found.peak.step * cell, layout.width - (found.peak.step + 1) * cell
    if max(before, after) < _LEAST_ROOM:  # few wide steps: across them
        left, room = layout.left, layout.width
    elif after >= before:
        left, room = layout.right - after, after
    else:
        left, room = layout.left, before
    room -= 0.2
    amount = known_peak(found)
    step = f"   step {found.peak.step:,}   "
    width = style.text_width(amount, bold=True)
    where = step + style.fit(_peak_nodes(found), room - width - style.text_width(step))
    if before > after:
        left += room - width - style.text_width(where)
    y = FOOTER + CURVE + 0.17
    page.text(left + 0.1, y, amount, bold=True, colour=style.ACCENT)
    page.text(left + 0.1 + width, y, where, colour=style.INK)


def _peak_nodes(found: RuntimeReport) -> str:
    nodes = found.peak.nodes
    if not nodes:
        return "nothing runs"
    return nodes[0] if len(nodes) == 1 else f"{len(nodes):,} operations"


def known_peak(found: RuntimeReport) -> str:
    """Return the peak with a unit; where sizes are unknown, that it is at least what is known."""
    amount = format_bytes(found.known_bytes_at_least)
    return f"≥ {amount}" if found.peak_intermediate_bytes is None else amount
