"""Greedy plans in milliseconds: an order in which buffers choose, and a rule by which each one chooses.

    rule                    each buffer, in its turn, takes
    first fit               the lowest gap between those placed that it fits in
    best fit                the smallest such gap, the lowest of equals; the top if none
    lowest offset first     the turn itself goes to the buffer that can lie lowest (a skyline that rises)
    time                    buffers come in the order of their birth, as a run-time allocator sees them

None of them is best on all problems, so the portfolio runs them all and keeps the best: ``STRATEGIES`` by name, with
the number of buffers above which one is too slow. Ties go to the lower id, so that plans are deterministic. Placing n
buffers costs O(n) numpy operations on what is already placed; best fit in time costs O(n log n) steps.

Sources: greedy by size and by breadth are those of TensorFlow Lite (arXiv 2001.03288); contention first is where the
allocator of Arm's Vela begins; lowest offset first is the skyline of strip packing with the times fixed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np

from memprof.planning.meter import Meter
from memprof.planning.offsets.columns import Columns
from memprof.planning.offsets.in_time import best_fit_in_reverse, best_fit_in_time, first_fit_in_time
from memprof.planning.offsets.problem import Ints

_CALL_STEPS, _ITEMS_PER_STEP = 10, 200  # a handful of calls into numpy, and what they pass over

Choice = Callable[[Ints, Ints, int], int]
"""From the gaps below, above and the size to the offset chosen."""


def place_in_order(columns: Columns, order: Ints, choose: Choice, meter: Meter) -> Ints:
    """Return an offset for each buffer, placed one after the other in ``order`` as ``choose`` says."""
    n = columns.count
    offsets = np.zeros(n, dtype=np.int64)
    # What is placed, by ascending offset.
    starts, stops, bottoms, tops = (np.empty(n + 1, dtype=np.int64) for _ in range(4))
    for count, i in enumerate(order.tolist()):
        meter.spend(_CALL_STEPS + count // _ITEMS_PER_STEP)
        start, stop, size = columns.start[i], columns.stop[i], int(columns.size[i])
        near = (starts[:count] < stop) & (stops[:count] > start)
        below = np.maximum.accumulate(np.concatenate(([0], tops[:count][near])))
        above = np.append(bottoms[:count][near], np.iinfo(np.int64).max)
        offset = choose(below, above, size)
        place = int(np.searchsorted(bottoms[:count], offset))
        for column, value in ((starts, start), (stops, stop), (bottoms, offset), (tops, offset + size)):
            column[place + 1 : count + 1] = column[place:count].copy()
            column[place] = value
        offsets[i] = offset
    return offsets


def choose_first(below: Ints, above: Ints, size: int) -> int:
    """Return the bottom of the lowest gap of ``size`` bytes."""
    return int(below[np.argmax(above - below >= size)])


def choose_best(below: Ints, above: Ints, size: int) -> int:
    """Return the bottom of the smallest gap of ``size`` bytes, the lowest of equals."""
    room = above - below
    return int(below[np.argmin(np.where(room >= size, room, np.iinfo(np.int64).max))])


def _lexicographic(*keys: Ints) -> Ints:
    """Return the order by the first key, then the second, ..., each descending; then by id."""
    return np.lexsort(tuple(-key for key in reversed(keys)))


def order_by_size(columns: Columns) -> Ints:
    """Return: largest first, of equals the longest lived."""
    return _lexicographic(columns.size, columns.width)


def order_by_area(columns: Columns) -> Ints:
    """Return: largest bytes times steps first."""
    return _lexicographic(columns.size.astype(np.float64) * columns.width, columns.size)  # type: ignore[arg-type] # may exceed 64 bits


def order_by_contention(columns: Columns) -> Ints:
    """Return: those of the busiest steps first, of equals the longest lived, then the largest."""
    return _lexicographic(columns.load, columns.width, columns.size)


def order_by_width(columns: Columns) -> Ints:
    """Return: longest lived first, of equals the largest."""
    return _lexicographic(columns.width, columns.size)


def order_by_breadth(columns: Columns) -> Ints:
    """Return: the buffers of the busiest step first, largest first, then those of the next busiest step."""
    return _lexicographic(columns.load, columns.size)


def place_lowest_first(order_by: Callable[[Columns], Ints], columns: Columns, meter: Meter) -> Ints:
    """Return offsets by giving each turn to the buffer that can lie lowest, of equals the first by ``order_by``."""
    n = columns.count
    order = order_by(columns)
    start, stop, size = columns.start[order], columns.stop[order], columns.size[order]
    lowest = np.zeros(n, dtype=np.int64)
    waiting = np.zeros(n, dtype=np.int64)  # the same, and out of reach once placed
    for _ in range(n):
        meter.spend(_CALL_STEPS + n // _ITEMS_PER_STEP)
        i = int(np.argmin(waiting))
        near = np.flatnonzero((start < stop[i]) & (stop > start[i]))
        top = lowest[i] + size[i]
        waiting[i] = np.iinfo(np.int64).max
        near = near[waiting[near] < top]
        lowest[near] = waiting[near] = top
    offsets = np.empty(n, dtype=np.int64)
    offsets[order] = lowest
    return offsets


@dataclass(frozen=True, slots=True)
class Strategy:
    """One greedy of the portfolio.

    Attributes:
        place: From the buffers and a meter to an offset for each.
        most_buffers: More than that many would take too long.
    """

    place: Callable[[Columns, Meter], Ints]
    most_buffers: int


def _in_order(order: Callable[[Columns], Ints], choose: Choice, columns: Columns, meter: Meter) -> Ints:
    return place_in_order(columns, order(columns), choose, meter)


_FEW = 5_000  # those that are seldom best: not worth a second each
_QUADRATIC = 25_000
_ANY = 10**9

STRATEGIES: Mapping[str, Strategy] = MappingProxyType(
    {
        "time, best fit": Strategy(best_fit_in_time, _ANY),
        "time reversed, best fit": Strategy(best_fit_in_reverse, _ANY),
        "time, first fit": Strategy(first_fit_in_time, _QUADRATIC),
        "size, first fit": Strategy(partial(_in_order, order_by_size, choose_first), _QUADRATIC),
        "size, best fit": Strategy(partial(_in_order, order_by_size, choose_best), _QUADRATIC),
        "lowest offset first, by width": Strategy(partial(place_lowest_first, order_by_width), _QUADRATIC),
        "lowest offset first, by area": Strategy(partial(place_lowest_first, order_by_area), _QUADRATIC),
        "area, first fit": Strategy(partial(_in_order, order_by_area, choose_first), _FEW),
        "area, best fit": Strategy(partial(_in_order, order_by_area, choose_best), _FEW),
        "width, first fit": Strategy(partial(_in_order, order_by_width, choose_first), _FEW),
        "breadth, best fit": Strategy(partial(_in_order, order_by_breadth, choose_best), _QUADRATIC),
        "contention and width, best fit": Strategy(partial(_in_order, order_by_contention, choose_best), _FEW),
    }
)
"""Every greedy by name, cheapest first: the portfolio stops at the first one that meets the load bound."""


def place_all(columns: Columns, strategy: str, meter: Meter | None = None) -> list[int]:
    """Return what one strategy of the table places, one offset per buffer of ``columns``.

    Raises:
        OutOfBudget: The meter ran out.
    """
    found: list[Any] = STRATEGIES[strategy].place(columns, meter or Meter()).tolist()
    return [int(offset) for offset in found]
