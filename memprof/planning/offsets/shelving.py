"""First fit in a given order, as a kernel: who is in the way of a buffer is found on the shelves of time it is on.

    offset ^   shelf 0 | shelf 1 | shelf 2        time is cut into shelves of equal length; each holds the buffers
           |   ┌───────┼────┐    |                whose life touches it as a chain by offset
           |   |   a   |    |  ┌─┼──────┐
           └───┴───────┴────┴──┴─┴──────┴──> steps

A buffer climbs its shelves in turn: whatever on one of them shares a step with it and begins below its
end lifts it, until none of them does any more. That is the lowest gap, found without sorting and without a list of
all that overlap. The first of an order may come with their offsets (``abutting``).

A chain is made of blocks that are split when full, so that what lies above a new buffer need not move; each place
has all that a climb asks for, so that it reads memory in a row. A shelf's first block has the shelf's number.

This file is one source for two engines, as ``kernel`` is: only integers, indices and loops. Placing is resumable.
"""

from __future__ import annotations

from typing import Any, NamedTuple

NEXT, TOP, COUNT, BLOCKS, LOOKED_AT, GIVEN = 0, 1, 2, 3, 4, 5
"""Places in ``Shelving.control``: how many of the order are placed, and where the highest of them ends; how many of
the order are to be placed; blocks in use; places looked at; how many of the order have their offset already."""

CONTROL_SIZE = 6
BLOCK = 64
"""Places in a block; all but the first of a shelf hold half of that at least."""

Column = Any
"""A list of ints, or an array of integers."""


class Shelving(NamedTuple):
    """All columns: b is a buffer, k a shelf, c a block, i a place in some block."""

    start: Column  # b -> first step
    stop: Column  # b -> first step no longer
    size: Column  # b -> its size
    first: Column  # b -> its first shelf
    last: Column  # b -> the shelf after its last
    before: Column  # c -> the block before it in its chain, -1 if none is
    after: Column  # c -> the one after it
    used: Column  # c -> places taken
    starts: Column  # i -> first step of who is there
    stops: Column  # i -> first step no longer
    bottoms: Column  # i -> where it begins
    tops: Column  # i -> where it ends
    block: Column  # k -> the block that is climbed
    climbed: Column  # k -> places climbed past in it
    order: Column  # turn -> b
    offset: Column  # b -> where it begins
    control: Column


def clear(v: Shelving) -> None:
    """Empty all shelves."""
    shelves = len(v.block)
    for k in range(shelves):
        v.before[k] = -1
        v.after[k] = -1
        v.used[k] = 0
    v.control[BLOCKS] = shelves
    v.control[NEXT] = 0
    v.control[TOP] = 0


def place(v: Shelving, most_looked_at: int) -> int:
    """Place the next buffers of the order, until so many have been looked at; return how many were, 0 at the end."""
    order, offset, size, block, climbed, control = v.order, v.offset, v.size, v.block, v.climbed, v.control
    turn, count, top = control[NEXT], control[COUNT], control[TOP]
    looked_at = 0
    while turn < count and looked_at < most_looked_at:
        b = order[turn]
        first, last = v.first[b], v.last[b]
        for k in range(first, last):
            block[k] = k
            climbed[k] = 0
        control[LOOKED_AT] = 0
        bottom = 0
        k = first
        quiet = 0  # shelves passed since it was lifted
        if turn < control[GIVEN]:
            bottom = offset[b]
            for k in range(first, last):
                _pass(v, k, bottom)
            quiet = last - first
        while quiet < last - first:
            lifted = _climb(v, b, k, bottom)
            quiet = quiet + 1 if lifted == bottom else 1
            bottom = lifted
            k = k + 1 if k + 1 < last else first
        offset[b] = bottom
        for k in range(first, last):
            _insert(v, b, k)
        top = max(top, bottom + size[b])
        turn += 1
        looked_at += 5 + last - first + control[LOOKED_AT]
    control[NEXT] = turn
    control[TOP] = top
    return looked_at


def _climb(v: Shelving, b: int, k: int, bottom: int) -> int:
    """Return where ``b`` lies by what is on shelf ``k``, at ``bottom`` or above; remember how far it climbed."""
    starts, stops, bottoms, tops, after = v.starts, v.stops, v.bottoms, v.tops, v.after
    own_start, own_stop, own_size = v.start[b], v.stop[b], v.size[b]
    c = v.block[k]
    i = begin = c * BLOCK + v.climbed[k]
    end = c * BLOCK + v.used[c]
    looked_at = 0
    while True:
        while i < end:
            bottom_of_t = bottoms[i]
            if bottom_of_t >= bottom + own_size:
                break
            # Whether they meet is as good as random, so a branch would be guessed wrong half of the time.
            bottom = max(bottom, tops[i] * ((starts[i] < own_stop) & (stops[i] > own_start)))
            i += 1
        looked_at += i - begin
        if i < end or after[c] < 0:
            break
        c = after[c]
        i = begin = c * BLOCK
        end = i + v.used[c]
    v.block[k] = c
    v.climbed[k] = i - c * BLOCK
    v.control[LOOKED_AT] += looked_at
    return bottom


def _pass(v: Shelving, k: int, bottom: int) -> None:
    """Climb past the blocks of shelf ``k`` that begin at ``bottom`` or below."""
    c = k
    while v.after[c] >= 0 and v.bottoms[v.after[c] * BLOCK] <= bottom:
        c = v.after[c]
        v.control[LOOKED_AT] += 1
    v.block[k] = c
    v.climbed[k] = v.used[c]


def _insert(v: Shelving, b: int, k: int) -> None:
    """Put ``b`` on shelf ``k``, below where it climbed to."""
    bottoms, before, used = v.bottoms, v.before, v.used
    bottom = v.offset[b]
    c, at = v.block[k], v.climbed[k]
    while at > 0 and bottoms[c * BLOCK + at - 1] > bottom:
        at -= 1
    while at == 0 and before[c] >= 0:
        c = before[c]
        at = used[c]
        while at > 0 and bottoms[c * BLOCK + at - 1] > bottom:
            at -= 1
    if used[c] == BLOCK:
        _split(v, c)
        if at > used[c]:
            at -= used[c]
            c = v.after[c]
    i = c * BLOCK + at
    end = c * BLOCK + used[c]
    put(v.starts, i, end, v.start[b])
    put(v.stops, i, end, v.stop[b])
    put(bottoms, i, end, bottom)
    put(v.tops, i, end, bottom + v.size[b])
    used[c] += 1


def put(column: Column, i: int, end: int, value: int) -> None:
    """Put a value at a place, those from there on one further."""
    for j in range(end, i, -1):
        column[j] = column[j - 1]
    column[i] = value


def _split(v: Shelving, c: int) -> None:
    """Move the upper half of a block to a new one behind it."""
    new = v.control[BLOCKS]
    v.control[BLOCKS] = new + 1
    half = BLOCK // 2
    to, begin = new * BLOCK, c * BLOCK + half
    for column in (v.starts, v.stops, v.bottoms, v.tops):
        for i in range(half):
            column[to + i] = column[begin + i]
    v.used[new] = v.used[c] = half
    behind = v.after[c]
    v.before[new], v.after[new], v.after[c] = c, behind, new
    if behind >= 0:
        v.before[behind] = new
