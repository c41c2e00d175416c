"""Small ONNX models by hand, for tests: a few lines each, and nothing that an exporter would add on its own."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from onnx import FunctionProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

import memprof
from memprof.ir.model import Model

FLOAT = TensorProto.FLOAT


def model(
    nodes: Iterable[NodeProto],
    *,
    inputs: Iterable[ValueInfoProto] = (),
    outputs: Iterable[str] = (),
    initializers: Iterable[TensorProto] = (),
    functions: Iterable[FunctionProto] = (),
    opset: int = 17,
) -> ModelProto:
    """Return a model whose outputs carry no types, as a careless exporter leaves them."""
    graph = GraphProto(
        name="g",
        node=nodes,
        input=inputs,
        output=[ValueInfoProto(name=name) for name in outputs],
        initializer=initializers,
    )
    imports = [helper.make_opsetid("", opset), helper.make_opsetid("my", 1)]
    return ModelProto(ir_version=8, graph=graph, opset_import=imports, functions=functions)


def tensor(name: str, shape: Iterable[int | str | None], dtype: int = FLOAT) -> ValueInfoProto:
    """Return a typed graph input."""
    info = ValueInfoProto(name=name)
    info.type.tensor_type.elem_type = dtype
    info.type.tensor_type.shape.SetInParent()
    for dim in shape:
        written = info.type.tensor_type.shape.dim.add()
        if isinstance(dim, str):
            written.dim_param = dim
        elif dim is not None:
            written.dim_value = dim
    return info


def integers(name: str, *values: int) -> TensorProto:
    """Return a small constant."""
    return numpy_helper.from_array(np.array(values, dtype=np.int64), name)


def node(op: str, reads: Iterable[str], writes: Iterable[str], **attributes: object) -> NodeProto:
    """Return one operation."""
    return helper.make_node(op, list(reads), list(writes), **attributes)


def weight(name: str, *shape: int, dtype: int = FLOAT) -> TensorProto:
    """Return an initialiser full of zeros."""
    elements = np.zeros(shape, dtype=helper.tensor_dtype_to_np_dtype(dtype))
    return numpy_helper.from_array(elements, name)


def body(
    nodes: Iterable[NodeProto], *, inputs: Iterable[str] = (), outputs: Iterable[str], name: str = "body"
) -> GraphProto:
    """Return a graph to run inside a node; its inputs and outputs carry no types."""
    return GraphProto(
        name=name,
        node=nodes,
        input=[ValueInfoProto(name=name) for name in inputs],
        output=[ValueInfoProto(name=name) for name in outputs],
    )


def load(
    folder: Path,
    found: ModelProto | bytes,
    *,
    dims: dict[str, int] | None = None,
    inputs: dict[str, tuple[int, ...]] | None = None,
) -> Model:
    """Write a model to ``folder`` and read it with memprof."""
    path = folder / "model.onnx"
    path.write_bytes(found if isinstance(found, bytes) else found.SerializeToString())
    return memprof.load(path, dims=dims, inputs=inputs)


def sizes(found: Model) -> dict[str, int | None]:
    """Return the bytes of every value by name."""
    graph = found.graph
    return {value.name: size for value, size in zip(graph.values, graph.value_bytes, strict=True)}


def shapes(found: Model) -> dict[str, tuple[int | str | None, ...] | None]:
    """Return the shape of every value by name."""
    return {value.name: value.type.shape for value in found.graph.values}
