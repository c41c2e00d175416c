"""ONNX's own node tests: what is predicted is what onnxruntime takes. A slice here; ``pytest -m slow`` runs all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import numpy_helper

import memprof
from benchmarks.node_tests import Outcome, collect, resized, run_all, summary
from memprof.measure.child import Limits
from memprof.measure.feeds import input_specs
from memprof.measure.onnxruntime import measure_allocations
from tests.onnx_models import model, node, tensor

pytest.importorskip("onnxruntime")
pytestmark = pytest.mark.skipif(
    np.lib.NumpyVersion(np.__version__) < "2.0.0", reason="onnx makes its node tests with NumPy 2"
)

SLICE = (
    "attention_4d",
    "sce_mean",
    "celu",
    "dft",
    "deform_conv",
    "layer_normalization_2d",
    "hardswish",
    "qlinearconv",
)


def missed(found: Outcome) -> str:
    return (
        f"{found.name}: predicted {found.predicted_bytes} ({found.predicted_bare_bytes} without scratch), "
        f"measured {found.measured_bytes} ({found.measured_bare_bytes})"
    )


@pytest.mark.parametrize("word", SLICE)
def test_what_is_graded_exact_is_what_onnxruntime_takes(word: str) -> None:
    outcomes = [found for found in run_all(collect(word)) if not found.refusal]
    assert outcomes, "onnxruntime ran none of them"
    assert [missed(found) for found in outcomes if "wrong" in found.verdicts] == []


@pytest.mark.parametrize("word", ["stft", "dft", "convtranspose_output_shape", "lppool", "resize_upsample"])
def test_what_is_graded_exact_is_so_at_other_sizes(word: str) -> None:
    outcomes = [found for found in run_all(resized(collect(word), seed=1)) if not found.refusal]
    assert outcomes, "onnxruntime ran none of them"
    assert [missed(found) for found in outcomes if "wrong" in found.verdicts] == []


@pytest.mark.parametrize(
    ("length", "given", "more"),
    [
        (10, 30, {"onesided": 1}),
        (30, 16, {}),
        (10, 32, {"onesided": 1}),
        (10, None, {"onesided": 1}),
        (10, None, {"onesided": 1, "inverse": 1}),
        (10, 7, {"inverse": 1}),
    ],
)
def test_a_transform_has_the_length_that_is_given(
    tmp_path: Path, length: int, given: int | None, more: dict[str, int]
) -> None:
    path = tmp_path / "net.onnx"
    made = model(
        [
            node("Relu", ["x"], ["r"]),
            node("DFT", ["r", "" if given is None else "length", "axis"], ["z"], **more),
            node("Relu", ["z"], ["y"]),
        ],
        inputs=[tensor("x", [2, length, 2 if more.get("inverse") else 1])],
        outputs=["y"],
        initializers=[
            numpy_helper.from_array(np.int64(given or 0), "length"),
            numpy_helper.from_array(np.int64(1), "axis"),
        ],
        opset=20,
    )
    path.write_bytes(made.SerializeToString())
    found = measure_allocations(str(path), input_specs(memprof.load(path).graph), Limits(seconds=60))
    row = memprof.analyze(path, from_file=True).runtimes["onnxruntime"]
    assert (row.grade, row.peak_intermediate_bytes) == ("exact", found.measurement.peak_bytes)


@pytest.mark.slow
def test_all_node_tests() -> None:
    outcomes = run_all(collect())
    ran = [found for found in outcomes if not found.refusal]
    exact = [found for found in ran if found.verdict(with_scratch=True) == "exact"]
    assert [missed(found) for found in ran if "wrong" in found.verdicts] == []
    assert len(exact) >= 0.98 * len(ran), summary(outcomes)


@pytest.mark.slow
def test_all_node_tests_at_other_sizes() -> None:
    outcomes = run_all(resized(collect(), seed=1))
    ran = [found for found in outcomes if not found.refusal]
    assert len(ran) > 2_000
    assert [missed(found) for found in ran if "wrong" in found.verdicts] == []
