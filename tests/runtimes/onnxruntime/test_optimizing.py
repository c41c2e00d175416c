"""What rules make of a file against what the installed onnxruntime makes of it: the same peak of a session."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, numpy_helper

import memprof
from tests.onnx_models import integers, model, node, tensor, weight


def residual() -> ModelProto:
    """Return convolutions with norms, activations and a sum, a pool and a concatenation of whole blocks."""
    norm = [weight(name, 32) for name in ("scale", "shift", "mean", "spread")]
    return model(
        [
            node("Conv", ["x", "w1"], ["a"], pads=[1, 1, 1, 1]),
            node("BatchNormalization", ["a", "scale", "shift", "mean", "spread"], ["b"]),
            node("Relu", ["b"], ["c"]),
            node("Conv", ["c", "w2"], ["d"], pads=[1, 1, 1, 1]),
            node("Add", ["d", "c"], ["e"]),
            node("Relu", ["e"], ["f"]),
            node("MaxPool", ["f"], ["g"], kernel_shape=[2, 2], strides=[2, 2]),
            node("Concat", ["g", "g"], ["h"], axis=1),
            node("Transpose", ["h"], ["y"], perm=[0, 2, 3, 1]),
        ],
        inputs=[tensor("x", [1, 3, 40, 40])],
        outputs=["y"],
        initializers=[weight("w1", 32, 3, 3, 3), weight("w2", 32, 32, 3, 3), *norm],
    )


def odd_channels() -> ModelProto:
    """Return convolutions of 18, 20 and 22 channels: those that are no multiple of 4 stay plain."""
    return model(
        [
            node("Conv", ["x", "w1"], ["a"], group=18, pads=[1, 1, 1, 1]),
            node("Relu", ["a"], ["b"]),
            node("Conv", ["b", "w2"], ["c"]),
            node("Conv", ["c", "w3"], ["d"]),
            node("Sigmoid", ["d"], ["e"]),
            node("Mul", ["d", "e"], ["y"]),
        ],
        inputs=[tensor("x", [1, 18, 30, 30])],
        outputs=["y"],
        initializers=[weight("w1", 18, 1, 3, 3), weight("w2", 20, 18, 1, 1), weight("w3", 22, 20, 1, 1)],
    )


def attention_free_block() -> ModelProto:
    """Return half a transformer layer: a skip, a normalisation, products with biases, Gelu in five steps."""
    return model(
        [
            node("Identity", ["x"], ["i"]),
            node("MatMul", ["i", "w1"], ["a"]),
            node("Add", ["b1", "a"], ["b"]),
            node("Add", ["b", "x"], ["s"]),
            node("LayerNormalization", ["s", "g1", "g2"], ["n"]),
            node("MatMul", ["n", "w2"], ["c"]),
            node("Add", ["c", "b2"], ["d"]),
            node("Div", ["d", "root"], ["e"]),
            node("Erf", ["e"], ["f"]),
            node("Add", ["f", "one"], ["g"]),
            node("Mul", ["d", "g"], ["h"]),
            node("Mul", ["h", "half"], ["k"]),
            node("MatMul", ["k", "w3"], ["l"]),
            node("Add", ["l", "s"], ["y"]),
        ],
        inputs=[tensor("x", [1, 40, 64])],
        outputs=["y"],
        initializers=[
            *(weight(name, 64) for name in ("b1", "g1", "g2")),
            weight("b2", 256),
            *(number(name, value) for name, value in (("root", 2**0.5), ("one", 1.0), ("half", 0.5))),
            weight("w1", 64, 64),
            weight("w2", 64, 256),
            weight("w3", 256, 64),
        ],
    )


def shapes_that_are_known() -> ModelProto:
    """Return a reshape whose sizes are computed from the shape of an activation."""
    return model(
        [
            node("Relu", ["x"], ["a"]),
            node("Shape", ["a"], ["s"]),
            node("Gather", ["s", "first"], ["n"]),
            node("Concat", ["n", "rest"], ["t"], axis=0),
            node("Reshape", ["a", "t"], ["b"]),
            node("Exp", ["b"], ["c"]),
            node("Neg", ["c"], ["y"]),
        ],
        inputs=[tensor("x", [4, 100, 10])],
        outputs=["y"],
        initializers=[integers("first", 0), integers("rest", 1000)],
    )


def number(name: str, value: float) -> TensorProto:
    """Return a constant of one element."""

    return numpy_helper.from_array(np.float32(value), name)


pytestmark = pytest.mark.default_session
MODELS = [residual, odd_channels, attention_free_block, shapes_that_are_known]


@pytest.mark.parametrize("make", MODELS, ids=lambda make: make.__name__)
def test_rules_and_the_installed_onnxruntime_agree(
    make: Callable[[], ModelProto], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    path = tmp_path / "net.onnx"
    path.write_bytes(make().SerializeToString())

    ruled, asked = (memprof.analyze(path, from_file=is_alone) for is_alone in (True, False))

    assert ruled.peak_intermediate_bytes == asked.peak_intermediate_bytes
    assert ruled.headline.grade == "estimate"
