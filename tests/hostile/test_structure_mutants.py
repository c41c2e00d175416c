"""Mutants that know the format, of small models and of real ones: a report or a refusal, no number lost in silence.

Sixty in a normal run, 300 in the slow one; ``MEMPROF_MUTANTS=20000`` for a long one, ``MEMPROF_MUTANT_SEED`` for
others.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import onnx
import pytest

import memprof
from memprof.base.errors import MemprofError
from tests.hostile.silence import is_about
from tests.hostile.test_mutations import control_flow, convolutions, shape_arithmetic
from tests.onnx_models import model, node, tensor, weight
from tests.real_data import shared_data

COUNTS = (int(os.environ.get("MEMPROF_MUTANTS", "60")), pytest.param(300, marks=pytest.mark.slow))
SEED = int(os.environ.get("MEMPROF_MUTANT_SEED", "0"))
JUDGE = Path(__file__).with_name("judge.py")
_SHARED = shared_data()
GIVEN = [] if _SHARED is None else sorted(_SHARED.parent.glob("cases/mutants/*.onnx"))
"""Mutants that once ended in a traceback or lost a number in silence."""
LIGHT = sorted(Path(onnx.__file__).parent.glob("backend/test/data/light/*.onnx"))


def recurrent() -> onnx.ModelProto:
    """Return a model with rank-sensitive operations: recurrent layers, normalisations, attention's products."""
    nodes = [
        node("LSTM", ["x", "w", "r"], ["a", "h", "c"], hidden_size=4),
        node("GRU", ["x", "w3", "r3"], ["g"], hidden_size=4),
        node("Squeeze", ["a"], ["s"]),
        node("LRN", ["image"], ["l"], size=3),
        node("Softmax", ["l"], ["p"], axis=1),
        node("Einsum", ["s", "s"], ["e"], equation="ij,ij->i"),
        node("ConvTranspose", ["p", "f"], ["t"], strides=[2, 2], group=1),
        node("Concat", ["t", "t"], ["y"], axis=1),
    ]
    weights = [weight("w", 1, 16, 3), weight("r", 1, 16, 4), weight("w3", 1, 12, 3), weight("r3", 1, 12, 4)]
    inputs = [tensor("x", [5, 1, 3]), tensor("image", [1, 4, 6, 6])]
    outputs = ["y", "e", "g", "h"]
    return model(nodes, inputs=inputs, initializers=[*weights, weight("f", 4, 2, 3, 3)], outputs=outputs)


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Models to be mutated: some made here, onnx's own, real ones where they are."""
    folder = tmp_path_factory.mktemp("originals")
    made = {"conv": convolutions(), "shapes": shape_arithmetic(), "flow": control_flow(), "recurrent": recurrent()}
    for name, proto in made.items():
        onnx.save(proto, folder / f"{name}.onnx")
    data = shared_data()
    real = [] if data is None else sorted(data.glob("models/*.onnx"))
    return [*sorted(folder.glob("*.onnx")), *real, *LIGHT]


@pytest.mark.parametrize("count", COUNTS)
def test_no_mutant_breaks_the_report_and_no_number_is_lost_in_silence(originals: list[Path], count: int) -> None:
    command = [sys.executable, str(JUDGE), str(SEED), str(count), *map(str, originals)]
    child = subprocess.run(command, capture_output=True, text=True, check=False)

    assert child.returncode == 0, child.stderr[-2000:]
    found = json.loads(child.stdout)
    assert not found["wrong"], f"{len(found['wrong'])} of {count}: {found['wrong'][0]}"
    assert sum(found["ends"].values()) == count
    assert found["ends"]["report"] > count / 2  # else the mutants break the frame and test nothing behind it


def test_no_node_of_a_valid_model_is_taken_for_a_malformed_one(originals: list[Path]) -> None:
    """What the guard around each rule catches is listed, so a rule that is wrong about valid nodes shows here."""
    for path in originals:
        assert [unknown for unknown in memprof.analyze(path).unknown if unknown.kind == "node"] == []


@pytest.mark.default_session
def test_weights_of_a_recurrent_layer_of_another_rank_cost_the_process_no_report(tmp_path: Path) -> None:
    nodes = [node("LSTM", ["x", "w", "w"], ["y"], hidden_size=4), node("GRU", ["x", "w", "w"], ["z"], hidden_size=4)]
    proto = model(nodes, inputs=[tensor("x", [5, 1, 3])], initializers=[weight("w", 16)], outputs=["y", "z"])
    onnx.save(proto, tmp_path / "net.onnx")

    report = memprof.analyze(tmp_path / "net.onnx", runtimes=["onnxruntime-default"], from_file=True)

    assert report.process is not None


