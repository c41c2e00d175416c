"""What the lifetime plot shows in a row of its own, and what it folds into groups. No drawing.

    buffers       rows
    up to 56      one each
    more          those that make up the peak, the largest of the rest and of the graph's inputs and outputs have one
                  each; what is left is added up in at most 8 groups, by module where modules are known and tell
                  tensors apart, else by when they are born

A row is an *outline*: bytes over steps. That of a tensor is one block; that of a group is the sum of its tensors at
each step, so that all rows together are the memory curve, whatever was folded. An outline of many steps is thinned
out to the highest value of each of a bounded number of equal stretches, which keeps every peak.

Complexity: O(buffers log buffers + steps), a drawn outline O(1).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from memprof.analysis import Buffer, Lifetimes
from memprof.ir import Role

MAX_ROWS = 56
"""Most tensors that are all shown in a row of their own: what fits a page."""

_ROWS_AT_PEAK = 24
_PEAK_SHARE = 100  # one part in so many of the peak deserves a row
_ROWS_ELSEWHERE = 12
_ROWS_OF_IO = 2
_GROUPS = 8
_STRETCHES = 1500
"""More than the picture is wide in device-independent pixels."""


@dataclass(frozen=True, slots=True)
class Outline:
    """Bytes over steps.

    Attributes:
        edges: Where a height begins, in steps, and the end of the last one: one longer than ``heights``.
        heights: Bytes between two edges.
    """

    edges: npt.NDArray[np.float64]
    heights: npt.NDArray[np.float64]

    @property
    def highest(self) -> float:
        """The highest of the heights, 0 if there is none."""
        return float(self.heights.max(initial=0.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of the plot.

    Attributes:
        name: Name of the tensor, or what the group is.
        size_bytes: Bytes of the tensor, or of the group's tensors at the peak; ``None`` if not known.
        outline: Bytes over steps.
        tensors: How many tensors it shows.
        is_alive_at_peak: Whether it holds anything at the peak.
        is_input: Whether it is a graph input.
        is_output: Whether it is a graph output.
    """

    name: str
    size_bytes: int | None
    outline: Outline
    tensors: int = 1
    is_alive_at_peak: bool = False
    is_input: bool = False
    is_output: bool = False

    @property
    def is_group(self) -> bool:
        """Whether it stands for anything but one tensor."""
        return self.tensors != 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """All rows of a plot.

    Attributes:
        tensors: One row per tensor, by birth.
        groups: One row per group, by birth; empty if every tensor has a row.
        grouped_by: ``module`` or ``birth``.
        folded: Number of tensors in groups.
        folded_peak_bytes: Bytes that those hold at the peak.
        reserved: What steps need besides the tensors, if anything.
    """

    tensors: tuple[Row, ...]
    groups: tuple[Row, ...]
    grouped_by: str
    folded: int
    folded_peak_bytes: int
    reserved: Row | None

    @property
    def others(self) -> tuple[Row, ...]:
        """The rows below those of the tensors."""
        return self.groups if self.reserved is None else (*self.groups, self.reserved)


def arrange_rows(lifetimes: Lifetimes, *, has_gaps: bool = False) -> Rows:
    """Return the rows in which ``lifetimes`` are drawn.

    Args:
        lifetimes: What is drawn.
        has_gaps: Whether they lie at addresses: what no tensor has may be a gap between them.
    """
    peak_step = lifetimes.peak_step
    buffers = [b for b in lifetimes.buffers if b.start < b.stop]
    own = set(range(len(buffers))) if len(buffers) <= MAX_ROWS else _landmarks(lifetimes, buffers)
    folded = [b for i, b in enumerate(buffers) if i not in own]
    grouped_by, groups = _group(lifetimes, folded)
    outputs = set(lifetimes.graph.outputs)
    tensors = [_tensor_row(lifetimes, buffers[i], outputs, peak_step) for i in own]
    return Rows(
        tensors=tuple(sorted(tensors, key=lambda row: (row.outline.edges[0], row.outline.edges[1], row.name))),
        groups=tuple(_group_row(lifetimes, name, members, peak_step) for name, members in groups.items()),
        grouped_by=grouped_by,
        folded=len(folded),
        folded_peak_bytes=sum(b.size_bytes or 0 for b in folded if b.start <= peak_step < b.stop),
        reserved=_reserved_row(lifetimes, peak_step, has_gaps=has_gaps),
    )


def outline_of(buffers: Sequence[Buffer], step_count: int) -> Outline:
    """Return the bytes that ``buffers`` hold together at each step; unknown sizes count nothing."""
    sizes = [float(b.size_bytes or 0) for b in buffers]
    change = np.zeros(step_count + 1)
    np.add.at(change, [b.start for b in buffers], sizes)
    np.subtract.at(change, [b.stop for b in buffers], sizes)
    return thin_out(np.cumsum(change)[:-1])


