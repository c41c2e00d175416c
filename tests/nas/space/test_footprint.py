"""The short way to a footprint equals the Graph, and the Graph equals what the exporter writes, byte for byte."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

pytest.importorskip("torch")

import torch

from memprof import analyze
from memprof.nas.searching.export import export_onnx
from memprof.nas.space.architecture import Combine
from memprof.nas.space.budget import ARENA_RUNTIME, BUDGET_RUNTIMES
from memprof.nas.space.footprint import as_trained, deployed
from memprof.nas.space.screening import screen
from memprof.nas.train.modules import block_channels, build_module
from tests.nas.networks import random_architecture, random_network

_ALWAYS = 4
SEEDS = [pytest.param(seed, marks=() if seed < _ALWAYS else pytest.mark.slow) for seed in range(40)]
"""An export takes two seconds: always one network of each number of cells, all of them with the slow tests."""


@pytest.mark.parametrize("dtype", ["float32", "float16", "int8"])
def test_screening_equals_the_graph_on_600_random_architectures(dtype: str) -> None:
    for seed in range(200):
        architecture = random_network(seed)
        graph = deployed(architecture, dtype)
        found = screen(architecture, dtype)
        assert found.parameter_bytes == graph.parameter_bytes
        assert found.peak_intermediate_bytes == analyze(graph, runtimes=["reference"]).peak_intermediate_bytes


def test_the_networks_of_the_contract_have_everything_that_growing_and_trimming_leave_behind() -> None:
    plain = projected = empty = hidden = concatenating = 0
    for architecture in map(random_network, range(40)):
        channels = architecture.stem_width
        for block in architecture.blocks:
            fits = (channels, block.stride) == (block.width, 1)
            reads = [read for _, cell in block.existing for read, layer in cell.layers if layer.is_trimmed]
            plain += fits and 0 in reads
            projected += not fits and 0 in reads
            empty += None in block.cells
            hidden += any(not cell.feeds_output for _, cell in block.existing)
            concatenating += any(cell.combine is Combine.CONCAT for _, cell in block.existing)
            channels = block_channels(block, channels)
    assert min(plain, projected, empty, hidden, concatenating) >= 5


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


@pytest.mark.parametrize("seed", SEEDS)
def test_deployed_equals_the_exported_file(seed: int, tmp_path: Path) -> None:
    architecture = random_network(seed)
    exported = export_onnx(architecture, with_statistics(build_module(architecture), seed), tmp_path / "found.onnx")
    names = [name for name in BUDGET_RUNTIMES if name != ARENA_RUNTIME]  # which runs no ONNX file
    file, graph = (analyze(model, runtimes=names) for model in (exported.path, deployed(architecture)))
    assert file.parameter_bytes == graph.parameter_bytes
    for runtime in names:
        assert file.runtimes[runtime].timeline == graph.runtimes[runtime].timeline


@pytest.mark.parametrize("seed", SEEDS)
def test_as_trained_equals_the_import_from_torch_export(seed: int) -> None:
    architecture = random_network(seed)
    module = build_module(architecture).eval()
    imported = analyze(module, (torch.zeros(1, *architecture.input_shape),))
    graph = analyze(as_trained(architecture))
    assert imported.model.format == "torch.export"
    assert imported.parameter_bytes == graph.parameter_bytes
    for runtime in ("reference", "ideal", "paper"):
        assert imported.runtimes[runtime].timeline == graph.runtimes[runtime].timeline
