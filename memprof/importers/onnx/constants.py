"""Small constants that decide shapes: read from the file, or computed (``evaluators``).

Most are only handed on to ONNX's rules as they stand in the file. numpy is loaded where elements are looked at.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from memprof.importers.onnx.library import TensorProto
from memprof.ir import DTYPE_BITS, TensorType

if TYPE_CHECKING:
    import numpy as np

    _Array = np.ndarray[Any, Any]

MAX_ELEMENTS = 1024
_MAX_FLOATS = 16  # longer ones are biases and scales of channels, which decide no shape
FLOATS = frozenset({"float16", "float32", "float64", "bfloat16"})

NUMERIC: Mapping[int, str] = MappingProxyType(
    {
        TensorProto.FLOAT: "float32",
        TensorProto.DOUBLE: "float64",
        TensorProto.FLOAT16: "float16",
        TensorProto.INT8: "int8",
        TensorProto.INT16: "int16",
        TensorProto.INT32: "int32",
        TensorProto.INT64: "int64",
        TensorProto.UINT8: "uint8",
        TensorProto.UINT16: "uint16",
        TensorProto.UINT32: "uint32",
        TensorProto.UINT64: "uint64",
        TensorProto.BOOL: "bool",
    }
)
"""Element types that are plain numbers, named as numpy names them."""

_NUMBERS = MappingProxyType({name: number for number, name in NUMERIC.items()})
_FIELDS: Mapping[str, str] = MappingProxyType(
    {
        "float32": "float_data",
        "float64": "double_data",
        "int64": "int64_data",
        "uint32": "uint64_data",
        "uint64": "uint64_data",
    }
)
"""Where elements lie that are not raw bytes; ``int32_data`` holds those of all other types."""

_WIDE: Mapping[str, str] = MappingProxyType(
    {"float_data": "float64", "double_data": "float64", "uint64_data": "uint64"}
)

_CODES: Mapping[str, str] = MappingProxyType(
    {"float16": "e", "float32": "f", "float64": "d", "bool": "?"}
    | {"int8": "b", "int16": "h", "int32": "i", "int64": "q"}
    | {"uint8": "B", "uint16": "H", "uint32": "I", "uint64": "Q"}
)
"""How ``struct`` writes an element."""


_NO_NUMBERS = frozenset({"map", "string", "tensors"})


class Constant:
    """A small tensor whose elements are known.

    Attributes:
        is_computed: Whether the elements follow from shapes, rather than being in the file.
        is_beyond: Whether onnxruntime does not know them before it runs; see ``ahead.py``.
    """

    __slots__ = ("_array", "_is_held", "_key", "_proto", "is_beyond", "is_computed")

    def __init__(self, source: TensorProto | _Array, *, is_computed: bool = False, is_beyond: bool = False) -> None:
        self.is_computed = is_computed
        self.is_beyond = is_beyond
        self._proto = source if isinstance(source, TensorProto) else None
        self._array = None if isinstance(source, TensorProto) else source
        self._is_held: bool | None = None if isinstance(source, TensorProto) else True
        self._key: tuple[object, ...] | None = None

    @property
    def is_held(self) -> bool:
        """Whether the elements are at hand: the file holds them here, as plain numbers."""
        if self._is_held is None:
            assert self._proto is not None, "made from a proto"
            self._is_held = _holds(self._proto)
        return self._is_held

    @property
    def array(self) -> _Array | None:
        """The elements; ``None`` unless they are at hand."""
        if self._array is None and self.is_held:
            assert self._proto is not None, "made from a proto"
            self._array = _decode(self._proto)
        return self._array

    @property
    def elements(self) -> tuple[float, ...] | None:
        """The elements in a row, as plain numbers, without numpy if nothing else asked for it."""
        if self._array is None and self.is_held:
            assert self._proto is not None, "made from a proto"
            try:
                return _numbers(self._proto)
            except struct.error:  # a number that its type does not hold
                pass
        array = self.array
        return None if array is None else tuple(array.ravel().tolist())

    @property
    def type(self) -> tuple[str, tuple[int, ...]]:
        """Element type and shape; only where the elements are at hand."""
        if self._array is not None:
            return self._array.dtype.name, self._array.shape
        return NUMERIC[self.tensor.data_type], tuple(self.tensor.dims)

    @property
    def tensor(self) -> TensorProto:
        """The elements as a proto; only where they are at hand."""
        if self._proto is None:
            assert self._array is not None, "asked for elements that are not there"
            self._proto = _encode(self._array)
        return self._proto

    @property
    def key(self) -> tuple[object, ...]:
        """Equal for equal elements that are written alike; only where they are at hand."""
        if self._key is None:
            proto = self.tensor
            written = proto.raw_data or tuple(getattr(proto, _field(proto)))
            self._key = (proto.data_type, tuple(proto.dims), written)
        return self._key


def constant_of(dtype: str, values: Sequence[int] | Sequence[float], *, is_scalar: bool = False) -> Constant:
    """Return a constant that an attribute lists.

    Args:
        dtype: ``int64`` or ``float32``.
        values: Its elements.
        is_scalar: Whether it has no dimension; a vector otherwise.
    """
    proto = TensorProto(data_type=_NUMBERS[dtype], dims=[] if is_scalar else [len(values)])
    getattr(proto, _FIELDS[dtype]).extend(values)
    return Constant(proto)


def empty_constant(dtype: str | None) -> Constant | None:
    """Return a vector without elements, ``None`` of a type that is no plain number."""
    number = _NUMBERS.get(dtype or "")
    return None if number is None else Constant(TensorProto(data_type=number, dims=[0]))


def may_decide_shapes(of: TensorType) -> bool:
    """Whether a tensor of this type is known to be small enough to take part in the arithmetic of shapes."""
    count = of.element_count if of.dtype in DTYPE_BITS and of.dtype not in _NO_NUMBERS else None
    return count is not None and count <= (_MAX_FLOATS if of.dtype in FLOATS else MAX_ELEMENTS)


def _field(proto: TensorProto) -> str:
    return _FIELDS.get(NUMERIC[proto.data_type], "int32_data")


def _holds(proto: TensorProto) -> bool:
    dtype, count = NUMERIC.get(proto.data_type), math.prod(proto.dims)
    if dtype is None or not 0 <= count <= MAX_ELEMENTS or any(dim < 0 for dim in proto.dims):
        return False
    if proto.external_data or proto.data_location == TensorProto.EXTERNAL or proto.HasField("segment"):
        return False  # what lies elsewhere is never opened: a stranger wrote the path
    if proto.HasField("raw_data"):
        return bool(len(proto.raw_data) == count * DTYPE_BITS[dtype] // 8)
    return bool(len(getattr(proto, _field(proto))) == count)  # others: too many to keep, or of another count


def _numbers(proto: TensorProto) -> tuple[float, ...]:
    dtype = NUMERIC[proto.data_type]
    count, code = math.prod(proto.dims), _CODES[dtype]
    raw = proto.raw_data
    if not proto.HasField("raw_data"):
        written = "H" if dtype == "float16" else code  # its bits, as an integer each
        raw = struct.pack(f"<{count}{written}", *getattr(proto, _field(proto)))
    return struct.unpack(f"<{count}{code}", raw)


def _decode(proto: TensorProto) -> _Array:
    import numpy as np

    dtype = np.dtype(NUMERIC[proto.data_type])
    if proto.HasField("raw_data"):
        found = np.frombuffer(proto.raw_data, dtype.newbyteorder("<")).astype(dtype)
    elif dtype == np.float16:  # its bits, as an integer each
        found = np.array(proto.int32_data, dtype=np.int64).astype(np.uint16).view(dtype)
    else:
        field = _field(proto)
        found = np.array(getattr(proto, field), dtype=_WIDE.get(field, np.int64)).astype(dtype)
    return found.reshape(tuple(proto.dims))


def _encode(array: _Array) -> TensorProto:
    name = array.dtype.name
    if name not in _NUMBERS:
        raise TypeError(f"not plain numbers: {name}")
    raw = array.astype(array.dtype.newbyteorder("<")).tobytes()
    return TensorProto(data_type=_NUMBERS[name], dims=array.shape, raw_data=raw)
