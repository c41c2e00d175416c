"""What a tensor is made of: an element type and a shape, and so its bytes. Pure integers, no numpy, no onnx.

A tensor's bytes are its element count times the bits of its element type, rounded up to whole bytes once, here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod

from memprof.base.errors import LimitError

Dim = int | str | None
"""A known size, a named symbol such as ``batch``, or nothing known."""

MAX_DIM = 2**48
"""No dimension of a real tensor comes near 2^48; one that does is a broken or hostile file."""

MAX_RANK = 64
"""As in numpy, and far above what operators accept."""

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
    "float6e2m3": 6,
    "float6e3m2": 6,
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
    "string": 256,
    "tensors": 8,
    "map": 0,
}
"""Bits of one element. A type that is not here (a resource, say) has no fixed size and stays unknown.

An element of a tensor of strings is a record of 32 bytes, as runtimes in C++ on 64 bits have it: up to 15 characters
lie in it, longer ones outside of tensors. A sequence of known ``tensors`` has their bytes. A map is no tensor:
what it holds lies outside of them.
"""


@dataclass(frozen=True, slots=True)
class TensorType:
    """Element type and shape of a tensor.

    Attributes:
        dtype: A key of ``DTYPE_BITS``, another name if its size is not fixed, ``None`` if not known.
        shape: One ``Dim`` per axis, ``()`` for a scalar, ``None`` if even the rank is not known.
        elements: Number of elements, where it is known although dimensions are open.
        size_bytes: Bytes of the tensor, or ``None`` while the element type or the number of elements is open.

    Raises:
        LimitError: A dimension is negative or over ``MAX_DIM``, or there are more than ``MAX_RANK`` of them or
            ``MAX_TENSOR_BYTES`` bytes.
    """

    dtype: str | None
    shape: tuple[Dim, ...] | None
    elements: int | None = None
    size_bytes: int | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        shape = self.shape or ()
        if len(shape) > MAX_RANK:
            raise LimitError(f"A tensor has {len(shape)} dimensions; up to {MAX_RANK} are possible.")
        for dim in shape:
            if isinstance(dim, int) and not 0 <= dim <= MAX_DIM:
                raise LimitError(f"A tensor has a dimension of {dim}; 0 to {MAX_DIM} is possible.")
        bits = DTYPE_BITS.get(self.dtype) if self.dtype is not None else None
        count = self.element_count
        size_bytes = None if bits is None or count is None else (count * bits + 7) // 8
        if size_bytes is not None and size_bytes > MAX_TENSOR_BYTES:
            raise LimitError(f"A tensor of shape {shape} has {size_bytes} bytes; {MAX_TENSOR_BYTES} are possible.")
        object.__setattr__(self, "size_bytes", size_bytes)  # read far more often than made

    @classmethod
    def of_bytes(cls, size_bytes: int) -> TensorType:
        """Return the type of an opaque block of ``size_bytes`` bytes."""
        return cls("uint8", (size_bytes,))

    @property
    def element_count(self) -> int | None:
        """Number of elements, or ``None`` while it is open."""
        if self.shape is None:
            return self.elements
        dims = [dim for dim in self.shape if isinstance(dim, int)]
        if 0 in dims:
            return 0
        return prod(dims) if len(dims) == len(self.shape) else self.elements
