"""A graph on its way through optimisation: operations that can be removed, joined and replaced, then built anew.

Ids of values are those of the graph that was read; what a rule adds gets ids behind them.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush

from memprof.ir import Attribute, Graph, GraphBuilder, NewValue, Node, Role, TensorType

_RANDOM = frozenset(("RandomNormalLike", "RandomUniformLike", "Bernoulli", "Multinomial", "Dropout"))


@dataclass(slots=True)
class Step:
    """One operation of the draft: as a Node, to be changed.

    Attributes:
        node: The operation of the file that it stems from: its last, of several that were joined.
        op: What it is now.
        inputs: Ids of what it reads.
        outputs: Ids of what it writes.
        attributes: Its attributes.
    """

    node: Node
    op: str
    inputs: list[int | None]
    outputs: list[int | None]
    attributes: Mapping[str, Attribute] = field(default_factory=dict)

    @property
    def output(self) -> int:
        """Id of the first thing it writes, -1 if it writes nothing."""
        first = self.outputs[0] if self.outputs else None
        return -1 if first is None else first


class Draft:
    """The operations of a graph that do not follow from weights alone, in order.

    Attributes:
        steps: What is left.
        types: Type of each value.
        fixed: Ids of values that are weights or follow from such alone.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.types = [value.type for value in graph.values]
        self.fixed = {i for i, value in enumerate(graph.values) if value.role in (Role.PARAMETER, Role.CONSTANT)}
        self.steps: list[Step] = []
        for node in graph.nodes:
            if self._is_known(node):
                self.fixed.update(node.writes)
            elif not node.writes or any(i not in self.fixed for i in node.writes):
                self.steps.append(Step(node, node.op, list(node.inputs), list(node.outputs), node.attributes))
        self._outputs = set(graph.outputs)
        self._captured = {i for node in graph.nodes for i in node.captures}

    def _is_known(self, node: Node) -> bool:
        """Whether what a node writes follows from weights and from shapes that are known."""
        if node.op == "Shape":
            return self.shape(node.inputs[0]) is not None
        reads = node.reads
        return bool(reads) and not node.bodies and all(i in self.fixed for i in reads) and node.op not in _RANDOM

    def readers(self) -> Counter[int]:
        """Return how often each value is read; what the caller gets, or a body reads, counts twice."""
        found = Counter(i for step in self.steps for i in step.inputs if i is not None)
        for i in (*self._outputs, *self._captured):
            found[i] += 2
        return found

    def producers(self) -> dict[int, Step]:
        """Return who writes each value."""
        return {i: step for step in self.steps for i in step.outputs if i is not None}

    def shape(self, value_id: int | None) -> tuple[int, ...] | None:
        """Return the shape of a value, ``None`` if it is not known."""
        dims = None if value_id is None else self.types[value_id].shape
        known = tuple([dim for dim in dims or () if isinstance(dim, int)])
        return None if dims is None or len(known) != len(dims) else known

    def add_value(self, of: TensorType) -> int:
        """Return the id of a new value."""
        self.types.append(of)
        return len(self.types) - 1

    def drop(self, gone: Sequence[Step]) -> None:
        """Remove steps."""
        ids = {id(step) for step in gone}
        self.steps = [step for step in self.steps if id(step) not in ids]

    def is_seen(self, value_id: int) -> bool:
        """Whether the caller or a body reads a value, so that it has to stay."""
        return value_id in self._outputs or value_id in self._captured

    def built(self) -> Graph:
        """Return the graph that is left."""
        graph, values = self.graph, self.graph.values
        builder = GraphBuilder(graph.name, graph.opset)
        ids: dict[int, int | None] = {}
        for i, value in enumerate(values):
            if value.role is Role.INPUT:
                ids[i] = builder.add_input(value.name, value.type)
            elif value.role is Role.CAPTURE:
                ids[i] = builder.add_capture(value.name, value.type)
            elif i in self.fixed:
                ids[i] = builder.add_parameter(value.name, value.type)
        names = {value.name for value in values}
        for step in _sorted(self.steps, set(ids)):
            new = [None if i is None else self._new_value(i, step, ids, names) for i in step.outputs]
            written = builder.add_node(
                step.op,
                [None if i is None else ids[i] for i in step.inputs],
                new,
                name=step.node.name,
                captures=[found for i in step.node.captures if (found := ids.get(i)) is not None],
                bodies=step.node.bodies,
                attributes=step.attributes,
                module=step.node.module,
                version=step.node.version,
                definition=step.node.definition if step.op == step.node.op else None,
                is_malformed=step.node.is_malformed,
            )
            ids.update({old: now for old, now in zip(step.outputs, written, strict=True) if old is not None})
        return builder.build([found for i in graph.outputs if (found := ids[i]) is not None])

    def _new_value(self, value_id: int, step: Step, ids: Mapping[int, int | None], names: set[str]) -> NewValue:
        values = self.graph.values
        if value_id >= len(values):
            return NewValue(_free(names, f"{step.node.name}/{step.op}"), self.types[value_id])
        base = values[value_id].view_of if step.op == step.node.op else None
        return NewValue(values[value_id].name, self.types[value_id], None if base is None else ids.get(base))


def _sorted(steps: Sequence[Step], known: set[int]) -> list[Step]:
    """Return the steps in an order in which each reads what is there; joined ones may have moved behind readers."""
    writer = {i: place for place, step in enumerate(steps) for i in step.outputs if i is not None}
    missing, readers = [0] * len(steps), defaultdict[int, list[int]](list)
    for place, step in enumerate(steps):
        for i in {i for i in (*step.inputs, *step.node.captures) if i is not None and i not in known}:
            missing[place] += 1
            readers[writer[i]].append(place)
    ready = [place for place, count in enumerate(missing) if not count]
    found: list[Step] = []
    while ready:
        place = heappop(ready)
        found.append(steps[place])
        for reader in readers[place]:
            missing[reader] -= 1
            if not missing[reader]:
                heappush(ready, reader)
    assert len(found) == len(steps), "a rule made a cycle"
    return found


def _free(names: set[str], wish: str) -> str:
    name, suffix = wish, 2
    while name in names:
        name, suffix = f"{wish}#{suffix}", suffix + 1
    names.add(name)
    return name
