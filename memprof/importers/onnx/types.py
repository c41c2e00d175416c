"""Types of ONNX as memprof's: element types by name, dimensions bound by symbol, equal types one object.

A type that has no fixed bytes keeps a name that says why: ``string``, ``sequence``, ``map``, ``optional``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from onnx import TensorProto, TypeProto

from memprof.ir import Dim, TensorType

DTYPES: Mapping[int, str] = MappingProxyType(
    {
        TensorProto.FLOAT: "float32",
        TensorProto.UINT8: "uint8",
        TensorProto.INT8: "int8",
        TensorProto.UINT16: "uint16",
        TensorProto.INT16: "int16",
        TensorProto.INT32: "int32",
        TensorProto.INT64: "int64",
        TensorProto.STRING: "string",
        TensorProto.BOOL: "bool",
        TensorProto.FLOAT16: "float16",
        TensorProto.DOUBLE: "float64",
        TensorProto.UINT32: "uint32",
        TensorProto.UINT64: "uint64",
        TensorProto.COMPLEX64: "complex64",
        TensorProto.COMPLEX128: "complex128",
        TensorProto.BFLOAT16: "bfloat16",
        17: "float8e4m3fn",  # plain numbers from here on: older onnx packages lack the names
        18: "float8e4m3fnuz",
        19: "float8e5m2",
        20: "float8e5m2fnuz",
        21: "uint4",
        22: "int4",
        23: "float4e2m1",
        24: "float8e8m0",
        25: "uint2",
        26: "int2",
        27: "float6e2m3",
        28: "float6e3m2",
    }
)
"""ONNX's element types by number."""

UNKNOWN_TYPE = TensorType(None, None)
_NOT_TENSORS = MappingProxyType(
    {"sequence_type": "sequence", "map_type": "map", "optional_type": "optional", "opaque_type": "opaque"}
)


class TypeReader:
    """Turns protos into ``TensorType``; the same proto gives the same object, so that types compare quickly."""

    def __init__(self, bindings: Mapping[str, int]) -> None:
        self._bindings = bindings
        self._by_proto: dict[bytes, TensorType] = {}
        self._interned: dict[tuple[str | None, tuple[Dim, ...] | None], TensorType] = {}

    def read(self, proto: TypeProto) -> TensorType:
        """Return the type of a value; ``UNKNOWN_TYPE`` if the proto says nothing.

        Raises:
            LimitError: A dimension or the bytes are over what a tensor can have.
        """
        key = proto.SerializeToString()
        found = self._by_proto.get(key)
        if found is None:
            found = self._by_proto[key] = self._read(proto)
        return found

    def of(self, dtype: str | None, shape: tuple[Dim, ...] | None) -> TensorType:
        """Return the one object for this element type and shape."""
        found = self._interned.get((dtype, shape))
        if found is None:
            found = self._interned[dtype, shape] = TensorType(dtype, shape)
        return found

    def of_tensor(self, data_type: int, dims: Sequence[int]) -> TensorType:
        """Return the type of an initialiser."""
        return self.of(dtype_name(data_type), tuple(dims))

    def _read(self, proto: TypeProto) -> TensorType:
        kind = proto.WhichOneof("value")
        if kind in ("tensor_type", "sparse_tensor_type"):
            tensor = proto.tensor_type if kind == "tensor_type" else proto.sparse_tensor_type
            shape = tuple(self._dim(dim) for dim in tensor.shape.dim) if tensor.HasField("shape") else None
            return self.of(dtype_name(tensor.elem_type), shape)
        return self.of(_NOT_TENSORS.get(kind), None) if kind else UNKNOWN_TYPE

    def _dim(self, dim: Any) -> Dim:  # the nested proto class has no importable name
        if dim.HasField("dim_value"):
            return dim.dim_value if dim.dim_value >= 0 else None  # some write -1 for open
        symbol: str = dim.dim_param
        return self._bindings.get(symbol, symbol) if symbol else None


def dtype_name(data_type: int) -> str | None:
    """Return the element type's name, ``None`` for 0, which stands for "not said"."""
    return DTYPES.get(data_type, f"type_{data_type}") if data_type else None
