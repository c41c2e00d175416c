"""Rules for onnxruntime's own operations: the types that its kernels write."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import GraphProto, ValueInfoProto, helper, numpy_helper

import memprof
from memprof.importers.onnx.constants import Constant
from memprof.importers.onnx.contributed import contributed_types
from memprof.importers.onnx.types import TypeTable
from memprof.ir import TensorType

runtime = pytest.importorskip("onnxruntime")
F, I8, U8, I16, I32, I64 = np.float32, np.int8, np.uint8, np.int16, np.int32, np.int64


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One operation: arrays of zeros by type and shape, or their elements; ``None`` for an input that is left out."""

    op: str
    inputs: tuple[tuple[Any, ...] | None, ...]
    outputs: int = 1
    attributes: dict[str, Any] = field(default_factory=dict)


def case(op: str, *inputs: tuple[Any, ...] | None, outputs: int = 1, **attributes: Any) -> Case:
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
    case("CausalConvWithState", (F, (2, 6, 9)), (F, (6, 1, 4)), outputs=2),
    case(
        "CausalConvWithState", (F, (2, 6, 9)), (F, (6, 1, 4)), (F, (6,)), (F, (2, 6, 3)), outputs=2, activation="silu"
    ),
    case(
        "VarlenCausalConvWithState",
        (F, (7, 6)),
        (F, (6, 1, 4)),
        (I32, (3,), (0, 3, 7)),
        None,
        (F, (2, 6, 3)),
        outputs=2,
    ),
    case(
        "LinearAttention",
        *[(F, (2, 5, 32)), (F, (2, 5, 16)), (F, (2, 5, 24))],
        outputs=2,
        q_num_heads=4,
        kv_num_heads=2,
        update_rule="linear",
    ),
    case(
        "LinearAttention",
        *[(F, (2, 5, 32)), (F, (2, 5, 16)), (F, (2, 5, 24)), (F, (2, 2, 8, 12))],
        outputs=2,
        q_num_heads=4,
        kv_num_heads=2,
        update_rule="linear",
    ),
    case("LinearAttentionGate", (F, (2, 5, 4)), (F, (4,)), (F, (4,)), (F, (2, 5, 4)), outputs=2),
    case(
        "GatedDeltaNet",
        *[(F, (7, 2, 8))] * 2,
        (F, (7, 2, 12)),
        (I32, (3,), (0, 3, 7)),
        outputs=2,
        update_rule="linear",
    ),
    case("GatedDeltaNet", *[(F, (8, 2, 8))] * 3, *[None] * 3, (F, (2, 2, 8, 8)), outputs=2, update_rule="linear"),
    case("GatedDeltaNet", (F, (2, 7, 2, 8)), (F, (2, 7, 2, 8)), (F, (2, 7, 6, 12)), outputs=2, update_rule="linear"),
    case("EngramGate", *[(F, (2, 5, 3, 8))] * 2, (F, (2, 5, 8)), *[(F, (3, 8))] * 3, outputs=2),
    case("HyperConnectionPreMix", (F, (2, 5, 3, 8)), (F, (2, 5, 3))),
    case("HyperConnectionPreMix", (F, (2, 5, 24)), (F, (2, 5, 3)), num_branches=3),
    case("HyperConnectionPostMix", (F, (2, 5, 3, 8)), (F, (2, 5, 8)), (F, (2, 5, 3)), (F, (2, 5, 3, 3))),
    case("MoEGroupRouter", (F, (2, 5, 8)), (F, (8,)), n_group=2, topk_group=1, top_k=2, group_topk=2),
    case(
        "NGramHashMapping",
        (I64, (2, 5)),
        (I64, (3,)),
        (I64, (4,), (7, 7, 7, 7)),
        outputs=2,
        max_ngram_size=3,
        n_head_per_ngram=2,
        pad_id=0,
    ),
    case(
        "VarlenNGramHashMapping",
        *[(I64, (7,)), (I64, (3,)), (I64, (4,), (7, 7, 7, 7)), (I32, (3,), (0, 3, 7))],
        outputs=2,
        max_ngram_size=3,
        n_head_per_ngram=2,
        pad_id=0,
    ),
    case("WordConvEmbedding", (I32, (4, 6)), (F, (10, 1, 3, 5)), (F, (10,)), (F, (20, 5))),
    case(
        "AttnLSTM",
        *[
            (F, (5, 2, 6)),
            (F, (1, 16, 10)),
            (F, (1, 16, 4)),
            (F, (1, 32)),
            None,
            None,
            None,
            None,
            (F, (1, 4, 3)),
            (F, (1, 7, 3)),
            (F, (1, 3)),
            (F, (2, 8, 7)),
            None,
            (F, (1, 11, 4)),
        ],
        outputs=3,
        hidden_size=4,
    ),
    case("CropAndResize", (F, (2, 3, 9, 9)), (F, (5, 4)), (I32, (5,)), (I32, (2,), (4, 6))),
    case(
        "ConvTransposeWithDynamicPads",
        (F, (2, 3, 5, 6)),
        (F, (3, 4, 3, 3)),
        (I64, (4,), (1, 0, 1, 2)),
        strides=[2, 3],
    ),
    case("MaxpoolWithMask", (F, (2, 3, 8, 8)), (I32, (2, 3, 8, 8)), kernel_shape=[3, 3], strides=[2, 2]),
    case("ExpandDims", (F, (2, 3)), (I32, (), -2)),
    case("Pad", (F, (2, 3)), (I64, (4,), (1, 0, 2, -1))),
    case("Range", (F, (), 1.0), (F, (), 10.0), (F, (), 2.0)),
    case("Range", (I32, (), 1), (I32, (), 10)),
    case("BifurcationDetector", (I64, (6,)), (I64, (4,)), (I64, ()), outputs=2),
]


