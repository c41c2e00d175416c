"""From protos with known types to a ``Graph``: scopes, bodies and what they capture, views, in-place, roles."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping

from onnx import AttributeProto, GraphProto, ModelProto, NodeProto

from memprof.errors import InputError, LimitError
from memprof.importers.onnx.ops import ELEMENTWISE, KNOWN_DOMAINS, RANDOM, VIEWS
from memprof.importers.onnx.shapes import declared_types
from memprof.importers.onnx.types import UNKNOWN_TYPE, TypeReader
from memprof.ir import Attribute, Graph, GraphBuilder, NewValue, TensorType

MAX_BODY_DEPTH = 32
MAX_LIST_ATTRIBUTE = 64


def build_graph(model: ModelProto, types: TypeReader) -> Graph:
    """Return the graph of ``model``.

    Raises:
        InputError: A node reads what no earlier one writes, or two tensors share a name.
    """
    return _Scope(model.graph, types, None).build()


def op_name(node: NodeProto) -> str:
    """Return ``Conv`` for ONNX's own operations, ``domain.Op`` for others."""
    return node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}.{node.op_type}"


class _Scope:
    """One graph or body while it is being built; names that are not its own come from the scope around it."""

    def __init__(self, graph: GraphProto, types: TypeReader, parent: _Scope | None) -> None:
        self._graph = graph
        self._types = types
        self._parent = parent
        self._depth: int = 0 if parent is None else parent._depth + 1
        if self._depth > MAX_BODY_DEPTH:
            raise LimitError(f"The model nests bodies of control flow more than {MAX_BODY_DEPTH} deep.")
        self._builder = GraphBuilder(graph.name)
        self._ids: dict[str, int] = {}
        self._type_of: dict[int, TensorType] = {}
        self._declared = declared_types(graph, types)
        self.captured: dict[str, int] = {}  # name to its id in the scope around

    def build(self) -> Graph:
        """Return the finished graph."""
        graph = self._graph
        initialized: set[str] = set()
        for tensor in graph.initializer:
            self._add_parameter(tensor.name, self._types.of_tensor(tensor.data_type, tensor.dims))
            initialized.add(tensor.name)
        for sparse in graph.sparse_initializer:
            self._add_parameter(sparse.values.name, self._types.of_tensor(sparse.values.data_type, sparse.dims))
            initialized.add(sparse.values.name)
        for info in graph.input:
            if info.name not in initialized:
                self._define(info.name, self._builder.add_input(info.name, self._declared[info.name]))
        for node in graph.node:
            self._add_node(node)
        return self._builder.build(self._output_id(info.name) for info in graph.output)

    def lookup(self, name: str) -> int | None:
        """Return the id of ``name`` here, captured from the scopes around if it is theirs, else ``None``."""
        found = self._ids.get(name)
        if found is not None or self._parent is None:
            return found
        outer = self._parent.lookup(name)
        if outer is None:
            return None
        value_id = self._define(name, self._builder.add_capture(name, self._parent.type_of(outer)))
        self.captured[name] = outer
        return value_id

    def type_of(self, value_id: int) -> TensorType:
        """Return the type of a value of this scope."""
        return self._type_of[value_id]

    def _add_parameter(self, name: str, of: TensorType) -> None:
        self._define(name, self._builder.add_parameter(name, of), of)

    def _define(self, name: str, value_id: int, of: TensorType | None = None) -> int:
        self._ids[name] = value_id
        self._type_of[value_id] = of or self._declared.get(name, UNKNOWN_TYPE)
        return value_id

    def _output_id(self, name: str) -> int:
        found = self.lookup(name)
        if found is None:
            raise InputError(f"The graph output {name!r} is written by no node.", "Export the model again.")
        return found

    def _add_node(self, node: NodeProto) -> None:
        op = op_name(node)
        inputs = [self._read(node, name) if name else None for name in node.input]
        bodies = [_Scope(body, self._types, self) for body in _bodies(node)]
        graphs = [body.build() for body in bodies]
        outputs = list(node.output)
        declared = self._declared
        new_types = [declared.get(name, UNKNOWN_TYPE) for name in outputs]
        view_of = inputs[0] if op in VIEWS and inputs else None
        new: list[NewValue | None] = [
            NewValue(name, of, view_of if i == 0 else None) if name else None
            for i, (name, of) in enumerate(zip(outputs, new_types, strict=True))
        ]
        ids = self._builder.add_node(
            op,
            inputs,
            new,
            name=node.name,
            captures=sorted({outer for body in bodies for outer in body.captured.values()}),
            bodies=graphs,
            is_elementwise=op in ELEMENTWISE and bool(new_types) and self._is_aligned(inputs, new_types[0]),
            is_foldable=op not in RANDOM and node.domain in KNOWN_DOMAINS,
            attributes=_attributes(node),
            module=_module(node),
        )
        for name, value_id, of in zip(outputs, ids, new_types, strict=True):
            if value_id is not None:
                self._define(name, value_id, of)

    def _read(self, node: NodeProto, name: str) -> int:
        found = self.lookup(name)
        if found is None:
            raise InputError(
                f"Node {node.name or node.op_type!r} reads {name!r}, which nothing before it writes.",
                "Nodes must be listed in execution order without a cycle; export the model again.",
            )
        return found

    def _is_aligned(self, inputs: Iterable[int | None], output: TensorType) -> bool:
        """Whether every input of the output's bytes also has its elements one by one in the same places."""
        for value_id in inputs:
            if value_id is not None:
                of = self._type_of[value_id]
                if (
                    of is not output
                    and of.size_bytes == output.size_bytes
                    and of.element_count != output.element_count
                ):
                    return False
        return True


def _bodies(node: NodeProto) -> list[GraphProto]:
    found: list[GraphProto] = []
    for attribute in node.attribute:
        if attribute.type == AttributeProto.GRAPH:
            found.append(attribute.g)
        elif attribute.type == AttributeProto.GRAPHS:
            found += attribute.graphs
    return found


def _attributes(node: NodeProto) -> Mapping[str, Attribute]:
    found: dict[str, Attribute] = {}
    for attribute in node.attribute:
        kind = attribute.type
        if kind == AttributeProto.INT:
            found[attribute.name] = attribute.i
        elif kind == AttributeProto.FLOAT:
            found[attribute.name] = attribute.f
        elif kind == AttributeProto.STRING:
            found[attribute.name] = attribute.s.decode("utf-8", "replace")
        elif kind == AttributeProto.INTS and len(attribute.ints) <= MAX_LIST_ATTRIBUTE:
            found[attribute.name] = tuple(attribute.ints)
    return found


def _module(node: NodeProto) -> str:
    for entry in node.metadata_props:
        if entry.key == "pkg.torch.onnx.name_scopes":
            try:
                scopes = ast.literal_eval(entry.value)
            except (ValueError, SyntaxError, MemoryError, RecursionError):
                return ""
            return str(scopes[-2]) if isinstance(scopes, list) and len(scopes) > 1 else ""
    return ""
