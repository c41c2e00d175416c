"""What a Resize rounds, a side to nothing too: the shape is the one that onnxruntime writes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

import memprof
from tests.onnx_models import model, node, tensor

CASES = [
    ((4, 1000), (1, 1), None),
    ((4, 1000), (2, 3), None),
    ((1, 3, 4, 1000), (2, 2), [2, 3]),
    ((2, 4, 8), (9, 1, 1), None),
    ((8, 64), (8, 4), None),
    ((1, 2, 10, 200), (4, 50), [1, -1]),
    ((1, 2, 10, 200), (3, 50), [-2, -1]),
]


@pytest.mark.parametrize("policy", ["not_larger", "not_smaller"])
@pytest.mark.parametrize(("shape", "sizes", "axes"), CASES)
def test_a_side_that_vanishes_is_0(
    tmp_path: Path, shape: tuple[int, ...], sizes: tuple[int, ...], axes: list[int] | None, policy: str
) -> None:
    runtime = pytest.importorskip("onnxruntime")
    more = {} if axes is None else {"axes": axes}
    resize = node("Resize", ["x", "", "", "sizes"], ["y"], keep_aspect_ratio_policy=policy, mode="nearest", **more)
    given = numpy_helper.from_array(np.array(sizes, np.int64), "sizes")
    found = model([resize], inputs=[tensor("x", list(shape))], outputs=["y"], initializers=[given], opset=19)
    path = tmp_path / "net.onnx"
    onnx.save(found, path)
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    (written,) = session.run(None, {"x": np.zeros(shape, np.float32)})
    graph = memprof.analyze(path, runtimes=["reference"]).headline.lifetimes.graph
    assert next(value.type.shape for value in graph.values if value.name == "y") == written.shape


SCALED = [(10, 2.3), (141, 0.3), (100, 1.11), (49, 1 / 7), (3, 1.99)]


@pytest.mark.parametrize(
    ("op", "side", "scale"),
    [*(("Resize", *row) for row in SCALED), *(("Upsample", *row) for row in SCALED if row[1] > 1)],
)
def test_a_side_is_scaled_in_floats(tmp_path: Path, op: str, side: int, scale: float) -> None:
    runtime = pytest.importorskip("onnxruntime")
    reads = ["x", "", "scales"] if op == "Resize" else ["x", "scales"]
    given = numpy_helper.from_array(np.array([1, 1, scale, 1], np.float32), "scales")
    opset = 19 if op == "Resize" else 9
    made = model(
        [node(op, reads, ["y"])],
        inputs=[tensor("x", [1, 1, side, 2])],
        outputs=["y"],
        initializers=[given],
        opset=opset,
    )
    path = tmp_path / "net.onnx"
    onnx.save(made, path)
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    (written,) = session.run(None, {"x": np.zeros((1, 1, side, 2), np.float32)})
    graph = memprof.analyze(path, runtimes=["reference"]).headline.lifetimes.graph
    assert next(value.type.shape for value in graph.values if value.name == "y") == written.shape


@pytest.mark.parametrize("axes", [[2, 3], [-1, -2]])
@pytest.mark.parametrize("mode", ["half_pixel", "tf_crop_and_resize"])
def test_sides_are_scaled_in_floats_wherever_axes_lie(tmp_path: Path, axes: list[int], mode: str) -> None:
    runtime = pytest.importorskip("onnxruntime")
    resize = node(
        "Resize", ["x", "roi", "scales"], ["y"], axes=axes, coordinate_transformation_mode=mode, mode="linear"
    )
    given = [
        numpy_helper.from_array(np.array([2.3, 0.7], np.float32), "scales"),
        numpy_helper.from_array(np.array([0.2, 0.2, 0.7, 0.9], np.float32), "roi"),
    ]
    path = tmp_path / "net.onnx"
    made = model([resize], inputs=[tensor("x", [1, 2, 10, 20])], outputs=["y"], initializers=given, opset=19)
    onnx.save(made, path)
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (written,) = session.run(None, {"x": np.zeros((1, 2, 10, 20), np.float32)})
    graph = memprof.analyze(path, runtimes=["reference"]).headline.lifetimes.graph
    assert next(value.type.shape for value in graph.values if value.name == "y") == written.shape


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("shape", "sizes"), [((4, 1000), [-1, -1]), ((0, 8), [1, 1]), ((4, 8), [float("nan"), 1.0])])
def test_odd_sizes_cost_neither_the_report_nor_a_warning(
    tmp_path: Path, shape: tuple[int, ...], sizes: list[float]
) -> None:
    resize = node("Resize", ["x", "", "", "sizes"], ["y"], keep_aspect_ratio_policy="not_larger")
    given = numpy_helper.from_array(np.array(sizes), "sizes")
    path = tmp_path / "net.onnx"
    onnx.save(model([resize], inputs=[tensor("x", list(shape))], outputs=["y"], initializers=[given], opset=19), path)
    assert memprof.analyze(path, runtimes=["reference"]).model.nodes == 1
