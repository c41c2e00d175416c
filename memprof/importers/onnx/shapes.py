"""Types of all values of a model: what the file says, then ONNX's own shape inference where it says nothing."""

from __future__ import annotations

from collections.abc import Mapping

import onnx.shape_inference
from onnx import GraphProto, ModelProto

from memprof.importers.onnx.types import TypeReader
from memprof.ir import TensorType


def infer_types(model: ModelProto, dims: Mapping[str, int]) -> TypeReader:
    """Return the reader of types; fills ``value_info`` of the model where it was missing."""
    bind(model.graph, dims)
    known = {info.name for info in model.graph.value_info} | {info.name for info in model.graph.output}
    if any(name and name not in known for node in model.graph.node for name in node.output):
        inferred = onnx.shape_inference.infer_shapes(model, data_prop=True)
        model.CopyFrom(inferred)
    return TypeReader(dims)


def bind(graph: GraphProto, dims: Mapping[str, int]) -> None:
    """Write the sizes of named dimensions into the graph."""
    if not dims:
        return
    for infos in (graph.input, graph.value_info, graph.output):
        for info in infos:
            for dim in info.type.tensor_type.shape.dim:
                if dim.dim_param in dims:
                    dim.dim_value = dims[dim.dim_param]


def declared_types(graph: GraphProto, types: TypeReader) -> dict[str, TensorType]:
    """Return the types that a graph's inputs, outputs and value_info state."""
    found: dict[str, TensorType] = {}
    for infos in (graph.value_info, graph.output, graph.input):
        for info in infos:
            found[info.name] = types.read(info.type)
    return found
