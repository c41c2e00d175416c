"""Models that nobody here wrote: every size is known, with the flags that dynamic inputs need."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

import memprof
from memprof.ir import Graph
from tests.real_data import require_shared_data

LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"

DIMS = {
    "silero_vad_16k_op15": {"batch": 1, "sequence": 512},
    "yunet_n_dynamic": {"batch": 1, "height": 320, "width": 320},
}
MODELS = [
    "cct_1_16_16_32",
    "fastestdet",
    "mlperf_resnet8_cifar10",
    "silero_vad_16k_op15",
    "ultraface_slim_320",
    "yunet_n_320",
    "yunet_n_dynamic",
]


def _all_graphs(graph: Graph) -> list[Graph]:
    found = [graph]
    for inner in (body for node in graph.nodes for body in node.bodies):
        found += _all_graphs(inner)
    return found


@pytest.mark.parametrize("name", MODELS)
def test_real_models_are_fully_known(name: str) -> None:
    path = require_shared_data() / "models" / f"{name}.onnx"

    graph = memprof.load(path, dims=DIMS.get(name)).graph

    assert graph.unknown == ()
    assert all(None not in inner.value_bytes for inner in _all_graphs(graph))


@pytest.mark.parametrize("path", sorted(LIGHT.glob("*.onnx")), ids=lambda path: path.stem)
def test_the_models_in_the_onnx_package_are_fully_known(path: Path) -> None:
    graph = memprof.load(path).graph

    assert graph.unknown == ()
    assert None not in graph.value_bytes


@pytest.mark.parametrize("name", sorted(DIMS))
def test_without_its_flags_each_open_symbol_is_assumed_and_said(name: str) -> None:
    path = require_shared_data() / "models" / f"{name}.onnx"

    graph = memprof.load(path).graph

    assert graph.unknown == ()
    assert {note.name.partition("=")[0] for note in graph.assumed} == set(DIMS[name])


def test_both_exports_of_one_network_agree() -> None:
    folder = require_shared_data() / "models"

    fixed = memprof.analyze(folder / "yunet_n_320.onnx")
    bound = memprof.analyze(folder / "yunet_n_dynamic.onnx", dims=DIMS["yunet_n_dynamic"])

    assert fixed.parameter_bytes > 0
    assert fixed.runtimes["ideal"].peak_intermediate_bytes == bound.runtimes["ideal"].peak_intermediate_bytes
