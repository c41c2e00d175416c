"""The buffers of a problem that take room, column by column."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from memprof.planning.offsets.problem import AllocationProblem, Ints


@dataclass(frozen=True)
class Columns:
    """The buffers that count, column by column.

    Attributes:
        ids: Ids in the problem.
        start: First step.
        stop: First step no longer.
        size: Rounded bytes.
        profile: The steps at which the load changes, ascending, and the bytes alive from each of them on.
    """

    ids: Ints
    start: Ints
    stop: Ints
    size: Ints
    profile: tuple[Ints, Ints]

    @cached_property
    def load(self) -> Ints:
        """Most bytes alive at any step of each buffer's life. Not free: the quickest plans do without."""
        return highest_loads(self.profile, self.start, self.stop)

    @property
    def reversed(self) -> Columns:
        """The same buffers, time running backwards."""
        steps, loads = self.profile
        profile = -steps[::-1], np.concatenate((loads[-2::-1], loads[-1:]))  # the last is 0
        return replace(self, start=-self.stop, stop=-self.start, profile=profile)

    def part(self, chosen: npt.NDArray[np.bool_]) -> Columns:
        """Return some of the buffers; the profile is still that of all."""
        ids, start, stop, size = (column[chosen] for column in (self.ids, self.start, self.stop, self.size))
        return replace(self, ids=ids, start=start, stop=stop, size=size)

    @property
    def count(self) -> int:
        """Number of buffers."""
        return len(self.ids)

    @property
    def width(self) -> Ints:
        """Steps that each buffer lives."""
        return self.stop - self.start

    @property
    def mean_alive(self) -> int:
        """Buffers alive at once, on average."""
        steps = int(self.stop.max(initial=1)) - int(self.start.min(initial=0))
        return int(self.width.sum()) // max(1, steps)


def columns_of(problem: AllocationProblem) -> Columns:
    """Return the buffers of ``problem`` that have bytes and steps."""
    sizes = np.array(problem.sizes, dtype=np.int64)
    ids = np.flatnonzero(sizes)
    start, stop = problem.starts[ids], problem.stops[ids]
    return Columns(ids=ids, start=start, stop=stop, size=sizes[ids], profile=problem.load_columns)


def highest_loads(profile: tuple[Ints, Ints], start: Ints, stop: Ints) -> Ints:
    """Return the most bytes alive in each range, by a sparse table of maxima. O((n + steps) log steps)."""
    if not len(start):
        return start
    steps, loads = profile
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
