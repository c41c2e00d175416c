"""A model with the structure of another and weights of our making: zeros in one sparse file, which all of them share.

an initialiser whose elements are here (up to 1 KB)      stays
any other                                                zeros of its shape and type
a Constant node whose elements are not here              an initialiser of zeros, which onnxruntime makes of it too
texts, sparse initialisers, constants inside functions   no stand-in
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from memprof.importers.onnx.library import GraphProto, ModelProto, TensorProto
from memprof.importers.onnx.limits import bodies
from memprof.importers.onnx.types import TypeTable

_ZEROS = "zeros.bin"
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
    types = TypeTable()
    largest = 1
    if any(_is_left_out(a.t) for f in model.functions for node in f.node for a in node.attribute if a.HasField("t")):
        raise NoStandInError("a function holds a large constant")
    for graph in _graphs(model.graph):
        if any(_is_left_out(sparse.values) for sparse in graph.sparse_initializer):
            raise NoStandInError("it has large sparse weights")
        _move_constants(graph)
        for tensor in graph.initializer:
            if _is_left_out(tensor):
                size = types.of_tensor(tensor).size_bytes
                if size is None:
                    raise NoStandInError("it has large weights of texts")
                tensor.data_location = TensorProto.EXTERNAL
                for key, value in (("location", _ZEROS), ("offset", "0"), ("length", str(size))):
                    tensor.external_data.add(key=key, value=value)
                largest = max(largest, size)
    with (target.parent / _ZEROS).open("wb") as zeros:
        zeros.truncate(largest)
    target.write_bytes(model.SerializeToString())


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