def array_of(kind: Any, shape: tuple[int, ...], elements: Any = 0) -> Any:
    return np.full(shape, elements, kind) if np.ndim(elements) == 0 else np.array(elements, kind).reshape(shape)


@pytest.mark.parametrize("one", CASES, ids=lambda one: one.op)
def test_a_rule_says_what_the_kernel_writes(one: Case) -> None:
    names = ["" if given is None else f"i{i}" for i, given in enumerate(one.inputs)]
    outputs = [f"o{i}" for i in range(one.outputs)]
    node = helper.make_node(one.op, names, outputs, domain="com.microsoft", **one.attributes)
    arrays = {f"i{i}": array_of(*given) for i, given in enumerate(one.inputs) if given is not None}
    infos = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
        for name, array in arrays.items()
    ]
    graph = helper.make_graph([node], "g", infos, [ValueInfoProto(name=name) for name in outputs])
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)

    try:
        session = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own class is of its native part
        if "is not a registered function/op" not in str(error):
            raise
        pytest.skip(f"this onnxruntime has no {one.op}")
    written = session.run(None, arrays)

    types = TypeTable()
    known = [None if given is None else TensorType(np.dtype(given[0]).name, given[1]) for given in one.inputs]
    data = [Constant(array_of(*given)) if given and len(given) > 2 else None for given in one.inputs]
    found = contributed_types(node, known, types, data)
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


@pytest.mark.parametrize(
    ("op", "shape", "peak"), [("Unique", (12,), 3 * 12 * 8 - 12 * 4), ("DynamicTimeWarping", (4, 6), 2 * 9 * 4)]
)
def test_what_the_data_decide_is_bounded(tmp_path: Path, op: str, shape: tuple[int, ...], peak: int) -> None:
    outputs = ["y", "i", "n"] if op == "Unique" else ["y"]
    node = helper.make_node(op, ["x"], outputs, domain="com.microsoft")
    graph = helper.make_graph(
        [node], "g", [helper.make_tensor_value_info("x", 1, shape)], [ValueInfoProto(name=name) for name in outputs]
    )
    path = tmp_path / "net.onnx"
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("com.microsoft", 1)]
    path.write_bytes(helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString())

    found = memprof.analyze(path, runtimes=["reference"])

    written = runtime.InferenceSession(path.read_bytes()).run(None, {"x": np.zeros(shape, F)})
    assert found.headline.grade == "upper bound"
    sizes = {value.name: value.type.size_bytes for value in memprof.load(path).graph.values}
    assert sum(sizes[name] or 0 for name in outputs) == peak
    assert all(array.nbytes <= (sizes[name] or 0) for name, array in zip(outputs, written, strict=True))


def test_the_product_of_a_sparse_matrix_has_its_type() -> None:
    node = helper.make_node("SparseToDenseMatMul", ["a", "b"], ["y"], domain="com.microsoft")
    types = [TensorType("float32", (4, 5)), TensorType("float32", (5, 7))]
    (found,) = contributed_types(node, types, TypeTable())
    assert (found.dtype, found.shape) == ("float32", (4, 7))


WORDS, HEADS, SIZE = 50, 2, 4


def decoder() -> GraphProto:
    """Return a decoder as the searches want it: words to scores, and what it keeps grows by what it has read."""
    nodes = [
        helper.make_node("Gather", ["words", "input_ids"], ["e"]),
        helper.make_node("Reshape", ["e", "split"], ["r"]),
        helper.make_node("Transpose", ["r"], ["t"], perm=[0, 2, 1, 3]),
        helper.make_node("Unsqueeze", ["t", "zero"], ["u"]),
        helper.make_node("Concat", ["u", "u"], ["kv"], axis=0),
        helper.make_node("Concat", ["past_0", "kv"], ["present_0"], axis=3),
        helper.make_node("MatMul", ["e", "head"], ["logits"]),
    ]
    weights = [
        numpy_helper.from_array(array, name)
        for name, array in (
            ("words", np.eye(WORDS, HEADS * SIZE, dtype=F)),
            ("head", np.eye(HEADS * SIZE, WORDS, dtype=F)),
            ("split", np.array([0, 0, HEADS, SIZE], I64)),
            ("zero", np.array([0], I64)),
        )
    ]
    ids = [helper.make_tensor_value_info(name, 6, ["b", "s"]) for name in ("input_ids", "position_ids")]
    kept = [helper.make_tensor_value_info(name, 1, [2, "b", HEADS, name, SIZE]) for name in ("past_0", "present_0")]
    mask = helper.make_tensor_value_info("attention_mask", 6, ["b", "total"])
    scores = helper.make_tensor_value_info("logits", 1, ["b", "s", WORDS])
    return helper.make_graph(nodes, "decoder", [*ids, mask, kept[0]], [scores, kept[1]], weights)


