r"""Hill-valley segments: how runs of operations that share nothing but the arena are merged at the smallest peak.

A run is a sequence of operations whose bytes add to those of everything else: it begins at some bytes, and each of
its segments climbs a hill (most bytes on the way) and ends in a valley. Split at its lowest valley it has a canonical
form: behind that, hills fall and valleys rise; before it, the same backwards in time. A segment is worth no break:
whatever is merged with the run runs before or after it.

    bytes  |   _/\_        __          merging   all runs reach their lowest valleys together
           |  /    \      /  \/\_                what comes after goes by falling hill - valley
           |_/      \____/                       what comes before by the same rule backwards in time
           +---------------------> steps

That merge has the smallest peak of all, also as a part of something larger, so it may take the place of its runs.
Merging m segments costs O(m log m).

Sources: Liu, SIAM J. Algebraic Discrete Methods 8(3), 1987 (trees, segments); Kayaaslan, Lambert, Marchal, Ucar,
Theoretical Computer Science 707, 2018 (series-parallel graphs, the split at the lowest valley).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

Rope = Any
"""An operation, or a tuple of ropes: joined without copying, read by ``unwind``."""


class Segment(NamedTuple):
    """A stretch of a run.

    Attributes:
        hill_bytes: Most bytes on the way.
        valley_bytes: Bytes at its end.
        ops: Its operations.
    """

    hill_bytes: int
    valley_bytes: int
    ops: Rope


@dataclass(frozen=True, slots=True)
class Run:
    """Operations in a fixed order.

    Attributes:
        start_bytes: Bytes before the first.
        segments: What follows; no hill is below the valleys beside it.
    """

    start_bytes: int
    segments: Sequence[Segment]

    @property
    def end_bytes(self) -> int:
        """Bytes after the last."""
        return self.segments[-1].valley_bytes if self.segments else self.start_bytes


def merge_runs(runs: Sequence[Run]) -> Run:
    """Return the merge of ``runs`` with the smallest peak."""
    halves = [_halves(run) for run in runs]
    before = sorted(
        (
            (low - hill, branch, i)
            for branch, (left, _, _) in enumerate(halves)
            for i, (hill, low, _) in enumerate(left)
        ),
    )
    after = sorted(
        (
            (low - hill, branch, i)
            for branch, (_, _, right) in enumerate(halves)
            for i, (hill, low, _) in enumerate(right)
        ),
    )
    level = [run.start_bytes for run in runs]
    total = start = sum(level)
    segments = []
    for _, branch, i in reversed(before):
        left = halves[branch][0]
        hill, _, ops = left[i]
        valley = left[i - 1].valley_bytes if i else halves[branch][1]
        others = total - level[branch]
        segments.append(Segment(others + hill, others + valley, ops))
        total, level[branch] = others + valley, valley
    for _, branch, i in after:
        hill, valley, ops = halves[branch][2][i]
        others = total - level[branch]
        segments.append(Segment(others + hill, others + valley, ops))
        total, level[branch] = others + valley, valley
    return Run(start, segments)


def canonical(run: Run) -> Run:
    """Return the run in its canonical segments."""
    left, lowest, right = _halves(run)
    segments = []
    for i in reversed(range(len(left))):
        valley = left[i - 1].valley_bytes if i else lowest
        segments.append(Segment(left[i].hill_bytes, valley, left[i].ops))
    return Run(run.start_bytes, segments + right)


def unwind(rope: Rope) -> list[int]:
    """Return the operations of a rope in order."""
    found: list[int] = []
    stack = [rope]
    while stack:
        item = stack.pop()
        if isinstance(item, tuple):
            stack.extend(reversed(item))
        else:
            found.append(item)
    return found


def _halves(run: Run) -> tuple[list[Segment], int, list[Segment]]:
    """Return the canonical segments before the lowest valley, its bytes, and those after it.

    Those before are listed backwards in time, each with the valley that lies *before* it.
    """
    segments = run.segments
    valleys = [run.start_bytes, *(segment.valley_bytes for segment in segments)]
    lowest = min(range(len(valleys)), key=valleys.__getitem__)
    left = _falling(
        (Segment(segments[i].hill_bytes, valleys[i], segments[i].ops) for i in reversed(range(lowest))), -1
    )
    return left, valleys[lowest], _falling(segments[lowest:], 1)


def _falling(segments: Iterable[Segment], direction: int) -> list[Segment]:
    """Join segments until hills fall and valleys rise; ``direction`` -1 if they are listed backwards in time."""
    stack: list[Segment] = []
    for found in segments:
        segment = found
        while stack and (
            stack[-1].hill_bytes <= segment.hill_bytes or stack[-1].valley_bytes >= segment.valley_bytes
        ):
            above = stack.pop()
            ops = (above.ops, segment.ops)[::direction]
            segment = Segment(max(above.hill_bytes, segment.hill_bytes), segment.valley_bytes, ops)
        stack.append(segment)
    return stack
