"""What onnxruntime's arena takes of the heap for a sequence of requests.

    a region    1 MiB at first; where a request does not fit, regions double until it does, and each further region is
                twice as large as the last
    a chunk     requests are rounded up to 256 bytes and take the smallest free chunk that holds them, of several the
                one at the lowest address; it is split where it is twice as large, or larger by 128 MiB; freed
                neighbours join

A region has a table beside it, 8 bytes for every 256. Regions never go back while the session lives. Complexity:
O(requests log chunks).
"""

from __future__ import annotations

from bisect import bisect_left, insort

from memprof.runtimes.onnxruntime.process.heap import Heap

_ROUNDING = 256
_FIRST_REGION = 2**20
_LARGEST_WASTE = 128 * 2**20
_HANDLE = 8


class Arena:
    """An arena in a heap; an address is a region and a place in it."""

    def __init__(self, heap: Heap) -> None:
        self.held_bytes = 0
        self.heap = heap
        self._next = _FIRST_REGION
        self._regions: list[tuple[int, int]] = []  # (address in the heap, bytes)
        self._written: list[int] = []  # bytes of each region, up to the last one written to
        self._free: list[tuple[int, int, int, int]] = []  # (bytes, address of the region, start, region), ascending
        self._by_start: dict[tuple[int, int], int] = {}
        self._by_end: dict[tuple[int, int], int] = {}
        self._taken: dict[tuple[int, int], int] = {}

    def take(self, size: int) -> tuple[int, int]:
        """Return the address of ``size`` bytes, all of which are written."""
        padded = max(1, -(-size // _ROUNDING)) * _ROUNDING
        if not self._free or self._free[-1][0] < padded:
            self._extend(padded)
        got, _, start, region = self._free[bisect_left(self._free, (padded,))]
        self._remove(region, start, start + got)
        if got >= 2 * padded or got - padded >= _LARGEST_WASTE:
            self._add(region, start + padded, start + got)
            got = padded
        self._taken[region, start] = got
        self.heap.write(self._regions[region][0], start, start + size)
        self._written[region] = max(self._written[region], start + size)
        return region, start

    def moved_to(self, heap: Heap) -> Arena:
        """Return the same arena in another heap of a process that has it already: its regions lie beside."""
        found = Arena(heap)
        found.held_bytes, found._next = self.held_bytes, self._next
        sized = zip(self._regions, self._written, strict=True)
        found._regions = [(heap.hold_beside(size, written), size) for (_, size), written in sized]
        found._written = list(self._written)
        found._free = sorted(found._entry(region, start, start + size) for size, _, start, region in self._free)
        found._by_start, found._by_end = dict(self._by_start), dict(self._by_end)
        found._taken = dict(self._taken)
        return found

    def give(self, address: tuple[int, int]) -> None:
        """Give back what lies at ``address``."""
        region, start = address
        end = start + self._taken.pop(address)
        if (before := self._by_end.get((region, start))) is not None:
            self._remove(region, before, start)
            start = before
        if (after := self._by_start.get((region, end))) is not None:
            self._remove(region, end, after)
            end = after
        self._add(region, start, end)

    def _extend(self, size: int) -> None:
        region = self._next
        while region < size:
            region *= 2
        self._next = region if region > self._next else 2 * region
        self._regions.append((self.heap.take_aligned(region, written=0), region))
        self._written.append(0)
        self.heap.take(region // _ROUNDING * _HANDLE)
        self.held_bytes += region
        self._add(len(self._regions) - 1, 0, region)

    def _add(self, region: int, start: int, end: int) -> None:
        insort(self._free, self._entry(region, start, end))
        self._by_start[region, start], self._by_end[region, end] = end, start

    def _remove(self, region: int, start: int, end: int) -> None:
        del self._free[bisect_left(self._free, self._entry(region, start, end))]
        del self._by_start[region, start], self._by_end[region, end]

    def _entry(self, region: int, start: int, end: int) -> tuple[int, int, int, int]:
        return end - start, self._regions[region][0], start, region
