"""The address map: every buffer of an arena as a rectangle, its steps across, its addresses up.

    problem
    arena    load    gap    buffers

     bytes    ___--^^^^---#--___           bytes alive at each step; dashed: in the order that was given
     address  ┌───────┐┌────┐ - - - - - -  top of the arena; below it the load bound, where they differ
              │ name  ││    └──┐           accent: alive at the busiest step
              └───────┘└───────┘
            0 ------------------ step

A name is written where its rectangle has room for it; the largest of the others at the busiest step have theirs
beside the map, at the end of a line. Edges grow thin as buffers grow many, and a buffer too short to see is drawn as
wide as a hair: ten and ten thousand buffers make the same picture at different sharpness.

The picture is landscape for a slide, and many steps are shown around the busiest; the poster shows all of them.
"""

from __future__ import annotations

import textwrap
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from types import MappingProxyType

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from memprof.base.palette import FIELD
from memprof.base.units import format_bytes
from memprof.planning.offsets.problem import AllocationBuffer, MemoryPlan
from memprof.plots import style

_MARGIN = 0.6
_LEFT = 1.45
_RIGHT = 2.75  # the column of names that have no room in their rectangles
_HAIR = 0.012  # inches
_LINE = 0.17
_NAME_ROOM = 0.34  # inches of height for a name with its bytes under it
_TEXT_ROOM = 0.14  # for a name alone
_BESIDE = 18  # names beside the map at most
_LEAST_TEXT = 0.42  # inches of width
_NOTHING: Mapping[str, str] = MappingProxyType({})
_ON_PAPER = {"facecolor": style.PAPER, "edgecolor": "none", "pad": 1.2, "alpha": 0.85}  # under a text on rectangles


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Where things stand on the page, in inches, and from how many steps on it shows a part of them.

    Attributes:
        width: Of the page.
        height: Of the page.
        lines: Of the header, below the page's margin: caption, title, figures, what they mean.
        curve: Bottom and height of the curve.
        map: Bottom and height of the map.
        footer: Height of the first line of the footer.
        zoomed_from: Steps from which on a part is shown, around the busiest; ``None`` for never.
        zoomed_steps: As many are shown then.
    """

    width: float
    height: float
    lines: tuple[float, float, float, float]
    curve: tuple[float, float]
    map: tuple[float, float]
    footer: float
    zoomed_from: int | None
    zoomed_steps: int = style.ZOOMED_STEPS


LAYOUTS: Mapping[str, Layout] = MappingProxyType(
    {
        "slide": Layout(
            width=12.8,
            height=7.2,
            lines=(0.0, 0.34, 0.8, 1.0),
            curve=(4.45, 0.8),
            map=(1.15, 2.95),
            footer=0.5,
            zoomed_from=style.ZOOMED_FROM,
        ),
        "poster": Layout(
            width=12.0,
            height=9.6,
            lines=(0.2, 0.58, 1.13, 1.34),
            curve=(6.2, 1.1),
            map=(1.45, 4.3),
            footer=0.62,
            zoomed_from=None,
        ),
    }
)
"""From a format of the picture to its layout."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Frame:
    """The steps that the page shows, the busiest of them, and the buffers that count.

    Attributes:
        layout: The page.
        start: First step.
        stop: Step after the last.
        busiest: First step with the most bytes alive.
        shown: Ids of the buffers with bytes and steps on show.
        steps: First step of all, and the step after the last.
    """

    layout: Layout
    start: int
    stop: int
    busiest: int
    shown: tuple[int, ...]
    steps: tuple[int, int]

    def inches_per_step(self) -> float:
        """Return how wide a step is."""
        return (self.layout.width - _RIGHT - _LEFT) / max(1, self.stop - self.start)

    def inches_per_byte(self, arena: MemoryPlan) -> float:
        """Return how high a byte is."""
        return self.layout.map[1] / max(1, arena.arena_bytes)

    def clip(self, buffer: AllocationBuffer) -> tuple[int, int]:
        """Return the steps of a buffer that are on show."""
        return max(buffer.start, self.start), min(buffer.stop, self.stop)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Box:
    """Where a text stands, in inches; its left edge does not matter to lines that run to the right."""

    right: float
    bottom: float
    top: float


