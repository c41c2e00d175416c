"""The drawing of a searched block: cells from left to right, two layers each, what they read and what leaves.

Blocks that have the same cells are drawn once, and say how often they stand in a row.
"""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from memprof.plots.style import (
    ACCENT,
    BAR_EDGE,
    INK,
    LARGE,
    MUTED,
    PAPER,
    RULE,
    SMALL,
    Page,
    fit,
    house_style,
    save_figure,
    text_style,
)

if TYPE_CHECKING:
    from memprof.nas.space import Architecture, Block, Cell

_CELL, _GAP, _ROW, _MARGIN = 1.45, 0.5, 2.5, 0.5
_LABELS = {
    "CONV_3X3": "conv 3x3",
    "DEPTHWISE_3X3": "depthwise 3x3",
    "DEPTHWISE_5X5": "depthwise 5x5",
    "FACTORIZED_7": "1x7, 7x1",
    "AVG_POOL_3X3": "avg pool 3x3",
    "MAX_POOL_3X3": "max pool 3x3",
    "DILATED_3X3": "dilated 3x3",
    "IDENTITY": "identity",
}


def plot_architecture(
    architecture: Architecture, path: str | Path | None = None, *, title: str = "Architecture"
) -> Figure:
    """Draw the blocks of ``architecture``, equal neighbours once.

    Args:
        architecture: A ``memprof.nas.space.Architecture``.
        path: A .png, .svg or .pdf file to write; nothing is written if left out.
        title: The headline.
    """
    rows = [(cells, list(group)) for cells, group in groupby(enumerate(architecture.blocks, 1), lambda b: b[1].cells)]
    columns = max(1, architecture.slots)
    width = max(7.0, 2 * _MARGIN + 0.9 + columns * (_CELL + _GAP) + 1.1)
    with house_style():
        page = Page(width, 1.0 + _ROW * len(rows) + 0.2)
        page.text(
            _MARGIN, page.height - 0.45, fit(title, width - 2 * _MARGIN, size=LARGE, bold=True), size=LARGE, bold=True
        )
        channels, height, breadth = architecture.input_shape
        subtitle = (
            f"{channels}x{height}x{breadth} images, {len(architecture.blocks)} blocks, {architecture.classes} classes"
        )
        page.text(_MARGIN, page.height - 0.7, subtitle, colour=MUTED)
        for i, (_, members) in enumerate(rows):
            axes = page.axes(_MARGIN, page.height - 1.0 - _ROW * (i + 1), width - 2 * _MARGIN, _ROW)
            axes.set_xlim(0, width - 2 * _MARGIN)
            axes.set_ylim(0, _ROW)
            axes.set_xticks([])
            axes.set_yticks([])
            _draw_block(axes, members)
        if path is not None:
            save_figure(page.figure, path)
        return page.figure


def _draw_block(axes: Axes, members: list[tuple[int, Block]]) -> None:
    """Draw one block; its input is the rail at the left, its output the one at the right."""
    block = members[0][1]
    numbers = [number for number, _ in members]
    name = f"block {numbers[0]}" if len(numbers) == 1 else f"blocks {numbers[0]} to {numbers[-1]}"
    shape = ", ".join(f"stride {b.stride}, width {b.width}" for b in dict.fromkeys(b for _, b in members))
    axes.text(0, _ROW - 0.25, f"{name}: {shape}", **text_style(bold=True))
    middle = 1.05
    end = 0.9 + len(block.cells) * (_CELL + _GAP)
    axes.text(0.35, middle, "in", ha="center", va="center", **text_style(colour=MUTED))
    axes.text(end + 0.75, middle, "out", ha="center", va="center", **text_style(colour=MUTED))
    left = {0: 0.55}
    for slot, cell in block.existing:
        x = 0.9 + (slot - 1) * (_CELL + _GAP)
        for side, (read, layer) in enumerate(cell.layers):
            y = middle + (0.27 if side == 0 else -0.27)
            _draw_edge(axes, (left[read], middle), (x, y), skips=slot - read - 1, above=side == 0)
            _draw_layer(axes, x, y, _LABELS[layer.name], is_trimmed=layer.is_trimmed)
        _draw_combiner(axes, x + _CELL - 0.1, middle, cell, slot)
        left[slot] = x + _CELL + 0.05
    for slot in block.output_slots:
        is_next = slot == block.existing[-1][0]
        _draw_edge(
            axes, (left[slot], middle), (end + 0.55, middle), skips=0 if is_next else 2, above=True, is_output=True
        )


def _draw_layer(axes: Axes, x: float, y: float, label: str, *, is_trimmed: bool) -> None:
    axes.add_patch(
        FancyBboxPatch(
            (x, y - 0.17),
            _CELL - 0.3,
            0.34,
            boxstyle="round,pad=0,rounding_size=0.06",
            facecolor=PAPER if is_trimmed else RULE,
            edgecolor=BAR_EDGE,
            linestyle="--" if is_trimmed else "-",
            linewidth=0.8,
            zorder=3,
        )
    )
    axes.text(
        x + (_CELL - 0.3) / 2, y, label, ha="center", va="center", zorder=4, **text_style(colour=INK, size=SMALL)
    )


def _draw_combiner(axes: Axes, x: float, middle: float, cell: Cell, slot: int) -> None:
    for dy in (0.27, -0.27):
        axes.plot([x - 0.2, x], [middle + dy, middle], color=BAR_EDGE, linewidth=0.9, zorder=2)
    sign = "+" if cell.combine.value == "sum" else "c"
    axes.plot([x], [middle], marker="o", markersize=12, color=PAPER, markeredgecolor=BAR_EDGE, zorder=3)
    axes.text(x, middle, sign, ha="center", va="center_baseline", zorder=4, **text_style(bold=True))
    axes.text(x, middle - 0.62, f"cell {slot}", ha="right", va="center", **text_style(colour=MUTED, size=SMALL))


def _draw_edge(
    axes: Axes,
    start: tuple[float, float],
    stop: tuple[float, float],
    *,
    skips: int,
    above: bool,
    is_output: bool = False,
) -> None:
    """Draw a line from ``start`` to ``stop``; one that skips cells goes round them, output edges in the accent."""
    colour = ACCENT if is_output else BAR_EDGE
    (x0, y0), (x1, y1) = start, stop
    if skips <= 0:
        axes.plot([x0, x1], [y0, y1], color=colour, linewidth=1.1, zorder=1)
        return
    rail = (0.62 + 0.09 * min(skips, 6)) * (1 if above else -1)
    corner = 0.18
    xs = [x0, x0 + corner, x1 - corner, x1]
    axes.plot(xs, [y0, y0 + rail, y0 + rail, y1], color=colour, linewidth=1.1, zorder=1, solid_joinstyle="round")
