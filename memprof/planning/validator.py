"""The judge of every plan: knows the rules, knows no solver, and says which rule broke and where.

    rule        what must hold
    missing     every buffer has one offset
    outside     a buffer lies in the arena: offset >= 0, and its rounded end within the arena's bytes
    misaligned  an offset is a multiple of the alignment
    overlap     two buffers that share a step share no address
    capacity    the arena is no larger than what there is

A sweep over time keeps the buffers alive, sorted by offset, and compares each new one with its two neighbours: while
the ones alive are disjoint, nothing else can be in the way. O(n log n) comparisons. It comes after the deadline of a
plan, so it has to be quick: what is alive lies in rows, as thousands in one would be moved by every change.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from memprof.base.text import safe_text
from memprof.planning.offsets.problem import MAX_TOTAL_BYTES, AllocationProblem, MemoryPlan

RULES: Mapping[str, str] = MappingProxyType(
    {
        "missing": "every buffer has one offset",
        "outside": "every buffer lies inside the arena",
        "misaligned": "every offset is a multiple of the alignment",
        "overlap": "buffers that share a step share no address",
        "capacity": "the arena is no larger than its capacity",
    }
)
"""Every rule by name."""

_ROW_LENGTH, _MOST_ROWS = 16, 256  # buffers alive that are looked through as one


@dataclass(frozen=True, slots=True)
class Violation:
    """A rule that a plan breaks.

    Attributes:
        rule: Key in ``RULES``.
        buffers: Names of the buffers concerned.
        message: One sentence with the numbers.
    """

    rule: str
    buffers: tuple[str, ...]
    message: str


def find_violation(
    problem: AllocationProblem, offsets: Sequence[int], capacity_bytes: int | None = None
) -> Violation | None:
    """Return the first rule that ``offsets`` breaks, ``None`` if they are a valid plan of ``problem``.

    Args:
        problem: The buffers.
        offsets: One offset per buffer.
        capacity_bytes: Bytes that the arena may have at most.
    """
    if len(offsets) != len(problem.buffers):
        lacking = tuple(buffer.name for buffer in problem.buffers[len(offsets) :])
        return Violation("missing", lacking, f"{len(offsets)} offsets for {len(problem.buffers)} buffers.")
    found = _find_misplaced(problem, offsets) or _find_overlap(problem, offsets)
    if found is None and capacity_bytes is not None:
        top = max(range(len(offsets)), key=lambda i: offsets[i] + problem.sizes[i], default=None)
        if top is not None and offsets[top] + problem.sizes[top] > capacity_bytes:
            name = problem.buffers[top].name
            end = offsets[top] + problem.sizes[top]
            message = f"Buffer {safe_text(name)!r} ends at {end}; the capacity is {capacity_bytes}."
            return Violation("capacity", (name,), message)
    return found


def check_plan(plan: MemoryPlan, capacity_bytes: int | None = None) -> MemoryPlan:
    """Return ``plan`` if it keeps every rule and its bound is no lie on its face; anything else is a bug of ours.

    Raises:
        AssertionError: A rule is broken.
    """
    found = find_violation(plan.problem, plan.offsets, capacity_bytes)
    assert found is None, f"invalid plan by {plan.strategy}: {found.rule}: {found.message}"
    assert plan.load_bytes <= plan.lower_bound_bytes <= plan.arena_bytes, "a bound that its own plan contradicts"
    return plan


def _find_misplaced(problem: AllocationProblem, offsets: Sequence[int]) -> Violation | None:
    step = problem.alignment
    if min(offsets, default=0) >= 0 and (step == 1 or not any(offset % step for offset in offsets)):
        return None
    for buffer, offset in zip(problem.buffers, offsets, strict=True):
        if offset < 0:
            return Violation("outside", (buffer.name,), f"Buffer {safe_text(buffer.name)!r} is at offset {offset}.")
        if offset % problem.alignment:
            message = f"Buffer {safe_text(buffer.name)!r} is at offset {offset}, no multiple of {problem.alignment}."
            return Violation("misaligned", (buffer.name,), message)
    return None


def _find_overlap(problem: AllocationProblem, offsets: Sequence[int]) -> Violation | None:
    # Those that take room, by offset: from here on each is a number in this order.
    sizes = np.array(problem.sizes, dtype=np.int64)
    is_small = max(offsets, default=0) <= MAX_TOTAL_BYTES  # offsets of strangers
    places = np.array(offsets, dtype=np.int64 if is_small else object)
    ids = np.argsort(places, kind="stable")
    ids = ids[sizes[ids] > 0]
    bottoms: list[int] = places[ids].tolist()
    tops: list[int] = (places[ids] + sizes[ids]).tolist()
    count = len(ids)
    steps = np.concatenate((problem.stops[ids], problem.starts[ids]))
    events = np.argsort(steps, kind="stable")  # of one step, ends come first
    alive_on_average = int(np.cumsum(np.where(events < count, -1, 1)).mean()) if count else 0
    alive = _Alive(count, min(_MOST_ROWS, alive_on_average // _ROW_LENGTH))
    for event in events.tolist():
        if event < count:
            alive.take(event)
            continue
        own = event - count
        below, above = alive.put(own)
        if below >= 0 and tops[below] > bottoms[own]:
            return _overlap(problem, offsets, int(ids[own]), int(ids[below]))
        if above >= 0 and tops[own] > bottoms[above]:
            return _overlap(problem, offsets, int(ids[own]), int(ids[above]))
    return None


class _Alive:
    """Some of the numbers below ``count``, ascending, cut into rows: a short row is cheap to search and to change."""

    def __init__(self, count: int, rows: int) -> None:
        self._shift = (count // max(1, rows)).bit_length()
        self._rows: list[list[int]] = [[] for _ in range((count >> self._shift) + 1)]
        self._filled = 0  # a bit for each row that is not empty

    def take(self, number: int) -> None:
        """Take a number out."""
        k = number >> self._shift
        row = self._rows[k]
        del row[bisect_left(row, number)]
        if not row:
            self._filled ^= 1 << k

    def put(self, number: int) -> tuple[int, int]:
        """Put a number in; return its neighbours below and above, -1 where there is none."""
        k = number >> self._shift
        row = self._rows[k]
        place = bisect_left(row, number)
        below = row[place - 1] if place else self._last_before(k)
        above = row[place] if place < len(row) else self._first_after(k)
        if not row:
            self._filled |= 1 << k
        row.insert(place, number)
        return below, above

    def _last_before(self, k: int) -> int:
        filled = self._filled & ((1 << k) - 1)
        return self._rows[filled.bit_length() - 1][-1] if filled else -1

    def _first_after(self, k: int) -> int:
        filled = self._filled >> (k + 1)
        return self._rows[k + (filled & -filled).bit_length()][0] if filled else -1


def _overlap(problem: AllocationProblem, offsets: Sequence[int], a: int, b: int) -> Violation:
    parts = []
    for i in (a, b):
        buffer = problem.buffers[i]
        parts.append(
            f"{safe_text(buffer.name)!r} (steps [{buffer.start}, {buffer.stop}), "
            f"bytes [{offsets[i]}, {offsets[i] + problem.sizes[i]}))"
        )
    names = (problem.buffers[a].name, problem.buffers[b].name)
    return Violation("overlap", names, f"Buffers {parts[0]} and {parts[1]} overlap.")
