"""Operations of ``ai.onnx.ml``: types of what they write, and what a session takes for them, against onnxruntime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper

import memprof
from memprof.importers.request import Request
from memprof.measure.child import Limits
from memprof.measure.feeds import input_specs, random_feeds
from memprof.measure.onnxruntime import FULLY_OPTIMIZED, measure_allocations

runtime = pytest.importorskip("onnxruntime")
ML, MS = "ai.onnx.ml", "com.microsoft"
TEXT, LONG, DOUBLE = TensorProto.STRING, TensorProto.INT64, TensorProto.DOUBLE
WORDS = [f"word{i:04}" for i in range(300)]  # more than a kilobyte
LEAVES: dict[str, Any] = {
    "nodes_treeids": [0, 0, 0],
    "nodes_nodeids": [0, 1, 2],
    "nodes_featureids": [0, 0, 0],
    "nodes_modes": ["BRANCH_LEQ", "LEAF", "LEAF"],
    "nodes_values": [0.5, 0.0, 0.0],
    "nodes_truenodeids": [1, 0, 0],
    "nodes_falsenodeids": [2, 0, 0],
}
CLASSES = {"class_treeids": [0, 0], "class_nodeids": [1, 2], "class_ids": [0, 2], "class_weights": [1.0, 1.0]}
TARGETS = {"target_treeids": [0, 0], "target_nodeids": [1, 2], "target_ids": [0, 1], "target_weights": [1.0, 1.0]}
VECTORS: dict[str, Any] = {
    "kernel_type": "LINEAR",
    "kernel_params": [0.1, 0.0, 3.0],
    "support_vectors": [0.5] * 36,
    "rho": [0.1] * 3,
}
MACHINE: dict[str, Any] = {**VECTORS, "vectors_per_class": [3, 3, 3], "coefficients": [0.5] * 18}
ODDS = {"prob_a": [0.1] * 3, "prob_b": [0.2] * 3}


def node(op: str, reads: list[str], writes: list[str], domain: str = ML, **attributes: Any) -> NodeProto:
    return helper.make_node(op, reads, writes, domain=domain, **attributes)


def model(nodes: list[NodeProto], outputs: list[str], **inputs: tuple[int, list[int]]) -> ModelProto:
    given = [helper.make_tensor_value_info(name, kind, shape) for name, (kind, shape) in inputs.items()]
    graph = helper.make_graph(nodes, "main", given, [ValueInfoProto(name=name) for name in outputs])
    imports = [helper.make_opsetid("", 17), helper.make_opsetid(ML, 3), helper.make_opsetid(MS, 1)]
    return helper.make_model(graph, opset_imports=imports, ir_version=8)


def one(op: str, kind: int, shape: list[int], outputs: int = 1, **attributes: Any) -> ModelProto:
    names = [f"y{i}" for i in range(outputs)]
    return model([node(op, ["x"], names, **attributes)], names, x=(kind, shape))


F = TensorProto.FLOAT
SINGLE = {
    "classes": one("TreeEnsembleClassifier", F, [5, 4], 2, classlabels_int64s=[0, 1, 2], **LEAVES, **CLASSES),
    "text classes": one("TreeEnsembleClassifier", F, [5, 4], 2, classlabels_strings=WORDS, **LEAVES, **CLASSES),
    "targets": one("TreeEnsembleRegressor", F, [5, 4], n_targets=2, **LEAVES, **TARGETS),
    "linear": one(
        "LinearClassifier", F, [5, 4], 2, coefficients=[0.5] * 12, intercepts=[0.1] * 3, classlabels_ints=[0, 1, 2]
    ),
    "one plane": one(
        "LinearClassifier", LONG, [5, 4], 2, coefficients=[0.5] * 4, intercepts=[0.1], classlabels_strings=["a", "b"]
    ),
    "regressor": one("LinearRegressor", F, [5, 4], coefficients=[0.5] * 8, intercepts=[0.1] * 2, targets=2),
    "pairs": one("SVMClassifier", F, [5, 4], 2, classlabels_ints=[0, 1, 2], **MACHINE),
    "odds": one("SVMClassifier", DOUBLE, [5, 4], 2, classlabels_ints=[0, 1, 2], **MACHINE, **ODDS),
    "distances": one("SVMRegressor", F, [5, 4], n_supports=9, coefficients=[0.5] * 9, **VECTORS),
    "scaled": one("Scaler", LONG, [5, 4], offset=[0.5] * 4, scale=[2.0] * 4),
    "normal": one("Normalizer", DOUBLE, [5, 4], norm="L2"),
    "filled": one("Imputer", LONG, [5, 4], imputed_value_int64s=[1] * 4, replaced_value_int64=0),
    "categories": one("CategoryMapper", TEXT, [5, 4], cats_strings=["a", "b"], cats_int64s=[0, 1]),
    "labels": one("LabelEncoder", TEXT, [5], keys_strings=WORDS, values_int64s=list(range(300)), default_int64=-1),
    "one hot": one("OneHotEncoder", TEXT, [5], cats_strings=WORDS, zeros=1),
    "joined": model(
        [node("FeatureVectorizer", ["x", "z"], ["y"], inputdimensions=[4, 2])], ["y"], x=(F, [5, 4]), z=(F, [5, 2])
    ),
    "picked": model([node("ArrayFeatureExtractor", ["x", "z"], ["y"])], ["y"], x=(F, [5, 4]), z=(LONG, [1, 3])),
    "picked of a row": model([node("ArrayFeatureExtractor", ["x", "z"], ["y"])], ["y"], x=(F, [4]), z=(LONG, [3])),
    "text as it is": model([node("StringNormalizer", ["x"], ["y"], "", locale="C")], ["y"], x=(TEXT, [1, 7])),
}


@pytest.mark.parametrize("name", SINGLE)
def test_types_are_those_that_kernels_write(name: str, tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(SINGLE[name].SerializeToString())
    graph = memprof.load(path).graph
    options = runtime.SessionOptions()
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = runtime.InferenceSession(str(path), options)
    written = session.run(None, random_feeds(input_specs(graph)))
    for value_id, array in zip(graph.outputs, written, strict=True):
        of = graph.values[value_id].type
        dtype = "string" if array.dtype == object else array.dtype.name
        assert (of.dtype, of.shape) == (dtype, array.shape)


def forest() -> ModelProto:
    """Return trees whose classes are texts, and a map of what each class got."""
    return model(
        [
            node("Scaler", ["x"], ["s"], offset=[0.5] * 4, scale=[2.0] * 4),
            node(
                "TreeEnsembleClassifier", ["s"], ["t", "p"], classlabels_strings=["a", "b", "c"], **LEAVES, **CLASSES
            ),
            node("ZipMap", ["p"], ["map"], classlabels_strings=["a", "b", "c"]),
        ],
        ["t", "map"],
        x=(F, [64, 4]),
    )


def columns() -> ModelProto:
    """Return texts and numbers that become one row, and a classifier of it."""
    return model(
        [
            node("OneHotEncoder", ["colour"], ["hot"], cats_strings=WORDS, zeros=0),
            node("Imputer", ["x"], ["filled"], imputed_value_floats=[1.0] * 4, replaced_value_float=float("nan")),
            node("Concat", ["hot", "filled"], ["row"], "", axis=1),
            node(
                "LinearClassifier",
                ["row"],
                ["number", "score"],
                coefficients=[0.5] * 304,
                intercepts=[0.1],
                classlabels_ints=[0, 1],
            ),
            node("Normalizer", ["score"], ["odds"], norm="L1"),
            node("ZipMap", ["odds"], ["map"], classlabels_int64s=[0, 1]),
            node("Cast", ["number"], ["label"], "", to=LONG),
        ],
        ["label", "map"],
        colour=(TEXT, [8]),
        x=(F, [8, 4]),
    )


def texts() -> ModelProto:
    """Return words of texts, between two tensors of texts, and how often each word is there."""
    return model(
        [
            node("StringNormalizer", ["x"], ["lower"], "", case_change_action="LOWER", locale="C"),
            node("Identity", ["lower"], ["same"], ""),
            node("Tokenizer", ["same"], ["words"], MS, mark=0, mincharnum=1, pad_value="#", separators=[" "]),
            node("Flatten", ["words"], ["flat"], ""),
            node(
                "TfIdfVectorizer",
                ["flat"],
                ["counts"],
                "",
                max_gram_length=1,
                max_skip_count=0,
                min_gram_length=1,
                mode="TF",
                ngram_counts=[0],
                ngram_indexes=list(range(300)),
                pool_strings=WORDS,
            ),
            node("Normalizer", ["counts"], ["y"], norm="L2"),
        ],
        ["y"],
        x=(TEXT, [3]),
    )


def distances() -> ModelProto:
    """Return support vectors between sums of five tensors, which hold two results at once."""
    vectors = node("SVMRegressor", ["s"], ["v"], n_supports=9, coefficients=[0.5] * 9, **VECTORS)
    return model(
        [
            *(node("Relu" if i else "Sigmoid", ["x"], [f"a{i}"], "") for i in range(2)),
            node("Abs", ["x"], ["a2"], ""),
            node("Neg", ["x"], ["a3"], ""),
            node("Exp", ["x"], ["a4"], ""),
            node("Sum", [f"a{i}" for i in range(5)], ["s"], ""),
            vectors,
            node("Sigmoid", ["v"], ["y"], ""),
        ],
        ["y"],
        x=(F, [100, 4]),
    )


@pytest.mark.default_session
@pytest.mark.parametrize("make", [forest, columns, texts, distances], ids=lambda make: make.__name__)
def test_a_session_takes_what_is_said(make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = tmp_path / "net.onnx"
    path.write_bytes(make().SerializeToString())
    graph = memprof.load(path).graph
    is_known = "colour" in {graph.values[i].name for i in graph.inputs}
    specs = input_specs(graph, {"colour": "word0001"} if is_known else {})  # any other is refused
    found = measure_allocations(str(path), specs, Limits(seconds=60), level=FULLY_OPTIMIZED)
    for from_file in (False, True):
        report = memprof.analyze(path, from_file=from_file)
        assert report.headline.peak_intermediate_bytes == found.later.peak_bytes
        assert report.headline.grade != "exact"


def test_how_many_words_a_text_has_is_assumed_and_said(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(texts().SerializeToString())
    report = memprof.analyze(path, from_file=True)
    assert [(note.kind, note.hint) for note in report.assumed] == [("dimension", "--dim 'words[1]=16'")]
    graph = memprof.load(path, dims={"words[1]": 5}).graph
    assert next(value.type.shape for value in graph.values if value.name == "words") == (3, 5)
    assert not graph.assumed


def test_a_text_is_given_to_an_input_of_texts_alone(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(columns().SerializeToString())
    request = Request(source=path, values={"colour": "word0001"})
    fed = random_feeds(input_specs(memprof.load(path).graph, request.values))
    assert np.array_equal(fed["colour"], np.full(8, "word0001", dtype=object))
    each = random_feeds(input_specs(memprof.load(path).graph, {"colour": "a,b,c,d,e,f,g,h"}))
    assert each["colour"].tolist() == list("abcdefgh")
    with pytest.raises(memprof.UsageError, match="holds float32, and a text is given"):
        memprof.analyze(path, values={"x": "red"})
