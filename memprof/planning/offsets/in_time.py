"""Plans as an allocator makes them that sees one birth after the other, and the last resort of a single cheap pass.

    best fit    the smallest gap that has room, the lowest of equals; O(log gaps) a buffer, and a short move in a list
    first fit   the lowest gap that has room; O(gaps) a buffer
    classes     blocks of a few sizes, used again when free; some sorting, all in numpy
    largest     best fit for the largest, which make most of the load, and classes for the rest, above them

Each also runs with time reversed. Of buffers born at one step the longest lived comes first.
"""

from __future__ import annotations

from bisect import bisect_left, insort

import numpy as np

from memprof.planning.meter import Meter
from memprof.planning.offsets.columns import Columns
from memprof.planning.offsets.problem import Ints

_ENDLESS = 2**62  # where the last gap ends
_AT_ONCE = 128  # births between two words to the meter
_STEPS_PER_BIRTH = 10
_MANY_ALIVE = 1000


def best_fit_in_time(columns: Columns, meter: Meter) -> Ints:
    """Return offsets by best fit, in the order of birth."""
    births, due, deaths = _events(columns)
    size: list[int] = columns.size.tolist()
    offsets = [0] * columns.count
    shift = int(columns.size.sum()).bit_length()
    gaps: list[int] = []  # room and bottom of each in one number, ascending
    top_of: dict[int, int] = {}
    bottom_of: dict[int, int] = {}
    height = dead = 0  # everything from the height up is free
    for start in range(0, len(births), _AT_ONCE):
        meter.spend(_STEPS_PER_BIRTH * len(births[start : start + _AT_ONCE]))
        for i, is_due in zip(births[start : start + _AT_ONCE], due[start : start + _AT_ONCE], strict=True):
            for j in deaths[dead:is_due]:
                bottom = offsets[j]
                top = bottom + size[j]
                lower = bottom_of.pop(bottom, None)
                if lower is not None:
                    del gaps[bisect_left(gaps, (bottom - lower) << shift | lower)], top_of[lower]
                    bottom = lower
                if top == height:
                    height = bottom
                    continue
                upper = top_of.pop(top, None)
                if upper is not None:
                    del gaps[bisect_left(gaps, (upper - top) << shift | top)]
                    top = upper
                insort(gaps, (top - bottom) << shift | bottom)
                top_of[bottom] = top
                bottom_of[top] = bottom
            dead = is_due
            room = size[i]
            place = bisect_left(gaps, room << shift)
            if place == len(gaps):
                offsets[i] = height
                height += room
                continue
            gap = gaps.pop(place)
            found = gap >> shift
            bottom = offsets[i] = gap ^ found << shift
            top = top_of.pop(bottom)
            if found == room:
                del bottom_of[top]
            else:
                bottom += room
                insort(gaps, (found - room) << shift | bottom)
                top_of[bottom] = top
                bottom_of[top] = bottom
    return np.array(offsets, dtype=np.int64)


def first_fit_in_time(columns: Columns, meter: Meter) -> Ints:
    """Return offsets by first fit, in the order of birth."""
    births, due, deaths = _events(columns)
    size: list[int] = columns.size.tolist()
    offsets = [0] * columns.count
    gaps = LowestGaps()
    dead = 0
    for i, is_due in zip(births, due, strict=True):
        meter.spend(_STEPS_PER_BIRTH)
        for j in deaths[dead:is_due]:
            gaps.give_back(offsets[j], size[j])
        dead = is_due
        offsets[i] = gaps.take(size[i])
    return np.array(offsets, dtype=np.int64)


def best_fit_in_reverse(columns: Columns, meter: Meter) -> Ints:
    """Return what ``best_fit_in_time`` does when time runs backwards."""
    return best_fit_in_time(columns.reversed, meter)


def place_largest_in_time(columns: Columns, most: int, meter: Meter) -> Ints:
    """Return offsets by best fit of at most so many, the largest, and by class of the rest, above them.

    Of buffers that are much alike, all are placed by class.
    """
    if columns.count <= most:
        return best_fit_in_time(columns, meter)
    is_large = np.zeros(columns.count, dtype=bool)
    is_large[np.argpartition(-columns.size, most)[:most]] = True
    large, small = columns.part(is_large), columns.part(~is_large)
    if large.size.sum() < small.size.sum():
        return place_by_class(columns)
    offsets = np.zeros(columns.count, dtype=np.int64)
    offsets[is_large] = best_fit_in_time(large, meter)
    offsets[~is_large] = int((offsets[is_large] + large.size).max(initial=0)) + place_by_class(small)
    return offsets


def place_by_class(columns: Columns) -> Ints:
    """Return offsets from blocks of a few size classes, each used again once it is free. A last resort, all in numpy.

    Where few are alive at once, fine classes seldom find a free block; where many are, coarse ones waste more. Of a
    class the i-th birth takes the block of the j-th death, where j counts those that found one so far.
    """
    count = columns.count
    per_doubling = 4 if columns.mean_alive >= _MANY_ALIVE else 1
    power = 1 << np.maximum(np.frexp(columns.size)[1].astype(np.int64) - 1, 0)  # at most the size
    step = np.maximum(1, power // per_doubling)
    blocks, of_class = np.unique(-(-columns.size // step) * step, return_inverse=True)
    events = np.argsort(np.concatenate((columns.stop, columns.start)), kind="stable")  # of one step, ends come first
    classes = of_class[events % count].astype(np.int64) if count else events
    by_class = np.argsort(classes, kind="stable")
    events, classes = events[by_class], classes[by_class]
    is_death = events < count
    deaths, births = events[is_death], events[~is_death] - count
    own = classes[~is_death]
    before = np.searchsorted(own, np.arange(len(blocks)))  # in classes that come before: as many births as deaths
    dead = np.cumsum(is_death)[~is_death] - before[own]
    number = np.arange(1, count + 1) - before[own]  # of each birth in its class
    # Those that found a block, up to the i-th: one more than before, unless all that have died are taken.
    found = number + np.minimum.accumulate(dead - number - own * (count + 1)) + own * (count + 1)
    is_new = np.diff(found, prepend=0) <= 0
    is_new[before] = True
    heir_of = np.arange(count)
    heir_of[births[~is_new]] = deaths[(before[own] + found - 1)[~is_new]]
    while True:
        further = heir_of[heir_of]
        if np.array_equal(further, heir_of):
            break
        heir_of = further
    offsets = np.zeros(count, dtype=np.int64)
    room = blocks[own[is_new]]
    offsets[births[is_new]] = np.cumsum(room) - room
    return offsets[heir_of]


def _events(columns: Columns) -> tuple[list[int], list[int], list[int]]:
    """Return the buffers by birth, how many have died by each birth, and the buffers by death."""
    births = np.lexsort((-columns.size, -columns.stop, columns.start))
    deaths = np.argsort(columns.stop, kind="stable")
    due = np.searchsorted(columns.stop[deaths], columns.start[births], side="right")
    return births.tolist(), due.tolist(), deaths.tolist()


class LowestGaps:
    """The free parts of an arena that grows: gaps by offset, searched from the bottom. O(gaps) per call."""

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
