"""Sizes that are assumed fit the graph: where usual ones do not, those that its constants and strides imply."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import NodeProto, TensorProto, numpy_helper

import memprof
from memprof import Request
from memprof.importers.onnx.misfits import count_misfits
from tests.onnx_models import integers, load, model, node, tensor, weight

IMAGE = [tensor("x", ["N", 3, "H", "W"])]


def inputs_of(found: memprof.Model) -> list[object]:
    return [found.graph.values[i].type.shape for i in found.graph.inputs]


@pytest.mark.parametrize(
    ("nodes", "inputs", "constants", "shapes"),
    [
        (
            [
                node("Conv", ["x", "k"], ["p"], strides=[16, 16]),
                node("Reshape", ["p", "flat"], ["t"]),
                node("Add", ["t", "positions"], ["y"]),
            ],
            IMAGE,
            [weight("k", 8, 3, 16, 16), integers("flat", 0, 8, -1), weight("positions", 1, 8, 196)],
            [(1, 3, 224, 224)],
        ),
        (
            [
                node("Conv", ["x", "k"], ["p"], strides=[4, 4]),
                node("Flatten", ["p"], ["f"]),
                node("Gemm", ["f", "w"], ["y"]),
            ],
            IMAGE,
            [weight("k", 2, 3, 4, 4), weight("w", 2 * 28 * 28, 5)],
            [(1, 3, 112, 112)],
        ),
        (
            [
                node("MaxPool", ["x"], ["a"], kernel_shape=[48, 48], strides=[48, 48]),
                node("Resize", ["a", "", "scales"], ["u"]),
                node("Concat", ["x", "u"], ["y"], axis=1),
            ],
            IMAGE,
            [numpy_helper.from_array(np.array([1, 1, 48, 48], np.float32), "scales")],
            [(1, 3, 672, 672)],
        ),
        ([node("MatMul", ["x", "w"], ["y"])], [tensor("x", ["N", "F"])], [weight("w", 37, 10)], [(1, 37)]),
        (
            [node("Conv", ["x", "k"], ["y"])],
            [tensor("x", ["N", "C", "T"])],
            [weight("k", 16, 80, 3)],
            [(1, 80, 128)],
        ),
        (
            [node("Gather", ["words", "ids"], ["e"]), node("Add", ["e", "positions"], ["y"])],
            [tensor("ids", ["N", "S"], TensorProto.INT64)],
            [weight("words", 100, 32), weight("positions", 77, 32)],
            [(1, 77)],
        ),
        (
            [node("Add", ["a", "b"], ["y"])],
            [tensor("a", ["m", "k", "w"]), tensor("b", [None, None, 40])],
            [],
            [(1, 128, 40), (1, 128, 40)],
        ),
        (
            [node("Reshape", ["x", "seven"], ["y"])],
            [tensor("x", ["N", "L"])],
            [integers("seven", -1, 7, 9)],
            [(1, 504)],
        ),
    ],
    ids=["positions", "flattened", "strides", "features", "channels", "tokens", "two inputs", "reshaped"],
)
def test_sizes_that_are_assumed_fit_the_graph(
    tmp_path: Path,
    nodes: list[NodeProto],
    inputs: list[object],
    constants: list[TensorProto],
    shapes: list[tuple[int, ...]],
) -> None:
    found = load(tmp_path, model(nodes, inputs=inputs, outputs=["y"], initializers=constants, opset=13))  # type: ignore[arg-type]
    assert inputs_of(found) == shapes
    assert not found.graph.unknown
    assert count_misfits(found.graph) == 0
    assert {note.kind for note in found.graph.assumed} == {"dimension"}


@pytest.mark.parametrize(
    ("nodes", "constants", "fits"),
    [
        ([node("Conv", ["x", "k"], ["y"], strides=[160])], [weight("k", 2, 3, 320)], 320),
        ([node("Conv", ["x", "k"], ["y"], pads=[0, 60], dilations=[10])], [weight("k", 2, 3, 30)], 231),
        ([node("MaxPool", ["x"], ["y"], kernel_shape=[200], strides=[200])], [], 200),
        ([node("Pad", ["x", "pads"], ["y"], mode="reflect")], [integers("pads", 0, 0, 90, 0, 0, 90)], 91),
    ],
    ids=["window", "dilated", "pooled", "reflected"],
)
def test_what_is_too_small_for_a_window_or_a_reflection_is_a_misfit(
    tmp_path: Path, nodes: list[NodeProto], constants: list[TensorProto], fits: int
) -> None:
    for size, misfits in ((fits, 0), (fits - 1, 1)):
        made = model(nodes, inputs=[tensor("x", [1, 3, size])], outputs=["y"], initializers=constants, opset=13)
        assert count_misfits(load(tmp_path, made).graph) == misfits


@pytest.mark.parametrize(
    ("name", "sides", "shape"),
    [
        ("waveforms", ["batch_size", "N"], (1, 16_000)),
        ("speech", ["N", "T"], (1, 16_000)),
        ("audio", ["batch", 1, None], (1, 1, 16_000)),
        ("points", ["B", "N", 3], (1, 128, 3)),
        ("features", ["T", "N", 80], (128, 1, 80)),
        ("frames", ["seq_len", "b", 80], (128, 1, 80)),
    ],
)
def test_a_single_letter_is_a_batch_where_no_other_is(
    tmp_path: Path, name: str, sides: list[str | int | None], shape: tuple[int, ...]
) -> None:
    made = model([node("Relu", [name], ["y"])], inputs=[tensor(name, sides)], outputs=["y"])
    assert inputs_of(load(tmp_path, made)) == [shape]


def test_usual_sizes_stay_where_they_fit_or_where_nothing_does(tmp_path: Path) -> None:
    fits = model([node("Relu", ["x"], ["y"])], inputs=IMAGE, outputs=["y"])
    assert inputs_of(load(tmp_path, fits)) == [(1, 3, 640, 640)]
    nodes = [node("Conv", ["x", "k"], ["y"])]  # three channels are given, and the weights want five
    nothing = model(nodes, inputs=IMAGE, outputs=["y"], initializers=[weight("k", 2, 5, 1, 1)])
    found = load(tmp_path, nothing)
    assert inputs_of(found) == [(1, 3, 640, 640)]
    assert count_misfits(found.graph) == 1


def test_single_numbers_that_are_joined_are_a_misfit(tmp_path: Path) -> None:
    nodes = [node("Concat", ["one", "one"], ["c"], axis=0), node("Relu", ["x"], ["y"])]
    found = load(tmp_path, model(nodes, inputs=[*IMAGE, tensor("one", [])], outputs=["y"]))
    assert count_misfits(found.graph) == 1


def test_what_the_caller_gives_is_taken_and_the_rest_is_fitted_to_it(tmp_path: Path) -> None:
    nodes = [node("Add", ["a", "b"], ["y"])]
    inputs = [tensor("a", ["n", "w"]), tensor("b", ["n", "v"])]
    found = load(tmp_path, model(nodes, inputs=inputs, outputs=["y"]), dims={"w": 24, "n": 2})
    assert inputs_of(found) == [(2, 24), (2, 24)]


@pytest.mark.default_session
def test_a_session_is_asked_at_the_same_sizes(tmp_path: Path) -> None:
    nodes = [node("Conv", ["x", "k"], ["p"], strides=[4, 4]), node("Flatten", ["p"], ["f"])]
    nodes += [node("Gemm", ["f", "w"], ["y"])]
    weights = [weight("k", 16, 3, 4, 4), weight("w", 16 * 28 * 28, 5)]
    path = tmp_path / "net.onnx"
    path.write_bytes(model(nodes, inputs=IMAGE, outputs=["y"], initializers=weights, opset=13).SerializeToString())
    from memprof.api import load as read

    found = read(Request(source=str(path)))
    assert found.session is not None
    session = found.session()
    assert session.model is not None
    assert inputs_of(session.model) == inputs_of(found) == [(1, 3, 112, 112)]
