"""``memprof bench`` on a small model in a real onnxruntime, its bundle for a device, and what a device prints."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from memprof.base.errors import InputError
from memprof.cli import main
from memprof.measure.bundle import parse_result
from memprof.results.bench import Latency, percentile
from tests.cli.conftest import write_chain
from tests.schemas import check_document

PRINTED = """Session creation time cost: 0.133189 s
First inference time cost: 84 ms
Total inference time cost: 0.5 s
Average inference time cost: 12.5 ms
Peak working set size: 1048576 bytes
Min Latency: 0.0118 s
Max Latency: 0.0150 s
P50 Latency: 0.0122 s
P90 Latency: 0.0131 s
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    weight = numpy_helper.from_array(np.ones((8, 3, 3, 3), np.float32), "w")
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["x", "w"], ["c"], name="conv"),
            helper.make_node("Relu", ["c"], ["y"], name="relu"),
        ],
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 16, 16])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 8, 14, 14])],
        [weight],
    )
    path = tmp_path_factory.mktemp("bench") / "small.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), str(path))
    return path


def run(*arguments: str) -> int:
    return main.main(list(arguments), standalone_mode=False)


def test_json_has_the_fields_of_each_model(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("bench", str(model), str(model), "--runs", "4", "--warmup", "1", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    check_document(document)
    assert document["schema"] == "memprof/bench/2"
    first, second = document["models"]
    assert set(first["latency_ms"]) >= {"median", "p90", "min"}
    assert 0 < first["latency_ms"]["min"] <= first["latency_ms"]["median"] <= first["latency_ms"]["p90"]
    assert (first["threads"], first["runs"]) == (1, 4)
    assert first["measured_peak_bytes"] == second["measured_peak_bytes"] >= 8 * 14 * 14 * 4
    assert {operator["op"] for operator in first["operators"]} & {"Conv", "FusedConv"}


def test_text_starts_with_the_yardstick_and_ends_with_the_next_command(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("bench", str(model), "--runs", "2") == 0
    lines = capsys.readouterr().out.splitlines()
    assert "ms median" in lines[0]
    assert lines[-1] == f"Next: memprof verify {model}"
    assert all(len(line) <= 80 for line in lines[1:-1])


def test_the_next_command_asks_about_the_same_sizes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_chain(tmp_path / "open.onnx", ["Relu", "Sigmoid"], ["batch", 250])
    assert run("bench", str(path), "--dim", "batch=3", "--runs", "2") == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"Next: memprof verify {path} --dim batch=3"


def test_a_bundle_holds_model_inputs_and_a_script(model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "phone"
    assert run("bench", str(model), "--bundle", str(folder), "--runs", "7") == 0
    assert (folder / "model.onnx").read_bytes() == model.read_bytes()
    tensor = TensorProto.FromString((folder / "test_data_set_0" / "input_0.pb").read_bytes())
    assert (tensor.name, tuple(tensor.dims)) == ("x", (1, 3, 16, 16))
    script = (folder / "run.sh").read_text(encoding="utf-8")
    assert "-m times -r 7 -s" in script
    assert (folder / "run.sh").stat().st_mode & 0o100


def test_a_bundle_does_not_overwrite(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "kept").write_text("mine", encoding="utf-8")
    assert run("bench", str(model), "--bundle", str(tmp_path)) == 2
    assert "is not an empty folder" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_weights_outside_the_models_folder_are_not_followed(model: Path, tmp_path: Path) -> None:
    proto = onnx.load(str(model))
    tensor = proto.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../../etc/passwd")
    hostile = tmp_path / "hostile.onnx"
    hostile.write_bytes(proto.SerializeToString())
    assert run("bench", str(hostile), "--bundle", str(tmp_path / "phone")) == 2
    assert not (tmp_path / "phone").exists()


def with_weights_in(name: str, model: Path, folder: Path) -> Path:
    """Write a copy of ``model`` that keeps a weight in the file ``name`` beside it."""
    proto = onnx.load(str(model))
    tensor = proto.graph.initializer[0]
    (folder / name).write_bytes(tensor.raw_data)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=name)
    copy = folder / "net.onnx"
    copy.write_bytes(proto.SerializeToString())
    return copy


def test_a_neighbouring_file_that_is_no_file_of_weights_is_never_copied(model: Path, tmp_path: Path) -> None:
    net = with_weights_in("id_rsa", model, tmp_path)
    for flags in ((), ("--with-external-data",)):
        assert run("bench", str(net), "--bundle", str(tmp_path / "phone"), *flags) == 2
        assert not (tmp_path / "phone").exists()


def test_files_of_weights_are_copied_only_when_asked_for_and_named(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    net = with_weights_in("net.onnx.data", model, tmp_path)
    assert run("bench", str(net), "--bundle", str(tmp_path / "phone")) == 2
    assert "--with-external-data" in capsys.readouterr().err
    assert run("bench", str(net), "--bundle", str(tmp_path / "phone"), "--with-external-data") == 0
    assert "net.onnx.data" in capsys.readouterr().err
    assert (tmp_path / "phone" / "net.onnx.data").exists()


def test_no_model_is_a_usage_error() -> None:
    assert run("bench") == 2


@pytest.mark.parametrize("text", [PRINTED, PRINTED.replace("Latency: ", "Latency is ").replace(" s\n", " sec\n")])
def test_what_a_device_prints_is_read_in_both_spellings(text: str) -> None:
    found = parse_result(text, "result.txt")
    assert (found.median_ms, found.p90_ms, found.min_ms) == pytest.approx((12.2, 13.1, 11.8))
    assert found.peak_process_bytes == 1048576


def test_output_without_latencies_is_refused() -> None:
    with pytest.raises(InputError, match="P50 Latency"):
        parse_result("adb: device not found\n", "result.txt")


def test_figures_of_a_latency() -> None:
    found = Latency(version="", threads=1, runs_ms=(5.0, 1.0, 2.0, 3.0, 4.0), operators=())
    assert (found.median_ms, found.p90_ms, found.min_ms) == (3.0, 5.0, 1.0)
    assert found.spread == pytest.approx(4 / 3)
    assert percentile([7.0], 10) == 7.0