def thin_out(heights: Sequence[float] | npt.NDArray[np.float64]) -> Outline:
    """Return bytes by step as an outline of a bounded number of stretches, each with its highest value."""
    values = np.asarray(heights, dtype=np.float64)
    stride = -(-len(values) // _STRETCHES)
    if stride > 1:
        edges = np.append(np.arange(0, len(values), stride), len(values))
        return Outline(edges.astype(np.float64), np.maximum.reduceat(values, edges[:-1]))
    return Outline(np.arange(len(values) + 1, dtype=np.float64), values)


def _landmarks(lifetimes: Lifetimes, buffers: Sequence[Buffer]) -> set[int]:
    """Return which of many buffers get a row: what makes the peak, the largest elsewhere, inputs and outputs."""
    step, peak_bytes = lifetimes.peak_step, lifetimes.timeline.peak_bytes

    def rank(i: int) -> tuple[bool, int]:
        size = buffers[i].size_bytes
        return size is not None, -(size or 0)  # an unknown size comes first: it wants attention

    ranked = sorted(range(len(buffers)), key=rank)
    at_peak = [i for i in ranked if buffers[i].start <= step < buffers[i].stop]
    telling = [i for i in at_peak if (size := buffers[i].size_bytes) is None or _PEAK_SHARE * size >= peak_bytes]
    inputs, outputs = set(lifetimes.graph.inputs), set(lifetimes.graph.outputs)
    return {
        *telling[:_ROWS_AT_PEAK],
        *_first(_ROWS_ELSEWHERE, ranked, set(ranked) - set(at_peak)),
        *_first(_ROWS_OF_IO, ranked, {i for i in ranked if not inputs.isdisjoint(buffers[i].values)}),
        *_first(_ROWS_OF_IO, ranked, {i for i in ranked if not outputs.isdisjoint(buffers[i].values)}),
    }


def _first(count: int, ranked: Sequence[int], wanted: set[int]) -> list[int]:
    return [i for i in ranked if i in wanted][:count]


def _tensor_row(lifetimes: Lifetimes, buffer: Buffer, outputs: set[int], peak_step: int) -> Row:
    values = lifetimes.graph.values
    return Row(
        name=values[buffer.values[0]].name,
        size_bytes=buffer.size_bytes,
        outline=Outline(np.array([buffer.start, buffer.stop], float), np.array([buffer.size_bytes or 0], float)),
        is_alive_at_peak=buffer.start <= peak_step < buffer.stop,
        is_input=any(values[i].role is Role.INPUT for i in buffer.values),
        is_output=any(i in outputs for i in buffer.values),
    )


def _group_row(lifetimes: Lifetimes, name: str, members: Sequence[Buffer], peak_step: int) -> Row:
    at_peak = [b for b in members if b.start <= peak_step < b.stop]
    return Row(
        name=f"{len(members):,} {name}",
        size_bytes=sum(b.size_bytes or 0 for b in at_peak),
        outline=outline_of(members, lifetimes.schedule.step_count),
        tensors=len(members),
        is_alive_at_peak=bool(at_peak),
    )


def _reserved_row(lifetimes: Lifetimes, peak_step: int, *, has_gaps: bool) -> Row | None:
    if not any(lifetimes.reserved):
        return None
    of_arena = "gaps between tensors, and scratch" if has_gaps else "inside control flow, and scratch"
    return Row(
        name="held in a block, and scratch" if lifetimes.held else of_arena,
        size_bytes=lifetimes.reserved[peak_step],
        outline=thin_out(lifetimes.reserved),
        tensors=0,
        is_alive_at_peak=lifetimes.reserved[peak_step] > 0,
    )


def _group(lifetimes: Lifetimes, folded: Sequence[Buffer]) -> tuple[str, Mapping[str, list[Buffer]]]:
    by_module = _by_module(lifetimes, folded)
    return ("module", by_module) if by_module else ("birth", _by_birth(lifetimes, folded))


def _by_module(lifetimes: Lifetimes, folded: Sequence[Buffer]) -> Mapping[str, list[Buffer]]:
    """Return the finest grouping by leading parts of module paths that has few enough groups.

    Empty if none tells the tensors apart: one group, or one that holds most of them.
    """
    values = lifetimes.graph.values
    paths = [tuple(values[b.values[0]].module.split(".")) for b in folded]
    best: list[str] = []
    for depth in range(1, max(map(len, paths), default=0) + 1):
        names = [".".join(path[:depth]) for path in paths]
        counts = Counter(names)
        if len(counts) > _GROUPS:
            break
        if 2 * max(counts.values()) <= len(folded):
            best = names
    groups: dict[str, list[Buffer]] = {}
    for name, buffer in zip(best, folded, strict=bool(best)):
        groups.setdefault(f"in {name}" if name else "outside of modules", []).append(buffer)
    return groups


def _by_birth(lifetimes: Lifetimes, folded: Sequence[Buffer]) -> Mapping[str, list[Buffer]]:
    steps = lifetimes.schedule.step_count
    stretch = max(1, -(-steps // _GROUPS))
    groups: dict[str, list[Buffer]] = {}
    for buffer in sorted(folded, key=lambda b: b.start):
        first = buffer.start // stretch * stretch
        last = min(first + stretch, steps) - 1
        groups.setdefault(f"born in steps {first:,} to {last:,}", []).append(buffer)
    return groups
