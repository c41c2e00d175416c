"""The drawing of a searched block: cells from left to right, two layers each, what they read and what leaves.

    bus      -----------*-------------*--------> out     in the accent: cells that feed the block's output
    rails    ---*-----------*                            one height per source above the cells, for upper layers
    cells    in  [layer]     [layer]
                        (+)         (c)
                 [layer]     [layer]
    rails    -----------*                                one height per source below them, for lower layers

A cell that reads the one just before it has a straight line; every other edge runs along the rail of its source, so
that no two sources share a line. A dot is a branch, a crossing without one is none. Blocks that have the same cells
are drawn once, and say how often they stand in a row. Sizes in inches.
"""

from __future__ import annotations

from dataclasses import dataclass
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
    from memprof.nas.space.architecture import AnyLayer, Architecture, Block, Cell

_LAYER, _TO_COMBINER, _GAP, _MARGIN = 1.15, 0.22, 0.66, 0.5
_MOST_LETTERS = 17
"""Of a layer's name that its box holds."""
_PITCH = _LAYER + _TO_COMBINER + _GAP
_FIRST = 0.95
"""Left edge of the first cell's layers."""
_SIDE, _HALF = 0.27, 0.17
"""From the middle of a row to that of a layer, and half a layer's height."""
_CLEAR, _LANE = 0.16, 0.1
"""From the layers to the first rail, and from rail to rail."""
_TITLE, _PADDING = 0.42, 0.22


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """Blocks that are drawn as one.

    Attributes:
        numbers: Their numbers, from 1.
        blocks: The blocks.
        lanes: For upper and lower layers: source -> which rail, 0 next to the cells.
    """

    numbers: tuple[int, ...]
    blocks: tuple[Block, ...]
    lanes: tuple[dict[int, int], dict[int, int]]

    @property
    def height(self) -> float:
        return _TITLE + self.above + self.below + _PADDING

    @property
    def above(self) -> float:
        """From the middle to the bus."""
        return _SIDE + _HALF + _CLEAR + _LANE * (len(self.lanes[0]) + 0.5)

    @property
    def below(self) -> float:
        return _SIDE + _HALF + _CLEAR + _LANE * len(self.lanes[1])

    @property
    def middle(self) -> float:
        return self.below + _PADDING

    def rail(self, side: int, source: int) -> float:
        """Return the height of a source's rail."""
        offset = _SIDE + _HALF + _CLEAR + _LANE * self.lanes[side][source]
        return self.middle + offset if side == 0 else self.middle - offset


def plot_architecture(
    architecture: Architecture, path: str | Path | None = None, *, title: str = "Architecture"
) -> Figure:
    """Draw the blocks of ``architecture``, equal neighbours once.

    Args:
        architecture: A ``memprof.nas.space.architecture.Architecture``.
        path: A .png, .svg or .pdf file to write; nothing is written if left out.
        title: The headline.
    """
    rows = [
        _row(tuple(group))
        for _, group in groupby(enumerate(architecture.blocks, 1), lambda numbered: numbered[1].cells)
    ]
    inner = max(6.4, _FIRST + architecture.slots * _PITCH + 0.6)
    width = inner + 2 * _MARGIN
    with house_style():
        page = Page(width, 1.2 + sum(row.height for row in rows))
        headline = fit(title, inner, size=LARGE, bold=True)
        page.text(_MARGIN, page.height - 0.45, headline, size=LARGE, bold=True)
        shape = "x".join(map(str, architecture.input_shape))
        count = len(architecture.blocks)
        facts = f"{shape} images, {count} {'block' if count == 1 else 'blocks'}, {architecture.classes} classes"
        page.text(_MARGIN, page.height - 0.7, facts, colour=MUTED)
        page.text(_MARGIN, page.height - 0.88, _legend(architecture), colour=MUTED)
        top = page.height - 1.05
        for row in rows:
            top -= row.height
            axes = page.axes(_MARGIN, top, inner, row.height)
            axes.set_xlim(0, inner)
            axes.set_ylim(0, row.height)
            axes.set_xticks([])
            axes.set_yticks([])
            _draw_row(axes, row)
        if path is not None:
            save_figure(page.figure, path, title=title)
        return page.figure


