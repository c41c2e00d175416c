"""Places the first buffers of an order where their lives end near others', as a kernel: so few holes are too short.

    offset ^   _________________      first fit puts b into the lowest gap, after a, though a ended long ago;
           |  |____c___|___b____|     here it lies after c, which has just ended, so that what is free
           |  |_a_|                   after a lasts long enough for others
           +---------------------> steps

A hole that lasts shortly is lost: most of what lives at a full step lives long. So each buffer is tried at the bottom
and at the top of each gap that has room, and lies where it is *closest*: each byte that others hold beside it, within
the reach (a time) before it begins or after it ends, counts the more, the nearer they are; to be lower counts a
little. It goes above all others only where no gap has room.

All that are placed are passed over for each buffer, so the cost grows by the square: this is for the first thousands,
which make most of the load. This file is one source for two engines, as ``shelving`` is. Placing is resumable.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from memprof.planning.offsets.shelving import put

NEXT, COUNT, REACH, SCALE, NEAR = 0, 1, 2, 3, 4
"""Places in ``Abutting.control``: how many of the order are placed; how many are to be; steps within which neighbours
count; the height over which closeness is weighed against being low; how many are near the buffer at hand."""

CONTROL_SIZE = 5
_LOW = 0.5
"""What being lower by the scale is worth, in neighbours that abut along one side."""
_PASSED = 4
"""Passed over without being near, for one that is looked at."""

Column = Any
"""A list of ints, or an array of integers."""


class Abutting(NamedTuple):
    """All columns: b is a buffer, i a place by ascending offset, j one in the list of those near."""

    start: Column  # b -> first step
    stop: Column  # b -> first step no longer
    size: Column  # b -> its size
    starts: Column  # i -> first step of who is there
    stops: Column  # i -> first step no longer
    bottoms: Column  # i -> where it begins
    tops: Column  # i -> where it ends
    near: Column  # j -> i
    highest: Column  # j -> where the highest of those up to j ends
    order: Column  # turn -> b
    offset: Column  # b -> where it begins
    control: Column


def abut(a: Abutting, most_looked_at: int) -> int:
    """Place the next buffers of the order, until so many have been looked at; return how many were, 0 at the end."""
    control = a.control
    turn, count = control[NEXT], control[COUNT]
    looked_at = 0
    while turn < count and looked_at < most_looked_at:
        b = a.order[turn]
        _list_near(a, b, turn)
        looked_at += 5 + turn // _PASSED + control[NEAR]
        bottom, tried = _closest(a, b)
        looked_at += tried
        a.offset[b] = bottom
        i = turn
        while i > 0 and a.bottoms[i - 1] > bottom:
            i -= 1
        put(a.starts, i, turn, a.start[b])
        put(a.stops, i, turn, a.stop[b])
        put(a.bottoms, i, turn, bottom)
        put(a.tops, i, turn, bottom + a.size[b])
        turn += 1
    control[NEXT] = turn
    return looked_at


def _list_near(a: Abutting, b: int, count: int) -> None:
    """List who is placed and lives within the reach of ``b``."""
    starts, stops, near = a.starts, a.stops, a.near
    begin, end = a.start[b] - a.control[REACH], a.stop[b] + a.control[REACH]
    found = 0
    for i in range(count):
        near[found] = i  # whether it stays is as good as random, so a branch would be guessed wrong often
        found += (starts[i] < end) & (stops[i] > begin)
    a.control[NEAR] = found
    highest = 0
    for j in range(found):
        highest = max(highest, a.tops[near[j]])
        a.highest[j] = highest


def _closest(a: Abutting, b: int) -> tuple[int, int]:
    """Return where ``b`` is closest to those near, and how many were looked at for that."""
    start, stop, size, count = a.start[b], a.stop[b], a.size[b], a.control[NEAR]
    looked_at = lowest = gap = 0
    best, best_worth, is_found = 0, 0.0, False
    for j in range(count):
        i = a.near[j]
        if a.starts[i] >= stop or a.stops[i] <= start:
            continue
        ceiling = a.bottoms[i]
        if ceiling - gap >= size:
            while lowest < count and a.highest[lowest] <= gap:
                lowest += 1
            for bottom in (gap, ceiling - size):
                closeness, passed = _closeness(a, b, bottom, lowest)
                looked_at += passed
                worth = closeness / (size * a.control[REACH]) - _LOW * bottom / a.control[SCALE]
                if not is_found or worth > best_worth:
                    best, best_worth, is_found = bottom, worth, True
        gap = max(gap, a.tops[i])
    return best if is_found else gap, looked_at


def _closeness(a: Abutting, b: int, bottom: int, lowest: int) -> tuple[int, int]:
    """Return the bytes beside ``b`` at ``bottom``, times how near they are in steps; and how many were looked at.

    Those listed before ``lowest`` end below it.
    """
    start, stop, top, reach, count = a.start[b], a.stop[b], bottom + a.size[b], a.control[REACH], a.control[NEAR]
    closeness = 0
    j = lowest
    while j < count and a.bottoms[a.near[j]] < top:
        i = a.near[j]
        shared = min(a.tops[i], top) - max(a.bottoms[i], bottom)
        if shared > 0:
            if a.stops[i] <= start:
                closeness += shared * (reach - start + a.stops[i])
            elif a.starts[i] >= stop:
                closeness += shared * (reach - a.starts[i] + stop)
        j += 1
    return closeness, j - lowest
