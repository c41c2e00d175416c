"""What If, Loop and Scan allocate while they run, besides their outputs. A body has a plan of its own.

If      its outputs exist before the branch starts (one whose shape is open: once it is written), and the branch
        writes into them. Of two branches that may both run the larger one counts.
Loop    a counter and a flag. Each iteration writes carried and collected values to new buffers; carried ones are
        given back one iteration later, collected ones at the end, when the outputs exist too and all is copied. What
        an Identity in the body hands on from outside is shared, not copied. ``trip_count`` says how often it runs;
        where that is open, and nothing is collected, it is taken to run twice or more.
Scan    its outputs exist before it starts (what it collects, if its shape is open: once it is written); each state
        has two buffers that take turns (one for two iterations, none for one). An input or output that is not scanned
        along its first axis has a transposed copy; such an output itself exists only at the end.

From its second iteration on, and in a session that ran before from its first, a body takes its other buffers as one
block (``pattern``), unless it reads a weight from outside that is dropped, since all that read it are kernels that
keep it in a layout of their own: then it has no pattern.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol, cast

from memprof.ir import Graph, Node
from memprof.runtimes.onnxruntime.scratch import MISFITS

_COUNTER_BYTES = 8
_FLAG_BYTES = 1


class BodyRun(Protocol):
    """A body as it runs: what is asked of a ``Frame`` here."""

    @property
    def graph(self) -> Graph:
        """What runs."""

    @property
    def open_outputs(self) -> frozenset[int]:
        """Ids of graph outputs whose size onnxruntime does not know before it runs."""

    @property
    def is_complete(self) -> bool:
        """Whether all sizes are known."""

    def first_pass(self, written: Collection[int]) -> list[int]:
        """Return by step the bytes of a first pass; of the graph outputs only ``written`` count."""

    def later_pass(self, written: Collection[int]) -> list[int]:
        """Return by step the bytes of any further pass; of the graph outputs only ``written`` count."""

    def output_bytes(self, value_ids: Collection[int]) -> int:
        """Return the bytes that graph outputs take; one that shares what others own takes none."""


@dataclass(frozen=True, slots=True)
class _Later:
    """A body that has run before: its first pass is as any further one."""

    frame: BodyRun

    @property
    def graph(self) -> Graph:
        return self.frame.graph

    @property
    def open_outputs(self) -> frozenset[int]:
        return self.frame.open_outputs

    @property
    def is_complete(self) -> bool:
        return self.frame.is_complete

    def first_pass(self, written: Collection[int]) -> list[int]:
        return self.frame.later_pass(written)

    def later_pass(self, written: Collection[int]) -> list[int]:
        return self.frame.later_pass(written)

    def output_bytes(self, value_ids: Collection[int]) -> int:
        return self.frame.output_bytes(value_ids)


@dataclass(frozen=True, slots=True)
class BodiesUse:
    """What a node takes beyond its outputs.

    Attributes:
        beside_bytes: The most while its outputs exist too.
        before_bytes: The most before some of them do.
        late: Ids of those.
    """

    beside_bytes: int
    before_bytes: int = 0
    late: frozenset[int] = frozenset()

    @property
    def most_bytes(self) -> int:
        """The most at any moment."""
        return max(self.beside_bytes, self.before_bytes)


def bodies_use(graph: Graph, node: Node, frames: Sequence[BodyRun], *, has_run: bool = False) -> BodiesUse | None:
    """Return what ``node`` takes beyond its outputs, ``None`` if sizes or counts are open.

    Args:
        graph: The graph that the node is in.
        node: A node with bodies.
        frames: Its bodies as they run.
        has_run: Whether the session ran before: then the first iteration takes a block, too.
    """
    rule = _RULES.get(node.op)
    if rule is None or not all(frame.is_complete for frame in frames):
        return None
    try:
        return rule(graph, node, [_Later(frame) for frame in frames] if has_run else frames)
    except MISFITS:
        return None


def _branch(graph: Graph, node: Node, frames: Sequence[BodyRun]) -> BodiesUse:
    return BodiesUse(max(map(_branch_bytes, frames)))


def _branch_bytes(frame: BodyRun) -> int:
    most = max(frame.first_pass(frame.open_outputs), default=0)
    return max(0, most - frame.output_bytes(frame.open_outputs))


def _loop(graph: Graph, node: Node, frames: Sequence[BodyRun]) -> BodiesUse | None:
    (frame,) = frames
    outputs = frame.graph.outputs
    carried_count = len(node.inputs) - 2
    flag = frame.output_bytes(outputs[:1])
    carried = frame.output_bytes(outputs[1 : 1 + carried_count])
    collected = frame.output_bytes(outputs[1 + carried_count :])
    trips = node.attributes.get("trip_count", None if collected else 2)
    if not isinstance(trips, int):
        return None
    held = _COUNTER_BYTES + _FLAG_BYTES
    if trips == 0:
        return BodiesUse(held)
    moments = [held + most for most in frame.first_pass(outputs)]
    if trips > 1:
        before = held + carried + (trips - 1) * collected
        moments += [before + most for most in frame.later_pass(outputs)]
        held += carried + flag
    return BodiesUse(held + carried + trips * collected, max(moments, default=0), frozenset(node.writes))


def _scan(graph: Graph, node: Node, frames: Sequence[BodyRun]) -> BodiesUse | None:
    (frame,) = frames
    scanned = cast("int", node.attributes.get("num_scan_inputs", 1))
    inputs = [i for i in node.inputs if i is not None]
    states, sequences = inputs[: len(inputs) - scanned], inputs[len(inputs) - scanned :]
    axes = cast("tuple[int, ...]", node.attributes.get("scan_input_axes", (0,) * scanned))
    shape = graph.values[sequences[0]].type.shape
    length = None if shape is None else shape[axes[0]]
    sizes = graph.value_bytes
    if not isinstance(length, int) or any(sizes[i] is None for i in inputs):
        return None
    turns = min(max(length - 1, 0), 2) * sum(sizes[i] or 0 for i in states)
    collected = node.outputs[len(states) :]
    out_axes = cast("tuple[int, ...]", node.attributes.get("scan_output_axes", (0,) * len(collected)))
    transposed = [i for i, axis in zip(collected, out_axes, strict=False) if axis and i is not None]
    held = turns + sum(sizes[i] or 0 for i, axis in zip(sequences, axes, strict=False) if axis)
    held += sum(sizes[i] or 0 for i in transposed)
    later = max(frame.later_pass(()), default=0) if length > 1 else 0
    late = frame.open_outputs.intersection(frame.graph.outputs[len(states) :])
    if late and not transposed:  # what it collects exists once the first iteration has written it
        open_at = [
            i for i, output in zip(collected, frame.graph.outputs[len(states) :], strict=False) if output in late
        ]
        return BodiesUse(
            held + later, held + max(frame.first_pass(late), default=0), frozenset(node.writes) & {*open_at}
        )
    most = max(later, *frame.first_pass(()), 0)
    if not transposed:
        return BodiesUse(held + most)
    return BodiesUse(held, held + most, frozenset(transposed))


_RULES: Mapping[str, Callable[[Graph, Node, Sequence[BodyRun]], BodiesUse | None]] = MappingProxyType(
    {"If": _branch, "Loop": _loop, "Scan": _scan}
)
