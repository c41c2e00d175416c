"""When each buffer lives, how many bytes live at each step, and where the peak is. Pure functions, integers only.

    runtime model --> Lifetimes (schedule, buffers, reserved bytes) --> Timeline --> Peak

A *step* runs one node (several where a model works in levels). A buffer written at step s and last read at step t
lives in ``[s, t + 1)``. The timeline is a difference array summed up once: O(buffers + steps).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, chain
from operator import add, eq, sub
from typing import NamedTuple

from memprof.ir import Graph, Unknown


class Buffer(NamedTuple):
    """Storage that one or more values share. A named tuple: there are as many as tensors, and it is quick to make.

    Attributes:
        values: Ids of the values in it, in order of birth; the first one gives it its name.
        size_bytes: Its bytes, ``None`` if not known.
        start: First step at which it exists.
        stop: First step at which it no longer exists; ``start`` if it never counts.
    """

    values: tuple[int, ...]
    size_bytes: int | None
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Schedule:
    """Which nodes run at which step.

    Attributes:
        steps: Node ids by step; one each in a sequential schedule, any number in a levelled one.
    """

    steps: tuple[tuple[int, ...], ...]

    @classmethod
    def sequential(cls, order: Iterable[int]) -> Schedule:
        """Return the schedule that runs one node after the other."""
        return cls(tuple(zip(order)))

    def step_of_node(self) -> Mapping[int, int]:
        """Return the step of each node that runs; not kept, since it is as large as all the rest."""
        if {*map(len, self.steps)} == {1}:
            return dict(zip(chain.from_iterable(self.steps), range(len(self.steps)), strict=True))
        return {node_id: step for step, nodes in enumerate(self.steps) for node_id in nodes}

    @property
    def is_listed(self) -> bool:
        """Whether node i runs at step i."""
        return all(map(eq, self.steps, zip(range(len(self.steps)), strict=True)))

    @property
    def step_count(self) -> int:
        """Number of steps, at least one: inputs and outputs exist even where nothing runs."""
        return max(1, len(self.steps))


@dataclass(frozen=True, slots=True)
class Timeline:
    """Bytes alive at each step; buffers of unknown size count nothing and make it a lower bound.

    Attributes:
        step_bytes: Bytes alive at each step.
    """

    step_bytes: tuple[int, ...]

    @property
    def peak_step(self) -> int:
        """First step of the maximum; 0 for an empty timeline."""
        return self.step_bytes.index(max(self.step_bytes)) if self.step_bytes else 0

    @property
    def peak_bytes(self) -> int:
        """The maximum; 0 for an empty timeline."""
        return max(self.step_bytes, default=0)


@dataclass(frozen=True)
class Lifetimes:
    """What a runtime model says of a graph: the order it runs in, and the life of every buffer.

    Attributes:
        graph: The graph.
        schedule: Which nodes run when.
        buffers: All buffers of intermediates (and of inputs and outputs as the model counts them).
        reserved: Bytes that a step needs besides the buffers (bodies of control flow, kernel scratch), by step;
            empty if there are none.
        scratch: Of the reserved bytes those that kernels take and give back while they run, by step; ``None`` for a
            model that knows no kernels.
        held: Of the reserved bytes those of a block that stays taken all along for tensors that come and go, where
            nothing lives in it just then, by step; empty for a model that takes and gives back each tensor by itself.
        is_complete: Whether all sizes, bodies included, are known.
        unknown: What this model alone does not know, beyond what the graph's importer lists.
        without: What the answer had to be worked out without, in a few words each: it is an estimate then.
    """

    graph: Graph
    schedule: Schedule
    buffers: tuple[Buffer, ...]
    reserved: tuple[int, ...] = ()
    scratch: tuple[int, ...] | None = None
    held: tuple[int, ...] = ()
    is_complete: bool = True
    unknown: tuple[Unknown, ...] = ()
    without: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"<Lifetimes of {len(self.buffers):,} buffers over {self.schedule.step_count:,} steps>"

    @cached_property
    def timeline(self) -> Timeline:
        """Bytes alive at each step, everything counted."""
        alive = self._alive(self.buffers)
        return Timeline(tuple(map(add, alive, self.reserved) if self.reserved else alive))

    @cached_property
    def timeline_in_use(self) -> Timeline:
        """The timeline without what is held while nothing lives in it."""
        if not self.held:
            return self.timeline
        return Timeline(tuple(map(sub, self.timeline.step_bytes, self.held)))

    @property
    def peak_step(self) -> int:
        """The step that makes the peak: the first of the maximum; of a block held all along, what fills it."""
        return self.timeline_in_use.peak_step

    @property
    def timeline_without_io(self) -> Timeline:
        """The timeline without buffers that hold a graph input or a graph output; not kept, asked for once."""
        is_inner = {*self.graph.inputs, *self.graph.outputs}.isdisjoint
        outer = self._alive([b for b in self.buffers if not is_inner(b[0])])  # its values; by place: twice as fast
        return Timeline(tuple(map(sub, self.timeline.step_bytes, outer)))

    @property
    def timeline_without_scratch(self) -> Timeline | None:
        """The timeline of tensors alone, ``None`` for a model that knows no kernels; not kept, as above."""
        if self.scratch is None:
            return None
        return Timeline(tuple(map(sub, self.timeline.step_bytes, self.scratch)))

    def alive_at(self, step: int) -> tuple[Buffer, ...]:
        """Return the buffers alive at ``step``, largest first, then by birth."""
        alive = [b for b in self.buffers if b[2] <= step < b[3]]  # start and stop; by place: twice as fast
        return tuple(sorted(alive, key=lambda b: (-(b.size_bytes or 0), b.start, b.values)))

    def _alive(self, buffers: Iterable[Buffer]) -> Iterator[int]:
        change = [0] * (self.schedule.step_count + 1)
        for _, size, start, stop in buffers:
            if size:
                change[start] += size
                change[stop] -= size
        change.pop()
        return accumulate(change)
