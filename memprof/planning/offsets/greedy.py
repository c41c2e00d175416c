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

from bisect import bisect_left, insort
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from memprof.planning.meter import Meter
from memprof.planning.offsets.problem import AllocationProblem

Ints = npt.NDArray[np.int64]
_ENDLESS = 2**62  # where the last gap ends
_CLASS_BITS = 3  # sizes are rounded up to four classes per power of two
_CALL_STEPS, _ITEMS_PER_STEP = 10, 200  # a handful of calls into numpy, and what they pass over

Choice = Callable[[Ints, Ints, int], int]
"""From the gaps below, above and the size to the offset chosen."""


@dataclass(frozen=True)
class Columns:
    """The buffers that count, column by column.

    Attributes:
        ids: Ids in the problem.
        start: First step.
        stop: First step no longer.
        size: Rounded bytes.
        load: Most bytes alive at any step of each buffer's life.
    """

    ids: Ints
    start: Ints
    stop: Ints
    size: Ints
    load: Ints

    @property
    def count(self) -> int:
        """Number of buffers."""
        return len(self.ids)

    @property
    def width(self) -> Ints:
        """Steps that each buffer lives."""
        return self.stop - self.start


def columns_of(problem: AllocationProblem) -> Columns:
    """Return the buffers of ``problem`` that have bytes and steps."""
    buffers, sizes = problem.buffers, problem.sizes
    ids = [i for i, size in enumerate(sizes) if size]
    start = np.array([buffers[i].start for i in ids], dtype=np.int64)
    stop = np.array([buffers[i].stop for i in ids], dtype=np.int64)
    return Columns(
        ids=np.array(ids, dtype=np.int64),
        start=start,
        stop=stop,
        size=np.array([sizes[i] for i in ids], dtype=np.int64),
        load=_highest_loads(problem, start, stop),
    )


def _highest_loads(problem: AllocationProblem, start: Ints, stop: Ints) -> Ints:
    """Return the most bytes alive in each range, by a sparse table of maxima. O((n + steps) log steps)."""
    if not len(start):
        return start
    steps, loads = (np.array(column, dtype=np.int64) for column in problem.load_profile)
    first, last = np.searchsorted(steps, start), np.searchsorted(steps, stop)
    level = np.frexp(np.maximum(last - first, 1))[1] - 1  # largest power of two within each range
    found = np.zeros(len(start), dtype=np.int64)
    table = loads
    for power in range(int(level.max()) + 1):
        chosen = level == power
        found[chosen] = np.maximum(table[first[chosen]], table[last[chosen] - (1 << power)])
        half = 1 << power
        table = np.maximum(table[:-half], table[half:]) if len(table) > half else table
    return found


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


def place_in_time(columns: Columns, meter: Meter, make_gaps: Callable[[], Gaps]) -> Ints:
    """Return offsets as an allocator gives them that sees one birth after the other.

    Of buffers born at one step the longest lived comes first.
    """
    births = np.lexsort((-columns.size, -columns.stop, columns.start)).tolist()
    deaths = np.argsort(columns.stop, kind="stable").tolist()
    starts, stops, sizes = columns.start.tolist(), columns.stop.tolist(), columns.size.tolist()
    offsets = [0] * columns.count
    gaps = make_gaps()
    dead = 0
    for i in births:
        meter.spend(_CALL_STEPS)
        while stops[deaths[dead]] <= starts[i]:
            gaps.give_back(offsets[deaths[dead]], sizes[deaths[dead]])
            dead += 1
        offsets[i] = gaps.take(sizes[i])
    return np.array(offsets, dtype=np.int64)


def place_in_reverse(columns: Columns, meter: Meter, make_gaps: Callable[[], Gaps]) -> Ints:
    """Return what ``place_in_time`` does when time runs backwards."""
    return place_in_time(replace(columns, start=-columns.stop, stop=-columns.start), meter, make_gaps)


