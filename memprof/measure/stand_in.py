"""A model with the structure of another and weights of our making: zeros in one sparse file, which all of them share.

an initialiser whose elements are here (up to 1 KB)      stays
any other                                                zeros of its shape and type
a Constant node whose elements are not here              an initialiser of zeros, which onnxruntime makes of it too
texts, sparse initialisers, constants inside functions   no stand-in

Tools that make numbers of weights (a scale for each that they quantise) get weights that differ: of each 32-bit one
the first element is its number. Of equal scales a session would make one, and of what they multiply, too. Constants
stay nodes for them: they quantise initialisers alone.

A look-alike holds its zeros itself, each where the file has its weights, as holes of a sparse file: it takes to load
what the file takes, in the same order, since what is read first decides how a heap is laid out. No two of its weights
are equal, since kernels share what they pack of equal ones: its first bytes are its number.

Where a tensor says that its elements lie in another file is forgotten: nodes are read with it, and native code would
open what it names.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from itertools import count
from os import SEEK_CUR
from pathlib import Path

from memprof.importers.onnx.library import GraphProto, ModelProto, TensorProto
from memprof.importers.onnx.limits import bodies
from memprof.importers.onnx.types import TypeTable

_ZEROS, _PAGE = "zeros.bin", 4096
_DATA = ("raw_data", "float_data", "int32_data", "int64_data", "double_data", "uint64_data", "string_data")


class NoStandInError(Exception):
    """A weight that nothing can stand in for; the message says which."""


def write_stand_in(model: ModelProto, target: Path) -> None:
    """Write a stand-in for ``model``, which is changed, and its weights beside it.

    Args:
        model: The structure of a model, large elements left out.
        target: The .onnx file.

    Raises:
        NoStandInError: There is a weight that nothing can stand in for.
    """
    largest = 1
    _check(model)
    _forget_places(model)  # before constants are moved: what is moved keeps what it names
    for graph in _graphs(model.graph):
        _move_constants(graph)
    for tensor, size in _left_out(model):
        _refer(tensor, 0, size)
        largest = max(largest, size)
    with (target.parent / _ZEROS).open("wb") as zeros:
        zeros.truncate(largest)
    target.write_bytes(model.SerializeToString())


def write_apart(model: ModelProto, target: Path) -> None:
    """Write a stand-in for ``model``, which is changed, whose weights differ; arguments and errors as above."""
    end, types = 0, TypeTable()
    _check(model)
    _forget_places(model)
    for tensor in _held(model.graph):
        if _is_left_out(tensor):
            tensor.raw_data = bytes(_size(types, tensor))
    with (target.parent / _ZEROS).open("wb") as zeros:
        for number, (tensor, size) in enumerate(_left_out(model), 1):
            _refer(tensor, end, size)
            if tensor.data_type == TensorProto.FLOAT:
                zeros.seek(end)
                zeros.write(struct.pack("<f", number))
            end += size + -size % _PAGE
        zeros.truncate(max(1, end))
    target.write_bytes(model.SerializeToString())


def _left_out(model: ModelProto) -> Iterator[tuple[TensorProto, int]]:
    """Yield the initialisers whose elements are not in ``model``, each with its bytes."""
    types = TypeTable()
    for graph in _graphs(model.graph):
        for tensor in graph.initializer:
            if _is_left_out(tensor):
                yield tensor, _size(types, tensor)


def _held(main: GraphProto) -> Iterator[TensorProto]:
    """Yield the tensors that nodes hold, of which most are constants."""
    yield from (a.t for graph in _graphs(main) for node in graph.node for a in node.attribute if a.HasField("t"))


def _refer(tensor: TensorProto, start: int, size: int) -> None:
    """Say that a weight lies in the file of zeros."""
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", _ZEROS), ("offset", str(start)), ("length", str(size))):
        tensor.external_data.add(key=key, value=value)


def write_look_alike(model: ModelProto, target: Path) -> None:
    """Write a look-alike of ``model``, which is changed.

    Args:
        model: The structure of a model that holds its weights itself, large elements left out.
        target: The .onnx file.

    Raises:
        NoStandInError: There is a weight that nothing can stand in for.
    """
    types, numbers = TypeTable(), count(1)
    _check(model)
    _forget_places(model)
    initialisers = list(model.graph.initializer)
    for graph in _graphs(model.graph):
        inner = [] if graph is model.graph else graph.initializer
        for tensor in (*inner, *(a.t for node in graph.node for a in node.attribute if a.HasField("t"))):
            if _is_left_out(tensor):
                mark = _mark(tensor, next(numbers))
                tensor.raw_data = mark + bytes(_size(types, tensor) - len(mark))
    parts = [_part(types, tensor, next(numbers)) for tensor in initialisers]
    del model.graph.initializer[:]
    last, end = _taken_off(model.graph, _INITIALISER), _taken_off(model, _GRAPH)  # weights are read before the types
    first = model.graph.SerializeToString()
    model.ClearField("graph")
    size = len(first) + len(last) + sum(len(head) + zeros for head, zeros in parts)
    with target.open("wb") as file:
        file.write(model.SerializeToString() + _field(_GRAPH, size) + first)
        for head, zeros in parts:
            file.write(head)
            file.seek(zeros, SEEK_CUR)
        file.write(last + end)
        file.truncate(file.tell())


def _taken_off(message: ModelProto | GraphProto, number: int) -> bytes:
    """Return the fields behind field ``number``, as they follow it in a file, and take them off ``message``."""
    found = type(message)()
    for field, value in message.ListFields():
        if field.number > number:
            if hasattr(value, "MergeFrom"):
                getattr(found, field.name).MergeFrom(value)
            else:
                setattr(found, field.name, value)
            message.ClearField(field.name)
    rest: bytes = found.SerializeToString()
    return rest


def _part(types: TypeTable, tensor: TensorProto, number: int) -> tuple[bytes, int]:
    """Return an initialiser as a field of a graph: its beginning, and how many zeros follow."""
    head, zeros = tensor.SerializeToString(), 0
    if _is_left_out(tensor):
        mark, size = _mark(tensor, number), _size(types, tensor)
        head, zeros = head + _field(_RAW_DATA, size) + mark, size - len(mark)
    return _field(_INITIALISER, len(head) + zeros) + head, zeros


def _mark(tensor: TensorProto, number: int) -> bytes:
    """Return the first bytes of a weight; whole numbers may be indices, which must stay in range."""
    return number.to_bytes(4, "little") if tensor.data_type in _MARKED else b""


_MARKED = frozenset(
    (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.INT8, TensorProto.UINT8)
)


def left_out_bytes(model: ModelProto) -> int:
    """Return the bytes of all weights whose elements are not in ``model``."""
    types, total = TypeTable(), 0
    for graph in _graphs(model.graph):
        constants = (a.t for node in graph.node for a in node.attribute if a.HasField("t"))
        total += sum(types.of_tensor(t).size_bytes or 0 for t in (*graph.initializer, *constants) if _is_left_out(t))
    return total


_GRAPH, _INITIALISER, _RAW_DATA = 7, 5, 9
"""Numbers of fields in the files' format: of a model, a graph and a tensor."""


