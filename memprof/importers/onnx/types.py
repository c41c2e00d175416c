"""Types of ONNX as memprof's, and back: element types by name, equal types one object.

A type that has no fixed bytes keeps a name that says why: ``sequence``, ``optional``. Maps, and sequences of them,
hold no tensors: ``map``, of 0 bytes.

Interning: a model repeats a few types thousands of times. Reading is a dictionary look-up by the serialized proto,
which costs a microsecond whatever the rank, and types that are one object compare and hash quickly later.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from memprof.base.errors import LimitError
from memprof.importers.onnx.fields import varint
from memprof.importers.onnx.library import TensorProto, TypeProto
from memprof.ir import Dim, TensorType

MAX_RANK = 64

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
_NUMBERS = MappingProxyType({name: number for number, name in DTYPES.items()})
_NOT_TENSORS = MappingProxyType({"sequence_type": "sequence", "optional_type": "optional", "opaque_type": "opaque"})


class TypeTable:
    """All types of one model: reads protos, binds symbols, and writes protos for ONNX's inference.

    Attributes:
        symbols: Every named dimension read so far, in order.
    """

    def __init__(self) -> None:
        self.symbols: dict[str, None] = {}
        self._bindings: Mapping[str, int] = {}
        self._by_proto: dict[bytes, TensorType] = {}
        self._interned: dict[tuple[str | None, tuple[Dim, ...] | None, int | None], TensorType] = {}
        self._protos: dict[int, TypeProto] = {}  # by identity: types are interned

    def bind(self, bindings: Mapping[str, int]) -> None:
        """Use these sizes for named dimensions from now on."""
        self._bindings = bindings
        self._by_proto.clear()

    def read(self, proto: TypeProto) -> TensorType:
        """Return the type of a value with named dimensions bound; ``UNKNOWN_TYPE`` if the proto says nothing.

        Raises:
            LimitError: A dimension, the rank or the bytes are over what a tensor can have.
        """
        key = proto.SerializeToString()
        found = self._by_proto.get(key)
        if found is None:
            found = self._by_proto[key] = self._read(proto)
        return found

    def of(self, dtype: str | None, shape: tuple[Dim, ...] | None, elements: int | None = None) -> TensorType:
        """Return the one object for this element type and shape, and number of elements where dimensions are open.

        Raises:
            LimitError: As ``read``.
        """
        found = self._interned.get((dtype, shape, elements))
        if found is None:
            if shape is not None and len(shape) > MAX_RANK:
                raise LimitError(f"A tensor has {len(shape)} dimensions; up to {MAX_RANK} are possible.")
            found = self._interned[dtype, shape, elements] = TensorType(dtype, shape, elements)
        return found

    def of_tensor(self, tensor: TensorProto) -> TensorType:
        """Return the type of an initialiser or of a constant's value."""
        return self.of(dtype_name(tensor.data_type), tuple(tensor.dims))

    def of_sparse(self, values: TensorProto, dims: Sequence[int]) -> TensorType:
        """Return the dense type of a sparse tensor: what holds it once an operation has to read it."""
        return self.of(dtype_name(values.data_type), tuple(dims))

    def merge(self, stated: TensorType, found: TensorType) -> TensorType:
        """Return ``stated`` with what it leaves open filled in from ``found``."""
        if stated is found or stated.size_bytes is not None or found is UNKNOWN_TYPE:
            return stated
        dtype = stated.dtype or found.dtype
        if stated.shape is None or found.shape is None or len(stated.shape) != len(found.shape):
            return self.of(dtype, found.shape if stated.shape is None else stated.shape)
        pairs = zip(stated.shape, found.shape, strict=True)
        return self.of(dtype, tuple(b if not isinstance(a, int) and b is not None else a for a, b in pairs))

    def to_proto(self, of: TensorType) -> TypeProto:
        """Return the proto that tells ONNX's inference about ``of``."""
        found = self._protos.get(id(of))
        if found is None:
            found = self._protos[id(of)] = _write(of)
        return found

    def _read(self, proto: TypeProto) -> TensorType:
        kind = proto.WhichOneof("value")
        if kind in ("tensor_type", "sparse_tensor_type"):
            tensor = proto.tensor_type if kind == "tensor_type" else proto.sparse_tensor_type
            shape = tuple(self._dim(dim) for dim in tensor.shape.dim) if tensor.HasField("shape") else None
            found = self.of(dtype_name(tensor.elem_type), shape)
            if found.size_bytes is not None and kind == "tensor_type" and not self._bindings:
                self._protos.setdefault(id(found), proto)  # it says the same
            return found
        if kind == "map_type" or (kind == "sequence_type" and proto.sequence_type.elem_type.HasField("map_type")):
            return self.of("map", ())
        return self.of(_NOT_TENSORS.get(kind, "opaque"), None) if kind else UNKNOWN_TYPE

    def _dim(self, dim: Any) -> Dim:  # the class of a nested proto has no importable name
        if dim.HasField("dim_value"):
            value: int = dim.dim_value
            return value if value >= 0 else None  # some exporters write -1 for an open dimension
        symbol = dim.dim_param
        if not symbol:
            return None
        if not isinstance(symbol, str):  # protobuf returns bytes where a name is not UTF-8
            return None
        self.symbols[symbol] = None
        return self._bindings.get(symbol, symbol)


def dtype_name(data_type: int) -> str | None:
    """Return the element type's name, ``None`` for 0, which stands for "not said"."""
    return DTYPES.get(data_type, f"type_{data_type}") if data_type else None


def _write(of: TensorType) -> TypeProto:
    """Return the proto of a type, made of bytes: four times as fast as field by field."""
    number = _NUMBERS.get(of.dtype or "")
    if number is None:
        return TypeProto()
    tensor = b"\x08" + varint(number)
    if of.shape is not None:
        tensor += _field(2, b"".join(_field(1, _write_dim(dim)) for dim in of.shape))
    found: TypeProto = TypeProto.FromString(_field(1, tensor))
    return found


def _write_dim(dim: Dim) -> bytes:
    if isinstance(dim, int):
        return b"\x08" + varint(dim)
    return b"" if dim is None else _field(2, dim.encode())


def _field(number: int, payload: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(payload)) + payload
