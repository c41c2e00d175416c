"""What reading needs of onnx, without the rest of the package: its messages, and its definitions of operations.

``import onnx`` brings numpy, number types, a checker, a parser and a dozen more, and takes longer than all else that
the analysis of a small network does. The messages that protobuf generated and the native library of operations are
two files of it. They are loaded here under their own names, as onnx would load them, so that a later ``import onnx``
finds them and everybody shares one class of each message. Where they do not lie as expected, onnx is imported whole.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping, Sequence
from importlib.machinery import PathFinder
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from onnx import (
        AttributeProto,
        FunctionProto,
        GraphProto,
        ModelProto,
        NodeProto,
        OperatorSetIdProto,
        TensorProto,
        TypeProto,
        ValueInfoProto,
    )
    from onnx.defs import OpSchema, SchemaError, get_schema


def infer_node_outputs(
    schema: OpSchema,
    node: NodeProto,
    types: Mapping[str, TypeProto],
    data: Mapping[str, TensorProto],
    opsets: Sequence[OperatorSetIdProto],
    ir_version: int,
) -> dict[str, TypeProto]:
    """Return what ONNX's rules say of the outputs of one node, as ``onnx.shape_inference`` does.

    Raises:
        Exception: Native code raises a dozen kinds where the node does not fit its operation.
    """
    native = getattr(schema, "_infer_node_outputs", None)
    if native is None:
        from onnx.shape_inference import infer_node_outputs as whole

        return whole(schema, node, dict(types), dict(data), opset_imports=list(opsets), ir_version=ir_version)
    found = native(
        node.SerializeToString(),
        {name: of.SerializeToString() for name, of in types.items()},
        {name: tensor.SerializeToString() for name, tensor in data.items()},
        {},
        {opset.domain: opset.version for opset in opsets},
        ir_version,
    )
    return {name: TypeProto.FromString(serialized) for name, serialized in found.items()}


def defaults(schema: OpSchema) -> dict[str, AttributeProto]:
    """Return the values of the attributes of an operation that have one where a node leaves them out, by name."""
    found = {name: _default(attribute) for name, attribute in schema.attributes.items()}
    return {name: attribute for name, attribute in found.items() if attribute.name}


def _default(attribute: OpSchema.Attribute) -> AttributeProto:
    serialized = getattr(attribute, "_default_value", None)
    if serialized is None:  # another version: the package has it for its users
        return attribute.default_value
    default = AttributeProto()
    default.ParseFromString(serialized)
    return default


def _load(name: str) -> ModuleType:
    """Return a module of onnx, loaded without the package that it is in if nobody has loaded that."""
    whole = f"onnx.{name}"
    if whole in sys.modules or "onnx" in sys.modules:
        return importlib.import_module(whole)
    package = importlib.util.find_spec("onnx")
    folders = None if package is None else package.submodule_search_locations
    spec = PathFinder.find_spec(whole, folders) if folders else None
    if spec is None or spec.loader is None:
        return importlib.import_module(whole)
    module = importlib.util.module_from_spec(spec)
    sys.modules[whole] = module
    try:
        spec.loader.exec_module(module)
    except Exception:  # it needs the rest of its package: another version
        del sys.modules[whole]
        return importlib.import_module(whole)
    return module


if not TYPE_CHECKING:
    _messages: Any = _load("onnx_ml_pb2")
    _native: Any = _load("onnx_cpp2py_export").defs

    AttributeProto = _messages.AttributeProto
    FunctionProto = _messages.FunctionProto
    GraphProto = _messages.GraphProto
    ModelProto = _messages.ModelProto
    NodeProto = _messages.NodeProto
    OperatorSetIdProto = _messages.OperatorSetIdProto
    TensorProto = _messages.TensorProto
    TypeProto = _messages.TypeProto
    ValueInfoProto = _messages.ValueInfoProto
    OpSchema = _native.OpSchema
    SchemaError = _native.SchemaError
    get_schema = _native.get_schema

__all__ = [
    "AttributeProto",
    "FunctionProto",
    "GraphProto",
    "ModelProto",
    "NodeProto",
    "OpSchema",
    "OperatorSetIdProto",
    "SchemaError",
    "TensorProto",
    "TypeProto",
    "ValueInfoProto",
    "defaults",
    "get_schema",
    "infer_node_outputs",
]
