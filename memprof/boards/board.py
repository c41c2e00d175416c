"""A board: banks of RAM, flash, the kernels that its core runs, and where the figures come from.

The table is data: ``boards.toml`` beside this file. Others are read from files of the same form, so that nobody has
to change memprof to add one.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType
from typing import Any

from memprof.base.errors import InputError, UsageError
from memprof.base.files import read_plain
from memprof.base.units import parse_bytes

KERNELS = ("portable", "cmsis-nn", "cmsis-nn-mve")
"""Sets of kernels that a core runs: see ``memprof.runtimes.tflm.scratch``."""

MAX_BYTES = 2**20
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,60}")
_FIELDS = frozenset(
    {"name", "title", "core", "kernels", "ram", "external-ram", "flash", "external-flash", "source", "checked"}
)
_DATA = Path(__file__).with_name("boards.toml")


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """One board.

    Attributes:
        name: As people type it.
        title: As its maker calls it.
        core: Core and clock, for people.
        kernels: One of ``KERNELS``.
        ram: Bytes of each bank of RAM on the chip; an arena lies within one.
        external_ram: Bytes of each bank beside the chip.
        flash: Bytes of each flash, on the chip or beside it; a model lies within one.
        source: The document that the figures are from.
        checked: Which of them were compared with which published page; empty for none.
    """

    name: str
    title: str
    core: str
    kernels: str
    ram: Mapping[str, int]
    external_ram: Mapping[str, int]
    flash: Mapping[str, int]
    source: str
    checked: str = ""

    @property
    def largest_ram(self) -> tuple[str, int]:
        """The largest bank on the chip."""
        return max(self.ram.items(), key=lambda bank: bank[1])

    @property
    def largest_ram_anywhere(self) -> tuple[str, int]:
        """The largest bank, on the chip or beside it."""
        return max((*self.ram.items(), *self.external_ram.items()), key=lambda bank: bank[1])

    @property
    def ram_bytes(self) -> int:
        """Bytes of RAM on the chip, all banks together."""
        return sum(self.ram.values())

    @property
    def largest_flash(self) -> tuple[str, int]:
        """The largest flash."""
        return max(self.flash.items(), key=lambda bank: bank[1])


def read_boards(path: Path) -> Mapping[str, Board]:
    """Return the boards of a TOML file by name.

    Raises:
        InputError: The file is missing, no TOML, or a board in it is not whole.
    """
    try:
        document = tomllib.loads(read_plain(path, MAX_BYTES, "a table of boards").decode())
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is no TOML: {error}.", _EXAMPLE) from error
    rows = document.get("board")
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise InputError(f"{path} holds no [[board]].", _EXAMPLE)
    found: dict[str, Board] = {}
    for row in rows:
        board = _board(row, path)
        if board.name in found:
            raise InputError(f"{path} has two boards named {board.name!r}.")
        found[board.name] = board
    return MappingProxyType(found)


def find_board(name: str) -> Board:
    """Return a board by name; ``FILE.toml`` names the only board of a file, ``FILE.toml:NAME`` one of several.

    Raises:
        UsageError: There is none of that name.
        InputError: The file is missing or holds no boards.
    """
    file, colon, inner = name.partition(".toml")
    if colon and (not inner or inner.startswith(":")):
        boards = read_boards(Path(f"{file}.toml"))
        wanted = inner.removeprefix(":")
        if not wanted and len(boards) == 1:
            return next(iter(boards.values()))
        if wanted in boards:
            return boards[wanted]
        raise UsageError(f"{file}.toml has no board {wanted!r}.", f"Name one: {file}.toml:{next(iter(boards))}.")
    if name in BOARDS:
        return BOARDS[name]
    plain = _plain(name)
    near = [each.name for each in BOARDS.values() if plain and plain in f"{_plain(each.name)} {_plain(each.title)}"][
        :3
    ]
    near = near or get_close_matches(name, BOARDS, n=3, cutoff=0.5)
    raise UsageError(
        f"There is no board {name!r}.", f"Nearest: {', '.join(near)}." if near else "List them: memprof boards"
    )


def _plain(text: str) -> str:
    """Return a name without what people leave out of it."""
    return "".join([letter for letter in text.lower() if letter.isalnum()])


_EXAMPLE = (
    'Write: [[board]] name = "mine", title = "My board", core = "Cortex-M7", kernels = "cmsis-nn", '
    'ram = { sram = "512K" }, flash = { internal = "2M" }, source = "data sheet"'
)


def _board(row: Mapping[str, Any], path: Path) -> Board:
    name = row.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InputError(f"A board of {path} has no name of small letters, digits and dashes.", _EXAMPLE)
    if odd := sorted(set(row) - _FIELDS):
        raise InputError(f"Board {name} of {path} has a field {odd[0]!r}.", f"Known: {', '.join(sorted(_FIELDS))}.")
    texts = {field: row.get(field, "") for field in ("title", "core", "source", "checked", "kernels")}
    for field, text in texts.items():
        if not isinstance(text, str) or len(text) > 500:
            raise InputError(f"Board {name} of {path}: {field} is no text.", _EXAMPLE)
    if texts["kernels"] not in KERNELS:
        raise InputError(f"Board {name} of {path}: kernels is none of {', '.join(KERNELS)}.", _EXAMPLE)
    ram, flash = _banks(row, "ram", name, path), _banks(row, "flash", name, path)
    flash |= {f"external {bank}": size for bank, size in _banks(row, "external-flash", name, path).items()}
    if not ram or not flash:
        raise InputError(f"Board {name} of {path} has no {'RAM' if not ram else 'flash'}.", _EXAMPLE)
    return Board(
        name=name,
        title=texts["title"],
        core=texts["core"],
        kernels=texts["kernels"],
        ram=MappingProxyType(ram),
        external_ram=MappingProxyType(_banks(row, "external-ram", name, path)),
        flash=MappingProxyType(flash),
        source=texts["source"],
        checked=texts["checked"],
    )


def _banks(row: Mapping[str, Any], field: str, name: str, path: Path) -> dict[str, int]:
    banks = row.get(field, {})
    if not isinstance(banks, dict):
        raise InputError(f"Board {name} of {path}: {field} is no table of banks.", _EXAMPLE)
    found = {}
    for bank, size in banks.items():
        try:
            found[str(bank)] = size if type(size) is int and size > 0 else parse_bytes(str(size))
        except UsageError as error:
            raise InputError(f"Board {name} of {path}: {field}.{bank}: {error.message}", error.hint) from error
    return found


BOARDS: Mapping[str, Board] = read_boards(_DATA)
"""The boards that memprof knows, by name."""
