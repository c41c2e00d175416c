"""Who writes a buffer and who holds it: the names behind a lifetime. Pure; one pass to prepare, then per buffer."""

from __future__ import annotations

from typing import NamedTuple

from memprof.analysis.lifetimes import Buffer, Lifetimes


class Holder(NamedTuple):
    """Why a buffer exists from its first step to its last. A named tuple: quick to make.

    Attributes:
        producer: Id of the node that writes its first value, ``None`` for a graph input.
        last_reader: Id of the node that reads it last, ``None`` if nobody does.
        last_read_step: Step at which that node runs, ``None`` if there is none.
        is_output: Whether it holds a graph output, which stays to the end.
    """

    producer: int | None
    last_reader: int | None
    last_read_step: int | None
    is_output: bool


class Holders:
    """Looks up the holder of any buffer of ``lifetimes``.

    Complexity: O(nodes + outputs) to make, O(values of the buffer and their readers) per look-up.
    """

    def __init__(self, lifetimes: Lifetimes) -> None:
        self._graph = lifetimes.graph
        count = len(lifetimes.graph.nodes)
        is_listed = lifetimes.schedule.is_listed and lifetimes.schedule.step_count == count
        self._step_of_node = range(count) if is_listed else lifetimes.schedule.step_of_node()
        self._runs_all = len(self._step_of_node) == count
        self._outputs = frozenset(lifetimes.graph.outputs)

    def find(self, buffer: Buffer) -> Holder:
        """Return who writes ``buffer`` and who holds it; of several last readers in one step, the first."""
        consumers, steps = self._graph.consumers, self._step_of_node
        values = buffer.values
        found = consumers[values[0]] if len(values) == 1 else [i for value_id in values for i in consumers[value_id]]
        readers = found if self._runs_all else [node_id for node_id in found if node_id in steps]
        last_reader = max(readers, key=steps.__getitem__) if readers else None
        last_step = None if last_reader is None else steps[last_reader]
        producer = self._graph.values[values[0]].producer
        return _record(Holder, (producer, last_reader, last_step, not self._outputs.isdisjoint(values)))


_record = tuple.__new__  # with all fields in order: half of the time
