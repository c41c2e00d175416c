"""The CSV of google/minimalloc, both ways: one row per buffer, a header, half-open live ranges.

    column   what
    id       name of the buffer
    lower    first step at which it lives
    upper    first step at which it no longer lives
    size     bytes
    offset   first byte in the arena; in a plan, or where somebody wants a buffer; may be empty

Columns come in any order. A column that is not in the table is refused, not dropped: minimalloc's ``alignment`` and
``gaps`` change what a plan must keep to, and its older ``start`` and ``end`` are inclusive. A table says nothing of
traffic: each byte is taken to be written once and read once.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import TextIO

from memprof.base.errors import InputError, LimitError
from memprof.base.files import read_plain
from memprof.base.text import safe_text, text_cell
from memprof.planning.offsets.problem import AllocationBuffer, AllocationProblem, MemoryPlan

MAX_FILE_BYTES = 256 * 2**20
MAX_ROWS = 200_000
MAX_DIGITS = 18
_MAX_NAME = 10_000

_NEEDED = ("id", "lower", "upper", "size")
_COLUMNS = (*_NEEDED, "offset")


@dataclass(frozen=True, slots=True)
class AllocationTable:
    """What a CSV file holds.

    Attributes:
        problem: The buffers.
        offsets: One offset per buffer, ``None`` if the file is a question or leaves some out.
        placed_count: How many buffers have an offset.
        placed_bytes: What an arena takes that holds those at their offsets.
    """

    problem: AllocationProblem
    offsets: tuple[int, ...] | None
    placed_count: int = 0
    placed_bytes: int = 0


def read_csv(path: Path, alignment: int = 1) -> AllocationTable:
    """Read the CSV file at ``path``.

    Raises:
        InputError: The file is missing or no such table; the message names the line.
    """
    try:
        text = read_plain(path, MAX_FILE_BYTES, "a table of buffers").decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is no text: byte {error.start} is not UTF-8.", "Save it as UTF-8.") from error
    return parse_csv(text, str(path), alignment)


def parse_csv(text: str, name: str = "CSV", alignment: int = 1) -> AllocationTable:
    """Read a table from ``text``; ``name`` is what messages call it.

    Raises:
        InputError: It is no such table; the message names the line.
        LimitError: It has more than ``MAX_ROWS`` lines.

    >>> parse_csv("id,lower,upper,size\\nb1,0,3,4\\n").problem.load_bytes
    4
    """
    if text.count("\n") > MAX_ROWS + 1:  # the header
        raise LimitError(f"{name} has more than {MAX_ROWS:,} lines.", "Check that it is a list of buffers.")
    rows = csv.reader(StringIO(text, newline=""), strict=True)
    buffers: list[AllocationBuffer] = []
    placed: list[tuple[int, int]] = []
    lines: dict[str, int] = {}
    try:
        columns = _read_header(next(rows, []), name)
        for row in rows:
            if not any(cell.strip() for cell in row):
                continue
            buffer, offset = _read_row(row, columns, f"{name}, line {rows.line_num}")
            if (first := lines.setdefault(buffer.name, rows.line_num)) != rows.line_num:
                raise _bad(f"{name}, line {rows.line_num}", f"id {safe_text(buffer.name)!r} is also in line {first}")
            buffers.append(buffer)
            if offset is not None:
                placed.append((offset, offset + buffer.size_bytes))
    except csv.Error as error:
        raise _bad(f"{name}, line {rows.line_num}", str(error)) from error
    problem = AllocationProblem(buffers=tuple(buffers), alignment=alignment)
    is_plan = "offset" in columns and len(placed) == len(buffers)
    return AllocationTable(
        problem=problem,
        offsets=tuple(offset for offset, _ in placed) if is_plan else None,
        placed_count=len(placed),
        placed_bytes=max((stop for _, stop in placed), default=0),
    )


def write_csv(plan: MemoryPlan, stream: TextIO) -> None:
    """Write ``plan`` with its offsets; sizes are those of the buffers, not rounded."""
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow((*_NEEDED, "offset"))
    for buffer, offset in zip(plan.problem.buffers, plan.offsets, strict=True):
        writer.writerow((text_cell(buffer.name, _MAX_NAME), buffer.start, buffer.stop, buffer.size_bytes, offset))


def _read_header(row: list[str], name: str) -> dict[str, int]:
    columns: dict[str, int] = {}
    for i, title in enumerate(row):
        column = title.strip().lower()
        if column not in _COLUMNS or column in columns:
            what = "the column is there twice" if column in columns else "there is no such column"
            raise _bad(f"{name}, line 1", f"{safe_text(title)!r}: {what}")
        columns[column] = i
    lacking = [column for column in _NEEDED if column not in columns]
    if lacking:
        raise _bad(f"{name}, line 1", f"the header lacks {', '.join(lacking)}")
    return columns


def _read_row(row: list[str], columns: Mapping[str, int], where: str) -> tuple[AllocationBuffer, int | None]:
    if len(row) != len(columns):
        raise _bad(where, f"{len(row)} cells under a header of {len(columns)}")
    numbers = {
        title: _read_number(row[i], title, where)
        for title, i in columns.items()
        if title != "id" and (title != "offset" or row[i].strip())
    }
    if numbers["upper"] < numbers["lower"]:
        raise _bad(where, f"upper {numbers['upper']} is below lower {numbers['lower']}")
    try:
        buffer = AllocationBuffer(
            name=row[columns["id"]].strip(),
            start=numbers["lower"],
            stop=numbers["upper"],
            size_bytes=numbers["size"],
            traffic_bytes=2 * numbers["size"],
        )
    except InputError as error:
        raise _bad(where, error.message.rstrip(".")) from error
    return buffer, numbers.get("offset")


def _read_number(cell: str, title: str, where: str) -> int:
    text = cell.strip()
    if not (text.isascii() and text.isdecimal()):
        raise _bad(where, f"{title} {safe_text(text, 40)!r} is no whole number from 0 up")
    if len(text) > MAX_DIGITS:
        raise _bad(where, f"{title} {safe_text(text, 40)!r} has {len(text)} digits, more than {MAX_DIGITS}")
    return int(text)


def _bad(where: str, what: str) -> InputError:
    return InputError(f"{where}: {what}.", "Columns: id,lower,upper,size[,offset]; upper is exclusive.")
