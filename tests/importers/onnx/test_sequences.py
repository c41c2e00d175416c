"""Sequences of tensors: which tensors are in one, against what onnxruntime writes and takes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, numpy_helper

import memprof
from memprof.measure.child import Limits
from memprof.measure.feeds import input_specs, random_feeds
from memprof.measure.onnxruntime import measure_allocations
from tests.onnx_models import integers, model, node, tensor

runtime = pytest.importorskip("onnxruntime")
PARTS = [node("Relu", ["x"], ["a"]), node("Relu", ["z"], ["b"]), node("SequenceConstruct", ["a", "b"], ["s"])]


def number(name: str, value: int) -> TensorProto:
    return numpy_helper.from_array(np.int64(value), name)


def sequences(*nodes: tuple[str, list[str], list[str], dict[str, int]]) -> ModelProto:
    """Return two tensors in a sequence, then ``nodes``, the last of which writes the output."""
    return model(
        [*PARTS, *(node(op, reads, writes, **more) for op, reads, writes, more in nodes)],
        inputs=[tensor("x", [10, 25]), tensor("z", [4, 25])],
        outputs=["y"],
        initializers=[
            integers("first", 0),
            integers("last", -1),
            number("three", 3),
            integers("pieces", 4, 6),
        ],
    )


SAID = {
    "the second": sequences(("SequenceAt", ["s", "last"], ["y"], {})),
    "joined": sequences(("ConcatFromSequence", ["s"], ["y"], {"axis": 0})),
    "stacked": sequences(
        ("SplitToSequence", ["a"], ["t"], {"axis": 0, "keepdims": 0}),
        ("ConcatFromSequence", ["t"], ["y"], {"axis": 1, "new_axis": 1}),
    ),
    "in pieces": sequences(
        ("SplitToSequence", ["a", "pieces"], ["t"], {"axis": 0}), ("SequenceAt", ["t", "last"], ["y"], {})
    ),
    "with a rest": sequences(
        ("SplitToSequence", ["x", "three"], ["t"], {"axis": 0}), ("SequenceAt", ["t", "last"], ["y"], {})
    ),
    "one less": sequences(("SequenceErase", ["s", "first"], ["t"], {}), ("SequenceAt", ["t", "first"], ["y"], {})),
    "one more": sequences(
        ("SequenceInsert", ["s", "x", "first"], ["t"], {}), ("ConcatFromSequence", ["t"], ["y"], {"axis": 0})
    ),
    "one more before the last": sequences(
        ("SequenceInsert", ["s", "x", "last"], ["t"], {}), ("SequenceAt", ["t", "last"], ["y"], {})
    ),
    "handed on": sequences(("Identity", ["s"], ["t"], {}), ("SequenceAt", ["t", "first"], ["y"], {})),
}


@pytest.mark.parametrize("name", SAID)
def test_shapes_are_those_that_onnxruntime_writes(name: str, tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(SAID[name].SerializeToString())
    graph = memprof.load(path).graph
    (written,) = runtime.InferenceSession(str(path)).run(None, random_feeds(input_specs(graph)))
    (output,) = graph.outputs
    assert graph.values[output].type.shape == np.shape(written)
    assert not graph.unknown


@pytest.mark.parametrize("name", ["the second", "stacked", "handed on"])
def test_a_sequence_takes_what_its_tensors_take(name: str, tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(SAID[name].SerializeToString())
    found = measure_allocations(str(path), input_specs(memprof.load(path).graph), Limits(seconds=60))
    assert (
        memprof.analyze(path, from_file=True).runtimes["onnxruntime"].peak_intermediate_bytes
        == found.measurement.peak_bytes
    )


def test_what_is_not_known_of_a_place_is_not_guessed(tmp_path: Path) -> None:
    proto = model(
        [*PARTS, node("SequenceAt", ["s", "i"], ["y"])],
        inputs=[tensor("x", [10, 25]), tensor("z", [4, 25]), tensor("i", [], 7)],
        outputs=["y"],
    )
    path = tmp_path / "net.onnx"
    path.write_bytes(proto.SerializeToString())
    report = memprof.analyze(path, from_file=True)
    assert report.headline.peak_intermediate_bytes is None
    assert [unknown.name for unknown in report.unknown] == ["y"]
