"""What the C library's malloc takes of the system for a sequence of requests: glibc's main arena, and maps beside.

    a request       the smallest free chunk that holds it; else the end of the heap; else, from a threshold on, a map
                    of its own; else the heap grows, by what is missing and 128 KiB
    what is freed   a map goes back, and the threshold rises to its size (up to 32 MiB); a chunk joins free neighbours
                    and the end of the heap, whose surplus goes back once it is twice the threshold
    aligned         asks for more and cuts both ends off; ends of up to 1 KiB are soon taken by small objects, so that
                    what is free on both sides never joins

So whoever frees large things and asks for larger ones leaves holes, and holes stay resident. A page is resident once
something was written to it. Complexity: O(requests log chunks), and a byte of memory for each page.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import dataclass

from memprof.ir.model import Loading

_PAGE = 4096
_HEADER = 16
_SMALLEST = 32
_SMALL = 1040
_PAD = 131_072
_LARGEST_THRESHOLD = 32 * 2**20
_JOINED = 65_536  # a free chunk from here on makes the allocator look at its end
_ALIGNMENT = 64  # what onnxruntime asks for
_FIRST_MAP, _LAST_MAP = 1 << 50, 1 << 62  # maps lie above the heap, each below the one before
_THRESHOLD = 220_000  # found in a Python process that has imported NumPy and onnxruntime


@dataclass(slots=True)
class _Map:
    size: int
    written: int


class Heap:
    """A heap; addresses are its own."""

    def __init__(self) -> None:
        self._threshold = _THRESHOLD
        self._top = self._end = 0
        self._free: list[tuple[int, int]] = []  # (bytes, start), ascending
        self._by_start: dict[int, int] = {}
        self._by_end: dict[int, int] = {}
        self._chunks: dict[int, int] = {}
        self._maps: dict[int, _Map] = {}
        self._next_map = _LAST_MAP
        self._written = bytearray(1024)

    @classmethod
    def after(cls, loading: Loading) -> Heap:
        """Return the heap of a process that has made a session; pages beside the heap count nothing."""
        heap = cls()
        heap._threshold = loading.threshold
        heap._top, heap._end = loading.top, loading.end
        for start, size in loading.holes:
            heap._add(start, start + size)
        heap._written = bytearray(-(-loading.end // _PAGE))
        for first, last in loading.written:
            heap._written[first:last] = b"\x01" * (last - first)
        return heap

    @property
    def resident_bytes(self) -> int:
        """Bytes that the system counts."""
        return sum(self._written) * _PAGE + sum(one.written for one in self._maps.values())

    def take(self, size: int, *, written: int | None = None) -> int:
        """Return the address of ``size`` bytes, of which ``written`` are written, all unless said otherwise."""
        address, got = self._find(_padded(size))
        return self._hold(address, got, size if written is None else written)

    def take_aligned(self, size: int, *, written: int | None = None) -> int:
        """The same for bytes that onnxruntime asks for, aligned."""
        padded = _padded(size)
        address, got = self._find(padded + _ALIGNMENT + _SMALLEST)
        if address < _FIRST_MAP:
            lead = -(address + _HEADER) % _ALIGNMENT
            lead += _ALIGNMENT if 0 < lead < _SMALLEST else 0
            self._cut(address, address + lead)
            address, got = address + lead, got - lead
            if got - padded >= _SMALLEST:
                self._cut(address + padded, address + got)
                got = padded
        return self._hold(address, got, size if written is None else written)

    def hold_beside(self, size: int, written: int) -> int:
        """Return the address of a map of ``size`` bytes, of which ``written`` are written."""
        got = -(-(size + 8) // _PAGE) * _PAGE
        self._next_map -= got + _PAGE
        return self._hold(self._next_map, got, written)

    def write(self, address: int, start: int, stop: int) -> None:
        """Write to bytes ``[start, stop)`` of what lies at ``address``."""
        if address in self._maps:
            found = self._maps[address]
            found.written = max(found.written, -(-stop // _PAGE) * _PAGE)
        else:
            self._touch(address + _HEADER + start, address + _HEADER + stop)

    def give(self, address: int) -> None:
        """Give back what lies at ``address``."""
        if (found := self._maps.pop(address, None)) is not None:
            if self._threshold < found.size <= _LARGEST_THRESHOLD:
                self._threshold = found.size
        else:
            self._release(address, address + self._chunks.pop(address))

    def _cut(self, start: int, end: int) -> None:
        if end - start > _SMALL or end == self._top:
            self._release(start, end)

    def _find(self, size: int) -> tuple[int, int]:
        place = bisect_left(self._free, (size, 0))
        if place < len(self._free):
            got, address = self._free[place]
            self._remove(address, address + got)
            if got - size >= _SMALLEST:
                self._add(address + size, address + got)
                got = size
            return address, got
        if self._end - self._top < size + _SMALLEST:
            if size >= self._threshold:
                got = -(-(size + 8) // _PAGE) * _PAGE
                self._next_map -= got + _PAGE
                return self._next_map, got
            missing = size + _PAD + _SMALLEST - (self._end - self._top)
            self._end += -(-missing // _PAGE) * _PAGE
        self._top += size
        return self._top - size, size

    def _hold(self, address: int, got: int, written: int) -> int:
        if address >= _FIRST_MAP:
            self._maps[address] = _Map(got, -(-(written + _HEADER) // _PAGE) * _PAGE)
        else:
            self._chunks[address] = got
            self._touch(address, address + _HEADER + written)
        return address

    def _release(self, start: int, end: int) -> None:
        if (before := self._by_end.get(start)) is not None:
            self._remove(before, start)
            start = before
        if (after := self._by_start.get(end)) is not None:
            self._remove(end, after)
            end = after
        if end == self._top:
            self._top = start
        else:
            self._add(start, end)
        if end - start >= _JOINED and self._end - self._top >= 2 * self._threshold:
            surplus = (self._end - self._top - _SMALLEST - 1 - _PAD) // _PAGE * _PAGE
            self._end -= surplus
            first = self._end // _PAGE
            self._written[first:] = bytes(max(0, len(self._written) - first))

    def _touch(self, start: int, stop: int) -> None:
        first, last = start // _PAGE, -(-stop // _PAGE)
        if last > len(self._written):
            self._written.extend(bytes(max(last, 2 * len(self._written)) - len(self._written)))
        self._written[first:last] = b"\x01" * (last - first)

    def _add(self, start: int, end: int) -> None:
        insort(self._free, (end - start, start))
        self._by_start[start], self._by_end[end] = end, start

    def _remove(self, start: int, end: int) -> None:
        del self._free[bisect_left(self._free, (end - start, start))]
        del self._by_start[start], self._by_end[end]


def _padded(size: int) -> int:
    return max(_SMALLEST, (size + 8 + 15) // 16 * 16)
