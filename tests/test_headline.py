"""What leads: a default session of onnxruntime for an .onnx file, PyTorch's own row for a module."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest
from onnx import TensorProto

import memprof
from memprof.api.asking import load
from memprof.cli import main
from memprof.importers.onnx.read import parse
from memprof.importers.request import Request
from memprof.measure.child import Limits, ProcessorTimeError
from memprof.measure.sessions import MAX_MEMORY_BYTES, find_session
from tests.onnx_models import model, node, tensor, weight

pytestmark = pytest.mark.default_session


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of this test in which answers of onnxruntime are kept."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return a small convolutional model."""
    nodes = [
        node("Conv", ["x", "w"], ["a"], pads=[1] * 4),
        node("Relu", ["a"], ["b"]),
        node("Conv", ["b", "v"], ["c"], pads=[1] * 4),
        node("Relu", ["c"], ["d"]),
        node("Conv", ["d", "v"], ["y"], pads=[1] * 4),
    ]
    found = model(
        nodes,
        inputs=[tensor("x", [1, 16, 24, 24])],
        outputs=["y"],
        initializers=[weight("w", 16, 16, 3, 3), weight("v", 16, 16, 3, 3)],
    )
    path = tmp_path / "net.onnx"
    path.write_bytes(found.SerializeToString())
    return path


def test_an_onnx_file_leads_with_a_default_session(file: Path) -> None:
    pytest.importorskip("onnxruntime")
    report = memprof.analyze(file)
    assert report.headline.runtime.name == "onnxruntime-default"
    assert (report.headline.grade, report.headline.lowered_by) == ("exact", ())
    assert "com.microsoft.nchwc.Conv" in {each.op for each in report.headline.lifetimes.graph.nodes}


