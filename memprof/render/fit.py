"""A fit -> text: the answer with both its proofs, what is counted, the formula, the assumptions, the next command."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TextIO

from rich.table import Table
from rich.text import Text

from memprof.base.palette import TERMINAL_ACCENT, TERMINAL_CURVE
from memprof.base.text import safe_text
from memprof.base.units import format_bytes
from memprof.render.assumed import show_assumed_sizes
from memprof.render.sweep import format_polynomial
from memprof.render.terminal import Screen, open_screen
from memprof.render.wording import grade_words
from memprof.results.assumed import assumed_sizes
from memprof.results.fit import Fit, Part, Taken

_QUIET = "dim"
_SHOWN = 8
_MOST_SIZES = 16
"""Sizes that are named one by one; JSON has all of them."""


def render_fit(found: Fit, stream: TextIO, *, next_command: str = "", width: int | None = None) -> None:
    """Write ``found`` for a person to read."""
    screen = open_screen(stream, width)
    what, rest = answer_words(found)
    screen.show(Text.assemble((what, f"bold {TERMINAL_ACCENT}"), rest))
    screen.show()
    show_assumed_sizes(screen, found.assumed, _SHOWN, style=TERMINAL_CURVE)
    if assumed_sizes(found.assumed):
        screen.show()
    columns = [taken for taken in (found.largest, found.following) if taken is not None and taken.parts]
    if columns:
        screen.show(_table(screen, found, columns))
        screen.show()
    if found.formula is not None:
        formula = screen.clean(format_polynomial(found.formula, found.dim))
        screen.show(Text.assemble(("Bytes = ", "bold"), (formula, TERMINAL_CURVE), "   true of both sizes"))
    about = f"The model was evaluated at {_sizes_words(found.evaluated)}"
    if found.runtime:
        about += f" ({screen.clean(found.runtime, limit=40)}, peak {grade_words(found.grade)})"
    screen.show(Text(f"{about}.", style=_QUIET))
    for part in columns[0].parts if columns else ():
        if part.source:
            screen.show(Text(f"{_title(part)}: {screen.clean(part.source, limit=300)}.", style=_QUIET))
    if found.error:
        screen.show(Text(f"Such sums were off by: {screen.clean(found.error, limit=200)}.", style=_QUIET))
    if next_command:
        screen.show()
        screen.show(Text.assemble(("Next: ", _QUIET), (next_command, "bold")), keep_lines=True)


def answer_words(found: Fit) -> tuple[str, str]:
    """Return the answer in two parts: the size, and why."""
    name, memory = safe_text(found.dim, limit=60), format_bytes(found.limit_bytes)
    memory = f"{memory} of {safe_text(found.board, limit=60)}" if found.board else memory
    largest, after = found.largest, found.following
    if largest is None and after is not None and after.fits is False:
        return f"No {name} fits {memory}", f": {after.size:,} takes {_amount(after)}"
    if largest is None or (after is not None and after.fits is None):
        what = f"the largest {name} that fits {memory} is not known"
        return f"{what[0].upper()}{what[1:]}", f"; {safe_text(found.hint)}" if found.hint else ""
    if after is None:
        return f"{name} {largest.size:,} fits {memory}", f": {_amount(largest)}; no larger one was asked about"
    step = f", the next in steps of {found.step:,}," if found.step > 1 else ""
    return (
        f"{name} {largest.size:,} fits {memory}",
        f": {_amount(largest)}; {after.size:,}{step} does not: {_amount(after)}",
    )


def _sizes_words(sizes: Sequence[int]) -> str:
    if len(sizes) > _MOST_SIZES:
        return f"{len(sizes)} sizes from {min(sizes):,} to {max(sizes):,}"
    return ", ".join(f"{size:,}" for size in sizes)


def _amount(taken: Taken) -> str:
    return "unknown" if taken.size_bytes is None else f"{taken.size_bytes:,} bytes"


def _table(screen: Screen, found: Fit, columns: list[Taken]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), highlight=False)
    table.add_column(Text(screen.clean(found.dim, limit=24), style=_QUIET))
    for taken in columns:
        table.add_column(Text(f"{taken.size:,}", style=_QUIET), justify="right")
    for i, part in enumerate(columns[0].parts):
        assumed = " (assumed)" if part.source.startswith("assumed") else ""
        cells = [Text(format_bytes(taken.parts[i].size_bytes)) for taken in columns]
        table.add_row(Text(f"{_title(part)}{assumed}"), *cells)
    sums = [Text(f"{format_bytes(t.size_bytes or 0)}", style="bold") for t in columns]
    table.add_row(Text("together", style="bold"), *sums)
    return table


def _title(part: Part) -> str:
    return safe_text(part.name, limit=60).replace("_", " ")