def _field(number: int, length: int) -> bytes:
    """Return the bytes before a field of ``length`` bytes."""
    found = bytearray([number << 3 | 2])
    while length > 0x7F:  # seven bits to a byte
        found.append(length & 0x7F | 0x80)
        length >>= 7
    found.append(length)
    return bytes(found)


def _check(model: ModelProto) -> None:
    if any(_is_left_out(a.t) for f in model.functions for node in f.node for a in node.attribute if a.HasField("t")):
        raise NoStandInError("a function holds a large constant")
    if any(_is_left_out(sparse.values) for graph in _graphs(model.graph) for sparse in graph.sparse_initializer):
        raise NoStandInError("it has large sparse weights")


def _forget_places(model: ModelProto) -> None:
    """Drop, in place, where tensors say that their elements lie; those of graphs themselves were read without it."""
    functions = [node for function in model.functions for node in function.node]
    in_functions = (body for node in functions for body in bodies(node))
    in_graphs = (node for graph in (model.graph, *in_functions) for inner in _graphs(graph) for node in inner.node)
    for attribute in (attribute for node in (*functions, *in_graphs) for attribute in node.attribute):
        sparse = [
            *attribute.sparse_tensors,
            *([attribute.sparse_tensor] if attribute.HasField("sparse_tensor") else []),
        ]
        tensors = [*attribute.tensors, *([attribute.t] if attribute.HasField("t") else [])]
        for tensor in (*tensors, *(part for of in sparse for part in (of.values, of.indices))):
            if tensor.external_data or tensor.data_location:  # clearing would make what is not there
                tensor.ClearField("external_data")
                tensor.ClearField("data_location")


def _size(types: TypeTable, tensor: TensorProto) -> int:
    size = types.of_tensor(tensor).size_bytes
    if size is None:
        raise NoStandInError("it has large weights of texts")
    return size


def _graphs(graph: GraphProto) -> Iterator[GraphProto]:
    stack = [graph]
    while stack:
        found = stack.pop()
        yield found
        stack += [body for node in found.node for body in bodies(node)]


def _is_left_out(tensor: TensorProto) -> bool:
    return 0 not in tensor.dims and not any(len(getattr(tensor, name)) for name in _DATA)


def _move_constants(graph: GraphProto) -> None:
    kept = []
    for node in graph.node:
        value = next((a.t for a in node.attribute if a.name == "value" and a.HasField("t")), None)
        if node.op_type == "Constant" and value is not None and _is_left_out(value) and node.output:
            moved = graph.initializer.add()
            moved.CopyFrom(value)
            moved.name = node.output[0]
        else:
            kept.append(node)
    if len(kept) < len(graph.node):
        nodes = [type(node).FromString(node.SerializeToString()) for node in kept]
        del graph.node[:]
        graph.node.extend(nodes)
