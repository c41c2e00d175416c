"""Where things lie in an ONNX file: the nodes of its main graph, what each reads and writes, and external data.

Only short messages are entered; a payload of any length is stepped over by its length, and nothing is decoded but
names. Field numbers are those of onnx.proto; the wire format is protobuf's. O(fields entered), any file size.

    ModelProto   7 graph, 25 functions
    GraphProto   1 node, 5 initializer, 12 output, 15 sparse_initializer
    NodeProto    1 input, 2 output, 5 attribute
    Attribute    5 t, 6 g, 10 tensors, 11 graphs, 22 sparse_tensor, 23 sparse_tensors
    TensorProto  13 external_data (StringStringEntry 1 key, 2 value)
    Function     7 node
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from memprof.errors import InputError

Buffer = mmap.mmap | bytes

GRAPH, FUNCTIONS = 7, 25
GRAPH_NODE, GRAPH_INITIALIZER, GRAPH_OUTPUT, GRAPH_SPARSE = 1, 5, 12, 15
NODE_INPUT, NODE_OUTPUT, NODE_ATTRIBUTE = 1, 2, 5
ATTRIBUTE_TENSOR, ATTRIBUTE_GRAPH, ATTRIBUTE_TENSORS, ATTRIBUTE_GRAPHS = 5, 6, 10, 11
ATTRIBUTE_SPARSE, ATTRIBUTE_SPARSES = 22, 23
TENSOR_EXTERNAL = 13
FUNCTION_NODE = 7

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


class Field(NamedTuple):
    """One field of a message.

    Attributes:
        number: Its number.
        start: Where its tag begins.
        value: Where its value begins; behind the length of a message or string.
        stop: Where it ends.
        is_message: Whether its value has a length: a message, string or packed list.
    """

    number: int
    start: int
    value: int
    stop: int
    is_message: bool


def fields(buffer: Buffer, start: int, stop: int) -> Iterator[Field]:
    """Yield the fields of the message in ``[start, stop)``.

    Raises:
        InputError: The bytes are no row of protobuf fields.
    """
    position = start
    while position < stop:
        begin = position
        tag, position = _varint(buffer, position, stop)
        wire_type = tag & 7
        if wire_type == _BYTES:
            length, position = _varint(buffer, position, stop)
            end = position + length
        elif wire_type == _VARINT:
            end = _varint(buffer, position, stop)[1]
        elif wire_type in (_FIXED32, _FIXED64):
            end = position + (4 if wire_type == _FIXED32 else 8)
        else:
            raise _invalid(begin)
        if end > stop or tag < 8:
            raise _invalid(begin)
        yield Field(tag >> 3, begin, position, end, wire_type == _BYTES)
        position = end


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
        external_data: Where tensors say their bytes lie, sorted, each once; empty if all are in the file.
    """

    nodes: tuple[NodeRecord, ...]
    external_data: tuple[str, ...]


def read_layout(buffer: Buffer) -> FileLayout:
    """Return the layout of the ModelProto in ``buffer``.

    Raises:
        InputError: It is none, has no graph, or a graph in several parts.
    """
    top = list(fields(buffer, 0, len(buffer)))
    graphs = [field for field in top if field.number == GRAPH]
    if len(graphs) != 1:
        what = "has no graph" if not graphs else "holds its graph in several parts"
        raise InputError(f"The file {what}, so its nodes cannot be moved.", "Load and save it with onnx first.")
    inside = fields(buffer, graphs[0].value, graphs[0].stop)
    nodes = [_read_node(buffer, field) for field in inside if field.number == GRAPH_NODE]
    functions = [field for field in top if field.number == FUNCTIONS]
    return FileLayout(
        nodes=tuple(nodes),
        external_data=tuple(sorted(_external_locations(buffer, [graphs[0], *functions]))),
    )


def _read_node(buffer: Buffer, node: Field) -> NodeRecord:
    reads: set[bytes] = set()
    writes: list[bytes] = []
    bodies: list[tuple[int, int]] = []
    for field in fields(buffer, node.value, node.stop):
        if field.number == NODE_INPUT:
            reads.add(_text(buffer, field))
        elif field.number == NODE_OUTPUT:
            writes.append(_text(buffer, field))
        elif field.number == NODE_ATTRIBUTE:
            bodies += _bodies(buffer, field)
    while bodies:
        for field in fields(buffer, *bodies.pop()):
            if field.number == GRAPH_OUTPUT:
                reads.update(
                    _text(buffer, part) for part in fields(buffer, field.value, field.stop) if part.number == 1
                )
            elif field.number == GRAPH_NODE:
                for part in fields(buffer, field.value, field.stop):
                    if part.number == NODE_INPUT:
                        reads.add(_text(buffer, part))
                    elif part.number == NODE_ATTRIBUTE:
                        bodies += _bodies(buffer, part)
    return NodeRecord(
        start=node.start,
        stop=node.stop,
        reads=frozenset(reads - {b""}),
        writes=tuple(name for name in writes if name),
    )


def _bodies(buffer: Buffer, attribute: Field) -> list[tuple[int, int]]:
    return [
        (field.value, field.stop)
        for field in fields(buffer, attribute.value, attribute.stop)
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


def _external_locations(buffer: Buffer, roots: list[Field]) -> set[str]:
    found: set[str] = set()
    stack = [("graph" if root.number == GRAPH else "function", root.value, root.stop) for root in roots]
    while stack:
        message, start, stop = stack.pop()
        inside = _NESTED[message]
        for field in fields(buffer, start, stop):
            nested = inside.get(field.number)
            if nested == "entry":
                entry = {part.number: _text(buffer, part) for part in fields(buffer, field.value, field.stop)}
                if entry.get(1) == b"location":
                    found.add(entry.get(2, b"").decode(errors="replace"))
            elif nested is not None and field.is_message:
                stack.append((nested, field.value, field.stop))
    return found


def _text(buffer: Buffer, field: Field) -> bytes:
    return bytes(buffer[field.value : field.stop])


def _varint(buffer: Buffer, position: int, stop: int) -> tuple[int, int]:
    result = 0
    for shift in range(0, 70, 7):
        if position >= stop:
            raise _invalid(position)
        byte = buffer[position]
        position += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result, position
    raise _invalid(position)


def _invalid(position: int) -> InputError:
    return InputError(
        f"This is not an ONNX model, or it is cut off: byte {position} does not fit the format.",
        "Export or download the model again.",
    )
