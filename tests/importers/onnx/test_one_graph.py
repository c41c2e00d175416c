"""What onnxruntime knows ahead of a run is built when its model asks, once, and not before."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import pytest
from onnx import TensorProto, helper

from memprof import analyze, load
from memprof.importers.onnx import read as reading
from memprof.ir.model import Once
from memprof.ir.reorder import reorder
from memprof.runtimes.onnxruntime import onnxruntime_lifetimes


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Write x -> a, b of equal bytes once n and m are settled, then their sum."""
    value = helper.make_tensor_value_info
    nodes = [
        helper.make_node("Relu", ["x"], ["a"], name="a"),
        helper.make_node("Sigmoid", ["y"], ["b"], name="b"),
        helper.make_node("MatMul", ["a", "b"], ["c"], name="c"),
        helper.make_node("MatMul", ["b", "a"], ["d"], name="d"),
        helper.make_node("MatMul", ["c", "a"], ["e"], name="e"),
        helper.make_node("MatMul", ["d", "b"], ["f"], name="f"),
    ]
    inputs = [value("x", TensorProto.FLOAT, ["n", "m"]), value("y", TensorProto.FLOAT, ["m", "n"])]
    outputs = [value("e", TensorProto.FLOAT, None), value("f", TensorProto.FLOAT, None)]
    proto = helper.make_model(
        helper.make_graph(nodes, "open", inputs, outputs), opset_imports=[helper.make_opsetid("", 17)]
    )
    path = tmp_path / "open.onnx"
    path.write_bytes(proto.SerializeToString())
    return path


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Note every graph that is built."""
    found: list[str] = []
    original = reading.build_graph

    def noted(graph: Any, *rest: Any) -> Any:
        found.append(graph.name)
        return original(graph, *rest)

    monkeypatch.setattr(reading, "build_graph", noted)
    return found


SIZES = {"n": 8, "m": 8}


def test_reference_alone_builds_one_graph(model: Path, built: list[str]) -> None:
    analyze(model, dims=SIZES, runtimes=["reference", "ideal", "paper"])
    assert built == ["open"]


def test_the_second_is_built_once_however_often_onnxruntime_asks(model: Path, built: list[str]) -> None:
    report = analyze(model, dims=SIZES, runtimes=["reference", "onnxruntime"])
    assert report.runtimes["onnxruntime"].figures
    assert built == ["open", "open"]


def test_a_graph_that_has_a_second_one_pickles_and_copies(model: Path) -> None:
    found = load(model, dims=SIZES)
    assert found.ahead is not None
    wanted = onnxruntime_lifetimes(found.graph, ahead=found.ahead).timeline
    for twin in (pickle.loads(pickle.dumps(found)), copy.deepcopy(found)):
        assert twin == found
        assert twin.ahead() == found.ahead() != found.graph
        assert onnxruntime_lifetimes(twin.graph, ahead=twin.ahead).timeline == wanted


def test_under_another_order_both_graphs_are_in_it(model: Path) -> None:
    found = load(model, dims=SIZES)
    order = [1, 0, 3, 2, 5, 4]
    assert found.ahead is not None
    ahead = reorder(found.ahead(), order)
    turned = reorder(found.graph, order)
    assert [node.name for node in ahead.nodes] == [node.name for node in turned.nodes] == list("badcfe")
    both = onnxruntime_lifetimes(turned, ahead=Once(lambda: ahead))
    assert onnxruntime_lifetimes(found.graph, order, ahead=found.ahead).timeline == both.timeline
