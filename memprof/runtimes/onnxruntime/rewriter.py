"""Writes a graph anew, node by node, with nodes replaced, added or repeated, and keeps onnxruntime's numbering."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from memprof.ir import Graph, GraphBuilder, NewValue, Node, Role, TensorType

_NOTHING: Mapping[int, int] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Lowered:
    """A graph as onnxruntime runs it.

    Attributes:
        graph: The graph.
        index: onnxruntime's number of each node.
    """

    graph: Graph
    index: tuple[int, ...]


class Rewriter:
    """Reads one graph and writes another; ids are those of the graph that is read, unless said otherwise.

    Attributes:
        ids: For each value of the graph that is read its id in the one that is written.
    """

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._builder = GraphBuilder(graph.name, graph.opset)
        self.ids: list[int | None] = [None] * len(graph.values)
        self._names = {value.name for value in graph.values}
        self._index: list[int] = []
        self._elements: dict[int, tuple[float, ...]] = {}
        for value_id, value in enumerate(graph.values):
            if value.producer is None:
                self.ids[value_id] = {
                    Role.INPUT: self._builder.add_input,
                    Role.PARAMETER: self._builder.add_parameter,
                    Role.CAPTURE: self._builder.add_capture,
                }[value.role](value.name, value.type)

    def keep(
        self,
        node_id: int,
        index: int,
        inputs: Mapping[int, int] = _NOTHING,
        types: Mapping[int, TensorType] = MappingProxyType({}),
    ) -> tuple[int | None, ...]:
        """Write a node as it is; return the new ids of what it writes.

        Args:
            node_id: The node.
            index: onnxruntime's number of it.
            inputs: By position, new ids of what it reads instead.
            types: By position, types of what it writes instead; such outputs get new names, and ``ids`` stays open.
        """
        node, values = self._graph.nodes[node_id], self._graph.values
        reads = [None if i is None else self.ids[i] for i in node.inputs]
        for position, value_id in inputs.items():
            reads[position] = value_id
        new: list[NewValue | None] = []
        for position, i in enumerate(node.outputs):
            if i is None:
                new.append(None)
            elif position in types:
                new.append(NewValue(self.free_name(f"{values[i].name}/wide"), types[position]))
            else:
                base = values[i].view_of
                view = None if base is None else self.ids[base]
                new.append(NewValue(values[i].name, values[i].type, view, values[i].module))
        is_foldable = any(values[i].role is Role.CONSTANT for i in node.writes)
        written = self._add(node, reads, new, index, (node.name, is_foldable, self.ids))
        for position, (old, i) in enumerate(zip(node.outputs, written, strict=True)):
            if old is not None and position not in types:
                self.ids[old] = i
        return written

    def repeat(self, node_id: int, index: int) -> int:
        """Write a node once more; return the new id of what the copy writes."""
        node, values = self._graph.nodes[node_id], self._graph.values
        output = node.writes[0]
        new = NewValue(self.free_name(f"{values[output].name}/duplicated"), values[output].type)
        is_foldable = values[output].role is Role.CONSTANT
        reads = [None if i is None else self.ids[i] for i in node.inputs]
        (value_id,) = self._add(node, reads, [new], index, (f"{node.name}/duplicated", is_foldable, self.ids))
        assert value_id is not None, "it was asked for"
        return value_id

    def cast(self, value_id: int, like: Node, new: NewValue, index: int) -> int:
        """Write a Cast of a new id, named after a node; return the new id of what it writes."""
        (written,) = self._builder.add_node(
            "Cast", [value_id], [new], name=f"{like.name}/Cast", module=like.module, version=like.version and 13
        )
        self._index.append(index)
        assert written is not None, "it was asked for"
        return written

    def insert(self, node_id: int, definition: Graph, first: int) -> None:
        """Write the nodes of a node's definition instead of the node, numbered from ``first`` on."""
        node, values = self._graph.nodes[node_id], self._graph.values
        inside: list[int | None] = [None] * len(definition.values)
        given = [self.ids[i] for i in node.inputs if i is not None]
        for formal, actual in zip(definition.inputs, given, strict=False):
            inside[formal] = actual
        names = dict(zip(definition.outputs, node.writes, strict=True))
        for step, inner in enumerate(definition.nodes):
            new: list[NewValue | None] = []
            for i in inner.outputs:
                if i is None:
                    new.append(None)
                    continue
                value = definition.values[i]
                base = None if value.view_of is None else inside[value.view_of]
                is_result = i in names
                name = values[names[i]].name if is_result else self.free_name(f"{node.name}/{value.name}")
                of = values[names[i]].type if is_result and value.type.size_bytes is None else value.type
                new.append(NewValue(name, of, base))
            reads = [None if i is None else inside[i] for i in inner.inputs]
            called = node.name if step == len(definition.nodes) - 1 else f"{node.name}/{inner.name}"
            is_foldable = (
                any(definition.values[i].role is Role.CONSTANT for i in inner.writes) or inner.op == "Constant"
            )
            written = self._add(inner, reads, new, first + step, (called, is_foldable, inside))
            for i, found in zip(inner.outputs, written, strict=True):
                if i is not None:
                    inside[i] = found
        self._elements.update(_moved(definition.elements, inside))
        for formal, output in names.items():
            self.ids[output] = inside[formal]

    def free_name(self, wish: str) -> str:
        """Return a name that no value has."""
        name = next(name for name in _numbered(wish) if name not in self._names)
        self._names.add(name)
        return name

    def built(self) -> Lowered:
        """Return what was written."""
        outputs = [found for i in self._graph.outputs if (found := self.ids[i]) is not None]
        elements = {**self._elements, **_moved(self._graph.elements, self.ids)}
        return Lowered(self._builder.build(outputs, elements), tuple(self._index))

    def _add(
        self,
        node: Node,
        reads: Sequence[int | None],
        new: Sequence[NewValue | None],
        index: int,
        rest: tuple[str, bool, Sequence[int | None]],
    ) -> tuple[int | None, ...]:
        name, is_foldable, ids = rest
        self._index.append(index)
        return self._builder.add_node(
            node.op,
            reads,
            new,
            name=name,
            captures=[found for i in node.captures if (found := ids[i]) is not None],
            bodies=node.bodies,
            is_elementwise=node.is_elementwise,
            is_foldable=is_foldable,
            attributes=node.attributes,
            module=node.module,
            version=node.version,
            definition=node.definition,
            is_malformed=node.is_malformed,
        )


def _moved(elements: Mapping[int, tuple[float, ...]], ids: Sequence[int | None]) -> dict[int, tuple[float, ...]]:
    return {new: found for old, found in elements.items() if (new := ids[old]) is not None}


def _numbered(wish: str) -> Iterator[str]:
    yield wish
    suffix = 2
    while True:
        yield f"{wish}#{suffix}"
        suffix += 1
