"""Lowers a plan of many buffers where it is too high, and leaves the rest alone.

    too high ->  ____            the highest buffer, and with it the crowd around it: buffers whose life touches a
        ....... |____| .......   moment that is nearly full, as far as they overlap each other
       |  the crowd   |          the crowd is solved for itself, by search, at the height aimed at
       |______________|          then all that overlapped it comes back by first fit, largest first

With many buffers the time line is full only here and there; elsewhere any greedy does. A crowd is small enough for
a search that has no chance on the whole. What does not come back low enough joins the crowd for the next try. The
height aimed at falls when it is reached, and rises when the highest buffer cannot be lowered to it.

Each repair is taken whole or not at all, so there is a valid plan at any time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from heapq import heapify, heappop, heappush

from memprof.planning.meter import Meter, OutOfBudget
from memprof.planning.offsets.columns import Columns
from memprof.planning.offsets.shelves import Shelves

SolveCrowd = Callable[[Sequence[int], int, Meter], "list[int] | None"]
"""From buffers and a height to offsets within it for each, ``None`` if none were found."""

_FULLNESS = (0.95, 0.9, 0.85, 0.8)  # of the bound: what makes a moment nearly full, one try each
_MOST_LATE = 20
_JOINS = 12  # tries with those that did not come back low enough, per try above
_MOST_CROWDED = 3_000
_FIRST_AIM = 256  # the bound's part by which the first height aimed at is above it
_CROWD_SHARE = 0.15  # of what is left, for one search


class Repairs:
    """Repairs of one plan.

    Args:
        columns: The buffers.
        offsets: The plan.
        bound_bytes: No plan is lower.
        granule_bytes: Heights of interest are multiples of it.
        solve: How crowds are solved.
        offer: Called with every plan that is lower than those before.
        meter: Told of all work.
    """

    def __init__(  # noqa: PLR0913 - what a plan is, and what to do with it
        self,
        columns: Columns,
        offsets: Sequence[int],
        *,
        bound_bytes: int,
        granule_bytes: int,
        solve: SolveCrowd,
        offer: Callable[[list[int]], None],
        meter: Meter,
    ) -> None:
        self._bound_bytes = bound_bytes
        self._granule_bytes = granule_bytes
        self._solve = solve
        self._offer = offer
        self._meter = meter
        # Half of all is no part: a search of the whole does as well.
        self._most_crowded = min(_MOST_CROWDED, columns.count // 2)
        self._load: list[int] = columns.load.tolist()
        self._shelves = Shelves(columns, meter)
        for b, offset in enumerate(offsets):
            self._shelves.put(b, offset)
        self._by_top = [(-top, b) for b, top in enumerate(self._shelves.top)]
        heapify(self._by_top)

    def run(self) -> None:
        """Repair until the bound is met, or nothing helps.

        Raises:
            OutOfBudget: The meter ran out.
        """
        best_bytes = self._height()
        aim_bytes = self._bound_bytes + self._bound_bytes // _FIRST_AIM
        while best_bytes > self._bound_bytes:
            if aim_bytes >= best_bytes:
                aim_bytes = self._bound_bytes + (best_bytes - self._bound_bytes) // 2
            highest = self._by_top[0][1]
            if not self._lower(highest, aim_bytes):
                # Not that low: half way up to where it is.
                aim_bytes += max(self._granule_bytes, (best_bytes - aim_bytes) // 2)
                if aim_bytes >= best_bytes:
                    return
            elif self._height() < best_bytes:
                best_bytes = self._height()
                self._meter.spend(len(self._load) // 20)
                self._offer(self.offsets())

    def offsets(self) -> list[int]:
        """Return the plan as it is now."""
        return list(self._shelves.offset)

    def _height(self) -> int:
        """Return the top of the highest buffer, and bring it to the front of the heap."""
        heap, top = self._by_top, self._shelves.top
        while -heap[0][0] != top[heap[0][1]]:
            heappop(heap)
        return -heap[0][0]

    def _lower(self, highest: int, aim_bytes: int) -> bool:
        """Lower one buffer to ``aim_bytes`` and let none above; return whether that was possible."""
        for fullness in _FULLNESS:
            full_bytes = int(fullness * self._bound_bytes)
            crowd = self._crowd(highest, full_bytes)
            if 2 * len(crowd) < len(self._load) < 2 * len(self._around(crowd)):
                # Nearly everything is in touch with it: then all crowds are solved, and the rest is laid anew.
                crowd.update(b for b, load in enumerate(self._load) if load > full_bytes)
            for _ in range(_JOINS):
                if not crowd or len(crowd) > self._most_crowded:
                    break
                part = self._meter.part(_CROWD_SHARE)
                try:
                    found = self._solve(sorted(crowd), aim_bytes, part)
                finally:
                    part.settle()
                if found is None:
                    break
                late = self._rebuild(sorted(crowd), found, aim_bytes)
                if not late:
                    return True
                crowd.update(late)
        return False

    def _crowd(self, seed: int, full_bytes: int) -> set[int]:
        """Return ``seed`` and all buffers of nearly full moments that it reaches by overlaps, too many cut short."""
        crowd, stack = {seed}, [seed]
        while stack and len(crowd) <= self._most_crowded:
            for b in self._shelves.near(stack.pop()):
                if self._load[b] > full_bytes and b not in crowd:
                    crowd.add(b)
                    stack.append(b)
        return crowd

    def _around(self, crowd: set[int]) -> set[int]:
        """Return the buffers outside that share a step with one of the crowd."""
        return {t for b in crowd for t in self._shelves.near(b)} - crowd

    def _rebuild(self, crowd: Sequence[int], offsets: Sequence[int], aim_bytes: int) -> list[int]:
        """Lay the crowd at ``offsets`` and what is around it anew; return those that end too high.

        If there are any, everything is as before.
        """
        shelves = self._shelves
        around = self._around(set(crowd))
        if 2 * len(around) > len(self._load):
            around = set(range(len(self._load))).difference(crowd)
        before = [(b, shelves.offset[b]) for b in (*crowd, *around)]
        in_turn = sorted(around, key=lambda b: (-shelves.size[b], b))
        late: list[int] = []
        try:
            for b, _ in before:
                shelves.take(b)
            for b, offset in zip(crowd, offsets, strict=True):
                shelves.put(b, offset)
            for b in in_turn:
                shelves.put(b, shelves.lowest_gap(b))
                if shelves.top[b] > aim_bytes:
                    late.append(b)
                    if len(late) == _MOST_LATE:
                        break
        except (OutOfBudget, KeyboardInterrupt):
            self._restore(before)
            raise
        if late:
            self._restore(before)
        else:
            for b, _ in before:
                heappush(self._by_top, (-shelves.top[b], b))
        return late

    def _restore(self, before: Iterable[tuple[int, int]]) -> None:
        for b, offset in before:
            if self._shelves.offset[b] >= 0:
                self._shelves.take(b)
            self._shelves.put(b, offset)
