"""What tools make of a file: each number is that of the file that its command writes; what is left out is said."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from onnx import helper, numpy_helper

import memprof
from memprof import Request
from memprof.api import helping
from memprof.api.helping import files, find_help
from memprof.measure import file_tools, file_tools_native
from memprof.measure.child import ProcessorTimeError
from memprof.measure.file_tools import FILE_TOOLS
from tests.onnx_models import model, node, tensor, weight

ALL = {"inputs", "int8", "float16", "batch_norm", "opset"}


def old_convolution(folder: Path) -> Path:
    """Write an old file as exporters did: its weights are graph inputs too, which keeps batch norms apart."""
    shapes = {"scale": [16], "bias": [16], "mean": [16], "variance": [16]}
    nodes = [
        node("Conv", ["x", "kernel"], ["c"], pads=[1, 1, 1, 1]),
        node("BatchNormalization", ["c", *shapes], ["n"]),
        node("Relu", ["n"], ["a"]),
        node("GlobalAveragePool", ["a"], ["p"]),
        node("Flatten", ["p"], ["f"]),
        node("MatMul", ["f", "wide"], ["y"]),
    ]
    weights = [weight("kernel", 16, 8, 3, 3), *(weight(name, *of) for name, of in shapes.items())]
    weights += [weight("wide", 16, 2000)]
    inputs = [tensor("x", [1, 8, 64, 64])] + [tensor(of.name, list(of.dims)) for of in weights]
    path = folder / "old.onnx"
    found = model(nodes, inputs=inputs, outputs=["y"], initializers=weights, opset=11)
    path.write_bytes(found.SerializeToString())
    return path


def test_a_file_that_is_another_by_now_is_not_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_tools, "_make", lambda *_: pytest.fail("another file was changed"))
    assert file_tools.changed_files(old_convolution(tmp_path), "0", ["int8"]) == {}


def heads(folder: Path) -> Path:
    """Write products with weights of one size that read the same, and a table that a node holds."""
    table = helper.make_node("Constant", [], ["table"], value=weight("table", 64, 32))
    wide = [node("MatMul", ["x", name], [f"{name}x"]) for name in "qkv"]
    rest = [
        table,
        node("Gather", ["table", "places"], ["places_x"], axis=0),
        node("Add", ["qx", "places_x"], ["q1"]),
        node("Add", ["kx", "places_x"], ["k1"]),
        node("Transpose", ["k1"], ["k2"], perm=[0, 2, 1]),
        node("MatMul", ["q1", "k2"], ["s"]),
        node("Softmax", ["s"], ["p"], axis=-1),
        node("MatMul", ["p", "vx"], ["y"]),
    ]
    rng = np.random.default_rng(7)
    weights = [numpy_helper.from_array(rng.normal(size=(32, 32)).astype(np.float32), name) for name in "qkv"]
    path = folder / "heads.onnx"
    inputs = [tensor("x", [1, 16, 32]), tensor("places", [16], 7)]
    path.write_bytes(model([*wide, *rest], inputs=inputs, outputs=["y"], initializers=weights).SerializeToString())
    return path


@pytest.mark.slow
@pytest.mark.default_session
def test_weights_of_one_size_are_quantised_each_with_a_scale_and_constants_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = heads(tmp_path)
    report = memprof.analyze(path)
    found = find_help(Request(source=str(path)), report)
    said = next(change for change in found.changes if change.what == "int8 weights")
    words = shlex.split(said.command)
    subprocess.run([sys.executable, *words[1:]], cwd=tmp_path, check=True, capture_output=True)
    after = memprof.analyze(tmp_path / "int8.onnx")
    weights = [of.model.parameter_bytes + of.model.foldable_constant_bytes for of in (report, after)]
    assert said.peak_bytes == after.peak_intermediate_bytes
    assert said.saved_weight_bytes == weights[0] - weights[1]


@pytest.mark.slow
@pytest.mark.default_session
def test_each_effect_is_that_of_the_file_which_its_command_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if version("onnxruntime").startswith("1.28."):
        pytest.skip("this onnxruntime crashes where it optimises the model in float16")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = old_convolution(tmp_path)
    request, report = Request(source=str(path)), memprof.analyze(path)
    found = find_help(request, report)
    assert found.skipped == ()
    assert {change.what for change in found.changes} | set(found.useless) >= {
        tool.what for tool in FILE_TOOLS.values()
    }
    headline = report.headline.runtime.name
    effects = {change.what: change for change in found.changes if change.runtime == headline}
    assert FILE_TOOLS["inputs"].what in effects
    weights = report.model.parameter_bytes + report.model.foldable_constant_bytes
    for tool in FILE_TOOLS.values():
        words = shlex.split(tool.command_for(str(path)))
        subprocess.run([sys.executable, *words[1:]], cwd=tmp_path, check=True, capture_output=True)
        after = memprof.analyze(tmp_path / tool.target)
        saved = (report.peak_intermediate_bytes or 0) - (after.peak_intermediate_bytes or 0)
        saved_weights = weights - after.model.parameter_bytes - after.model.foldable_constant_bytes
        change = effects.get(tool.what)
        if change is None:
            assert max(saved, saved + saved_weights) <= 0
        else:
            assert (change.saved_bytes, change.saved_weight_bytes) == (saved, saved_weights)
            assert change.peak_bytes == after.peak_intermediate_bytes


def test_what_could_not_be_made_is_said_and_made_the_next_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if version("onnxruntime").startswith("1.28."):
        pytest.skip("this onnxruntime crashes where it optimises the model in float16")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = old_convolution(tmp_path)
    request, report = Request(source=str(path)), memprof.analyze(path, runtimes=["reference"])
    with monkeypatch.context() as patch:
        patch.setattr(file_tools, "run_in_child", lambda *_, **__: {})
        skipped = find_help(request, report).skipped
    assert {(untried.what, untried.command) for untried in skipped} == {
        (tool.what, tool.command_for(str(path))) for tool in FILE_TOOLS.values()
    }
    later = find_help(request, report)
    assert later.skipped == ()
    monkeypatch.setattr(file_tools, "run_in_child", lambda *_, **__: pytest.fail("what was made is kept"))
    assert find_help(request, report) == later
    effects = {change.what: change for change in later.changes}
    assert effects["float16"].saved_bytes == (report.peak_intermediate_bytes or 0) // 2


def test_a_batch_norm_that_nothing_folds_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    names = ("scale", "bias", "mean", "variance")
    nodes = [
        node("Conv", ["x", "kernel"], ["c"], pads=[1, 1, 1, 1]),
        node("BatchNormalization", ["c", *names], ["n"]),
        node("GlobalAveragePool", ["n"], ["y"]),
    ]
    weights = [weight("kernel", 16, 1, 3, 3), *(weight(name, 16) for name in names)]
    path = tmp_path / "norm.onnx"
    found = model(nodes, inputs=[tensor("x", [1, 1, 64, 64])], outputs=["y"], initializers=weights)
    path.write_bytes(found.SerializeToString())
    report = memprof.analyze(path, runtimes=["reference"])
    effects = {change.what: change for change in find_help(Request(source=str(path)), report).changes}
    activation = 4 * 16 * 64 * 64
    assert report.peak_intermediate_bytes == 2 * activation
    assert effects["batch norms folded"].peak_bytes == activation + 4 * 64 * 64


def test_what_a_tool_refuses_is_asked_for_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = old_convolution(tmp_path)
    request, report = Request(source=str(path)), memprof.analyze(path, runtimes=["reference"])
    with monkeypatch.context() as patch:
        patch.setattr(file_tools, "run_in_child", lambda *_, **__: dict.fromkeys(ALL, "no"))
        assert find_help(request, report).skipped == ()
    digest = report.model.structure_sha256
    monkeypatch.setattr(file_tools, "run_in_child", lambda *_, **__: pytest.fail("it was refused before"))
    assert file_tools.changed_files(path, digest, sorted(ALL)) == dict.fromkeys(ALL)


def test_a_tool_that_takes_too_long_is_not_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    asked_for: list[list[str]] = []

    def late(task: str, arguments: Mapping[str, object], *_: object, **__: object) -> None:
        asked_for.append(list(arguments["names"]))  # type: ignore[call-overload] # names, as the task takes them
        raise ProcessorTimeError("late")

    path = old_convolution(tmp_path)
    digest = memprof.analyze(path, runtimes=["reference"]).model.structure_sha256
    monkeypatch.setattr(file_tools, "run_in_child", late)
    for _ in range(3):
        assert file_tools.changed_files(path, digest, ["int8", "float16"]) == {}  # named as not tried
    assert asked_for == [["int8", "float16"], ["float16"]]


def test_what_fails_on_a_full_disk_is_not_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit of files stands in for the disk; the words are onnxruntime's."""
    resource = pytest.importorskip("resource")

    def fail(*_: str) -> None:
        raise RuntimeError("Protobuf serialization failed.")

    monkeypatch.setattr(file_tools_native, "TOOLS", {"batch_norm": fail})
    monkeypatch.setattr("logging.disable", lambda: None)
    path = old_convolution(tmp_path)
    job = str(path), str(tmp_path), ["batch_norm"]
    assert file_tools_native.make_changes(*job) == {"batch_norm": "Protobuf serialization failed."}
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        with pytest.raises(OSError, match="large"):
            file_tools_native.make_changes(*job)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [found.name for found in tmp_path.iterdir()] == [path.name]


def test_only_what_is_within_reach_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    asked_for: list[list[str]] = []
    monkeypatch.setattr(files, "changed_files", lambda path, digest, names: asked_for.append([*names]) or {})
    monkeypatch.setattr(helping, "MAX_STEPS", 500)  # the libraries, and three tools on a file of six operations
    path = old_convolution(tmp_path)
    find_help(Request(source=str(path)), memprof.analyze(path, runtimes=["reference"]))
    assert asked_for[0] == ["inputs", "int8", "float16"]


def test_every_change_has_its_tool() -> None:
    assert file_tools_native.TOOLS.keys() == FILE_TOOLS.keys() == ALL


def test_a_tool_that_breaks_costs_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(source: str, target: str) -> None:
        raise RuntimeError("no")

    tools = {"first": breaks, "second": lambda source, target: Path(target).write_text(source)}
    monkeypatch.setattr(file_tools_native, "TOOLS", tools)
    monkeypatch.setattr(file_tools_native, "write_graph", lambda changed, draft: Path(draft).write_text(changed))
    assert file_tools_native.make_changes(__file__, str(tmp_path), ["first", "second"]) == {"first": "no"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["second.onnx", "second.session.onnx"]
