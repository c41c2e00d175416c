"""Buffers that lie in the arena, by time: who is in the way of a buffer is found without looking at all others.

Time is cut into shelves of equal length. A buffer is on every shelf that its life touches, so those that may overlap
another one are on its shelves; each is met once, on the first shelf that both are on.
"""

from __future__ import annotations

from memprof.planning.meter import Meter
from memprof.planning.offsets.columns import Columns
from memprof.planning.offsets.problem import Ints

_SHELVES_PER_LIFE = 2
_SKEWED = 4
_STEPS_PER_CANDIDATE = 5  # looked at, over one step of the meter


class Shelves:
    """Buffers with offsets; see the module's docstring. All costs are those of the buffers on the same shelves.

    Attributes:
        top: Where each buffer ends, 0 if it lies nowhere.
        offset: Where each buffer begins, -1 if it lies nowhere.
    """

    def __init__(self, columns: Columns, meter: Meter) -> None:
        self._meter = meter
        meter.spend(columns.count)
        self._start, self._stop = columns.start.tolist(), columns.stop.tolist()
        self.size: list[int] = columns.size.tolist()
        length = _shelf_length(columns)
        self._first: list[int] = (columns.start // length).tolist()
        self._last: list[int] = ((columns.stop - 1) // length).tolist()
        self._on: list[list[int]] = [[] for _ in range(max(self._last, default=-1) + 1)]
        self.offset = [-1] * columns.count
        self.top = [0] * columns.count

    def near(self, b: int) -> list[int]:
        """Return the buffers that lie somewhere and share a step with ``b``, itself not among them."""
        start, stop, first = self._start, self._stop, self._first
        own_start, own_stop, own_first, own_last = start[b], stop[b], first[b], self._last[b]
        shelf = self._on[own_first]
        looked_at = len(shelf)
        found = [t for t in shelf if start[t] < own_stop and stop[t] > own_start]
        for k in range(own_first + 1, own_last):
            shelf = self._on[k]
            looked_at += len(shelf)
            found += [t for t in shelf if first[t] == k]
        if own_last > own_first:
            shelf = self._on[own_last]
            looked_at += len(shelf)
            found += [t for t in shelf if first[t] == own_last and start[t] < own_stop]
        self._meter.spend(5 + looked_at // _STEPS_PER_CANDIDATE)
        if self.offset[b] >= 0:
            found.remove(b)
        return found

    def lowest_gap(self, b: int) -> int:
        """Return the lowest offset at which ``b`` overlaps nothing."""
        offset, top, size = self.offset, self.top, self.size[b]
        near = self.near(b)
        near.sort(key=offset.__getitem__)
        bottom = 0
        for t in near:
            if offset[t] - bottom >= size:
                return bottom
            bottom = max(bottom, top[t])
        return bottom

    def put(self, b: int, offset: int) -> None:
        """Lay ``b``, which lies nowhere, at ``offset``."""
        self.offset[b] = offset
        self.top[b] = offset + self.size[b]
        for k in range(self._first[b], self._last[b] + 1):
            self._on[k].append(b)

    def take(self, b: int) -> None:
        """Take ``b`` away."""
        self.offset[b], self.top[b] = -1, 0
        for k in range(self._first[b], self._last[b] + 1):
            self._on[k].remove(b)


def _shelf_length(columns: Columns) -> int:
    """Return a part of the usual life, and of the average one if a few are very long: a life touches few shelves."""
    widths: Ints = columns.width
    if not len(widths):
        return 1
    ordered: list[int] = sorted(widths.tolist())
    usual = ordered[len(ordered) // 2]
    return max(1, usual // _SHELVES_PER_LIFE, sum(ordered) // len(ordered) // _SKEWED)
