"""Nodes that are alike are worked out once: a graph is the same as if each had been worked out on its own."""

from __future__ import annotations

from pathlib import Path
from random import Random

import numpy as np
import onnx
import pytest
from onnx import TensorProto, ValueInfoProto

import memprof
from memprof.importers.onnx import build
from memprof.ir import Graph
from tests.onnx_models import integers, model, node, tensor, weight


def repetitive_model(rng: Random) -> onnx.ModelProto:
    """Return a model of few kinds of nodes: some with a recorded type, an open size, or elements that decide."""
    nodes, known = [], ["x", "open", "x.2"]
    stated = []
    for step in range(40):
        op = rng.choice(
            ["Relu", "Add", "Conv", "Reshape", "Identity", "Shape", "Concat", "Cast", "Gather", "Range", "Given"]
        )
        name = f"t{step}"
        read = rng.choice(known)
        if op == "Add":
            nodes.append(node(op, [read, read], [name]))
        elif op == "Conv":
            pads = rng.choice([[1, 1, 1, 1], [0, 0, 0, 0]])
            nodes.append(node(op, ["x", "w"], [name], pads=pads))
        elif op == "Reshape":
            nodes.append(node(op, ["x", rng.choice(["flat", "tall"])], [name]))
        elif op == "Concat":
            nodes.append(node(op, ["x", "x.2"], [name], axis=rng.choice([1, 0])))
        elif op == "Cast":
            nodes.append(node(op, [read], [name], to=rng.choice([TensorProto.FLOAT16, TensorProto.FLOAT])))
        elif op == "Gather":
            nodes += [node("Shape", [read], [f"{name}.shape"]), node(op, [f"{name}.shape", "first"], [name])]
        elif op == "Given":
            nodes += [node("Neg", ["given"], [f"{name}.minus"]), node("Reshape", ["x", f"{name}.minus"], [name])]
        elif op == "Range":
            nodes.append(node(op, ["zero", rng.choice(["four", "six"]), "one"], [name]))
        else:
            nodes.append(node(op, [read], [name]))
        if op in {"Relu", "Identity", "Conv", "Reshape", "Add"}:
            known.append(name)
        if rng.random() < 0.2:
            stated.append(tensor(name, rng.choice([[1, 4, 8, 8], [1, 4, "n", 8], [9], [None]])))
    values = [weight("w", 4, 4, 3, 3), integers("flat", 1, 256), integers("tall", 256, 1), integers("first", 0)]
    values += [onnx.numpy_helper.from_array(_scalar(n), name) for name, n in _SCALARS.items()]
    inputs = [tensor("x", [1, 4, 8, 8]), tensor("open", ["n", 4]), tensor("x.2", [1, 4, 8, 8])]
    inputs.append(tensor("given", [2], TensorProto.INT64))
    found = model(nodes, inputs=inputs, outputs=[known[-1]], initializers=values)
    found.graph.value_info.extend(info for info in stated if isinstance(info, ValueInfoProto))
    return found


_OPS = ["Relu", "Add", "Conv", "Reshape", "Identity", "Shape", "Concat", "Cast", "Gather", "Range", "Given"]
_SCALARS = {"zero": 0, "one": 1, "four": 4, "six": 6}


def _scalar(n: int) -> np.ndarray:
    return np.array(n, np.int64)


def read(path: Path) -> Graph:
    return memprof.load(path, from_file=True).graph


@pytest.mark.parametrize("seed", range(25))
def test_a_graph_is_the_same_without_twins(seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.onnx"
    onnx.save(repetitive_model(Random(f"twins {seed}")), path)
    found = read(path)
    asked = []

    def ask_nothing(*question: object) -> None:
        asked.append(question)

    monkeypatch.setattr(build, "ask", ask_nothing)
    assert read(path) == found
    assert asked
