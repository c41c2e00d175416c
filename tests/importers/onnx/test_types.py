"""Bytes of every element type, and what has no fixed bytes."""

from __future__ import annotations

from pathlib import Path

import pytest
from onnx import SparseTensorProto, TensorProto, ValueInfoProto, numpy_helper

from memprof.importers.onnx.types import DTYPES, TypeTable
from memprof.ir import DTYPE_BITS, TensorType
from tests.onnx_models import load, model, node, sizes, tensor, weight


@pytest.mark.parametrize(
    ("dtype", "size_bytes"),
    [
        (TensorProto.FLOAT, 4 * 15),
        (TensorProto.BFLOAT16, 2 * 15),
        (TensorProto.FLOAT8E4M3FN, 15),
        (TensorProto.FLOAT8E5M2FNUZ, 15),
        (TensorProto.INT4, 8),
        (23, 8),  # float4e2m1, which the lowest onnx has no name for
        (25, 4),  # uint2
        (27, 12),  # float6e2m3: 90 bits
        (TensorProto.COMPLEX128, 16 * 15),
        (TensorProto.BOOL, 15),
    ],
)
def test_bytes_of_fifteen_elements(tmp_path: Path, dtype: int, size_bytes: int) -> None:
    found = load(
        tmp_path, model([node("Identity", ["x"], ["y"])], inputs=[tensor("x", [3, 5], dtype)], outputs=["y"])
    )

    assert sizes(found)["x"] == size_bytes


def test_every_element_type_of_onnx_has_a_name_and_bytes() -> None:
    assert set(TensorProto.DataType.values()) - {TensorProto.UNDEFINED} <= set(DTYPES)
    assert set(DTYPES.values()) <= set(DTYPE_BITS)


def test_equal_types_are_one_object() -> None:
    types = TypeTable()

    first, second = (types.read(tensor(name, [1, "n", None]).type) for name in "ab")

    assert first is second
    assert first == TensorType("float32", (1, "n", None))


def test_types_survive_the_way_to_onnx_and_back() -> None:
    types = TypeTable()

    for of in (types.of("int4", ()), types.of("float16", None), types.of("float32", (2, "n", None))):
        assert types.read(types.to_proto(of)) is of


def test_a_sparse_initialiser_counts_as_the_dense_tensor_that_it_stands_for(tmp_path: Path) -> None:
    found = model([node("Relu", ["w"], ["y"])], outputs=["y"])
    values = weight("w", 3)
    indices = numpy_helper.from_array(numpy_helper.to_array(weight("i", 3, dtype=TensorProto.INT64)), "i")
    found.graph.sparse_initializer.append(SparseTensorProto(values=values, indices=indices, dims=[10, 10]))

    assert load(tmp_path, found).graph.parameter_bytes == 400


def test_sequences_are_reported_as_values_without_fixed_bytes_and_texts_have_records(tmp_path: Path) -> None:
    sequence = ValueInfoProto(name="s")
    sequence.type.sequence_type.elem_type.CopyFrom(tensor("e", [2]).type)
    nodes = [node("SequenceLength", ["s"], ["n"]), node("Identity", ["t"], ["u"])]
    inputs = [sequence, tensor("t", [4], TensorProto.STRING)]

    graph = load(tmp_path, model(nodes, inputs=inputs, outputs=["n", "u"])).graph

    assert [(unknown.kind, unknown.name) for unknown in graph.unknown] == [("dtype", "s")]
    assert "sequence has no fixed number of bytes" in graph.unknown[0].reason
    assert [value.type.size_bytes for value in graph.values if value.name == "t"] == [4 * 32]


def test_the_type_of_an_element_is_found_through_a_sequence(tmp_path: Path) -> None:
    nodes = [
        node("SequenceConstruct", ["x", "x"], ["s"]),
        node("Constant", [], ["zero"], value_int=0),
        node("SequenceAt", ["s", "zero"], ["y"]),
    ]

    found = load(tmp_path, model(nodes, inputs=[tensor("x", [2, 3])], outputs=["y"]))

    assert sizes(found)["y"] == 24
