"""First fit in a given order, as a kernel: who is in the way of a buffer is found on the shelves of time it is on.

    offset ^   shelf 0 | shelf 1 | shelf 2        time is cut into shelves of equal length; each holds the buffers
           |   ┌───────┼────┐    |                whose life touches it as a chain by offset
           |   |   a   |    |  ┌─┼──────┐
           └───┴───────┴────┴──┴─┴──────┴──> steps

A buffer climbs its shelves in turn: whatever on one of them shares a step with it and begins below its
end lifts it, until none of them does any more. That is the lowest gap, found without sorting and without a list of
all that overlap.

This file is one source for two engines, as ``kernel`` is: only integers, indices and loops. Placing is resumable.
"""

from __future__ import annotations

from typing import Any, NamedTuple

NEXT, TOP = 0, 1
"""Places in ``Shelving.control``: how many of the order are placed, and where the highest of them ends."""

CONTROL_SIZE = 2

Column = Any
"""A list of ints, or an int64 array."""


class Shelving(NamedTuple):
    """All columns: b is a buffer, k a shelf, i a place on some shelf."""

    start: Column  # b -> first step
    stop: Column  # b -> first step no longer
    size: Column  # b -> bytes
    first: Column  # b -> its first shelf
    last: Column  # b -> the shelf after its last
    begins: Column  # k -> its first place
    ends: Column  # k -> the place after the last one taken
    cursor: Column  # k -> the first place not climbed past
    owner: Column  # i -> b
    order: Column  # turn -> b
    offset: Column  # b -> where it begins
    control: Column


def clear(v: Shelving) -> None:
    """Empty all shelves."""
    for k in range(len(v.ends)):
        v.ends[k] = v.begins[k]
    v.control[NEXT] = 0
    v.control[TOP] = 0


def place(v: Shelving, most_looked_at: int) -> int:
    """Place the next buffers of the order, until so many have been looked at; return how many were, 0 at the end."""
    order, offset, size, cursor, begins = v.order, v.offset, v.size, v.cursor, v.begins
    turn = v.control[NEXT]
    top = v.control[TOP]
    looked_at = 0
    while turn < len(order) and looked_at < most_looked_at:
        b = order[turn]
        first, last = v.first[b], v.last[b]
        for k in range(first, last):
            cursor[k] = begins[k]
        bottom = 0
        k = first
        quiet = 0  # shelves passed since it was lifted
        while quiet < last - first:
            before = cursor[k]
            lifted = _climb(v, b, k, bottom)
            looked_at += 1 + cursor[k] - before
            quiet = quiet + 1 if lifted == bottom else 1
            bottom = lifted
            k = k + 1 if k + 1 < last else first
        offset[b] = bottom
        _insert(v, b)
        top = max(top, bottom + size[b])
        turn += 1
        looked_at += 5
    v.control[NEXT] = turn
    v.control[TOP] = top
    return looked_at


def _climb(v: Shelving, b: int, k: int, bottom: int) -> int:
    """Return where ``b`` lies by what is on shelf ``k``, at ``bottom`` or above; move the cursor."""
    start, stop, offset, size, owner = v.start, v.stop, v.offset, v.size, v.owner
    own_start, own_stop, own_size = start[b], stop[b], size[b]
    i, end = v.cursor[k], v.ends[k]
    while i < end:
        t = owner[i]
        bottom_of_t = offset[t]
        if bottom_of_t >= bottom + own_size:
            break
        # Whether they meet is as good as random, so a branch would be guessed wrong half of the time.
        bottom = max(bottom, (bottom_of_t + size[t]) * ((start[t] < own_stop) & (stop[t] > own_start)))
        i += 1
    v.cursor[k] = i
    return bottom


def _insert(v: Shelving, b: int) -> None:
    """Put ``b`` on its shelves."""
    offset, owner = v.offset, v.owner
    bottom = offset[b]
    for k in range(v.first[b], v.last[b]):
        i, begin, end = v.cursor[k], v.begins[k], v.ends[k]
        while i > begin and offset[owner[i - 1]] > bottom:
            i -= 1
        owner[i + 1 : end + 1] = owner[i:end]
        owner[i] = b
        v.ends[k] = end + 1