def plot_addresses(
    arena: MemoryPlan,
    path: str | PathLike[str] | None = None,
    *,
    title: str = "",
    before: Sequence[int] = (),
    about: Mapping[str, str] = _NOTHING,
    picture: str = "slide",
) -> Figure:
    """Draw the address map of ``arena``.

    Args:
        arena: A plan.
        path: A .png, .svg or .pdf file to write; nothing is written if left out.
        title: What was planned.
        before: Bytes alive at each step of the order that was given, where another was planned.
        about: What is said of a buffer besides its name, by its name: operator and shape.
        picture: Key in ``LAYOUTS``.

    Returns:
        The figure.

    Raises:
        UsageError: The file cannot be written.
    """
    layout = LAYOUTS[picture]
    frame = _frame(arena, layout)
    with style.house_style():
        page = style.Page(layout.width, layout.height)
        _draw_header(page, arena, title, layout.lines)
        _draw_band(page, frame)
        named = _draw_map(page, arena, frame)
        _write_beside(page, arena, frame, (named, about))
        _draw_curve(page, arena, frame, before)
        _draw_footer(page, arena, frame)
        if path is not None:
            style.save_figure(page.figure, path, title=f"{title or 'arena'}: {format_bytes(arena.arena_bytes)}")
    return page.figure


