"""Small .tflite files, written field by field: a flatbuffer writer of forty lines, and the tables tests need.

A table is a ``dict`` from field number to value: ``Number``, ``str``, ``bytes`` (a vector of them), a list of ints (a
vector of 32-bit numbers), a list of tables, or a table. What points is written before what it points to.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

FLOAT32, INT32, RESOURCE, INT8, INT4, INT16 = 0, 2, 13, 9, 17, 7
CODES = {"ADD": 0, "CONCATENATION": 2, "CONV_2D": 3, "DEPTHWISE_CONV_2D": 4, "FULLY_CONNECTED": 9, "RELU": 19}
CODES |= {"RESHAPE": 22, "SVDF": 27, "CUSTOM": 32, "MEAN": 40, "IF": 118, "WHILE": 119, "CALL_ONCE": 129, "ABS": 101}
CODES |= {"VAR_HANDLE": 142, "READ_VARIABLE": 143, "ASSIGN_VARIABLE": 144, "SPLIT": 49, "LESS": 58, "LOGISTIC": 14}
CODES |= {"AVERAGE_POOL_2D": 1, "MAX_POOL_2D": 17}
CODES |= {"UNIDIRECTIONAL_SEQUENCE_LSTM": 44, "TRANSPOSE_CONV": 67, "MIRROR_PAD": 100, "ADD_N": 106, "REDUCE_MAX": 82}


@dataclass(frozen=True)
class Number:
    """A scalar field: its code in ``struct`` and its value."""

    code: str
    value: int | float


@dataclass(frozen=True)
class Vector:
    """A vector of scalars that are not 32-bit integers."""

    code: str
    values: Sequence[int | float]


Table = dict[int, Any]


def flatbuffer(root: Table, identifier: bytes = b"TFL3") -> bytes:
    """Return the file whose root is ``root``."""
    out = bytearray(4) + identifier
    waiting: deque[tuple[int, Any]] = deque([(0, root)])
    written: dict[int, int] = {}  # a table that is given twice is pointed at twice
    while waiting:
        place, value = waiting.popleft()
        start = written.get(id(value)) or _write(out, value, waiting)
        if isinstance(value, dict):
            written[id(value)] = start
        struct.pack_into("<I", out, place, start - place)
    return bytes(out)


def _write(out: bytearray, value: Any, waiting: deque[tuple[int, Any]]) -> int:
    if isinstance(value, dict):
        return _write_table(out, value, waiting)
    if isinstance(value, str):
        value = value.encode()
    if isinstance(value, bytes):
        out.extend(bytes((12 - len(out)) % 16))  # data at a multiple of 16
        start = len(out)
        out.extend(struct.pack("<I", len(value)) + value + b"\0")
        return start
    code, items = (value.code, value.values) if isinstance(value, Vector) else ("i", value)
    width = struct.calcsize(f"<{code}")
    out.extend(bytes(-(len(out) + 4) % max(4, width)))
    start = len(out)
    out.extend(struct.pack("<I", len(items)))
    for item in items:
        if isinstance(item, dict):
            waiting.append((len(out), item))
            out.extend(bytes(4))
        else:
            out.extend(struct.pack(f"<{code}", item))
    return start


def _write_table(out: bytearray, table: Table, waiting: deque[tuple[int, Any]]) -> int:
    out.extend(bytes(-len(out) % 8))
    fields = max(table, default=-1) + 1
    vtable, inline = len(out), 4
    places = {}
    for number, value in table.items():
        width = struct.calcsize(f"<{value.code}") if isinstance(value, Number) else 4
        inline += -inline % width
        places[number] = inline
        inline += width
    start = vtable + 4 + 2 * fields
    start += -start % 8
    out.extend(struct.pack("<HH", 4 + 2 * fields, inline))
    out.extend(b"".join(struct.pack("<H", places.get(number, 0)) for number in range(fields)))
    out.extend(bytes(start - len(out)))
    out.extend(struct.pack("<i", start - vtable) + bytes(inline - 4))
    for number, value in table.items():
        if isinstance(value, Number):
            struct.pack_into(f"<{value.code}", out, start + places[number], value.value)
        else:
            waiting.append((start + places[number], value))
    return start


@dataclass
class Tensor:
    """A tensor as a test writes it."""

    name: str
    shape: Sequence[int]
    dtype: int = INT8
    data: bytes | None = None
    is_variable: bool = False
    signature: Sequence[int] | None = None
    scales: int = 1
    more: Table = field(default_factory=dict)


@dataclass
class Operator:
    """An operator as a test writes it: inputs and outputs by tensor name, ``""`` for one left out."""

    op: str
    inputs: Sequence[str]
    outputs: Sequence[str]
    options: Table | None = None
    custom: bytes = b""
    union: int = 1


@dataclass
class Graph:
    """A subgraph as a test writes it."""

    tensors: Sequence[Tensor]
    operators: Sequence[Operator]
    inputs: Sequence[str]
    outputs: Sequence[str]


def weight(name: str, *shape: int, dtype: int = INT8, scales: int = 1) -> Tensor:
    """Return a constant tensor of zeros."""
    count = 1
    for size in shape:
        count *= size
    width = {FLOAT32: 4, INT32: 4, INT16: 2, INT8: 1}.get(dtype, 1)
    return Tensor(
        name, shape, dtype, bytes(max(1, (count + 1) // 2 if dtype == INT4 else count * width)), scales=scales
    )


def model(*graphs: Graph, more: Table | None = None, buffers: Sequence[Table] = ()) -> bytes:
    """Return a .tflite file of subgraphs; buffer 0 is empty, ``buffers`` come last."""
    tables: list[Table] = [{}]
    kinds: list[str] = []
    subgraphs = []
    for graph in graphs:
        numbers = {tensor.name: number for number, tensor in enumerate(graph.tensors)} | {"": -1}
        tensors = [_tensor(tensor, tables) for tensor in graph.tensors]
        operators = []
        for each in graph.operators:
            if each.op not in kinds:
                kinds.append(each.op)
            operators.append(_operator(each, kinds.index(each.op), numbers))
        ends = {1: [numbers[i] for i in graph.inputs], 2: [numbers[i] for i in graph.outputs]}
        subgraphs.append({0: tensors, **ends, 3: operators})
    codes = [_code(kind) for kind in kinds]
    root = {0: Number("I", 3), 1: codes, 2: subgraphs, 4: [*tables, *buffers], **(more or {})}
    return flatbuffer(root)


def _code(kind: str) -> Table:
    if kind.startswith("custom."):
        return {0: Number("b", 32), 1: kind.removeprefix("custom."), 2: Number("i", 1), 3: Number("i", 32)}
    number = CODES[kind]
    return {0: Number("b", min(127, number)), 2: Number("i", 1), 3: Number("i", number)}


def _tensor(tensor: Tensor, tables: list[Table]) -> Table:
    buffer = 0
    if tensor.data is not None:
        buffer = len(tables)
        tables.append({0: tensor.data})
    found: Table = {0: list(tensor.shape), 1: Number("b", tensor.dtype), 2: Number("I", buffer), 3: tensor.name}
    if tensor.scales and tensor.dtype in (INT8, INT4, INT16):
        scales = tensor.scales
        found[4] = {2: Vector("f", [0.5] * scales), 3: Vector("q", [0] * scales)}
    if tensor.is_variable:
        found[5] = Number("B", 1)
    if tensor.signature is not None:
        found[7] = list(tensor.signature)
    return found | tensor.more


def _operator(each: Operator, code: int, numbers: dict[str, int]) -> Table:
    found: Table = {
        0: Number("I", code),
        1: [numbers[i] for i in each.inputs],
        2: [numbers[i] for i in each.outputs],
    }
    if each.options is not None:
        found |= {3: Number("B", each.union), 4: each.options}
    if each.custom:
        found[5] = each.custom
    return found


def chain(*sizes: int, dtype: int = INT8) -> bytes:
    """Return a model of one ADD with itself after the other: tensors of the given sizes, the first one the input."""
    tensors = [Tensor(f"t{i}", (1, size), dtype) for i, size in enumerate(sizes)]
    operators = [Operator("RELU", [f"t{i}"], [f"t{i + 1}"]) for i in range(len(sizes) - 1)]
    return model(Graph(tensors, operators, ["t0"], [f"t{len(sizes) - 1}"]))
