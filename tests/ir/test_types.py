"""A tensor's bytes come from its element type and shape, rounded up once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memprof.base.errors import LimitError
from memprof.ir import DTYPE_BITS, TensorType
from memprof.ir.types import MAX_DIM, MAX_RANK, MAX_TENSOR_BYTES


@pytest.mark.parametrize(
    ("dtype", "shape", "expected"),
    [
        ("float32", (1, 3, 224, 224), 602112),
        ("float32", (), 4),
        ("float64", (0, 7), 0),
        ("bool", (3,), 3),
        ("complex128", (2,), 32),
        ("int4", (1,), 1),
        ("int4", (2,), 1),
        ("int4", (3,), 2),
        ("int4", (3, 3), 5),  # once for the tensor, not once for each row
        ("uint2", (5,), 2),
        ("float4e2m1", (7,), 4),
        ("float8e5m2", (7,), 7),
    ],
)
def test_bytes_are_elements_times_bits_rounded_up_once(dtype: str, shape: tuple[int, ...], expected: int) -> None:
    assert TensorType(dtype, shape).size_bytes == expected


@pytest.mark.parametrize("dtype", [name for name in DTYPE_BITS if hasattr(np, name)])
def test_bits_agree_with_numpy(dtype: str) -> None:
    assert DTYPE_BITS[dtype] == 8 * np.dtype(dtype).itemsize


@pytest.mark.parametrize(
    "type_",
    [
        TensorType("float32", ("batch", 3)),
        TensorType("float32", (None,)),
        TensorType("float32", None),
        TensorType(None, (2, 3)),
        TensorType("opaque", (2, 3)),
    ],
)
def test_what_is_open_has_no_bytes(type_: TensorType) -> None:
    assert type_.size_bytes is None


def test_a_zero_settles_the_bytes_whatever_else_is_open() -> None:
    assert TensorType("float32", ("batch", 0)).size_bytes == 0
    assert TensorType("float32", ("batch", 0)).element_count == 0


def test_an_opaque_block_has_the_bytes_it_was_given() -> None:
    assert TensorType.of_bytes(1234).size_bytes == 1234


def test_the_largest_possible_tensor_is_possible() -> None:
    assert TensorType("uint8", (MAX_DIM, MAX_TENSOR_BYTES // MAX_DIM)).size_bytes == MAX_TENSOR_BYTES
    assert TensorType("uint8", (1,) * MAX_RANK).size_bytes == 1


@pytest.mark.parametrize(
    "shape",
    [(-1,), (MAX_DIM + 1,), (2**62,), (MAX_DIM, MAX_DIM), (1,) * (MAX_RANK + 1), (MAX_DIM,) * 100_000, (0, 2**62)],
)
def test_what_no_tensor_can_be_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(LimitError):
        TensorType("float32", shape)


@given(st.sampled_from(sorted(DTYPE_BITS)), st.lists(st.integers(0, 50), max_size=4))
def test_bytes_hold_all_bits_with_less_than_a_byte_to_spare(dtype: str, dims: list[int]) -> None:
    type_ = TensorType(dtype, tuple(dims))
    assert type_.size_bytes is not None
    assert type_.element_count == int(np.prod(dims))
    assert 0 <= type_.size_bytes * 8 - type_.element_count * DTYPE_BITS[dtype] < 8


def test_types_are_equal_by_dtype_and_shape() -> None:
    assert TensorType("int8", (2,)) == TensorType("int8", (2,)) != TensorType("uint8", (2,))
    assert hash(TensorType("int8", (2,))) == hash(TensorType("int8", (2,)))
