"""A model that was read pickles and copies, whatever it was read from."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import pytest

from memprof import load
from memprof.ir.model import Model
from tests.cli.conftest import write_chain


def survives(model: Model) -> None:
    for again in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        assert again == model
        assert again.graph.value_bytes == model.graph.value_bytes
    assert "\n" not in repr(model)
    assert len(repr(model)) < 500


def test_a_model_of_a_file(tmp_path: Path) -> None:
    survives(load(write_chain(tmp_path / "net.onnx", ["Relu", "Sigmoid"], ["batch", 250])))


def test_a_model_of_a_module_with_its_trace() -> None:
    torch = pytest.importorskip("torch")
    survives(load(torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU()), torch.zeros(1, 4)))