def test_a_body_that_takes_what_has_no_fixed_bytes_says_so(tmp_path: Path) -> None:
    proto = control_flow()
    (loop,) = [node for node in proto.graph.node if node.op_type == "Loop"]
    body = next(attribute.g for attribute in loop.attribute if attribute.name == "body")
    body.input[1].type.Clear()
    body.input[1].type.optional_type.elem_type.tensor_type.elem_type = 1
    onnx.save(proto, tmp_path / "net.onnx")

    report = memprof.analyze(tmp_path / "net.onnx")

    assert report.runtimes["reference"].peak_intermediate_bytes is None
    assert [(found.kind, found.name) for found in report.unknown] == [("dtype", body.input[1].name)]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"group": [1]}, "its attribute 'group' is of type ints, not int"),
        ({"group": "1"}, "its attribute 'group' is of type string, not int"),
        ({"pads": 1}, "its attribute 'pads' is of type int, not ints"),
        ({"kernel_shape": 3.0}, "its attribute 'kernel_shape' is of type float, not ints"),
    ],
)
def test_a_malformed_node_is_unknown_by_name_and_the_rest_stands(
    tmp_path: Path, change: dict[str, object], reason: str
) -> None:
    nodes = [node("Conv", ["x", "w"], ["a"], name="first", **change), node("Relu", ["a"], ["y"], name="second")]
    proto = model(nodes, inputs=[tensor("x", [1, 3, 8, 8])], initializers=[weight("w", 4, 3, 3, 3)], outputs=["y"])
    proto.graph.value_info.append(tensor("a", [1, 4, 6, 6]))
    onnx.save(proto, tmp_path / "net.onnx")

    report = memprof.analyze(tmp_path / "net.onnx")

    (unknown,) = [unknown for unknown in report.unknown if unknown.kind == "node"]
    assert (unknown.name, unknown.reason) == ("first", f"it does not fit the operation Conv: {reason}")
    assert report.runtimes["reference"].peak_intermediate_bytes == (3 * 8 * 8 + 4 * 6 * 6) * 4
    assert report.runtimes["reference"].grade == "estimate", "what the file records of its output may be a lie"
    assert report.runtimes["onnxruntime"].peak_intermediate_bytes is None


@pytest.mark.parametrize(
    "broken",
    [
        node("Conv", ["x", "w"], ["y"], name="n", group=0),
        node("LSTM", ["x", "w", "w"], ["y"], name="n", hidden_size=4),
        node("GRU", ["x", "w", "w"], ["y"], name="n", hidden_size=4),
        node("RNN", ["x", "w", "w"], ["y"], name="n", hidden_size=4),
        node("LRN", ["w0"], ["y"], name="n", size=3),
        node("Conv", ["x", "w0"], ["y"], name="n"),
    ],
    ids=lambda found: f"{found.op_type} of {' '.join(found.input)}",
)
def test_ranks_and_values_that_do_not_fit_are_unknown_by_name(tmp_path: Path, broken: onnx.NodeProto) -> None:
    inputs = [tensor("x", [1, 3, 8, 8]), tensor("other", [9])]
    weights = [weight("w", 4, 3, 3, 3), weight("w0", 2)]
    nodes = [broken, node("Relu", ["other"], ["z"])]
    proto = model(nodes, inputs=inputs, initializers=weights, outputs=["y", "z"])
    proto.graph.output[0].CopyFrom(tensor("y", [1, 4, 6, 6]))
    onnx.save(proto, tmp_path / "net.onnx")

    report = memprof.analyze(tmp_path / "net.onnx")

    assert [unknown.name for unknown in report.unknown if unknown.kind == "node"] == ["n"]
    assert report.runtimes["onnxruntime"].peak_intermediate_bytes is None
    assert report.runtimes["reference"].peak_intermediate_bytes is not None


@pytest.mark.default_session
@pytest.mark.parametrize("path", GIVEN, ids=[path.stem for path in GIVEN])
def test_a_mutant_that_broke_something_once_ends_in_a_report_that_says_what_is_unknown(path: Path) -> None:
    try:
        report = memprof.analyze(path, from_file=True)
    except MemprofError as error:
        assert error.code == 3
        return
    assert report.unknown, "what is wrong with it is listed"
    is_broken = any(entry.kind == "node" and not entry.reason.startswith("under ") for entry in report.unknown)
    for name, row in report.runtimes.items():
        is_known = row.peak_intermediate_bytes is not None
        assert not (is_known and is_broken) or row.grade == "estimate", f"{name} promises what a lie may decide"
        assert is_known or any(is_about(entry, name) for entry in report.unknown)
