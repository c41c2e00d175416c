"""300 mutants of three models, 1,500 in the slow run: each ends in a report or in a refusal, none in a crash."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import onnx
import pytest

from tests.onnx_models import body, integers, model, node, tensor, weight

COUNTS = (300, pytest.param(1500, marks=pytest.mark.slow))


def convolutions() -> onnx.ModelProto:
    """Return a small network for images."""
    nodes = [
        node("Conv", ["x", "w"], ["a"], pads=[1, 1, 1, 1]),
        node("Relu", ["a"], ["b"]),
        node("GlobalAveragePool", ["b"], ["c"]),
        node("Flatten", ["c"], ["d"]),
        node("Gemm", ["d", "v"], ["y"]),
    ]
    weights = [weight("w", 4, 3, 3, 3), weight("v", 4, 10)]
    return model(nodes, inputs=[tensor("x", ["n", 3, 8, 8])], initializers=weights, outputs=["y"])


def shape_arithmetic() -> onnx.ModelProto:
    """Return a model that computes a shape."""
    nodes = [
        node("Shape", ["x"], ["s"]),
        node("Gather", ["s", "one"], ["h"]),
        node("Concat", ["h", "rest"], ["t"], axis=0),
        node("Reshape", ["x", "t"], ["r"]),
        node("Slice", ["r", "zero", "one", "zero"], ["y"]),
    ]
    constants = [integers("zero", 0), integers("one", 1), integers("rest", -1)]
    return model(nodes, inputs=[tensor("x", [2, 3, 4])], initializers=constants, outputs=["y"])


def control_flow() -> onnx.ModelProto:
    """Return a model with an If and a Loop."""
    branch = body([node("Relu", ["x"], ["p"])], outputs=["p"])
    other = body([node("Neg", ["x"], ["q"])], outputs=["q"])
    loop = body(
        [node("Identity", ["c"], ["d"]), node("Add", ["v", "x"], ["w"]), node("Relu", ["w"], ["u"])],
        inputs=["i", "c", "v"],
        outputs=["d", "w", "u"],
    )
    nodes = [
        node("If", ["k"], ["z"], then_branch=branch, else_branch=other),
        node("Loop", ["m", "", "z"], ["y", "all"], body=loop),
    ]
    inputs = [tensor("k", [], onnx.TensorProto.BOOL), tensor("x", [2, 3])]
    return model(nodes, inputs=inputs, initializers=[integers("m", 5)], outputs=["y", "all"])


@pytest.mark.parametrize("count", COUNTS)
def test_mutants_end_in_a_report_or_a_refusal(tmp_path: Path, count: int) -> None:
    paths = []
    for i, made in enumerate((convolutions(), shape_arithmetic(), control_flow())):
        paths.append(str(tmp_path / f"{i}.onnx"))
        onnx.save(made, paths[-1])

    mutant = Path(__file__).with_name("mutant.py")
    child = subprocess.run(
        [sys.executable, str(mutant), str(count), *paths], capture_output=True, text=True, check=False
    )

    assert child.returncode == 0, child.stderr[-2000:]
    found = json.loads(child.stdout)
    assert not found["bugs"], found["bugs"][0]
    assert sum(found["ends"].values()) == count
    assert found["ends"]["report"] > count / 10  # else the mutations break the format and test nothing behind it
