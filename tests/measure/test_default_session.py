"""``memprof verify model.onnx`` verifies what leads a report on the file: the second run of a default session."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from onnx import ModelProto, NodeProto, TensorProto, numpy_helper

import memprof
from memprof.cli.verify import command
from memprof.measure import verify as verifying
from memprof.measure.onnxruntime import Allocations
from memprof.measure.threads import default_threads
from memprof.results.verification import Verification
from tests.onnx_models import body, integers, model, node, tensor, weight
from tests.schemas import check_document

pytest.importorskip("onnxruntime")
pytestmark = pytest.mark.default_session


def convolutions() -> ModelProto:
    """Return a residual block whose convolutions take scratch for each thread."""
    nodes = [
        node("Conv", ["x", "w"], ["a"], pads=[1] * 4),
        node("Relu", ["a"], ["b"]),
        node("Conv", ["b", "w"], ["c"], pads=[1] * 4),
        node("Add", ["c", "b"], ["y"]),
    ]
    return model(
        nodes, inputs=[tensor("x", [1, 63, 20, 20])], outputs=["y"], initializers=[weight("w", 63, 63, 3, 3)]
    )


def attention() -> ModelProto:
    nodes = [
        node("MatMul", ["x", "q"], ["a"]),
        node("MatMul", ["x", "k"], ["b"]),
        node("Transpose", ["b"], ["c"], perm=[0, 2, 1]),
        node("MatMul", ["a", "c"], ["d"]),
        node("Softmax", ["d"], ["e"], axis=-1),
        node("MatMul", ["e", "x"], ["y"]),
    ]
    weights = [weight("q", 32, 32), weight("k", 32, 32)]
    return model(nodes, inputs=[tensor("x", [1, 10, 32])], outputs=["y"], initializers=weights)


def halves() -> ModelProto:
    """Return a network of 16 bits: of q, in 32, onnxruntime knows no shape, though the file says that of 16."""
    half = TensorProto.FLOAT16
    nodes = [
        node("GreaterOrEqual", ["x", "limit"], ["g"]),
        node("Where", ["g", "x", "filling"], ["q"]),
        node("Reshape", ["x", "apart"], ["a"]),
        node("Transpose", ["a"], ["t"], perm=[0, 2, 1, 3]),
        node("Reshape", ["t", "whole"], ["r"]),
        node("MatMul", ["r", "w"], ["y"]),
    ]
    weights = [weight("limit", dtype=half), weight("filling", 2, 8, 16, dtype=half), weight("w", 16, 16, dtype=half)]
    made = model(
        nodes,
        inputs=[tensor("x", [2, 8, 16], half)],
        outputs=["q", "y"],
        initializers=[*weights, integers("apart", 2, 8, 4, 4), integers("whole", 2, 8, 16)],
        opset=13,
    )
    made.graph.output[0].CopyFrom(tensor("q", [2, 8, 16], half))
    return made


@pytest.fixture(params=[convolutions, attention], ids=lambda make: make.__name__)
def file(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return a small model; answers of onnxruntime are kept in a folder of this test."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = tmp_path / "net.onnx"
    path.write_bytes(request.param().SerializeToString())
    return str(path)


only_convolutions = pytest.mark.parametrize("file", [convolutions], indirect=True)


def run(*words: str) -> Result:
    return CliRunner().invoke(command, list(words), standalone_mode=False)


def test_without_flags_the_headline_is_verified(file: str) -> None:
    result = run(file, "--json", "--require-exact")
    document = json.loads(result.output)
    check_document(document)
    headline = memprof.analyze(file).headline
    assert (document["runtime_model"], document["grade"]) == (headline.runtime.name, headline.grade)
    assert (headline.runtime.name, headline.grade) == ("onnxruntime-default", "exact")
    assert document["predicted_bytes"] == headline.peak_intermediate_bytes == document["measured_bytes"]
    assert result.return_value == 0
    words = "one thread" if (cores := default_threads()) == 1 else f"{cores} threads"
    assert f"second run, {words}" in document["counts"]
    assert Verification.from_json(document).to_json() == document


def test_what_is_kept_in_32_bits_is_planned_as_onnxruntime_knows_it(tmp_path: Path) -> None:
    path = tmp_path / "halves.onnx"
    path.write_bytes(halves().SerializeToString())
    found = memprof.verify(path)
    assert (found.predicted_bytes, found.grade) == (found.measured_bytes, "exact")


def loops(*inner: NodeProto) -> ModelProto:
    """Return a Loop that runs twice and writes a result of the graph, beside nodes that onnxruntime removes."""
    carried = body([*inner, node("Identity", ["go"], ["goes"])], outputs=[])
    carried.input.extend(
        [tensor("i", [], TensorProto.INT64), tensor("go", [], TensorProto.BOOL), tensor("v", [12, 32])]
    )
    carried.output.extend([tensor("goes", [], TensorProto.BOOL), tensor("next", [12, 32])])
    kernels = [weight("k1", 16, 1, 3, 3), weight("k2", 16, 16, 3, 3), weight("k3", 1, 16, 1, 1)]
    carried.initializer.extend(kernels)  # those from outside stay as they are
    nodes = [
        node("Identity", ["x"], ["a"]),
        node("Loop", ["trips", "", "a"], ["y"], body=carried),
        node("MatMul", ["x", "w"], ["z"]),
    ]
    trips = numpy_helper.from_array(np.array(2), "trips")
    weights = [trips, weight("w", 32, 32), integers("axes", 0, 1)]
    return model(nodes, inputs=[tensor("x", [12, 32])], outputs=["y", "z"], initializers=weights)


@pytest.mark.parametrize(
    "inner",
    [
        [node("LeakyRelu", ["v"], ["a1"]), node("Tanh", ["a1"], ["next"])],
        [node("LogSoftmax", ["v"], ["unread"], axis=0), node("Sigmoid", ["v"], ["next"])],
        [node("Transpose", ["v"], ["t"]), node("Exp", ["t"], ["e"]), node("Transpose", ["e"], ["next"])],
        [
            node("Unsqueeze", ["v", "axes"], ["v4"]),
            node("Conv", ["v4", "k1"], ["c1"], pads=[1] * 4),
            node("Softsign", ["c1"], ["s1"]),
            node("Conv", ["s1", "k2"], ["c2"], pads=[1] * 4),
            node("Conv", ["c2", "k3"], ["c3"]),
            node("Squeeze", ["c3", "axes"], ["next"]),
        ],
    ],
)
def test_a_loop_takes_its_block_in_each_iteration_and_its_result_last(tmp_path: Path, inner: list[NodeProto]) -> None:
    path = tmp_path / "loops.onnx"
    path.write_bytes(loops(*inner).SerializeToString())
    found = memprof.verify(path)
    assert found.predicted_bytes == found.measured_bytes


def test_each_step_and_the_other_figures_stand_beside_it(file: str) -> None:
    found = memprof.verify(file, threads=1)
    assert found.steps and found.first_difference is None
    exact, process = found.others[:3], found.others[3:]
    assert [pair.name for pair in exact] == ["later_runs_block", "first_run_peak", "first_run_without_scratch"]
    assert all(pair.is_equal for pair in exact)
    whole = [*(f"process_{name}" for name in ("session", "inputs", "first_run", "later_runs")), "process"]
    shown = [pair.name for pair in process]
    assert [name for name in shown if name in whole] == whole  # parts of the session stand beside them
    assert shown[-1] == "process"
    assert all(pair.grade == "estimate" and pair.measured_bytes is not None for pair in process)
    optimized = memprof.verify(file, optimized=True)
    later = {pair.name: pair.measured_bytes for pair in optimized.others}
    assert found.measured_bytes == later["later_runs_peak"]
    first = next(pair for pair in found.others if pair.name == "first_run_peak")
    assert first.measured_bytes == optimized.measured_bytes


@only_convolutions
def test_other_rows_are_verified_by_name(file: str) -> None:
    for words, row, level in (
        (["--runtime", "onnxruntime"], "onnxruntime", "off"),
        (["--runtime", "onnxruntime-optimized"], "onnxruntime-optimized", "all"),
        (["--optimized"], "onnxruntime-optimized", "all"),
        (["--runtime", "onnxruntime-default"], "onnxruntime-default", "all"),
    ):
        document = json.loads(run(file, *words, "--json").output)
        assert (document["runtime_model"], document["optimization"]) == (row, level)
        assert ("first run" in document["counts"]) == (row != "onnxruntime-default")


@only_convolutions
def test_threads_are_those_of_the_row(file: str) -> None:
    one, four = (memprof.verify(file, threads=threads) for threads in (1, 4))
    assert one.is_exact and four.is_exact
    assert four.measured_bytes > one.measured_bytes
    assert "4 threads" in four.counts
    result = run(file, "--threads", "4")
    assert result.output.splitlines()[-1].endswith("--threads 4")


@only_convolutions
@pytest.mark.parametrize("what", ["peak", "later_runs_block", "first_run_peak"])
def test_a_broken_promise_of_exactness_is_exit_code_1(file: str, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    measure = verifying.measure_allocations

    def off(*arguments: object, **settings: object) -> Allocations:
        found = measure(*arguments, **settings)  # type: ignore[arg-type]
        if what == "later_runs_block":
            return replace(found, block_bytes=found.block_bytes + 64)
        name = "later" if what == "peak" else "measurement"
        run_of_it = getattr(found, name)
        return replace(found, **{name: replace(run_of_it, peak_bytes=run_of_it.peak_bytes + 64)})

    monkeypatch.setattr(verifying, "measure_allocations", off)
    assert memprof.verify(file).broken_promises == (what,)
    assert run(file).return_value == 1
    estimate = memprof.verify(file, from_file=True)
    assert (estimate.grade, estimate.broken_promises) == ("estimate", ())
    assert run(file, "--from-file").return_value == 0
