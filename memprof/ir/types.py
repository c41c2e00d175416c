"""What a tensor is made of: an element type and a shape, and so its bytes. Pure integers, no numpy, no onnx.

A tensor's bytes are its element count times the bits of its element type, rounded up to whole bytes once, here.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from memprof.errors import LimitError

Dim = int | str | None
"""A known size, a named symbol such as ``batch``, or nothing known."""

MAX_DIM = 2**48
"""No dimension of a real tensor comes near 2^48; one that does is a broken or hostile file."""

MAX_TENSOR_BYTES = 2**56

DTYPE_BITS: dict[str, int] = {
    "bool": 8,
    "uint2": 2,
    "int2": 2,
    "uint4": 4,
    "int4": 4,
    "uint8": 8,
    "int8": 8,
    "uint16": 16,
    "int16": 16,
    "uint32": 32,
    "int32": 32,
    "uint64": 64,
    "int64": 64,
    "float4e2m1": 4,
    "float8e4m3fn": 8,
    "float8e4m3fnuz": 8,
    "float8e5m2": 8,
    "float8e5m2fnuz": 8,
    "float8e8m0": 8,
    "float16": 16,
    "bfloat16": 16,
    "float32": 32,
    "float64": 64,
    "complex64": 64,
    "complex128": 128,
}
"""Bits of one element. A type that is not here (strings, say) has no fixed size and stays unknown."""


@dataclass(frozen=True, slots=True)
class TensorType:
    """Element type and shape of a tensor.

    Attributes:
        dtype: A key of ``DTYPE_BITS``, another name if its size is not fixed, ``None`` if not known.
        shape: One ``Dim`` per axis, ``()`` for a scalar, ``None`` if even the rank is not known.

    Raises:
        LimitError: A dimension is negative or over ``MAX_DIM``, or the bytes over ``MAX_TENSOR_BYTES``.
    """

    dtype: str | None
    shape: tuple[Dim, ...] | None

    def __post_init__(self) -> None:
        for dim in self.shape or ():
            if isinstance(dim, int) and not 0 <= dim <= MAX_DIM:
                raise LimitError(f"A tensor has a dimension of {dim}; 0 to {MAX_DIM} is possible.")
        if (self.size_bytes or 0) > MAX_TENSOR_BYTES:
            raise LimitError(f"A tensor of shape {self.shape} has {self.size_bytes} bytes.")

    @classmethod
    def of_bytes(cls, size_bytes: int) -> TensorType:
        """Return the type of an opaque block of ``size_bytes`` bytes."""
        return cls("uint8", (size_bytes,))

    @property
    def element_count(self) -> int | None:
        """Number of elements, or ``None`` while a dimension is open."""
        if self.shape is None:
            return None
        dims = [dim for dim in self.shape if isinstance(dim, int)]
        if 0 in dims:
            return 0
        return prod(dims) if len(dims) == len(self.shape) else None

    @property
    def size_bytes(self) -> int | None:
        """Bytes of the tensor, or ``None`` while the element type or a dimension is open."""
        bits = DTYPE_BITS.get(self.dtype) if self.dtype is not None else None
        count = self.element_count
        return None if bits is None or count is None else (count * bits + 7) // 8
