"""The graph that onnxruntime runs, where it is not the graph of the file.

    what is in the file                              what runs
    an operation without a kernel                    the nodes of its function, see ``functions``; they come last in
                                                     onnxruntime's numbering of nodes
    a DequantizeLinear with several readers          one for each reader: the first keeps the original, each further
                                                     one gets a copy, numbered after all other nodes

A graph in which nothing of this occurs is returned as it is. Names of nodes stay; added nodes are named after what
they replace or copy. Complexity: O(values + reads).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from memprof.ir import Graph, GraphBuilder, NewValue, Node, Role
from memprof.runtimes.onnxruntime.functions import RECIPES
from memprof.runtimes.onnxruntime.order import execution_order

_COPIED = "DequantizeLinear"


@dataclass(frozen=True, slots=True)
class Lowered:
    """A graph as onnxruntime runs it.

    Attributes:
        graph: The graph.
        index: onnxruntime's number of each node.
    """

    graph: Graph
    index: tuple[int, ...]


def lower(graph: Graph) -> Lowered:
    """Return ``graph`` as onnxruntime runs it."""
    if any(node.op in RECIPES for node in graph.nodes):
        lowered = _Rewriter(graph).inline()
    else:
        lowered = Lowered(graph, tuple(range(len(graph.nodes))))
    copies = _extra_readers(lowered.graph)
    if copies:
        lowered = _Rewriter(lowered.graph).copy(lowered.index, copies)
    return lowered


def _extra_readers(graph: Graph) -> dict[int, list[tuple[int, int]]]:
    """Return, for each DequantizeLinear with several readers, the (node, input position) pairs that get a copy."""
    if not any(node.op == _COPIED for node in graph.nodes):
        return {}
    found: dict[int, list[tuple[int, int]]] = {}
    for node_id, node in enumerate(graph.nodes):
        for position, value_id in enumerate(node.inputs):
            producer = None if value_id is None else graph.values[value_id].producer
            if producer is not None and graph.nodes[producer].op == _COPIED:
                found.setdefault(producer, []).append((node_id, position))
    outputs = set(graph.outputs)
    captured = {i for node in graph.nodes for i in node.captures}
    keeps_first = {i: not any(v in outputs or v in captured for v in graph.nodes[i].writes) for i in found}
    extra = {i: readers[1:] if keeps_first[i] else readers for i, readers in found.items()}
    return {i: readers for i, readers in extra.items() if readers}


class _Rewriter:
    """Writes a graph anew, node by node."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._builder = GraphBuilder(graph.name, graph.opset)
        self._ids: list[int | None] = [None] * len(graph.values)
        self._names = {value.name for value in graph.values}
        self._index: list[int] = []
        for value_id, value in enumerate(graph.values):
            if value.producer is None:
                self._ids[value_id] = {
                    Role.INPUT: self._builder.add_input,
                    Role.PARAMETER: self._builder.add_parameter,
                    Role.CAPTURE: self._builder.add_capture,
                }[value.role](value.name, value.type)

    def inline(self) -> Lowered:
        """Return the graph with every operation that has a recipe replaced."""
        number = len(self._graph.nodes)
        for node_id, node in enumerate(self._graph.nodes):
            recipe = RECIPES.get(node.op)
            if recipe is None:
                self._copy_node(node, node_id)
            else:
                self._follow(node, number)
                number += len(recipe.nodes)
        return self._built()

    def copy(self, index: tuple[int, ...], copies: dict[int, list[tuple[int, int]]]) -> Lowered:
        """Return the graph with copies of nodes for their further readers."""
        graph = self._graph
        number = max(index, default=-1) + 1
        numbers: dict[tuple[int, int], int] = {}
        for node_id in execution_order(graph, index=index):
            for reader in copies.get(node_id, ()):
                numbers[reader] = number
                number += 1
        values: dict[tuple[int, int], int] = {}
        for node_id, node in enumerate(graph.nodes):
            self._copy_node(node, index[node_id], values, node_id)
            for reader in copies.get(node_id, ()):
                output = node.writes[0]
                name = self._free(f"{graph.values[output].name}/duplicated")
                (value_id,) = self._builder.add_node(
                    node.op,
                    [None if i is None else self._ids[i] for i in node.inputs],
                    [NewValue(name, graph.values[output].type)],
                    name=f"{node.name}/duplicated",
                    is_foldable=graph.values[output].role is Role.CONSTANT,
                    attributes=node.attributes,
                    module=node.module,
                )
                assert value_id is not None
                values[reader] = value_id
                self._index.append(numbers[reader])
        return self._built()

    def _copy_node(
        self, node: Node, index: int, replaced: dict[tuple[int, int], int] | None = None, node_id: int = -1
    ) -> None:
        values = self._graph.values
        inputs = [None if i is None else self._ids[i] for i in node.inputs]
        if replaced:
            inputs = [replaced.get((node_id, position), i) for position, i in enumerate(inputs)]
        ids = self._builder.add_node(
            node.op,
            inputs,
            [
                None
                if i is None
                else NewValue(
                    values[i].name,
                    values[i].type,
                    None if (base := values[i].view_of) is None else self._ids[base],
                    values[i].module,
                )
                for i in node.outputs
            ],
            name=node.name,
            captures=[found for i in node.captures if (found := self._ids[i]) is not None],
            bodies=node.bodies,
            is_elementwise=node.is_elementwise,
            is_foldable=any(values[i].role is Role.CONSTANT for i in node.writes),
            attributes=node.attributes,
            module=node.module,
        )
        for old, new in zip(node.outputs, ids, strict=True):
            if old is not None:
                self._ids[old] = new
        self._index.append(index)

    def _follow(self, node: Node, number: int) -> None:
        recipe = RECIPES[node.op]
        source, output = node.inputs[0], node.outputs[0]
        assert source is not None, "the operations with a recipe read one tensor"
        assert output is not None, "the operations with a recipe write one tensor"
        of = self._graph.values[source].type
        inside: dict[str, int | None] = {"x": self._ids[source]}
        for step, (target, op, reads) in enumerate(recipe.nodes):
            for name in reads:
                if name not in inside:
                    inside[name] = self._builder.add_parameter(
                        self._free(f"{node.name}/{name}"), recipe.other.get(name, of)
                    )
            is_last = target == "y"
            name = self._graph.values[output].name if is_last else self._free(f"{node.name}/{target}")
            (inside[target],) = self._builder.add_node(
                op,
                [inside[read] for read in reads],
                [NewValue(name, self._graph.values[output].type if is_last else recipe.other.get(target, of))],
                name=node.name if is_last else f"{node.name}/{op}",
                is_foldable=self._graph.values[output].role is Role.CONSTANT,
                module=node.module,
            )
            self._index.append(number + step)
        self._ids[output] = inside["y"]

    def _free(self, wish: str) -> str:
        name = next(name for name in _numbered(wish) if name not in self._names)
        self._names.add(name)
        return name

    def _built(self) -> Lowered:
        outputs = [found for i in self._graph.outputs if (found := self._ids[i]) is not None]
        return Lowered(self._builder.build(outputs), tuple(self._index))


def _numbered(wish: str) -> Iterator[str]:
    yield wish
    suffix = 2
    while True:
        yield f"{wish}#{suffix}"
        suffix += 1
