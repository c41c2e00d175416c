"""The marks of the lifetime plot: how a tensor's bar looks by what the tensor is, and the outline of a group.

    intermediate   solid                      size unknown         hatched, at a fixed thickness
    graph input    hollow, with a dark start  alive at the peak    the same, in the accent colour
    graph output   with a dark end

Lengths are steps along x and inches along y, as the axes of the rows have them.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.patches import Rectangle

from memprof.plots import style
from memprof.plots.rows import Outline, Row

_LEAST = 0.028
_LEAST_HOLLOW = 0.055
_LEAST_END = 0.09
_HATCHED = 0.11


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """What a bar tells by its looks."""

    is_alive_at_peak: bool = False
    is_input: bool = False
    is_output: bool = False
    is_unknown: bool = False


LEGEND: tuple[tuple[Mark, str], ...] = (
    (Mark(is_alive_at_peak=True), "alive at the peak"),
    (Mark(), "intermediate"),
    (Mark(is_input=True), "graph input"),
    (Mark(is_output=True), "graph output"),
    (Mark(is_unknown=True), "size unknown"),
)
"""Each mark by itself, with its meaning; a bar may bear several."""


def mark_of(row: Row) -> Mark:
    """Return how the bar of a tensor looks."""
    return Mark(
        is_alive_at_peak=row.is_alive_at_peak,
        is_input=row.is_input,
        is_output=row.is_output,
        is_unknown=row.size_bytes is None,
    )


def occurs(mark: Mark, marks: set[Mark]) -> bool:
    """Return whether what ``mark``, one of the legend's, stands for is borne by any of ``marks``."""
    features = [f.name for f in fields(mark) if getattr(mark, f.name)]
    if not features:
        return any(not (m.is_input or m.is_output or m.is_alive_at_peak) for m in marks)
    return any(getattr(m, name) for m in marks for name in features)


def draw_bar(axes: Axes, span: tuple[float, float], middle: float, thickness: float, mark: Mark) -> None:
    """Draw one tensor from ``span[0]`` to ``span[1]``, centred on ``middle``; never too thin to see."""
    colour = style.ACCENT if mark.is_alive_at_peak else style.BAR
    edge = style.ACCENT if mark.is_alive_at_peak else style.BAR_EDGE
    is_hollow = mark.is_input or mark.is_unknown
    thickness = _HATCHED if mark.is_unknown else max(thickness, _LEAST_HOLLOW if is_hollow else _LEAST)
    start, stop = span
    axes.add_patch(
        Rectangle(
            (start, middle - thickness / 2),
            stop - start,
            thickness,
            facecolor=style.PAPER if is_hollow else colour,
            edgecolor=edge if is_hollow else colour,
            linewidth=0.9 if is_hollow else 0.5,
            hatch="//////" if mark.is_unknown else None,
            joinstyle="miter",
        )
    )
    reach = max(thickness, _LEAST_END) / 2
    for end in [start] * mark.is_input + [stop] * mark.is_output:
        axes.plot([end, end], [middle - reach, middle + reach], color=style.INK, linewidth=2.2, clip_on=False)


def draw_outline(axes: Axes, outline: Outline, middle: float, inches_per_byte: float, peak_step: int) -> None:
    """Draw a group as a band around ``middle`` that is as thick as its tensors together; accent at the peak."""
    thickness = outline.heights * inches_per_byte
    held = thickness > 0
    half = np.maximum(thickness[held], _LEAST) / 2
    left, right = outline.edges[:-1][held], outline.edges[1:][held]
    low, high = middle - half, middle + half
    corners = np.stack([left, low, left, high, right, high, right, low], axis=1).reshape(-1, 4, 2)
    axes.add_collection(PolyCollection(list(corners), facecolor=style.BAR, edgecolor=style.BAR, linewidth=0.5))
    at = int(np.searchsorted(outline.edges, peak_step, side="right")) - 1
    if thickness[at] > 0:
        draw_bar(axes, (peak_step, peak_step + 1), middle, thickness[at], Mark(is_alive_at_peak=True))
