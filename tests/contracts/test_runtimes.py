"""Every row of ``RUNTIMES`` under the contract."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import onnx
import pytest

from memprof import Graph
from memprof.importers.tflite import read_tflite
from memprof.runtimes import RUNTIMES
from tests import onnx_models, tflite_models
from tests.contracts.runtime import RuntimeContract
from tests.oracle import ORACLES


def installed(name: str) -> bool:
    """Return whether a module can be imported."""
    return find_spec(name) is not None


def onnx_source(folder: Path) -> Path:
    """Write a small model whose buffers are reused and whose Softmax along an inner axis takes scratch."""
    proto = onnx_models.model(
        [
            onnx_models.node("Relu", ["x"], ["a"]),
            onnx_models.node("Transpose", ["a"], ["b"], perm=[1, 0]),
            onnx_models.node("MatMul", ["a", "b"], ["c"]),
            onnx_models.node("Softmax", ["c"], ["d"], axis=0),
        ],
        inputs=[onnx_models.tensor("x", (4, 6))],
        outputs=["d"],
    )
    path = folder / "small.onnx"
    onnx.save(proto, str(path))
    return path


class TestReference(RuntimeContract):
    row = RUNTIMES["reference"]
    oracle = staticmethod(ORACLES["reference"])


class TestIdeal(RuntimeContract):
    row = RUNTIMES["ideal"]
    oracle = staticmethod(ORACLES["ideal"])


class TestPaper(RuntimeContract):
    row = RUNTIMES["paper"]
    oracle = staticmethod(ORACLES["paper"])


class TestPytorch(RuntimeContract):
    row = RUNTIMES["pytorch"]
    is_measurable_here = installed("torch")

    def source(self, folder: Path) -> tuple[Any, dict[str, Any]]:
        return "torch.nn:Softplus", {"inputs": {"": (4, 6)}}


class TestOnnxruntime(RuntimeContract):
    row = RUNTIMES["onnxruntime"]
    is_measurable_here = installed("onnxruntime")

    def source(self, folder: Path) -> tuple[Any, dict[str, Any]]:
        return onnx_source(folder), {}


@pytest.mark.default_session
class TestOnnxruntimeDefault(RuntimeContract):
    row = RUNTIMES["onnxruntime-default"]
    is_measurable_here = installed("onnxruntime")

    def source(self, folder: Path) -> tuple[Any, dict[str, Any]]:
        return onnx_source(folder), {}


class TestOnnxruntimeOptimized(RuntimeContract):
    row = RUNTIMES["onnxruntime-optimized"]
    is_measurable_here = installed("onnxruntime")

    def source(self, folder: Path) -> tuple[Any, dict[str, Any]]:
        return onnx_source(folder), {}


class TestTflm(RuntimeContract):
    row = RUNTIMES["tflm"]
    is_measurable_here = installed("tflite_micro")

    def graphs(self) -> Iterator[Graph]:
        return tflite_graphs()

    def open_graph(self) -> None:
        return None

    def source(self, folder: Path) -> tuple[Any, dict[str, Any]]:
        return tflite_source(folder), {}


class TestLitert(RuntimeContract):
    row = RUNTIMES["litert"]
    is_measurable_here = installed("ai_edge_litert")

    def graphs(self) -> Iterator[Graph]:
        return tflite_graphs()

    def open_graph(self) -> None:
        return None

    def source(self, folder: Path) -> tuple[Any, dict[str, Any]]:
        return tflite_source(folder), {}


class TestExecutorch(RuntimeContract):
    row = RUNTIMES["executorch"]  # random graphs stand for lowered modules
    is_measurable_here = installed("executorch")

    def source(self, folder: Path) -> tuple[Any, dict[str, Any]]:
        return "torch.nn:Softplus", {"inputs": {"": (4, 6)}}


def tflite_graphs() -> Iterator[Graph]:
    """Yield graphs of .tflite files, whose tensors an arena holds."""
    for sizes in ((64, 32, 16), (1, 1), (16, 16, 16, 16), (7, 300, 7, 300, 7)):
        yield tflite_graph(tflite_models.chain(*sizes))


def tflite_source(folder: Path) -> Path:
    """Write a small .tflite file."""
    path = folder / "model.tflite"
    path.write_bytes(tflite_models.chain(64, 64, 64))
    return path


def tflite_graph(content: bytes) -> Graph:
    """Return the graph of a .tflite file."""
    with NamedTemporaryFile(suffix=".tflite") as file:
        file.write(content)
        file.flush()
        return read_tflite(Path(file.name), dims={}, inputs={}).graph


def _under_contract() -> set[str]:
    return {found.row.name for found in RuntimeContract.__subclasses__()}


for _name in sorted(set(RUNTIMES) - _under_contract()):  # rows with nothing of their own
    globals()[f"Test_{_name}"] = type(f"Test_{_name}", (RuntimeContract,), {"row": RUNTIMES[_name]})


def test_every_row_is_under_the_contract() -> None:
    assert _under_contract() == set(RUNTIMES)