def _legend(architecture: Architecture) -> str:
    """Return what the signs mean that occur."""
    cells = [cell for block in architecture.blocks for _, cell in block.existing]
    combined = {cell.combine.value for cell in cells}
    signs = (
        ("sum" in combined, "+ sum"),
        (bool(combined - {"sum"}), "c concatenation"),
        (any(layer.is_trimmed for cell in cells for _, layer in cell.layers), "dashed: a trimmed layer"),
        (bool(cells), "in colour: what feeds the block's output"),
    )
    return "; ".join(text for occurs, text in signs if occurs)


def _row(members: tuple[tuple[int, Block], ...]) -> _Row:
    block = members[0][1]
    lanes: tuple[dict[int, int], dict[int, int]] = ({}, {})
    for side in (0, 1):
        sources = {cell.inputs[side] for slot, cell in block.existing if cell.inputs[side] != slot - 1}
        lanes[side].update({source: lane for lane, source in enumerate(sorted(sources, reverse=True))})
    return _Row(numbers=tuple(n for n, _ in members), blocks=tuple(b for _, b in members), lanes=lanes)


def _draw_row(axes: Axes, row: _Row) -> None:
    block, middle = row.blocks[0], row.middle
    first, last = row.numbers[0], row.numbers[-1]
    name = f"block {first}" if first == last else f"blocks {first} to {last}"
    shape = "; ".join(f"stride {b.stride}, width {b.width}" for b in dict.fromkeys(row.blocks))
    axes.text(0, row.height - 0.25, f"{name}: {shape}", **text_style(bold=True))
    axes.text(0.12, middle, "in", ha="right", va="center", **text_style(colour=MUTED))
    if not block.cells:
        axes.text(_FIRST, middle, "no cell: the input passes through", va="center", **text_style(colour=MUTED))
        return
    for slot, cell in enumerate(block.cells, 1):
        x = _left(slot)
        if cell is None:
            axes.text(
                x + _LAYER / 2, middle, f"cell {slot} removed", ha="center", va="center", **text_style(colour=MUTED)
            )
            continue
        for side, (read, layer) in enumerate(cell.layers):
            y = middle + (_SIDE if side == 0 else -_SIDE)
            _draw_layer(axes, x, y, layer)
            _line(axes, [x + _LAYER, x + _LAYER + _TO_COMBINER], [y, middle])
            _draw_input(axes, row, side, slot, read)
        axes.text(
            x + _LAYER / 2, middle, f"cell {slot}", ha="center", va="center", **text_style(colour=MUTED, size=SMALL)
        )
        _draw_combiner(axes, x + _LAYER + _TO_COMBINER, middle, cell)
    _draw_rails(axes, row)
    _draw_bus(axes, row)


def _left(slot: int) -> float:
    """Return the left edge of a cell's layers."""
    return _FIRST + (slot - 1) * _PITCH


def _exit(source: int) -> float:
    """Return where a source's own rise to its rails is."""
    return 0.4 if source == 0 else _left(source) + _LAYER + _TO_COMBINER + 0.24


def _entry(slot: int) -> float:
    """Return where edges rise or fall to the layers of a cell."""
    return _left(slot) - 0.18


def _line(axes: Axes, xs: list[float], ys: list[float], colour: str = BAR_EDGE, width: float = 1.0) -> None:
    axes.plot(xs, ys, color=colour, linewidth=width, zorder=1, solid_joinstyle="round", solid_capstyle="round")


def _dot(axes: Axes, x: float, y: float, colour: str = BAR_EDGE) -> None:
    axes.plot([x], [y], marker="o", markersize=3.2, color=colour, zorder=2)


