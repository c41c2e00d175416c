"""Boards, and models on them, as text: KiB throughout, as memories are sold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TextIO

from rich.table import Table
from rich.text import Text

from memprof.boards import Board, BoardFit, Footprint
from memprof.render.terminal import Screen, open_screen

_QUIET = "dim"
_LONGEST = 600
_WIDE = 120
"""Columns from which a table has room for documents too."""
_STYLES = {
    "as it is": "bold green",
    "planned": "bold green",
    "external": "bold yellow",
    "no": "bold red",
    "open": "bold yellow",
}
_WORDS = {"as it is": "yes", "planned": "planned", "external": "external", "no": "no", "open": "open"}


def render_boards(boards: Sequence[Board], stream: TextIO, *, next_command: str = "") -> None:
    """Write the table of boards to ``stream``."""
    screen = open_screen(stream)
    is_wide = screen.width >= _WIDE
    table = _table(screen, "board", "core", "RAM, by bank", "flash", *(["from"] if is_wide else []))
    for board in sorted(boards, key=lambda board: (board.ram_bytes, board.name)):
        outer = {f"external {name}": size for name, size in board.external_ram.items()}
        table.add_row(
            screen.clean(board.name),
            screen.clean(board.core),
            screen.clean(_banks({**board.ram, **outer})),
            screen.clean(_banks(board.flash)),
            *([screen.clean(board.source, limit=60)] if is_wide else []),
        )
    where = "" if is_wide else "; --json has the document that each stems from"
    screen.show(Text(f"{len(boards)} boards; K is 1,024 bytes{where}"), "", table)
    if next_command:
        screen.show("", Text.assemble(("Next: ", _QUIET), (next_command, "bold")), keep_lines=True)
    else:
        screen.show(
            "", Text("memprof boards FILE, with a .tflite file of yours, says which of them it fits.", _QUIET)
        )


def render_fits(
    fits: Sequence[BoardFit], smallest: BoardFit | None, found: Footprint, stream: TextIO, *, next_command: str = ""
) -> None:
    """Write which boards a model fits to ``stream``, the smallest of them first."""
    screen = open_screen(stream)
    fitting = sum(1 for fit in fits if fit.fits)
    head = f"Fits {fitting} of {len(fits)} boards"
    name = "" if smallest is None else f"; the smallest is {smallest.board.name}, {_ram_words(smallest)}"
    screen.show(Text.assemble((head, "bold"), screen.clean(name)), "")
    table = _table(screen, "board", "fits", "RAM used", "of bank", "flash used", "of")
    for column in (2, 3, 4, 5):
        table.columns[column].justify = "right"
    for fit in sorted(fits, key=lambda fit: (fit.board.ram_bytes, fit.board.name)):
        table.add_row(
            screen.clean(fit.board.name),
            Text(_WORDS[fit.how], style=_STYLES[fit.how]),
            "unknown" if fit.ram_bytes is None else _kib(fit.ram_bytes),
            screen.clean(f"{_kib(fit.ram_limit_bytes)} {fit.bank}"),
            _kib(fit.flash_bytes),
            _kib(fit.flash_limit_bytes),
        )
    screen.show(table, "", Text(_legend(found), style=_QUIET))
    if next_command:
        screen.show("", Text.assemble(("Next: ", _QUIET), (next_command, "bold")), keep_lines=True)


def render_fit(fit: BoardFit, found: Footprint, stream: TextIO, *, next_command: str = "") -> None:
    """Write how a model stands on one board to ``stream``."""
    screen = open_screen(stream)
    word = {True: "Fits", False: "Does not fit", None: "Open"}[fit.fits]
    said = f" on {fit.board.title or fit.board.name}{', ' if fit.fits else ': '}{fit.reason}"
    screen.show(Text.assemble((word, _STYLES[fit.how]), screen.clean(said, limit=_LONGEST)), "")
    table = _table(screen, "", "used", "limit", "")
    table.columns[1].justify = table.columns[2].justify = "right"
    used = "unknown" if fit.ram_bytes is None else _kib(fit.ram_bytes)
    banks = {**fit.board.ram, **fit.board.external_ram}
    table.add_row("RAM", used, _kib(fit.ram_limit_bytes), screen.clean(f"bank {fit.bank} of {_banks(banks)}"))
    table.add_row("Flash", _kib(fit.flash_bytes), _kib(fit.flash_limit_bytes), screen.clean(fit.flash))
    screen.show(table, "", Text(screen.clean(_legend(found), limit=_LONGEST), style=_QUIET))
    figures = f"Figures of the board: {fit.board.source}{_checked(fit.board)}."
    screen.show(Text(screen.clean(figures, limit=_LONGEST), style=_QUIET))
    if next_command:
        screen.show("", Text.assemble(("Next: ", _QUIET), (next_command, "bold")), keep_lines=True)


def _ram_words(fit: BoardFit) -> str:
    return f"{_kib(fit.ram_limit_bytes)} of RAM{' beside the chip' if fit.how == 'external' else ''}"


def _legend(found: Footprint) -> str:
    text = f"RAM: {found.counts}, and the margin beside it; flash: the model and the runtime's code, 64 KiB."
    return text + (f" Not known: {'; '.join(found.unproven[:3])}." if found.unproven else "")


def _table(screen: Screen, *titles: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style=_QUIET, highlight=False)
    for title in titles:
        table.add_column(title, no_wrap=not table.columns)  # the name, which is typed
    return table


def _banks(banks: object) -> str:
    assert hasattr(banks, "items"), "banks are a mapping"
    return ", ".join(f"{name} {_kib(size)}" for name, size in banks.items())


def _kib(size: int) -> str:
    """Return a size as memories are sold; a size that is used rounds up."""
    whole = -(-size // 1024)
    return f"{whole // 1024} MiB" if whole >= 1024 and whole % 1024 == 0 else f"{whole:,} KiB"


def _checked(board: Board) -> str:
    return f". Compared: {board.checked}" if board.checked else "; compared with no other page"