def _frame(arena: MemoryPlan, layout: Layout) -> _Frame:
    problem = arena.problem
    shown = tuple(i for i, size in enumerate(problem.sizes) if size)
    if not shown:
        return _Frame(layout=layout, start=0, stop=1, busiest=0, shown=(), steps=(0, 1))
    steps, loads = problem.load_profile
    start, stop, busiest = steps[0], steps[-1], steps[loads.index(max(loads))]
    if layout.zoomed_from is not None and stop - start >= layout.zoomed_from:
        start = max(start, min(stop - layout.zoomed_steps, busiest - layout.zoomed_steps // 2))
        stop = start + layout.zoomed_steps
        shown = tuple(i for i in shown if problem.buffers[i].start < stop and problem.buffers[i].stop > start)
    return _Frame(layout=layout, start=start, stop=stop, busiest=busiest, shown=shown, steps=(steps[0], steps[-1]))


def _draw_header(page: style.Page, arena: MemoryPlan, title: str, lines: tuple[float, float, float, float]) -> None:
    caption, headline, values, meanings = (page.height - _MARGIN - line for line in lines)
    name = style.fit(title or "arena", 9.5, size=style.TITLE, bold=True)
    page.text(_MARGIN, caption, "ADDRESS MAP", size=style.SMALL, colour=style.MUTED)
    page.text(_MARGIN, headline, name, size=style.TITLE, bold=True)
    left = _MARGIN
    for value, meaning, colour in _figures(arena):
        page.text(left, values, value, size=style.LARGE, bold=True, colour=colour)
        page.text(left, meanings, meaning, colour=style.MUTED)
        left += max(style.text_width(value, size=style.LARGE, bold=True), style.text_width(meaning)) + 0.6


def _figures(arena: MemoryPlan) -> list[tuple[str, str, str]]:
    """Return what the header says in large type: value, meaning, colour."""
    bound, size = arena.lower_bound_bytes, arena.arena_bytes
    verdict = "optimal" if arena.is_optimal else f"{size / bound - 1:.2%}" if bound else "open"
    meaning = "proven: no arena is smaller" if arena.is_optimal else "at most above the smallest arena"
    return [
        (format_bytes(size), "arena", style.INK),
        (format_bytes(arena.load_bytes), "alive at the busiest step", style.ACCENT),
        (verdict, meaning, style.INK),
        (f"{arena.fragmentation:.1%}", "fragmentation", style.INK),
        (f"{len(arena.problem.buffers):,}", "buffers", style.INK),
    ]


def _draw_band(page: style.Page, frame: _Frame) -> None:
    """Mark the busiest step through map and curve."""
    bottom = frame.layout.map[0]
    axes = _axes(page, frame, bottom, sum(frame.layout.curve) - bottom)
    axes.set_yticks([])
    axes.axvspan(
        frame.busiest, frame.busiest + 1, facecolor=style.ACCENT_TINT, edgecolor=style.ACCENT_TINT, linewidth=0.8
    )
    if frame.inches_per_step() < 0.06:
        axes.axvline(frame.busiest + 0.5, color=style.ACCENT, linewidth=0.5)


def _draw_map(page: style.Page, arena: MemoryPlan, frame: _Frame) -> dict[int, _Box]:
    """Draw the rectangles, and return whose have their names in them, and where."""
    axes = _axes(page, frame, *frame.layout.map)
    top = max(1, arena.arena_bytes)
    axes.set_ylim(0, top)
    axes.axhspan(0, top, facecolor=FIELD, edgecolor="none", zorder=0)
    problem = arena.problem
    least = _HAIR / frame.inches_per_step()
    edge = min(0.7, 12 / max(1, len(frame.shown)) ** 0.5)
    for is_stressed, face, border in ((False, style.BAR, style.PAPER), (True, style.ACCENT_SHADE, style.PAPER)):
        corners = []
        for i in frame.shown:
            buffer = problem.buffers[i]
            if (buffer.start <= frame.busiest < buffer.stop) is is_stressed:
                start, stop = frame.clip(buffer)
                bottom, right = arena.offsets[i], max(stop, start + least)
                high = bottom + problem.sizes[i]
                corners.append([(start, bottom), (start, high), (right, high), (right, bottom)])
        if corners:
            axes.add_collection(PolyCollection(corners, facecolor=face, edgecolor=border, linewidth=edge, zorder=2))
    named = _write_names(axes, arena, frame)
    axes.axhline(top, color=style.INK, linewidth=0.9, clip_on=False, zorder=3)
    if arena.lower_bound_bytes < arena.arena_bytes:
        axes.axhline(arena.lower_bound_bytes, color=style.INK, linewidth=0.8, linestyle=(0, (4, 3)), zorder=3)
        axes.annotate(
            f"lower bound {format_bytes(arena.lower_bound_bytes)}",
            (frame.stop, arena.lower_bound_bytes),
            xytext=(-4, -3),
            textcoords="offset points",
            bbox=_ON_PAPER,
            zorder=5,
            **style.text_style(size=style.SMALL, colour=style.INK, va="top", ha="right"),
        )
    style.byte_axis(axes, arena.arena_bytes)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, steps=[1, 2, 5, 10], integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda step, _: f"{step:,.0f}"))
    style.set_tick_type(axes)
    return named


def _write_names(axes: Axes, arena: MemoryPlan, frame: _Frame) -> dict[int, _Box]:
    """Write names into the rectangles that have room for them, and return where, by buffer."""
    named = {}
    problem = arena.problem
    per_byte = frame.inches_per_byte(arena)
    for i in frame.shown:
        buffer, size = problem.buffers[i], problem.sizes[i]
        start, stop = frame.clip(buffer)
        width = (stop - start) * frame.inches_per_step() - 0.08
        height = size * per_byte
        if width < _LEAST_TEXT or height < _TEXT_ROOM:
            continue
        name = style.fit(buffer.name, width, size=style.SMALL)
        if len(name) < min(len(buffer.name), 4):
            continue
        amount = format_bytes(buffer.size_bytes)
        has_amount = height >= _NAME_ROOM and style.text_width(amount, size=style.SMALL) <= width
        axes.text(
            (start + stop) / 2,
            arena.offsets[i] + size / 2,
            f"{name}\n{amount}" if has_amount else name,
            **style.text_style(size=style.SMALL, va="center", ha="center", zorder=4),
        )
        middle = frame.layout.map[0] + (arena.offsets[i] + size / 2) * per_byte
        high = _NAME_ROOM / 2 if has_amount else _TEXT_ROOM / 2
        right = _LEFT + ((start + stop) / 2 - frame.start) * frame.inches_per_step()
        right += style.text_width(name, size=style.SMALL) / 2
        named[i] = _Box(right=right, bottom=middle - high, top=middle + high)
    return named


