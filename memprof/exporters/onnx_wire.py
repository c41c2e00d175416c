"""Where things lie in an ONNX file: the nodes of its main graph, what each reads and writes, and external data.

Only short messages are entered; a payload of any length is stepped over by its length, and nothing is decoded but
names. Field numbers are those of onnx.proto. O(fields entered), any file size.

    ModelProto   7 graph, 25 functions
    GraphProto   1 node, 5 initializer, 12 output, 15 sparse_initializer
    NodeProto    1 input, 2 output, 5 attribute
    Attribute    5 t, 6 g, 10 tensors, 11 graphs, 22 sparse_tensor, 23 sparse_tensors
    TensorProto  13 external_data (StringStringEntry 1 key, 2 value)
    Function     7 node
"""

from __future__ import annotations

from dataclasses import dataclass

from memprof.base.errors import InputError
from memprof.importers.onnx.fields import Field, FieldReader

GRAPH, FUNCTIONS = 7, 25
GRAPH_NODE, GRAPH_INITIALIZER, GRAPH_OUTPUT, GRAPH_SPARSE = 1, 5, 12, 15
NODE_INPUT, NODE_OUTPUT, NODE_ATTRIBUTE = 1, 2, 5
ATTRIBUTE_TENSOR, ATTRIBUTE_GRAPH, ATTRIBUTE_TENSORS, ATTRIBUTE_GRAPHS = 5, 6, 10, 11
ATTRIBUTE_SPARSE, ATTRIBUTE_SPARSES = 22, 23
TENSOR_EXTERNAL = 13
FUNCTION_NODE = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRecord:
    """A node of the main graph.

    Attributes:
        start: Where its record begins, tag included.
        stop: Where it ends.
        reads: Names it reads, in its bodies too (those that its bodies define themselves among them).
        writes: Names it writes.
    """

    start: int
    stop: int
    reads: frozenset[bytes]
    writes: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FileLayout:
    """What of a file must be known to move its nodes.

    Attributes:
        nodes: The nodes of the main graph, in file order.
        graph: Where the main graph lies.
        external_data: Where tensors say their bytes lie, sorted, each once; empty if all are in the file.
    """

    nodes: tuple[NodeRecord, ...]
    graph: Field
    external_data: tuple[str, ...]


def read_layout(reader: FieldReader, size_bytes: int) -> FileLayout:
    """Return the layout of the ModelProto that ``reader`` reads.

    Raises:
        InputError: It is none, has no graph, or a graph in several parts.
    """
    top = list(reader.fields(0, size_bytes))
    graphs = [field for field in top if field.number == GRAPH]
    if len(graphs) != 1:
        what = "has no graph" if not graphs else "holds its graph in several parts"
        raise InputError(f"The file {what}, so its nodes cannot be moved.", "Load and save it with onnx first.")
    inside = reader.fields(graphs[0].value, graphs[0].stop)
    nodes = [_read_node(reader, field) for field in inside if field.number == GRAPH_NODE]
    functions = [field for field in top if field.number == FUNCTIONS]
    return FileLayout(
        nodes=tuple(nodes),
        graph=graphs[0],
        external_data=tuple(sorted(_external_locations(reader, [graphs[0], *functions]))),
    )


def _read_node(reader: FieldReader, node: Field) -> NodeRecord:
    reads: set[bytes] = set()
    writes: list[bytes] = []
    bodies: list[tuple[int, int]] = []
    for field in reader.fields(node.value, node.stop):
        if field.number == NODE_INPUT:
            reads.add(_text(reader, field))
        elif field.number == NODE_OUTPUT:
            writes.append(_text(reader, field))
        elif field.number == NODE_ATTRIBUTE:
            bodies += _bodies(reader, field)
    while bodies:
        for field in reader.fields(*bodies.pop()):
            if field.number == GRAPH_OUTPUT:
                reads.update(
                    _text(reader, part) for part in reader.fields(field.value, field.stop) if part.number == 1
                )
            elif field.number == GRAPH_NODE:
                for part in reader.fields(field.value, field.stop):
                    if part.number == NODE_INPUT:
                        reads.add(_text(reader, part))
                    elif part.number == NODE_ATTRIBUTE:
                        bodies += _bodies(reader, part)
    return NodeRecord(
        start=node.start,
        stop=node.stop,
        reads=frozenset(reads - {b""}),
        writes=tuple(name for name in writes if name),
    )


def _bodies(reader: FieldReader, attribute: Field) -> list[tuple[int, int]]:
    return [
        (field.value, field.stop)
        for field in reader.fields(attribute.value, attribute.stop)
        if field.number in (ATTRIBUTE_GRAPH, ATTRIBUTE_GRAPHS)
    ]


_NESTED = {
    "graph": {GRAPH_NODE: "node", GRAPH_INITIALIZER: "tensor", GRAPH_SPARSE: "sparse"},
    "function": {FUNCTION_NODE: "node"},
    "node": {NODE_ATTRIBUTE: "attribute"},
    "attribute": {
        ATTRIBUTE_TENSOR: "tensor",
        ATTRIBUTE_TENSORS: "tensor",
        ATTRIBUTE_GRAPH: "graph",
        ATTRIBUTE_GRAPHS: "graph",
        ATTRIBUTE_SPARSE: "sparse",
        ATTRIBUTE_SPARSES: "sparse",
    },
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {TENSOR_EXTERNAL: "entry"},
}
"""Which messages lie in which, on the way to a tensor that names external data."""


def _external_locations(reader: FieldReader, roots: list[Field]) -> set[str]:
    found: set[str] = set()
    stack = [("graph" if root.number == GRAPH else "function", root.value, root.stop) for root in roots]
    while stack:
        message, start, stop = stack.pop()
        inside = _NESTED[message]
        for field in reader.fields(start, stop):
            nested = inside.get(field.number)
            if nested == "entry":
                entry = {part.number: _text(reader, part) for part in reader.fields(field.value, field.stop)}
                if entry.get(1) == b"location":
                    found.add(entry.get(2, b"").decode(errors="replace"))
            elif nested is not None and field.is_message:
                stack.append((nested, field.value, field.stop))
    return found


def _text(reader: FieldReader, field: Field) -> bytes:
    return reader.bytes(field.value, field.stop)
