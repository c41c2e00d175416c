"""The table of who is alive at the peak, in the columns that a screen has room for."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from memprof.base.palette import TERMINAL_CURVE
from memprof.base.units import format_bytes
from memprof.render.terminal import Glyphs, Screen
from memprof.results.peak import LiveTensor
from memprof.results.records import RuntimeReport

_BAR = 6
_INDENT = 2
_GAP = 2
_NARROW = 60


def live_table(screen: Screen, found: RuntimeReport, shown: Sequence[LiveTensor]) -> Table:
    """Return one row per tensor: its name, bytes, share, who writes it, who holds it and for how many steps more.

    Args:
        screen: Where it is drawn; a narrow one gets fewer columns.
        found: The runtime model's answer.
        shown: The tensors to show, not empty.
    """
    written = {live.producer for live in shown}
    ops = {node.name: node.op for node in found.lifetimes.graph.nodes if node.name in written}
    names = [screen.clean(live.name) for live in shown]
    sizes = ["unknown" if live.size_bytes is None else format_bytes(live.size_bytes) for live in shown]
    writers = ["input" if live.producer is None else screen.clean(ops[live.producer], limit=12) for live in shown]
    holders = [_holder(screen, live) for live in shown]
    steps = [str(live.held_steps) for live in shown]
    is_narrow = screen.width < _NARROW
    fixed = [_width("bytes", sizes), _BAR + 5]
    if not is_narrow:
        fixed += [_width("from", writers), _width("steps", steps)]
    texts = 1 if is_narrow else 2
    room = screen.width - _INDENT - sum(fixed) - _GAP * (len(fixed) + texts - 1)
    name_room, holder_room = _split(room, _width("tensor", names), 0 if is_narrow else _width("held by", holders))

    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="dim", highlight=False)
    table.add_column(" " * _INDENT + "tensor", no_wrap=True)
    table.add_column("bytes", justify="right", no_wrap=True)
    table.add_column("share", no_wrap=True)
    if not is_narrow:
        table.add_column("from", no_wrap=True)
        table.add_column("held by", no_wrap=True)
        table.add_column("steps", justify="right", no_wrap=True)
    for i, live in enumerate(shown):
        cells = [
            Text(" " * _INDENT + screen.fit(names[i], name_room)),
            Text(sizes[i]),
            _share(live, screen.glyphs),
        ]
        if not is_narrow:
            held = Text(screen.fit(holders[i], holder_room), style="" if live.held_by else "italic")
            cells += [Text(screen.fit(writers[i], 12)), held, Text(steps[i])]
        table.add_row(*cells)
    return table


def _holder(screen: Screen, live: LiveTensor) -> str:
    if live.held_by is not None:
        return screen.clean(live.held_by)
    return "output" if live.is_output else screen.glyphs.nothing


def _share(live: LiveTensor, glyphs: Glyphs) -> Text:
    if live.size_bytes is None:
        return Text(f"{glyphs.nothing:>{_BAR + 5}}")
    return Text.assemble((_bar(live.share, glyphs.bars), TERMINAL_CURVE), f" {live.share:>4.0%}")


def _bar(share: float, levels: str) -> str:
    parts = len(levels) - 1
    filled = min(_BAR * parts, max(1 if share > 0 else 0, round(share * _BAR * parts)))
    full, rest = divmod(filled, parts)
    return (levels[-1] * full + (levels[rest] if rest else "")).ljust(_BAR)


def _width(title: str, texts: Sequence[str]) -> int:
    return max(len(title), *map(cell_len, texts))


def _split(room: int, first: int, second: int) -> tuple[int, int]:
    """Share ``room`` between columns that want ``first`` and ``second``: what one does not need the other gets."""
    if first + second <= room:
        return first, second
    half = room // 2
    if second <= half:
        return room - second, second
    if first <= half:
        return first, room - first
    return room - half, half
