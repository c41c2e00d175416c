"""The peak: its step, the operations that run there, who is alive and why, in one sentence each. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, overload

from memprof.analysis import Buffer, Holder, Holders, Lifetimes


class LiveTensor(NamedTuple):
    """One buffer that is alive at the peak. A named tuple: there may be as many as tensors, and it is quick to make.

    Attributes:
        name: Name of the tensor; the first of those that share the buffer.
        size_bytes: Its bytes, ``None`` if not known.
        share: Its part of the peak, 0 to 1.
        producer: The operation that wrote it, ``None`` for a graph input.
        held_by: The last operation that reads it, ``None`` if it is a graph output or nobody reads it.
        is_output: Whether it holds a graph output, which stays to the end.
        held_steps: Steps after the peak for which it stays.
        module: Path of the module it belongs to.
        cause: One sentence: why it is there.
    """

    name: str
    size_bytes: int | None
    share: float
    producer: str | None
    held_by: str | None
    is_output: bool
    held_steps: int
    module: str
    cause: str


class LiveTensors(Sequence[LiveTensor]):
    """What is alive at a step, largest first: as a tuple, but each is worked out when it is looked at. Most are not.

    Args:
        lifetimes: When each buffer lives.
        step: The step.
    """

    def __init__(self, lifetimes: Lifetimes, step: int) -> None:
        self._lifetimes, self._step, self._peak_bytes = lifetimes, step, lifetimes.timeline.peak_bytes

    @cached_property
    def buffers(self) -> tuple[Buffer, ...]:
        """The same as buffers."""
        return self._lifetimes.alive_at(self._step)

    @property
    def origin(self) -> tuple[int, ...]:
        """What they follow from, by identity: runtime models that agree on it have the same."""
        found = self._lifetimes
        return (id(found.graph), id(found.buffers), id(found.schedule.steps), self._step, self._peak_bytes)

    def __len__(self) -> int:
        return len(self.buffers)

    @overload
    def __getitem__(self, place: int) -> LiveTensor: ...

    @overload
    def __getitem__(self, place: slice) -> tuple[LiveTensor, ...]: ...

    def __getitem__(self, place: int | slice) -> LiveTensor | tuple[LiveTensor, ...]:
        if isinstance(place, slice):
            return tuple(map(self._tensor, self.buffers[place]))
        return self._tensor(self.buffers[place])

    def __iter__(self) -> Iterator[LiveTensor]:
        return map(self._tensor, self.buffers)

    def __eq__(self, other: object) -> bool:
        return self[:] == other[:] if isinstance(other, LiveTensors | tuple) else NotImplemented

    def __hash__(self) -> int:
        return hash(self[:])

    def __repr__(self) -> str:
        return repr(self[:])

    @cached_property
    def _holders(self) -> Holders:
        return Holders(self._lifetimes)

    def _tensor(self, buffer: Buffer) -> LiveTensor:
        return _live_tensor(self._lifetimes, buffer, self._holders.find(buffer), self._step, self._peak_bytes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Peak:
    """The step that makes the peak: the first of the maximum, of one block held all along the one that fills it.

    Attributes:
        step: Index of the step.
        nodes: The operations that run at it.
        reserved_bytes: Bytes that step needs besides the tensors: bodies of control flow, scratch.
        held_bytes: Bytes of a block held all along in which nothing lives at that step.
        live: What is alive then, largest first.
    """

    step: int
    nodes: tuple[str, ...]
    reserved_bytes: int
    held_bytes: int
    live: LiveTensors

    @property
    def node(self) -> str | None:
        """The operation that runs at the peak, ``None`` unless it is exactly one."""
        return self.nodes[0] if len(self.nodes) == 1 else None


def find_peak(lifetimes: Lifetimes) -> Peak:
    """Return the step that makes the peak of ``lifetimes``, and who lives there and why."""
    step = lifetimes.peak_step
    held = lifetimes.held[step] if lifetimes.held else 0
    running = lifetimes.schedule.steps[step] if lifetimes.schedule.steps else ()
    return Peak(
        step=step,
        nodes=tuple(lifetimes.graph.nodes[i].name for i in running),
        reserved_bytes=lifetimes.reserved[step] - held if lifetimes.reserved else 0,
        held_bytes=held,
        live=LiveTensors(lifetimes, step),
    )


def _live_tensor(lifetimes: Lifetimes, buffer: Buffer, holder: Holder, step: int, peak_bytes: int) -> LiveTensor:
    graph = lifetimes.graph
    values, size_bytes, start, stop = buffer
    written_by, last_reader, last_read_step, is_output = holder
    first = graph.values[values[0]]
    held_by = None if is_output or last_reader is None else graph.nodes[last_reader].name
    producer = None if written_by is None else graph.nodes[written_by].name
    waits = 0 if last_read_step is None else last_read_step - step
    share = (size_bytes or 0) / peak_bytes if peak_bytes else 0.0
    cause = _cause(producer, held_by, is_output, waits, born_now=start == step)
    fields = (first.name, size_bytes, share, producer, held_by, is_output, stop - 1 - step, first.module, cause)
    return _record(LiveTensor, fields)


_record = tuple.__new__  # with all fields in order: half of the time


def _cause(producer: str | None, held_by: str | None, is_output: bool, waits: int, *, born_now: bool) -> str:
    born = (
        "given by the caller" if producer is None else f"{'being written' if born_now else 'written'} by {producer}"
    )
    if is_output:
        return f"{born}; a graph output, kept to the end"
    if held_by is None:
        return f"{born}; nobody reads it"
    if waits < 0:
        return f"{born}; read for the last time by {held_by}, and still held by the code that called it"
    if waits == 0:
        return f"{born}; being read for the last time, by {held_by}"
    return f"{born}; waits {waits} more {'step' if waits == 1 else 'steps'} for {held_by}"