@pytest.mark.parametrize(
    ("op", "given", "outputs"),
    [
        ("GreedySearch", {"longest": 12}, ["sequences"]),
        ("GreedySearch", {"longest": 7}, ["sequences"]),
        ("Sampling", {"longest": 9}, ["sequences"]),
        ("BeamSearch", {"longest": 12, "least": 0, "beams": 3, "kept": 2}, ["sequences", "sums", "scores"]),
        ("BeamSearch", {"longest": 8, "least": 0, "beams": 4, "kept": 1}, ["sequences", "sums"]),
    ],
)
@pytest.mark.parametrize("words", [WORDS, None])
def test_a_search_writes_what_its_longest_sequence_takes(
    tmp_path: Path, op: str, given: dict[str, int], outputs: list[str], words: int | None
) -> None:
    weights = [numpy_helper.from_array(np.array([value], I32), name) for name, value in given.items()]
    names = ["ids", *given]
    if op == "BeamSearch":
        weights += [numpy_helper.from_array(np.array([1], F), name) for name in ("long", "again")]
        names += ["long", "again"]
    more = {} if words is None else {"vocab_size": words}
    tokens = {"eos_token_id": WORDS - 1, "pad_token_id": 0}
    node = helper.make_node(op, names, outputs, domain="com.microsoft", decoder=decoder(), **tokens, **more)
    infos = [ValueInfoProto(name=name) for name in outputs]
    graph = helper.make_graph([node], "g", [helper.make_tensor_value_info("ids", 6, [2, 5])], infos, weights)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    path = tmp_path / "net.onnx"
    path.write_bytes(helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString())

    found = {value.name: value.type for value in memprof.load(path).graph.values}
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    written = runtime.InferenceSession(path.read_bytes(), options).run(None, {"ids": np.ones((2, 5), I32)})

    assert [(found[name].dtype, found[name].shape) for name in outputs] == [
        (str(array.dtype), array.shape) for array in written
    ]
    report = memprof.analyze(path, runtimes=["onnxruntime"])  # what the decoder takes is not made up
    assert report.peak_intermediate_bytes is None
    assert "operator" in {unknown.kind for unknown in report.unknown}


@pytest.mark.parametrize(("longest", "shape"), [(7, (2, 7)), (-5, None), (2**62, None)])
def test_what_a_search_takes_is_unknown_though_all_its_sizes_are_fixed(
    tmp_path: Path, longest: int, shape: tuple[int, ...] | None
) -> None:
    ends = [helper.make_tensor_value_info(name, 1, [1, 5]) for name in "ab"]
    inside = helper.make_graph([helper.make_node("Identity", ["a"], ["b"])], "d", ends[:1], ends[1:])
    node = helper.make_node("GreedySearch", ["ids", "l"], ["y"], domain="com.microsoft", decoder=inside)
    ids, weight = helper.make_tensor_value_info("ids", 6, [2, 5]), numpy_helper.from_array(np.array([longest]), "l")
    graph = helper.make_graph([node], "g", [ids], [ValueInfoProto(name="y")], [weight])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    path = tmp_path / "net.onnx"
    path.write_bytes(helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString())

    assert {value.name: value.type.shape for value in memprof.load(path).graph.values}["y"] == shape
    report = memprof.analyze(path, runtimes=["reference", "ideal", "paper", "contracted"])
    assert {found.peak_intermediate_bytes for found in report.runtimes.values()} == {None}
    assert "operator" in {unknown.kind for unknown in report.unknown}


def test_a_search_without_its_numbers_keeps_its_rank() -> None:
    node = helper.make_node("WhisperBeamSearch", ["x", "l", "m", "k", "r"], list("abcde"), domain="com.microsoft")
    features = [TensorType("float32", (3, 80, 3000)), *[TensorType("int32", (1,))] * 4]
    found = contributed_types(node, features, TypeTable())
    assert [of.shape for of in found] == [(3, None, None), (3, None), (None, 3, None, None), None, (3,)]
    node = helper.make_node("Tokenizer", ["x"], ["y"], domain="com.microsoft")
    (texts,) = contributed_types(node, [TensorType("string", (3, 4))], TypeTable())
    assert (texts.dtype, texts.shape) == ("string", (3, 4, None))
