"""Elements of small constants, as onnx's own reader finds them, whichever way a file writes them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from onnx import TensorProto, helper, numpy_helper

from memprof.importers.onnx.constants import MAX_ELEMENTS, NUMERIC, Constant, constant_of, empty_constant
from memprof.importers.onnx.evaluators import EVALUATORS, evaluate
from memprof.importers.onnx.node_facts import EVALUATED

ARRAYS = st.sampled_from(sorted(NUMERIC.values())).flatmap(
    lambda dtype: hnp.arrays(np.dtype(dtype), hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3))
)


def written(array: Any, *, raw: bool) -> TensorProto:
    number = helper.np_dtype_to_tensor_dtype(array.dtype)
    if raw:
        return numpy_helper.from_array(array)
    return helper.make_tensor("t", number, array.shape, array.reshape(-1).tolist())


@given(ARRAYS, st.booleans())
def test_elements_are_those_that_onnx_reads(array: np.ndarray[Any, Any], raw: bool) -> None:
    found = Constant(written(array, raw=raw))
    expected = numpy_helper.to_array(written(array, raw=raw))
    assert found.is_held and found.array is not None
    assert found.type == (expected.dtype.name, expected.shape)
    assert (found.array.dtype, found.array.tobytes()) == (expected.dtype, expected.tobytes())
    numbers = Constant(written(array, raw=raw)).elements
    assert repr(numbers) == repr(tuple(expected.ravel().tolist()))  # one that is not a number equals nothing


@given(ARRAYS)
def test_an_array_is_written_as_onnx_writes_it(array: np.ndarray[Any, Any]) -> None:
    found = Constant(array, is_computed=True)
    assert numpy_helper.to_array(found.tensor).tobytes() == array.tobytes()
    assert found.key == Constant(numpy_helper.from_array(array)).key


@pytest.mark.parametrize(
    "proto",
    [
        TensorProto(data_type=TensorProto.INT64, dims=[2], int64_data=[1]),
        TensorProto(data_type=TensorProto.INT64, dims=[2], raw_data=bytes(15)),
        TensorProto(data_type=TensorProto.INT64, dims=[MAX_ELEMENTS + 1], raw_data=bytes(8 * MAX_ELEMENTS + 8)),
        TensorProto(data_type=TensorProto.STRING, dims=[1], string_data=[b"a"]),
        TensorProto(data_type=TensorProto.BFLOAT16, dims=[1], int32_data=[1]),
        TensorProto(data_type=TensorProto.INT64, dims=[-1], int64_data=[1]),
        TensorProto(data_type=TensorProto.INT64, dims=[1], raw_data=bytes(8), data_location=TensorProto.EXTERNAL),
        TensorProto(data_type=TensorProto.INT64, dims=[1], raw_data=bytes(8), segment=TensorProto.Segment(begin=0)),
    ],
    ids=["too few", "too few bytes", "many", "text", "no plain number", "negative", "elsewhere", "part of one"],
)
def test_what_is_not_at_hand_is_not_there(proto: TensorProto) -> None:
    assert not Constant(proto).is_held
    assert Constant(proto).array is None


def test_lists_of_attributes() -> None:
    scalar, vector = constant_of("int64", [7], is_scalar=True), constant_of("float32", [0.5, 2.0])
    assert (scalar.type, vector.type) == (("int64", ()), ("float32", (2,)))
    assert scalar.array is not None and vector.array is not None
    assert (scalar.array.tolist(), vector.array.tolist()) == (7, [0.5, 2.0])


def test_a_number_that_its_type_does_not_hold_wraps_round() -> None:
    odd = TensorProto(data_type=TensorProto.INT8, dims=[1], int32_data=[300])
    assert Constant(odd).elements == (44,)


def test_what_is_said_to_be_evaluated_is() -> None:
    assert set(EVALUATORS) == EVALUATED


def test_nothing_has_no_elements() -> None:
    found = empty_constant("float32")
    assert found is not None and found.is_held and found.type == ("float32", (0,))
    assert empty_constant("string") is None


def test_a_mean_of_nothing_is_not_known_and_warns_nobody(recwarn: pytest.WarningsRecorder) -> None:
    assert evaluate(helper.make_node("ReduceMean", ["x"], ["y"]), [np.zeros(0, np.float32)]) is None
    assert not recwarn.list