def _write_beside(
    page: style.Page, arena: MemoryPlan, frame: _Frame, known: tuple[Mapping[int, _Box], Mapping[str, str]]
) -> None:
    """Write the names of the largest buffers at the busiest step that have none yet beside the map, with a line."""
    named, about = known
    gap = 2 * _LINE if about else _LINE
    bottom, height = frame.layout.map
    most = min(_BESIDE, int(height / gap))
    problem, per_byte = arena.problem, frame.inches_per_byte(arena)
    at_busiest = [i for i in frame.shown if problem.buffers[i].start <= frame.busiest < problem.buffers[i].stop]
    nameless = _largest(arena, [i for i in at_busiest if i not in named], most)
    right = page.width - _RIGHT
    left = right + 0.3
    starts = [_LEFT + (frame.clip(problem.buffers[i])[1] - frame.start) * frame.inches_per_step() for i in nameless]
    wanted = []
    for i, start in zip(nameless, starts, strict=True):
        low, high = (bottom + at * per_byte for at in (arena.offsets[i], arena.offsets[i] + problem.sizes[i]))
        wanted.append(_free_height(low, high, [box for box in named.values() if box.right > start]))
    for i, y, at, start in zip(nameless, spread(wanted, gap, bottom + height), wanted, starts, strict=True):
        buffer = problem.buffers[i]
        across = [start, max(start, right) + 0.08, left - 0.06]
        page.figure.add_artist(
            Line2D(
                [x / page.width for x in across],
                [up / page.height for up in (at, at, y)],
                color=style.ACCENT,
                linewidth=0.4,
            )
        )
        amount = format_bytes(buffer.size_bytes)
        room = page.width - _MARGIN - left - style.text_width(amount, size=style.SMALL) - 0.12
        name = style.fit(buffer.name, room, size=style.SMALL)
        page.text(left, y, f"{name}  {amount}", size=style.SMALL, va="center_baseline")
        if what := about.get(buffer.name):
            what = style.fit(what, page.width - _MARGIN - left, size=style.SMALL)
            page.text(left, y - _LINE, what, size=style.SMALL, colour=style.MUTED, va="center_baseline")


def _free_height(low: float, high: float, texts: Sequence[_Box]) -> float:
    """Return the height between two where a line to the right crosses no text, the nearest to the middle."""
    middle, margin = (low + high) / 2, 0.03
    heights = [middle, *(box.top + margin for box in texts), *(box.bottom - margin for box in texts)]
    free = [y for y in heights if low < y < high and not any(box.bottom < y < box.top for box in texts)]
    return min(free, key=lambda y: abs(y - middle), default=middle)


