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
        op = rng.choice([*_OPS, *_READS_CONSTANTS])
        name = f"t{step}"
        read = rng.choice(known)
        if op == "Add":
            nodes.append(node(op, [read, read], [name]))
        elif op == "Reshape":
            nodes.append(node(op, ["x", rng.choice(["flat", "tall"])], [name]))
        elif op == "Concat":
            nodes.append(node(op, ["x", "x.2"], [name], axis=rng.choice([1, 0])))
        elif op == "Cast":
            nodes.append(node(op, [read], [name], to=rng.choice([TensorProto.FLOAT16, TensorProto.FLOAT])))
        elif op == "Gather":
            nodes += [node("Shape", [read], [f"{name}.shape"]), node(op, [f"{name}.shape", "first"], [name])]
        elif op in _READS_CONSTANTS:
            pads = {"pads": rng.choice([[1, 1, 1, 1], [0, 0, 0, 0]])} if op == "Conv" else {}
            nodes.append(node(op, [rng.choice(names) for names in _READS_CONSTANTS[op]], [name], **pads))
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
    values += [integers("zero.1", 0), integers("one.1", 1), integers("two.1", 2)]
    floats = {"scale": [1.0] * 4, "shift": [2.0] * 4, "half": [0.5], "same": [1.0] * 4, "twice": [1.0, 1.0, 2.0, 2.0]}
    floats |= {"three": [3.0], "five": [5.0], "two.values": [0.0, 1.0]}
    values += [onnx.numpy_helper.from_array(np.array(found, np.float32), name) for name, found in floats.items()]
    values.append(onnx.numpy_helper.from_array(np.ones((4, 1, 1), np.float32), "scale.wide"))
    values += [onnx.numpy_helper.from_array(_scalar(n), name) for name, n in _SCALARS.items()]
    inputs = [tensor("x", [1, 4, 8, 8]), tensor("open", ["n", 4]), tensor("x.2", [1, 4, 8, 8])]
    inputs += [tensor("given", [2], TensorProto.INT64), tensor("many", [2000], TensorProto.INT64)]
    found = model(nodes, inputs=inputs, outputs=[known[-1]], initializers=values)
    found.graph.value_info.extend(info for info in stated if isinstance(info, ValueInfoProto))
    return found


_SCALES = ["scale", "shift"]
_READS_CONSTANTS = {
    "Conv": [["x"], ["w"]],
    "BatchNormalization": [["x"], _SCALES, _SCALES, _SCALES, _SCALES],
    "NonZero": [["x", "x.2"]],
    "OneHot": [["many"], ["three", "five"], ["two.values"]],
    "Mul": [["half", "x"], ["half", "scale.wide", "scale"]],
    "Resize": [["x"], [""], ["same", "twice"]],
    "Slice": [["x"], ["zero.1", "one.1"], ["one.1", "two.1"]],
}
_OPS = ["Relu", "Add", "Reshape", "Identity", "Shape", "Concat", "Cast", "Gather", "Range", "Given"]
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

    def ask_nothing(*question: object, has_constants: bool) -> None:
        asked.append(question)

    monkeypatch.setattr(build, "ask", ask_nothing)
    assert read(path) == found
    assert asked