def place_by_class(columns: Columns) -> list[int]:
    """Return offsets in one pass over time: blocks of a few size classes, used again when free. A last resort."""
    births = np.lexsort((-columns.size, columns.start)).tolist()
    deaths = np.argsort(columns.stop, kind="stable").tolist()
    starts, stops = columns.start.tolist(), columns.stop.tolist()
    steps = 2 ** np.maximum(0, np.frexp(columns.size)[1] - _CLASS_BITS).astype(np.int64)
    blocks = (-(-columns.size // steps) * steps).tolist()
    free: dict[int, list[int]] = {block: [] for block in set(blocks)}
    offsets = [0] * columns.count
    top = dead = 0
    for i in births:
        while stops[deaths[dead]] <= starts[i]:
            free[blocks[deaths[dead]]].append(offsets[deaths[dead]])
            dead += 1
        if free[blocks[i]]:
            offsets[i] = free[blocks[i]].pop()
        else:
            offsets[i] = top
            top += blocks[i]
    return offsets


class Gaps(Protocol):
    """The free parts of an arena that grows."""

    def take(self, size: int) -> int:
        """Return the offset of ``size`` free bytes, free no longer."""

    def give_back(self, offset: int, size: int) -> None:
        """Make bytes free again."""


class LowestGaps:
    """First fit: gaps by offset, searched from the bottom. O(gaps) per call."""

    def __init__(self) -> None:
        self._bottoms: list[int] = [0]
        self._tops: list[int] = [_ENDLESS]

    def take(self, size: int) -> int:
        """Return the bottom of the lowest gap that has room."""
        i = next(i for i, bottom in enumerate(self._bottoms) if self._tops[i] - bottom >= size)
        offset = self._bottoms[i]
        if offset + size == self._tops[i]:
            del self._bottoms[i], self._tops[i]
        else:
            self._bottoms[i] = offset + size
        return offset

    def give_back(self, offset: int, size: int) -> None:
        """Open a gap, joined with its neighbours."""
        i = bisect_left(self._bottoms, offset)
        bottom, top = offset, offset + size
        if self._bottoms[i] == top:  # the endless gap at the top is always there
            top = self._tops.pop(i)
            del self._bottoms[i]
        if i and self._tops[i - 1] == bottom:
            self._tops[i - 1] = top
            return
        self._bottoms.insert(i, bottom)
        self._tops.insert(i, top)


class SmallestGaps:
    """Best fit: gaps by size, then offset, found by bisection. O(log gaps) per call, and a short move in a list."""

    def __init__(self) -> None:
        self._by_size: list[tuple[int, int]] = [(_ENDLESS, 0)]
        self._top_of: dict[int, int] = {0: _ENDLESS}
        self._bottom_of: dict[int, int] = {_ENDLESS: 0}

    def take(self, size: int) -> int:
        """Return the bottom of the smallest gap that has room, the lowest of equals."""
        room, offset = self._by_size.pop(bisect_left(self._by_size, (size, 0)))
        top = self._top_of.pop(offset)
        del self._bottom_of[top]
        if room > size:
            self._open(offset + size, top)
        return offset

    def give_back(self, offset: int, size: int) -> None:
        """Open a gap, joined with its neighbours."""
        bottom, top = offset, offset + size
        if top in self._top_of:
            top = self._close(top)
        if bottom in self._bottom_of:
            lower = self._bottom_of[bottom]
            self._close(lower)
            bottom = lower
        self._open(bottom, top)

    def _open(self, bottom: int, top: int) -> None:
        insort(self._by_size, (top - bottom, bottom))
        self._top_of[bottom] = top
        self._bottom_of[top] = bottom

    def _close(self, bottom: int) -> int:
        top = self._top_of.pop(bottom)
        del self._bottom_of[top]
        del self._by_size[bisect_left(self._by_size, (top - bottom, bottom))]
        return top


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
        "time, best fit": Strategy(partial(place_in_time, make_gaps=SmallestGaps), _ANY),
        "time reversed, best fit": Strategy(partial(place_in_reverse, make_gaps=SmallestGaps), _ANY),
        "time, first fit": Strategy(partial(place_in_time, make_gaps=LowestGaps), _QUADRATIC),
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
