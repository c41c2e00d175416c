"""Shapes that the data decide, where the data are given or lie in the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, TensorProto

import memprof
from memprof.importers.onnx.constants import Constant
from memprof.importers.onnx.decided import decided_shapes
from memprof.importers.onnx.facts import Fact
from memprof.importers.onnx.types import TypeTable
from tests.onnx_models import body, model, node, tensor

INT, FLOAT, BOOL = TensorProto.INT64, TensorProto.FLOAT, TensorProto.BOOL
BOXES = (0, 0, 1, 1, 0, 0.1, 1, 1.1, 0, 10, 1, 11, 0, 100, 1, 101)  # the second overlaps the first, others do not


def read(folder: Path, found: ModelProto, **values: Any) -> memprof.Graph:
    path = folder / "net.onnx"
    path.write_bytes(found.SerializeToString())
    return memprof.load(path, values=values).graph


@pytest.mark.parametrize(
    ("op", "attributes", "inputs", "expected"),
    [
        ("Compress", {"axis": 1}, {"x": ([2, 3], FLOAT, None), "c": ([2], BOOL, (0, 1))}, (2, 1)),
        ("Compress", {"axis": -2}, {"x": ([2, 3], FLOAT, None), "c": ([2], BOOL, (1, 1))}, (2, 3)),
        ("Compress", {}, {"x": ([2, 3], FLOAT, None), "c": ([5], BOOL, (0, 1, 1, 0, 1))}, (3,)),
        (
            "MaxUnpool",
            {"kernel_shape": [2, 2], "strides": [2, 2]},
            {"x": ([1, 1, 2, 2], FLOAT, None), "i": ([1, 1, 2, 2], INT, None), "s": ([4], INT, (1, 1, 5, 5))},
            (1, 1, 5, 5),
        ),
        ("NonZero", {}, {"x": ([2, 2], FLOAT, (0, 3, -1, 0))}, (2, 2)),
        ("OneHot", {"axis": 1}, {"i": ([2, 3], INT, None), "d": ([], FLOAT, 7), "v": ([2], FLOAT, None)}, (2, 7, 3)),
        ("OneHot", {}, {"i": ([4], INT, None), "d": ([1], INT, 7), "v": ([2], FLOAT, None)}, (4, 7)),
        ("Unique", {}, {"x": ([5], FLOAT, (2, 1, 1, 3, 2))}, (3,)),
        ("Unique", {"axis": 0}, {"x": ([3, 2], FLOAT, (1, 0, 1, 0, 2, 3))}, (2, 2)),
        ("Range", {}, {"a": ([], FLOAT, 1), "b": ([], FLOAT, 10), "c": ([], FLOAT, 2)}, (5,)),
    ],
)
def test_the_elements_decide(
    tmp_path: Path, op: str, attributes: dict[str, int], inputs: dict[str, Any], expected: tuple[int, ...]
) -> None:
    found = model(
        [node(op, list(inputs), ["y"], **attributes)],
        inputs=[tensor(name, shape, kind) for name, (shape, kind, _) in inputs.items()],
        outputs=["y"],
    )
    graph = read(tmp_path, found, **{name: given for name, (_, _, given) in inputs.items() if given is not None})
    assert {value.name: value.type.shape for value in graph.values}["y"] == expected
    assert not graph.assumed


@pytest.mark.parametrize(
    ("most", "overlap", "least", "kept"),
    [(9, 0.5, 0, 3), (9, 1, 0, 4), (2, 0.5, 0, 2), (9, 1, 0.75, 2), (-1, 0.5, 0, 0)],
)
def test_boxes_that_overlap_a_better_one_are_dropped(
    tmp_path: Path, most: int, overlap: float, least: float, kept: int
) -> None:
    inputs = [
        tensor("b", [1, 4, 4]),
        tensor("s", [1, 1, 4]),
        tensor("m", [1], INT),
        tensor("o", [1]),
        tensor("t", [1]),
    ]
    found = model([node("NonMaxSuppression", ["b", "s", "m", "o", "t"], ["y"])], inputs=inputs, outputs=["y"])
    values = {"b": BOXES, "s": (0.9, 0.8, 0.7, 0.6), "m": most, "o": overlap, "t": least}
    graph = read(tmp_path, found, **values)
    assert {value.name: value.type.shape for value in graph.values}["y"] == (kept, 3)


@pytest.mark.parametrize("is_centred", [0, 1])
def test_as_many_boxes_are_kept_as_onnxruntime_keeps(is_centred: int) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    suppressing = node("NonMaxSuppression", ["b", "s", "m", "o"], ["y"], center_point_box=is_centred)
    inputs = [tensor("b", [1, 4, 4]), tensor("s", [1, 1, 4]), tensor("m", [1], INT), tensor("o", [1])]
    file = model([suppressing], inputs=inputs, outputs=["y"]).SerializeToString()
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    rng, types = np.random.default_rng(0), TypeTable()
    for _ in range(1000):  # on a grid of tenths, where many overlap by the limit but for the last bit
        given = {
            "b": (rng.integers(-2 * is_centred, 11, (1, 4, 4)) / 10).astype(np.float32),
            "s": (rng.integers(0, 5, (1, 1, 4)) / 4).astype(np.float32),
            "m": rng.integers(-1, 5, 1),
            "o": rng.choice([0, 0.1, 0.2, 0.25, 1 / 3, 0.5, 1], 1).astype(np.float32),
        }
        facts = [
            Fact(types.of(x.dtype.name, x.shape), is_open=False, is_fixed=True, constant=Constant(x))
            for x in given.values()
        ]
        (kept,) = session.run(None, given)
        assert decided_shapes(suppressing, facts) == [kept.shape], given


def test_what_is_no_number_decides_nothing(tmp_path: Path) -> None:
    found = model([node("Unique", ["x"], ["y"])], inputs=[tensor("x", [3])], outputs=["y"])
    graph = read(tmp_path, found, x=(1.0, float("nan"), float("nan")))
    assert [note.kind for note in graph.assumed] == ["bound"]


def test_what_the_branch_that_does_not_run_reads_is_kept_until_then(tmp_path: Path) -> None:
    long = body([node("Add", ["kept", "kept"], ["a"])], outputs=["a"], name="long")
    short = body([node("Relu", ["x"], ["b"])], outputs=["b"], name="short")
    nodes = [
        node("Exp", ["x"], ["kept"]),
        node("Relu", ["x"], ["c"]),
        node("If", ["is_long"], ["y"], then_branch=long, else_branch=short),
    ]
    inputs = [tensor("x", [8]), tensor("is_long", [], BOOL)]
    graph = read(tmp_path, model(nodes, inputs=inputs, outputs=["c", "y"]), is_long=0)
    owner = next(found for found in graph.nodes if found.op == "If")
    assert [body.outputs for body in owner.bodies] and len(owner.bodies) == 1
    assert "kept" in {graph.values[i].name for i in owner.captures}