def test_no_room_for_a_look_alike_costs_the_session_alone(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnxruntime")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("memprof.measure.sessions.write_stand_in", full)
    report = memprof.analyze(file)
    assert report.headline.grade == "estimate"
    assert report.headline.lowered_by[0] == "onnxruntime could not be asked: No space left on device"


def test_the_headline_is_what_the_second_run_takes(file: Path) -> None:
    pytest.importorskip("onnxruntime")
    from memprof.measure.child import Limits
    from memprof.measure.feeds import input_specs
    from memprof.measure.onnxruntime import FULLY_OPTIMIZED, measure_allocations

    specs = input_specs(memprof.load(file).graph)
    measured = measure_allocations(str(file), specs, Limits(), level=FULLY_OPTIMIZED)
    assert memprof.analyze(file).peak_intermediate_bytes == measured.second_run_bytes


def test_the_second_answer_comes_from_the_cache(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnxruntime")
    first = memprof.analyze(file).peak_intermediate_bytes

    def refuse(*_: object) -> str:
        raise AssertionError("asked again")

    monkeypatch.setattr("memprof.measure.sessions.write_optimized", refuse)
    assert memprof.analyze(file).peak_intermediate_bytes == first


def test_from_file_never_asks_and_says_so(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> str:
        raise AssertionError("asked")

    monkeypatch.setattr("memprof.measure.sessions.write_optimized", refuse)
    found = memprof.analyze(file, from_file=True).headline
    assert (found.grade, found.lowered_by) == ("estimate", ("worked out from the file alone",))


def test_weights_are_of_our_making_and_external_data_stay_unopened(tmp_path: Path, file: Path) -> None:
    pytest.importorskip("onnxruntime")
    stranger = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[64, 64])
    stranger.data_location = TensorProto.EXTERNAL
    stranger.external_data.add(key="location", value="/dev/zero")
    found = model(
        [node("MatMul", ["x", "w"], ["y"])],
        inputs=[tensor("x", [4, 64])],
        outputs=["y"],
        initializers=[stranger],
    )
    path = tmp_path / "external.onnx"
    path.write_bytes(found.SerializeToString())
    session = find_session(Request(source=path), parse(path)[1], 64 * 64 * 4)
    assert session.reason == ""
    assert session.model is not None


def _kept(cache: Path) -> Path:
    (answer,) = (cache / "memprof" / "onnxruntime").iterdir()
    return answer


def test_half_an_answer_in_the_cache_is_asked_for_again(file: Path, cache: Path) -> None:
    pytest.importorskip("onnxruntime")
    first = memprof.analyze(file).headline
    whole = _kept(cache).read_bytes()
    _kept(cache).write_bytes(whole[: len(whole) // 2])

    second = memprof.analyze(file).headline

    assert (second.peak_intermediate_bytes, second.grade) == (first.peak_intermediate_bytes, first.grade)
    assert _kept(cache).read_bytes() == whole


def test_a_file_that_changes_while_it_is_read_puts_nothing_into_the_cache(file: Path, cache: Path) -> None:
    pytest.importorskip("onnxruntime")

    session = find_session(Request(source=file), "the digest that it had before", 0)

    assert session.reason.endswith("net.onnx changed while it was read.")
    assert not (cache / "memprof").exists()


def test_a_few_bytes_that_stand_for_gigabytes_of_constants_are_not_handed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("memprof.measure.sessions.write_optimized", lambda *_: pytest.fail("asked"))
    repeats = TensorProto(name="n", data_type=TensorProto.INT64, dims=[1], int64_data=[2**28])
    found = model(
        [node("Tile", ["w", "n"], ["t"]), node("ReduceSum", ["t"], ["r"]), node("Add", ["x", "r"], ["y"])],
        inputs=[tensor("x", [1])],
        outputs=["y"],
        initializers=[weight("w", 1), repeats],
    )
    path = tmp_path / "grows.onnx"
    path.write_bytes(found.SerializeToString())

    (reason,) = memprof.analyze(path).headline.lowered_by

    assert reason.startswith("over 512 MiB of weights and constants")


@pytest.mark.default_session
@pytest.mark.slow
def test_weights_that_a_file_only_claims_to_hold_fit_into_the_gibibyte_of_the_child(
    tmp_path: Path, cache: Path
) -> None:
    pytest.importorskip("onnxruntime")
    names = [f"w{i}" for i in range(7)]
    nodes = [node("MatMul", [f"t{i}", name], [f"t{i + 1}"]) for i, name in enumerate(names)]
    claimed = [TensorProto(name=name, dims=[4096, 4096], data_type=TensorProto.FLOAT) for name in names]
    path = tmp_path / "claims.onnx"
    found = model(nodes, inputs=[tensor("t0", [1, 4096])], outputs=["t7"], initializers=claimed)
    path.write_bytes(found.SerializeToString())

    assert MAX_MEMORY_BYTES == 2**30
    assert load(path).session().model is not None


@pytest.mark.default_session
def test_an_optimiser_that_wants_more_than_its_memory_is_told_as_the_reason(
    tmp_path: Path, file: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnxruntime")
    monkeypatch.setattr("memprof.measure.sessions._LIMITS", Limits(memory_bytes=20 * 2**20))

    reasons = memprof.analyze(file).headline.lowered_by

    assert any(reason.startswith("onnxruntime did not optimise it: ") for reason in reasons)


@pytest.mark.default_session
def test_what_onnxruntime_refuses_is_told_by_the_name_of_the_file(tmp_path: Path, cache: Path) -> None:
    pytest.importorskip("onnxruntime")
    found = model([node("BitwiseNot", ["x"], ["y"])], inputs=[tensor("x", [4])], opset=18)
    found.graph.output.append(tensor("y", [4]))
    path = tmp_path / "refused.onnx"
    path.write_bytes(found.SerializeToString())

    reason = memprof.analyze(path).headline.lowered_by[0]

    assert f"onnxruntime on {path} failed" in reason
    assert "model.onnx" not in reason


@pytest.mark.default_session
def test_an_optimiser_that_takes_too_long_is_asked_once(
    file: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnxruntime")
    asked: list[object] = []

    def late(*arguments: object) -> None:
        asked.append(arguments)
        raise ProcessorTimeError("late")

    monkeypatch.setattr("memprof.measure.sessions.write_optimized", late)
    reasons = [memprof.analyze(file).headline.lowered_by for _ in range(3)]

    assert len(asked) == 1
    assert reasons[0] == reasons[1] == reasons[2]
    assert any("more than 9 s of a processor" in reason for reason in reasons[2])


def test_threads_add_to_the_scratch_of_convolutions(tmp_path: Path) -> None:
    nodes = [node("Conv", ["x", "w"], ["y"])]
    found = model(
        nodes, inputs=[tensor("x", [1, 62, 20, 20])], outputs=["y"], initializers=[weight("w", 64, 62, 3, 3)]
    )  # 62 channels cannot be blocked
    path = tmp_path / "m.onnx"
    path.write_bytes(found.SerializeToString())
    one, four = (memprof.analyze(path, threads=n, from_file=True).headline for n in (1, 4))
    assert four.peak_intermediate_bytes - one.peak_intermediate_bytes == 3 * 65_536  # type: ignore[operator]


def test_check_judges_the_headline_and_says_which(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    peak = memprof.analyze(file, from_file=True).peak_intermediate_bytes
    assert peak is not None
    for limit, code in ((peak, 0), (peak - 1, 1)):
        with pytest.raises(SystemExit) as ended:
            main(["check", str(file), "--from-file", "--max-peak", str(limit), "--json"])
        assert ended.value.code == code
        assert json.loads(capsys.readouterr().out)["runtime"] == "onnxruntime-default"


def test_a_module_leads_with_pytorch() -> None:
    torch = pytest.importorskip("torch")
    report = memprof.analyze(torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.ReLU()), torch.zeros(2, 8))
    assert report.headline.runtime.name == "pytorch"


def test_a_recurrent_layer_is_exact_for_one_thread_alone(tmp_path: Path) -> None:
    layer = node("LSTM", ["x", "w", "r"], ["y"], hidden_size=8)
    weights = [weight("w", 1, 32, 4), weight("r", 1, 32, 8)]
    path = tmp_path / "m.onnx"
    path.write_bytes(
        model([layer], inputs=[tensor("x", [5, 1, 4])], outputs=["y"], initializers=weights).SerializeToString()
    )
    one, four = (memprof.analyze(path, threads=n).headline for n in (1, 4))
    assert (one.grade, four.grade) == ("exact", "estimate")
    assert four.lowered_by == ("LSTM with 4 threads",)


def test_the_process_is_a_sum_of_named_parts_with_its_error(file: Path) -> None:
    report = memprof.analyze(file, from_file=True)
    process = report.process
    assert process is not None
    assert process.size_bytes == sum(process.parts.values())
    assert 0 <= process.parts["inputs"] <= 16 * 24 * 24 * 4 + 4096  # what of it no hole takes, in whole pages
    assert list(process.parts)[-3:] == ["inputs", "first_run", "later_runs"]
    assert "median" in process.error
    document = report.to_json()
    assert document["process"]["bytes"] == process.size_bytes
    assert memprof.Report.from_json(document).process == process


def test_a_row_without_a_process_has_none(file: Path) -> None:
    assert memprof.analyze(file, runtimes=["reference"]).process is None
