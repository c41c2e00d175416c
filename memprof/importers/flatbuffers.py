"""Flatbuffers, read with care: tables, vectors and strings at offsets that a stranger wrote.

    root offset -> table -> (its vtable says where each field is) -> scalar | offset to a table, vector or string

Offsets between objects only point forwards, and the schemas of .tflite and .pte files nest a fixed number of levels,
so that no chain of offsets runs in a circle. What is left to a hostile file is pointing outside (every access is
checked against the file's size) and pointing at the same thing over and over (everything visited is counted).

Rules: nothing here knows what a field means; a vector of bytes (a weight) is located, never read; the file is read in
pages of 64 KiB, so that weights stay on the disk. Not a memory map: a file that is cut meanwhile would end the
process. Source: https://flatbuffers.dev/internals.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from struct import Struct

from memprof.base.errors import InputError, LimitError

MAX_TABLES = 150_000
MAX_ITEMS = 4_000_000
MAX_TEXT_BYTES = 2**16
MAX_PAGES = 1024
"""64 MiB: tables lie together or between weights, one page for each of them at worst."""

_PAGE_BITS = 16
_PAGE_BYTES = 1 << _PAGE_BITS
_OPEN_FLAGS = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)  # a FIFO must not block

_UINT8, _INT8, _UINT16, _INT32, _UINT32, _INT64, _UINT64 = (Struct(f"<{code}") for code in "BbHiIqQ")
_HINT = "Convert or download the model again."


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Have errors of what is read inside name the file that is at fault.

    Raises:
        InputError: What was raised inside, with the file's name.
        LimitError: As it was raised, or there was not enough memory.
    """
    try:
        yield
    except MemoryError as error:
        raise LimitError(f"{path} needs more memory than there is.") from error
    except LimitError:
        raise
    except InputError as error:
        if str(path) in error.message:
            raise
        raise InputError(f"{path}: {error.message}", error.hint) from error


@contextmanager
def open_flatbuffer(path: Path, what: str = "a TensorFlow Lite model") -> Iterator[Flatbuffer]:
    """Open a file for as long as it is read.

    Args:
        path: The file.
        what: What it ought to be, for messages.

    Raises:
        InputError: The file is missing, unreadable, no regular file or too short.
    """
    try:
        descriptor = os.open(path, _OPEN_FLAGS)
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise InputError(f"Cannot open {path}: {reason}.", "Check the path and its permissions.") from error
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            found = "a directory" if stat.S_ISDIR(status.st_mode) else "not a regular file"
            raise InputError(f"Cannot read {path}: it is {found}.", f"Name {what}.")
        if status.st_size == 0:
            raise InputError(f"{path} is empty.", _HINT)
        yield Flatbuffer(lambda start, length: _read(descriptor, start, length), status.st_size, what)
    except OSError as error:
        raise InputError(f"Cannot read {path}: {error.strerror or error}.") from error
    finally:
        os.close(descriptor)


def _read(descriptor: int, start: int, length: int) -> bytes:
    os.lseek(descriptor, start, os.SEEK_SET)
    return os.read(descriptor, length)


class Flatbuffer:
    """A file of flatbuffers, its accesses checked and counted.

    Args:
        read: Returns up to so many bytes from a position on.
        size: Bytes of the file.
        what: What the file ought to be, for messages.
    """

    def __init__(self, read: Callable[[int, int], bytes], size: int, what: str = "a TensorFlow Lite model") -> None:
        self._read = read
        self.size = size
        self._what = what
        self._pages: dict[int, bytes] = {}
        self._tables = 0
        self._items = 0

    def at(self, position: int, length: int) -> bytes:
        """Return so many bytes from a position on.

        Raises:
            InputError: They are not all in the file.
        """
        stop = position + length
        if position < 0 or stop > self.size:
            raise self.outside(position)
        first, last = position >> _PAGE_BITS, max(position, stop - 1) >> _PAGE_BITS
        window = b"".join([self._page(i) for i in range(first, last + 1)])
        base = position - (first << _PAGE_BITS)
        found = window[base : base + length]
        if len(found) < length:  # the file was cut while it was read
            raise self.outside(position)
        return found

    def unpack(self, code: Struct, position: int) -> int:
        """Return the number at a position."""
        page = self._pages.get(position >> _PAGE_BITS)
        place = position & (_PAGE_BYTES - 1)
        if page is not None and position >= 0 and place + code.size <= len(page):
            return int(code.unpack_from(page, place)[0])
        return int(code.unpack(self.at(position, code.size))[0])

    def uint32(self, position: int) -> int:
        """Return the unsigned 32-bit number at a position."""
        return self.unpack(_UINT32, position)

    def table(self, position: int) -> Table:
        """Return the table at a position, its vtable checked.

        Raises:
            InputError: A part of either lies outside of the file.
            LimitError: More tables were visited than a model has.
        """
        self._tables += 1
        if self._tables > MAX_TABLES:
            raise LimitError(f"The model has more than {MAX_TABLES} tables (tensors, operators, buffers).")
        vtable = position - self.unpack(_INT32, position)
        if not 0 <= vtable <= self.size - 4:
            raise self.outside(position)
        vtable_bytes, table_bytes = self.unpack(_UINT16, vtable), self.unpack(_UINT16, vtable + 2)
        if vtable_bytes < 4 or vtable_bytes % 2 or vtable + vtable_bytes > self.size:
            raise self.outside(vtable)
        if table_bytes < 4 or position + table_bytes > self.size:
            raise self.outside(position)
        return Table(self, position, vtable, vtable_bytes, table_bytes)

    def vector(self, position: int, item_bytes: int) -> tuple[int, int]:
        """Return where the items of the vector that ``position`` points to begin, and how many there are."""
        start = position + self.uint32(position)
        if start > self.size - 4:
            raise self.outside(position)
        count = self.uint32(start)
        if start + 4 + count * item_bytes > self.size:
            raise self.outside(start)
        return start + 4, count

    def count(self, items: int) -> None:
        """Count what is taken out of vectors.

        Raises:
            LimitError: It is more than a model has.
        """
        self._items += items
        if self._items > MAX_ITEMS:
            raise LimitError(f"The model's vectors hold more than {MAX_ITEMS} items.")

    def outside(self, position: int) -> InputError:
        """Return the error of an offset that leads out of the file."""
        return InputError(f"This is not {self._what}, or it is cut off: byte {position} points outside.", _HINT)

    def _page(self, number: int) -> bytes:
        page = self._pages.get(number)
        if page is None:
            if len(self._pages) >= MAX_PAGES:
                self._pages.pop(next(iter(self._pages)))
            page = self._read(number << _PAGE_BITS, _PAGE_BYTES)
            self._pages[number] = page
        return page


