"""TensorFlow Lite Micro's planner of addresses: greedy by size.

    addresses that the file plans are taken as they are, in the order of the buffers
    then the largest buffer first; of equal sizes the later one in the list first
    each at the lowest gap among the buffers that live at the same time, all scopes inclusive

Source: tensorflow/lite/micro/memory_planner/greedy_memory_planner.cc (2026-08).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from memprof.runtimes.tflm.lifetimes import ONLINE, Need

MAX_BUFFERS = 6000
"""Every buffer is compared with all placed before it: above this, planning takes seconds, and days on a board."""


def place(buffers: Sequence[Need]) -> tuple[int, ...]:
    """Return the address of each buffer.

    Complexity: O(n²) for n buffers.
    """
    planned = [i for i, need in enumerate(buffers) if need.offset != ONLINE]
    online = [i for i, need in enumerate(buffers) if need.offset == ONLINE]
    online.sort(key=lambda i: (-buffers[i].size_bytes, -i))
    offsets = [0] * len(buffers)
    starts: list[int] = []  # of the placed buffers, ascending; of equal addresses the one placed first comes first
    placed: list[tuple[int, int, int, int]] = []  # the same: start, end, first, last
    for i in (*planned, *online):
        need = buffers[i]
        offset = need.offset
        if offset == ONLINE:
            offset, size, first, last = 0, need.size_bytes, need.first, need.last
            for start, end, begins, ends in placed:
                if begins <= last and first <= ends:
                    if start - offset >= size:
                        break
                    offset = max(offset, end)
        offsets[i] = offset
        at = bisect_right(starts, offset)
        starts.insert(at, offset)
        placed.insert(at, (offset, offset + need.size_bytes, need.first, need.last))
    return tuple(offsets)


def height(buffers: Sequence[Need], offsets: Sequence[int]) -> int:
    """Return the bytes that a plan takes: where its highest buffer ends."""
    return max((offset + need.size_bytes for need, offset in zip(buffers, offsets, strict=True)), default=0)


def load_bound(buffers: Sequence[Need], scopes: int) -> int:
    """Return the most bytes that live in one scope: no plan takes less."""
    change = [0] * (scopes + 2)
    for need in buffers:
        change[need.first + 1] += need.size_bytes  # scope -1 comes first
        change[need.last + 2 if need.last + 2 < len(change) else len(change) - 1] -= need.size_bytes
    highest = alive = 0
    for each in change[:-1]:
        alive += each
        highest = max(highest, alive)
    return highest
