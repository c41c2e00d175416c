"""The short way to a footprint equals the Graph, and the Graph equals what the exporter writes, byte for byte."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch

from memprof import analyze
from memprof.nas.export import export_onnx
from memprof.nas.footprint import as_trained, deployed, screen
from memprof.nas.modules import build_module
from tests.nas.networks import random_architecture


@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_screening_equals_the_graph_on_300_random_architectures(dtype: str) -> None:
    rng = random.Random(0)
    for _ in range(150):
        architecture = random_architecture(rng, rng.randrange(1, 5))
        graph = deployed(architecture, dtype)
        found = screen(architecture, dtype)
        assert found.parameter_bytes == graph.parameter_bytes
        assert found.peak_intermediate_bytes == analyze(graph, runtimes=["reference"]).peak_intermediate_bytes


def test_an_architecture_without_cells_has_stem_and_head() -> None:
    architecture = random_architecture(random.Random(0), 0)
    peak = analyze(deployed(architecture), runtimes=["reference"]).peak_intermediate_bytes
    assert screen(architecture).peak_intermediate_bytes == peak


def with_statistics(module: torch.nn.Module, seed: int) -> dict[str, torch.Tensor]:
    """Return weights as training leaves them: the exporter drops a bias that is all zeros."""
    generator = torch.Generator().manual_seed(seed)
    state = module.state_dict()
    for name, tensor in state.items():
        if "running" in name or name.endswith("bias"):
            tensor.uniform_(0.5, 1.5, generator=generator)
    return state


@pytest.mark.parametrize("seed", range(40))
def test_deployed_equals_the_exported_file(seed: int, tmp_path: Path) -> None:
    rng = random.Random(seed)
    architecture = random_architecture(rng, 1 + seed % 3)
    exported = export_onnx(architecture, with_statistics(build_module(architecture), seed), tmp_path / "found.onnx")
    file, graph = analyze(exported.path), analyze(deployed(architecture))
    assert file.parameter_bytes == graph.parameter_bytes
    for runtime in ("reference", "ideal", "paper"):
        assert file.runtimes[runtime].timeline == graph.runtimes[runtime].timeline


@pytest.mark.parametrize("seed", range(40))
def test_as_trained_equals_the_import_from_torch_export(seed: int) -> None:
    rng = random.Random(seed)
    architecture = random_architecture(rng, 1 + seed % 3)
    module = build_module(architecture).eval()
    imported = analyze(module, (torch.zeros(1, *architecture.input_shape),))
    graph = analyze(as_trained(architecture))
    assert imported.model.format == "torch.export"
    assert imported.parameter_bytes == graph.parameter_bytes
    for runtime in ("reference", "ideal", "paper"):
        assert imported.runtimes[runtime].timeline == graph.runtimes[runtime].timeline
