"""Rules for onnxruntime's own operations: the types that its kernels write."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import ValueInfoProto, helper

import memprof
from memprof.importers.onnx.contributed import contributed_types
from memprof.importers.onnx.types import TypeTable
from memprof.ir import TensorType

runtime = pytest.importorskip("onnxruntime")
F, I8, U8, I16, I32, I64 = np.float32, np.int8, np.uint8, np.int16, np.int32, np.int64


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One operation: arrays of zeros by type and shape, ``None`` for an input that is left out."""

    op: str
    inputs: tuple[tuple[Any, tuple[int, ...]] | None, ...]
    outputs: int = 1
    attributes: dict[str, Any] = field(default_factory=dict)


def case(op: str, *inputs: tuple[Any, tuple[int, ...]] | None, outputs: int = 1, **attributes: Any) -> Case:
    return Case(op=op, inputs=inputs, outputs=outputs, attributes=attributes)


CASES = [
    case("Trilu", (F, (4, 6)), upper=1),
    case("SampleOp", (F, (3, 5))),
    case("CDist", (F, (4, 8)), (F, (6, 8)), metric="euclidean"),
    case("GridSample", (F, (2, 3, 8, 8)), (F, (2, 5, 7, 2))),
    case("GatherND", (F, (4, 5, 6)), (I64, (3, 2))),
    case("UnfoldTensor", (F, (2, 10, 3)), dim=1, size=4, step=2),
    case("MurmurHash3", (I32, (4, 5))),
    case("MurmurHash3", (I32, (4, 5)), positive=0),
    case("DequantizeLinear", (U8, (4, 5)), (F, ()), (U8, ())),
    case("QuantizeLinear", (F, (4, 5)), (F, ()), (U8, ())),
    case("MatMulInteger16", (I16, (4, 5)), (I16, (5, 7))),
    case(
        "QAttention",
        (U8, (2, 3, 32)),
        (U8, (32, 96)),
        (F, (96,)),
        (F, ()),
        (F, ()),
        (I32, (2,)),
        (U8, ()),
        (U8, ()),
        num_heads=4,
    ),
    case("NGramRepeatBlock", (I64, (3, 6)), (F, (3, 10)), ngram_size=3),
    case("GatherBlockQuantized", (U8, (10, 16)), (I64, (3,)), (F, (10, 1)), bits=4, block_size=32, quantize_axis=1),
    case("MultiHeadAttention", (F, (2, 3, 32)), (F, (2, 5, 32)), (F, (2, 5, 48)), num_heads=4),
    case("BranchwiseRMSNorm", (F, (2, 3, 4, 16)), (F, (16,)), num_branches=4),
    case("GatedRMSNorm", (F, (2, 3, 16)), (F, (16,)), (F, (2, 3, 16))),
    case("ScaledSiLU", (F, (2, 3, 16)), (F, ())),
    case("GatedAdd", (F, (2, 3, 16)), (F, (2, 3, 16)), (F, (2, 3, 1))),
    case(
        "MoE",
        (F, (6, 16)),
        (F, (6, 4)),
        (F, (4, 32, 16)),
        None,
        (F, (4, 16, 32)),
        k=2,
        activation_type="silu",
    ),
]


@pytest.mark.parametrize("one", CASES, ids=lambda one: one.op)
def test_a_rule_says_what_the_kernel_writes(one: Case) -> None:
    names = ["" if given is None else f"i{i}" for i, given in enumerate(one.inputs)]
    outputs = [f"o{i}" for i in range(one.outputs)]
    node = helper.make_node(one.op, names, outputs, domain="com.microsoft", **one.attributes)
    arrays = {f"i{i}": np.zeros(given[1], given[0]) for i, given in enumerate(one.inputs) if given is not None}
    infos = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
        for name, array in arrays.items()
    ]
    graph = helper.make_graph([node], "g", infos, [ValueInfoProto(name=name) for name in outputs])
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)

    session = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    written = session.run(None, arrays)

    types = TypeTable()
    known = [None if given is None else TensorType(np.dtype(given[0]).name, given[1]) for given in one.inputs]
    found = contributed_types(node, known, types)
    assert [(of.dtype, of.shape) for of in found] == [(array.dtype.name, array.shape) for array in written]


@pytest.mark.parametrize(
    ("op", "attributes"),
    [
        ("MultiHeadAttention", {"num_heads": 0}),
        ("GroupQueryAttention", {"num_heads": 0, "kv_num_heads": 0}),
        ("UnfoldTensor", {"size": 2, "step": 0}),
        ("QLinearConv", {"auto_pad": 3, "kernel_shape": [1]}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_attributes_that_fit_nothing_leave_the_type_open(op: str, attributes: dict[str, Any]) -> None:
    node = helper.make_node(op, [f"i{i}" for i in range(9)], ["y"], domain="com.microsoft", **attributes)
    (found,) = contributed_types(node, [TensorType("float32", (2, 3, 8))] * 9, TypeTable())
    assert found.shape is None


def test_an_attribute_of_another_kind_costs_the_macs_alone(tmp_path: Path) -> None:
    node = helper.make_node("MatMulNBits", ["x", "w", "s"], ["y"], domain="com.microsoft", N="ab", K="ab")
    infos = [helper.make_tensor_value_info(name, 1, [2, 3, 8]) for name in "xws"]
    graph = helper.make_graph([node], "g", infos, [ValueInfoProto(name="y")])
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("com.microsoft", 1)]
    path = tmp_path / "net.onnx"
    path.write_bytes(helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString())
    report = memprof.analyze(path, runtimes=["reference"])
    assert report.model.macs is None
    assert "macs" in {unknown.kind for unknown in report.unknown}