@dataclass(frozen=True, slots=True)
class Table:
    """One table: its fields by number, each with the default that the schema gives one that is left out.

    Attributes:
        file: Where it lies.
        position: At which byte.
        vtable: Where its vtable lies.
        vtable_bytes: Length of that.
        table_bytes: Length of what is inline.
    """

    file: Flatbuffer
    position: int
    vtable: int
    vtable_bytes: int
    table_bytes: int

    def place(self, field: int, width: int) -> int | None:
        """Return where the value of a field lies, ``None`` if it is left out.

        Raises:
            InputError: It does not lie in the table.
        """
        slot = 4 + 2 * field
        if slot + 2 > self.vtable_bytes:
            return None
        offset = self.file.unpack(_UINT16, self.vtable + slot)
        if offset == 0:
            return None
        if offset < 4 or offset + width > self.table_bytes:
            raise self.file.outside(self.position)
        return self.position + offset

    def number(self, field: int, code: Struct, default: int = 0) -> int:
        """Return a scalar field."""
        place = self.place(field, code.size)
        return default if place is None else self.file.unpack(code, place)

    def uint8(self, field: int) -> int:
        """Return an unsigned byte, a boolean or the type of a union."""
        return self.number(field, _UINT8)

    def int8(self, field: int) -> int:
        """Return a signed byte."""
        return self.number(field, _INT8)

    def int32(self, field: int, default: int = 0) -> int:
        """Return a signed 32-bit number."""
        return self.number(field, _INT32, default)

    def uint32(self, field: int) -> int:
        """Return an unsigned 32-bit number."""
        return self.number(field, _UINT32)

    def int64(self, field: int) -> int:
        """Return a signed 64-bit number."""
        return self.number(field, _INT64)

    def uint64(self, field: int) -> int:
        """Return an unsigned 64-bit number."""
        return self.number(field, _UINT64)

    def has(self, field: int) -> bool:
        """Tell whether a field is there."""
        return self.place(field, 0) is not None

    def child(self, field: int) -> Table | None:
        """Return the table that a field points to."""
        place = self.place(field, 4)
        return None if place is None else self.file.table(place + self.file.uint32(place))

    def children(self, field: int) -> Iterator[Table]:
        """Yield the tables of a vector."""
        place = self.place(field, 4)
        if place is None:
            return
        start, count = self.file.vector(place, 4)
        self.file.count(count)
        for i in range(start, start + 4 * count, 4):
            yield self.file.table(i + self.file.uint32(i))

    def span(self, field: int, item_bytes: int = 1) -> tuple[int, int]:
        """Return where a vector's items begin and how many there are; ``(0, 0)`` if it is left out."""
        place = self.place(field, 4)
        return (0, 0) if place is None else self.file.vector(place, item_bytes)

    def int32s(self, field: int) -> tuple[int, ...] | None:
        """Return a vector of signed 32-bit numbers, ``None`` if it is left out."""
        place = self.place(field, 4)
        if place is None:
            return None
        start, count = self.file.vector(place, 4)
        self.file.count(count)
        return Struct(f"<{count}i").unpack(self.file.at(start, 4 * count))

    def int64s(self, field: int) -> tuple[int, ...]:
        """Return a vector of signed 64-bit numbers, empty if it is left out."""
        start, count = self.span(field, 8)
        self.file.count(count)
        return Struct(f"<{count}q").unpack(self.file.at(start, 8 * count)) if count else ()

    def text(self, field: int) -> str:
        """Return a string, empty if it is left out.

        Raises:
            InputError: It is not UTF-8.
            LimitError: It is longer than any name.
        """
        start, length = self.span(field)
        if length > MAX_TEXT_BYTES:
            raise LimitError(f"The model holds a name of {length} bytes.")
        self.file.count(length >> 4)
        try:
            return self.file.at(start, length).decode() if length else ""
        except UnicodeDecodeError as error:
            raise InputError(f"The model holds a name that is not UTF-8, at byte {start}.", _HINT) from error
