"""ONNX's own node tests: what is predicted is what onnxruntime takes. A slice here; ``pytest -m slow`` runs all."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.node_tests import Outcome, collect, resized, run_all, summary

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
