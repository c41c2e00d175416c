"""An allocation problem as the search sees it: sizes in granules, time as sections, who overlaps whom.

A section is a maximal set of buffers that live at once. Sweeping over time, one closes when the first buffer is born
after some other died; only sections matter to the load, so the number of steps does not. Building it costs
O(n log n + overlaps).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from memprof.planning.meter import Meter
from memprof.planning.offsets.columns import Columns
from memprof.planning.offsets.kernel import CONTROL_SIZE, Kernel
from memprof.planning.offsets.problem import Ints

_MOST_STACK = 4_000_000
_MOST_KEY = 2**62
_CALL_STEPS, _ITEMS_PER_STEP = 10, 200


@dataclass(frozen=True)
class Layout:
    """Columns that no search changes; buffers in the order of ``Columns``.

    Attributes:
        granule_bytes: What sizes are counted in.
        size: Granules of each buffer.
        first: First section of each buffer.
        last: Section after its last.
        near_start: Where the neighbours of each buffer begin in ``near``.
        near: Buffers that overlap in time.
        member_start: Where the buffers of each section begin in ``member``.
        member: Buffers by section.
        width: Steps that each buffer lives.
    """

    granule_bytes: int
    size: Ints
    first: Ints
    last: Ints
    near_start: Ints
    near: Ints
    member_start: Ints
    member: Ints
    width: Ints

    @property
    def count(self) -> int:
        """Number of buffers."""
        return len(self.size)

    @property
    def section_count(self) -> int:
        """Number of sections."""
        return len(self.member_start) - 1


def lay_out(columns: Columns, granule_bytes: int, most_overlaps: int, meter: Meter | None = None) -> Layout | None:
    """Return the layout of ``columns``, ``None`` if it has too many overlaps or numbers too large to search.

    Raises:
        OutOfBudget: The meter ran out.
    """
    meter = meter or Meter()
    meter.spend(columns.count)
    n = columns.count
    size = columns.size // granule_bytes
    if not n or int(size.sum()) > _MOST_KEY // (n + 1):
        return None
    first, last, section_count = _sections(columns)
    born, died = np.sort(first), np.sort(last)
    # Those born before b's end, less those dead by its beginning, less b.
    overlaps = np.searchsorted(born, last) - np.searchsorted(died, first, side="right") - 1
    if int(overlaps.sum()) > most_overlaps or int((last - first).sum()) > most_overlaps:
        return None
    meter.spend(int((last - first).sum()) // _ITEMS_PER_STEP)
    spans = last - first
    owner = np.repeat(np.arange(n), spans)
    section = np.arange(len(owner)) - np.repeat(np.cumsum(spans) - spans, spans) + np.repeat(first, spans)
    member = owner[np.argsort(section, kind="stable")]
    member_start = np.concatenate(([0], np.cumsum(np.bincount(section, minlength=section_count))))
    near_start = np.concatenate(([0], np.cumsum(overlaps)))
    near = np.empty(int(near_start[-1]), dtype=np.int64)
    by_first = np.argsort(first, kind="stable")
    for b in range(n):
        # Those of its first section, and those that begin later and before its end.
        meter.spend(_CALL_STEPS + int(overlaps[b]) // _ITEMS_PER_STEP)
        section_members = member[member_start[first[b]] : member_start[first[b] + 1]]
        later = by_first[np.searchsorted(born, first[b], side="right") : np.searchsorted(born, last[b])]
        found = np.sort(np.concatenate((section_members, later)))
        near[near_start[b] : near_start[b + 1]] = found[found != b]
    return Layout(
        granule_bytes=granule_bytes,
        size=size,
        first=first,
        last=last,
        near_start=near_start,
        near=near,
        member_start=member_start,
        member=member,
        width=columns.width,
    )


def _sections(columns: Columns) -> tuple[Ints, Ints, int]:
    """Return each buffer's first section and the one after its last, and the number of sections."""
    deaths = np.sort(columns.stop)
    births = np.unique(columns.start)
    dead = np.searchsorted(deaths, births, side="right")  # by each birth, how many have died
    opens = births[np.concatenate(([True], dead[1:] > dead[:-1]))]
    first = np.searchsorted(opens, columns.start, side="right") - 1
    last = np.searchsorted(opens, columns.stop, side="left")
    return first.astype(np.int64), last.astype(np.int64), len(opens)


def make_kernel(layout: Layout, make_column: Callable[[Ints], Any]) -> Kernel:
    """Return the columns of a search that has not begun, each made by ``make_column`` from an int64 array."""
    n, sections = layout.count, layout.section_count
    stack = min(n * (n + 1) // 2, _MOST_STACK) + 2 * n
    lengths = {
        **dict.fromkeys(("fixed", "lowest", "offset", "rank", "blocker"), n),
        **dict.fromkeys(("rest", "crossing", "weight", "witness", "tally"), sections),
        **dict.fromkeys(("placed", "trail_mark"), n),
        **dict.fromkeys(("trail_buffer", "trail_lowest"), len(layout.near) + 1),
        **dict.fromkeys(("pool", "pool_key", "row"), stack),
        **dict.fromkeys(("pool_start", "pool_stop", "pool_top", "row_start", "row_next", "row_stop"), n + 2),
        **dict.fromkeys(("section_start", "section_stop", "mark"), n + 2),
        **dict.fromkeys(("part_root", "part_next", "part_stop", "part_top", "split_stop"), n + 2),
        "parts": 8 * (n + 2),
        "control": CONTROL_SIZE,
    }
    given = ("size", "first", "last", "near_start", "near", "member_start", "member")
    columns = {name: make_column(getattr(layout, name)) for name in given}
    columns |= {name: make_column(np.zeros(length, dtype=np.int64)) for name, length in lengths.items()}
    return Kernel(**columns)


def loads(layout: Layout) -> tuple[Ints, Ints]:
    """Return the granules alive in each section, and how many buffers span each section and the next."""
    change = np.zeros(layout.section_count + 1, dtype=np.int64)
    np.add.at(change, layout.first, layout.size)
    np.add.at(change, layout.last, -layout.size)
    spanning = np.zeros(layout.section_count + 1, dtype=np.int64)
    np.add.at(spanning, layout.first, 1)
    np.add.at(spanning, layout.last - 1, -1)
    return np.cumsum(change)[:-1], np.cumsum(spanning)[:-1]