def _largest(arena: MemoryPlan, ids: Sequence[int], most: int) -> list[int]:
    """Return the largest buffers by address; those of one size as far apart as can be, so that their lines are."""
    sizes = arena.problem.sizes
    ranked = sorted(ids, key=lambda i: (-sizes[i], arena.offsets[i]))
    if len(ranked) > most:
        least = sizes[ranked[most - 1]]
        larger = [i for i in ranked if sizes[i] > least]
        alike = [i for i in ranked if sizes[i] == least]
        places = most - len(larger)
        ranked = larger + [alike[(2 * k + 1) * len(alike) // (2 * places)] for k in range(places)]
    return sorted(ranked, key=lambda i: arena.offsets[i])


def spread(wanted: Sequence[float], gap: float, top: float) -> list[float]:
    """Return heights as near above ``wanted``, which ascend, as keeps them ``gap`` apart and at most at ``top``.

    >>> spread([1.0, 1.0, 5.0], 0.5, 5.0), spread([5.0, 5.0], 0.5, 5.0)
    ([1.0, 1.5, 5.0], [4.5, 5.0])
    """
    found: list[float] = []
    for height in wanted:
        found.append(max(height, found[-1] + gap) if found else height)
    for i in reversed(range(len(found))):
        found[i] = min(found[i], top if i + 1 == len(found) else found[i + 1] - gap)
    return found


def _draw_curve(page: style.Page, arena: MemoryPlan, frame: _Frame, before: Sequence[int]) -> None:
    axes = _axes(page, frame, *frame.layout.curve)
    most = max(arena.arena_bytes, *before, 1)
    axes.set_ylim(0, most)
    steps, loads = arena.problem.load_profile
    if steps:
        first, last = bisect_right(steps, frame.start) - 1, bisect_left(steps, frame.stop)
        edges = np.clip(np.array(steps[first : last + 1], dtype=np.float64), frame.start, frame.stop)
        axes.stairs(loads[first:last], edges, fill=True, color=style.CURVE, linewidth=0)
        axes.stairs(loads[first:last], edges, color=style.BAR_EDGE, linewidth=0.8)
    if before:
        _draw_before(page, axes, frame, before)
    axes.axhline(0, color=style.BAR_EDGE, linewidth=0.8)
    axes.axhline(arena.arena_bytes, color=style.INK, linewidth=0.9, clip_on=False)
    style.byte_axis(axes, most, count=2)
    style.set_tick_type(axes)
    page.text(_MARGIN, sum(frame.layout.curve) + 0.1, "alive", size=style.SMALL, colour=style.MUTED)
    page.text(_MARGIN, sum(frame.layout.map) + 0.1, "address", size=style.SMALL, colour=style.MUTED)
    page.text(_LEFT, frame.layout.map[0] - 0.42, "step", size=style.SMALL, colour=style.MUTED)


def _draw_before(page: style.Page, axes: Axes, frame: _Frame, before: Sequence[int]) -> None:
    """Draw what was alive in the order that was given, and say its peak beside the curve."""
    shown = before[frame.start : frame.stop]
    edges = np.arange(len(shown) + 1) + frame.start
    axes.stairs(shown, edges, baseline=None, color=style.ACCENT, linewidth=0.9, linestyle=(0, (2, 1.5)), zorder=3)
    left, peak = page.width - _RIGHT + 0.3, max(before)
    bottom, height = frame.layout.curve
    top = bottom + height * peak / axes.get_ylim()[1]
    page.text(left, top, f"given order  {format_bytes(peak)}", size=style.SMALL, colour=style.ACCENT, va="top")


def _draw_footer(page: style.Page, arena: MemoryPlan, frame: _Frame) -> None:
    aligned = f" Sizes are rounded up to {arena.problem.alignment} bytes." if arena.problem.alignment > 1 else ""
    part = ""
    if (frame.start, frame.stop) != frame.steps:
        part = f"Steps {frame.start:,} to {frame.stop - 1:,} of {frame.steps[1] - frame.steps[0]:,}. "
    note = (
        f"{part}"
        "A rectangle is a buffer: as wide as it lives, as high as it has bytes, at its address. In colour: alive at "
        f"step {frame.busiest:,}, the busiest. No two touch the same address at the same step.{aligned}"
    )
    for i, line in enumerate(textwrap.wrap(note, 190)):
        page.text(_MARGIN, frame.layout.footer - i * _LINE, line, size=style.SMALL, colour=style.MUTED)


def _axes(page: style.Page, frame: _Frame, bottom: float, height: float) -> Axes:
    axes = page.axes(_LEFT, bottom, page.width - _RIGHT - _LEFT, height)
    axes.set_xlim(frame.start, frame.stop)
    axes.set_xticks([])
    return axes
