"""The block that onnxruntime allocates at once from the second run on: its memory pattern.

While a graph runs for the first time, onnxruntime notes every buffer it takes and gives back (graph outputs and
scratch are not among them) and lays them out in one block: sizes rounded up to 256 bytes, each in the smallest gap
between blocks alive at that moment that holds it, else at the end. Later runs with the same input shapes take the
whole block at their start. A body of a Loop or Scan has a block of its own, from its second iteration on.

The gaps are kept sorted by size, then place, and by both of their ends, so that a buffer finds its gap, and a gap its
neighbours, without a walk. Complexity: O(buffers log gaps) comparisons.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Sequence

from memprof.runtimes.onnxruntime.plan import ReusePlan

ALIGNMENT = 256


def pattern_bytes(plan: ReusePlan, sizes: Sequence[int | None], apart: frozenset[int]) -> int:
    """Return the bytes of the block.

    Args:
        plan: Who lives where.
        sizes: Bytes of each value; unknown ones count nothing.
        apart: Ids of values that are no part of it: graph outputs, tensors of strings.
    """
    ends: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
    block = Block()
    step = 0
    for value_id in plan.owned:
        size = sizes[value_id]
        if value_id in apart or not size:
            continue
        while step < plan.start[value_id]:
            for start, padded in ends.pop(step + 1, ()):
                block.give(start, padded)
            step += 1
        padded = rounded(size)
        ends[plan.stop[value_id]].append((block.take(padded), padded))
    return block.size_bytes


def rounded(size: int) -> int:
    """Return the bytes that a buffer of ``size`` bytes takes of the block."""
    return -(-size // ALIGNMENT) * ALIGNMENT


class Block:
    """The block while it grows: what is not taken of it, in gaps that never touch.

    Attributes:
        size_bytes: Its bytes so far; the gap behind the last buffer ends there.
    """

    def __init__(self) -> None:
        self.size_bytes = 0
        self._by_size: list[tuple[int, int]] = []  # (bytes, start), ascending
        self._by_start: dict[int, int] = {}  # start -> end
        self._by_end: dict[int, int] = {}  # end -> start

    def fork(self) -> Block:
        """Return a block that grows by itself from here."""
        other = Block()
        other.size_bytes, other._by_size = self.size_bytes, self._by_size.copy()
        other._by_start, other._by_end = self._by_start.copy(), self._by_end.copy()
        return other

    def __eq__(self, other: object) -> bool:
        """Whether what comes will be placed alike in both."""
        if not isinstance(other, Block):
            return NotImplemented
        return self.size_bytes == other.size_bytes and self._by_size == other._by_size

    __hash__ = None  # type: ignore[assignment]  # it changes

    def take(self, size: int) -> int:
        """Take ``size`` bytes of the smallest gap that holds them, the first of several, else at the end."""
        place = bisect_left(self._by_size, (size, 0))
        if place < len(self._by_size):
            gap, start = self._by_size[place]
            self._remove(start, start + gap)
            self._add(start + size, start + gap)
            return start
        start = self._by_end.get(self.size_bytes, self.size_bytes)
        if start < self.size_bytes:
            self._remove(start, self.size_bytes)
        self.size_bytes = start + size
        return start

    def give(self, start: int, size: int) -> None:
        """Give ``size`` bytes back."""
        end = start + size
        if (before := self._by_end.get(start)) is not None:
            self._remove(before, start)
            start = before
        if (after := self._by_start.get(end)) is not None:
            self._remove(end, after)
            end = after
        self._add(start, end)

    def _add(self, start: int, end: int) -> None:
        if start < end:
            insort(self._by_size, (end - start, start))
            self._by_start[start], self._by_end[end] = end, start

    def _remove(self, start: int, end: int) -> None:
        del self._by_size[bisect_left(self._by_size, (end - start, start))]
        del self._by_start[start], self._by_end[end]
