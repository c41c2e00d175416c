"""A draft becomes a graph again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from memprof.ir import Graph, GraphBuilder, NewValue, Role, TensorType
from memprof.runtimes.onnxruntime.optimizing.draft import Draft, Step
from memprof.runtimes.onnxruntime.optimizing.folding import KEPT


def build(draft: Draft) -> tuple[Graph, Graph]:
    """Return the graph that is left, its nodes in the order in which they run, and the same as known ahead."""
    steps, types, ahead = draft.steps_and_types()
    found = _built(draft, steps, types)
    return found, found if ahead is types else _built(draft, steps, ahead)


def _built(draft: Draft, steps: Sequence[Step], types: Sequence[TensorType]) -> Graph:
    graph, values = draft.graph, draft.graph.values
    builder = GraphBuilder(graph.name, graph.opset)
    ids: dict[int, int | None] = {}
    for i, value in enumerate(values):
        if value.role is Role.INPUT:
            ids[i] = builder.add_input(value.name, types[i])
        elif value.role is Role.CAPTURE:
            ids[i] = builder.add_capture(value.name, types[i])
        elif draft.is_fixed(i) and not draft.is_written(i):
            ids[i] = builder.add_parameter(value.name, types[i])
    names = Names(value.name for value in values)
    for i in range(len(values), len(types)):
        if draft.is_fixed(i):
            ids[i] = builder.add_parameter(names.free(f"inlined/{i}"), types[i])
    for step in steps:
        new = [None if i is None else _new_value(draft, i, step, types, names) for i in step.outputs]
        written = builder.add_node(
            step.op,
            [None if i is None else ids[i] for i in step.inputs],
            new,
            name=step.node.name,
            captures=[captured for i in step.node.captures if (captured := ids.get(i)) is not None],
            bodies=step.node.bodies,
            is_foldable=step.op not in KEPT,
            attributes=step.attributes,
            module=step.node.module,
            version=step.node.version if step.op == step.node.op else 0,
            definition=step.node.definition if step.op == step.node.op else None,
            is_malformed=step.node.is_malformed,
        )
        ids.update({old: now for old, now in zip(step.outputs, written, strict=True) if old is not None})
    elements = {kept: found for i, found in draft.small_constants() if (kept := ids.get(i)) is not None}
    return builder.build([found for i in graph.outputs if (found := ids[i]) is not None], elements)


def _new_value(draft: Draft, value_id: int, step: Step, types: Sequence[TensorType], names: Names) -> NewValue:
    values = draft.graph.values
    if value_id >= len(values):
        return NewValue(names.free(f"{step.node.name}/{step.op}"), types[value_id])
    return NewValue(values[value_id].name, types[value_id])


class Names:
    """Names that values have, and new ones: many are wished for alike, and each search goes on where the last ended.

    Args:
        taken: Names that are there.
    """

    def __init__(self, taken: Iterable[str]) -> None:
        self._taken = set(taken)
        self._last: dict[str, int] = {}

    def free(self, wish: str) -> str:
        """Return ``wish``, or it with the least number behind that nobody has, and take it."""
        name = wish
        while name in self._taken:
            self._last[wish] = self._last.get(wish, 1) + 1
            name = f"{wish}#{self._last[wish]}"
        self._taken.add(name)
        return name