def _draw_input(axes: Axes, row: _Row, side: int, slot: int, read: int) -> None:
    """Draw the last part of an edge, into a layer: from the source just before, or from its rail."""
    x, y = _left(slot), row.middle + (_SIDE if side == 0 else -_SIDE)
    turn = _entry(slot)
    if read == slot - 1:
        _line(axes, [_exit(read) - 0.24, turn, turn, x], [row.middle, row.middle, y, y])
    else:
        _line(axes, [turn, turn, x], [row.rail(side, read), y, y])
    axes.plot([x - 0.035], [y], marker=">", markersize=3.5, color=BAR_EDGE, zorder=2)


def _draw_rails(axes: Axes, row: _Row) -> None:
    """Draw each source's rails, with a dot wherever something leaves them before their end."""
    for side in (0, 1):
        for source in row.lanes[side]:
            y, start = row.rail(side, source), _exit(source)
            ends = sorted(
                _entry(slot)
                for slot, cell in row.blocks[0].existing
                if cell.inputs[side] == source and slot - 1 != source
            )
            _line(axes, [start - 0.24, start, start, ends[-1]], [row.middle, row.middle, y, y])
            for x in ends[:-1]:
                _dot(axes, x, y)
    for source in {*row.lanes[0], *row.lanes[1]}:
        readers = [cell for slot, cell in row.blocks[0].existing if slot - 1 == source and source in cell.inputs]
        if readers or (source in row.lanes[0] and source in row.lanes[1]):
            _dot(axes, _exit(source), row.middle)


def _draw_bus(axes: Axes, row: _Row) -> None:
    """Draw one line at the top that every cell of the block's output joins, and that ends at "out"."""
    starts = [_left(slot) + _LAYER + _TO_COMBINER for slot in row.blocks[0].output_slots]
    last = _left(max(slot for slot, _ in row.blocks[0].existing)) + _LAYER + _TO_COMBINER
    y, end = row.middle + row.above, last + 0.85
    axes.text(end, row.middle, "out", ha="center", va="center", **text_style(colour=ACCENT))
    if starts == [last]:  # nothing is in the way
        _line(axes, [last, end - 0.22], [row.middle, row.middle], ACCENT, 1.3)
        axes.plot([end - 0.22], [row.middle], marker=">", markersize=4, color=ACCENT, zorder=2)
        return
    for x in starts:
        _line(axes, [x, x], [row.middle, y], ACCENT, 1.3)
    for x in starts[1:]:
        _dot(axes, x, y, ACCENT)
    _line(axes, [starts[0], end, end], [y, y, row.middle + 0.14], ACCENT, 1.3)
    axes.plot([end], [row.middle + 0.13], marker="v", markersize=4, color=ACCENT, zorder=2)


def _draw_layer(axes: Axes, x: float, y: float, layer: AnyLayer) -> None:
    axes.add_patch(
        FancyBboxPatch(
            (x, y - _HALF),
            _LAYER,
            2 * _HALF,
            boxstyle="round,pad=0,rounding_size=0.06",
            facecolor=PAPER if layer.is_trimmed else RULE,
            edgecolor=BAR_EDGE,
            linestyle="--" if layer.is_trimmed else "-",
            linewidth=0.8,
            zorder=3,
        )
    )
    label = layer.label if len(layer.label) <= _MOST_LETTERS else f"{layer.label[: _MOST_LETTERS - 1]}…"
    axes.text(x + _LAYER / 2, y, label, ha="center", va="center", zorder=4, **text_style(colour=INK, size=SMALL))


def _draw_combiner(axes: Axes, x: float, middle: float, cell: Cell) -> None:
    sign = "+" if cell.combine.value == "sum" else "c"
    edge = ACCENT if cell.feeds_output else BAR_EDGE
    axes.plot([x], [middle], marker="o", markersize=12, color=PAPER, markeredgecolor=edge, zorder=3)
    axes.text(x, middle, sign, ha="center", va="center_baseline", zorder=4, **text_style(bold=True))
