"""The allocation problem and its answer: which buffers live when, and where each one lies in one arena.

    address ^   ┌──────────┐               a buffer is a rectangle: its steps are given, its offset is asked for;
            |   │    c     │┌────┐         two that share a step may not share an address
            │   └──────────┘│ b  │
            │  ┌────────────┴────┤         arena_bytes    the top of the highest buffer
            │  │        a        │         load bound     most bytes alive at one step: no arena is smaller
            └──┴─────────────────┴──> steps

Sizes are rounded up to the alignment before anything else, so that the load bound speaks of the bytes an arena really
has to hold. Live ranges are half-open. The question and the answer are different types.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from math import gcd
from operator import add

import numpy as np
import numpy.typing as npt

from memprof.base.errors import InputError, LimitError, UsageError
from memprof.ir.types import MAX_TENSOR_BYTES

Ints = npt.NDArray[np.int64]

MAX_STEP = 2**62
MAX_TOTAL_BYTES = 2**60
"""What all buffers of a problem may have together: sums of sizes stay exact in 64 bits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AllocationBuffer:
    """A block of bytes that exists for some steps.

    Attributes:
        name: Unique in its problem.
        start: First step at which it exists.
        stop: First step at which it no longer exists; ``start`` or more.
        size_bytes: Its bytes, before any rounding.
        traffic_bytes: Bytes that all operations together read from it and write to it.

    Raises:
        InputError: A number is out of range.
    """

    name: str
    start: int
    stop: int
    size_bytes: int
    traffic_bytes: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.start <= self.stop <= MAX_STEP:
            raise InputError(f"Buffer {self.name!r} lives in [{self.start}, {self.stop}): no range of steps.")
        if not 0 <= self.size_bytes <= MAX_TENSOR_BYTES:
            raise InputError(f"Buffer {self.name!r} has {self.size_bytes} bytes, not 0 to {MAX_TENSOR_BYTES}.")
        if self.traffic_bytes < 0:
            raise InputError(f"Buffer {self.name!r} is read and written {self.traffic_bytes} bytes.")

    def overlaps(self, other: AllocationBuffer) -> bool:
        """Whether both exist at some step."""
        return max(self.start, other.start) < min(self.stop, other.stop)


@dataclass(frozen=True, kw_only=True)
class AllocationProblem:
    """The buffers that share an arena.

    Attributes:
        buffers: All buffers; a buffer's id is its index.
        alignment: Every offset is a multiple of it, and sizes count as rounded up to one.

    Raises:
        UsageError: The alignment is not positive.
        InputError: Two buffers have one name.
        LimitError: Together they have more than ``MAX_TOTAL_BYTES``.
    """

    buffers: tuple[AllocationBuffer, ...]
    alignment: int = 1

    def __post_init__(self) -> None:
        if self.alignment < 1:
            raise UsageError(f"An alignment of {self.alignment} is not possible.", "Give a whole number from 1 up.")
        if sum(self.sizes) > MAX_TOTAL_BYTES:
            raise LimitError(f"The buffers have {sum(self.sizes)} bytes together, more than {MAX_TOTAL_BYTES}.")
        names = {buffer.name for buffer in self.buffers}
        if len(names) < len(self.buffers):
            seen: set[str] = set()
            twice = next(b.name for b in self.buffers if b.name in seen or seen.add(b.name))  # type: ignore[func-returns-value] # add returns None on purpose
            raise InputError(f"Two buffers are named {twice!r}.", "Give each buffer a name of its own.")

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """Bytes of each buffer, rounded up to the alignment; 0 for one that lives at no step."""
        step = self.alignment
        return tuple([-(-b.size_bytes // step) * step if b.start < b.stop else 0 for b in self.buffers])

    @cached_property
    def starts(self) -> Ints:
        """First step of each buffer."""
        return np.array([buffer.start for buffer in self.buffers], dtype=np.int64)

    @cached_property
    def stops(self) -> Ints:
        """First step of each buffer at which it no longer exists."""
        return np.array([buffer.stop for buffer in self.buffers], dtype=np.int64)

    @cached_property
    def load_bytes(self) -> int:
        """Most rounded bytes alive at one step: no arena can be smaller."""
        return int(self.load_columns[1].max(initial=0))

    @cached_property
    def load_profile(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The steps at which the load changes, ascending, and the rounded bytes alive from each of them on."""
        steps, loads = self.load_columns
        return tuple(steps.tolist()), tuple(loads.tolist())

    @cached_property
    def load_columns(self) -> tuple[Ints, Ints]:
        """``load_profile`` as arrays."""
        sizes = np.array(self.sizes, dtype=np.int64)
        counts = np.flatnonzero(sizes)
        steps = np.concatenate((self.starts[counts], self.stops[counts]))
        by_step = np.argsort(steps, kind="stable")
        steps = steps[by_step]
        loads = np.cumsum(np.concatenate((sizes[counts], -sizes[counts]))[by_step])
        is_last = np.append(steps[1:] != steps[:-1], True)[: len(steps)]
        return steps[is_last], loads[is_last]

    @cached_property
    def granule_bytes(self) -> int:
        """Greatest common divisor of the rounded sizes, 1 if there are none: smallest arenas are multiples of it.

        A plan in which no buffer can move down has every offset at a sum of sizes.
        """
        return gcd(*self.sizes) or 1

    def arena_bytes(self, offsets: Iterable[int]) -> int:
        """Return the top of the highest buffer."""
        return max(map(add, offsets, self.sizes), default=0)


@dataclass(frozen=True, kw_only=True)
class MemoryPlan:
    """An offset for every buffer, and what is proven about the arena.

    Attributes:
        problem: The question.
        offsets: First byte of each buffer in the arena.
        lower_bound_bytes: No arena is smaller.
        proof: What the lower bound rests on: ``load`` (bytes alive at one step) or ``exhaustive search``.
        strategy: What found the offsets.
        seconds: Wall time it took.
    """

    problem: AllocationProblem
    offsets: tuple[int, ...]
    lower_bound_bytes: int
    proof: str
    strategy: str
    seconds: float

    @cached_property
    def arena_bytes(self) -> int:
        """Bytes of the arena: the top of the highest buffer."""
        return self.problem.arena_bytes(self.offsets)

    @property
    def is_optimal(self) -> bool:
        """Whether no arena is smaller, proven."""
        return self.arena_bytes == self.lower_bound_bytes

    @property
    def load_bytes(self) -> int:
        """Most rounded bytes alive at one step."""
        return self.problem.load_bytes

    @property
    def fragmentation(self) -> float:
        """Arena bytes over the load bound, less one; 0 for an empty arena."""
        return self.arena_bytes / self.load_bytes - 1 if self.load_bytes else 0.0
