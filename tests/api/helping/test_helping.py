"""What would help: each effect is that of the model evaluated so, the largest first; each command runs."""

from __future__ import annotations

import itertools
import json
import shlex
import time
from dataclasses import replace
from pathlib import Path

import pytest
from onnx import ModelProto

import memprof
from memprof import Report, Request
from memprof.api import helping
from memprof.api.helping import find_help
from memprof.results.helped import Untried
from tests.cli.conftest import Run
from tests.onnx_models import model, node, tensor, weight


def written(folder: Path, found: ModelProto) -> Path:
    path = folder / "net.onnx"
    path.write_bytes(found.SerializeToString())
    return path


def asked(path: Path, **arguments: object) -> tuple[Request, Report]:
    request = Request(source=str(path), **arguments)  # type: ignore[arg-type]
    return request, memprof.analyze(request, runtimes=["reference"])


def images() -> ModelProto:
    nodes = [node("Relu", ["x"], ["a"]), node("Sigmoid", ["a"], ["y"])]
    return model(nodes, inputs=[tensor("x", ["batch", 3, "height", "width"])], outputs=["y"])


def branches() -> ModelProto:
    """Return two branches from one input whose listed order keeps both wide tensors."""
    nodes = []
    for name in "ab":
        nodes += [node("MatMul", ["x", "wide"], [f"{name}1"])]
    for name in "ab":
        nodes += [node("MatMul", [f"{name}1", "narrow"], [f"{name}2"])]
    nodes += [node("Add", ["a2", "b2"], ["y"])]
    weights = [weight("wide", 10, 1000), weight("narrow", 1000, 10)]
    return model(nodes, inputs=[tensor("x", [1, 10])], outputs=["y"], initializers=weights)


def test_smaller_sizes_are_evaluated_and_the_largest_effect_comes_first(tmp_path: Path) -> None:
    path = written(tmp_path, images())
    request, report = asked(path, dims={"batch": 8, "height": 128, "width": 128})
    changes = find_help(request, report).changes
    assert [change.what for change in changes] == ["batch 1", "half the height and width"]
    smaller = [
        memprof.analyze(path, dims=dims, runtimes=["reference"]).peak_intermediate_bytes
        for dims in ({"batch": 1, "height": 128, "width": 128}, {"batch": 8, "height": 64, "width": 64})
    ]
    assert [change.peak_bytes for change in changes] == smaller
    assert [change.saved_bytes for change in changes] == [
        (report.peak_intermediate_bytes or 0) - (peak or 0) for peak in smaller
    ]


def test_another_order_is_the_one_that_plan_finds(tmp_path: Path, no_tools: None) -> None:
    path = written(tmp_path, branches())
    change = next(change for change in find_help(*asked(path)).changes if change.runtime == "reference")
    order = memprof.plan(path).order
    assert order is not None
    assert (change.what, change.peak_bytes) == ("another order", order.peak_bytes)
    assert change.saved_bytes == order.before_bytes - order.peak_bytes > 0


def test_a_plan_is_told_the_sizes_that_were_assumed(tmp_path: Path, no_tools: None, run: Run) -> None:
    found = branches()
    found.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "batch"
    change = next(
        change for change in find_help(*asked(written(tmp_path, found))).changes if "plan" in change.command
    )
    words = shlex.split(change.command)
    assert words[-2:] == ["--dim", "batch=1"]
    words[words.index("better.onnx")] = str(tmp_path / "better.onnx")
    assert run(*words[1:]).code == 0  # plan assumes no sizes


def test_less_than_a_hundredth_is_no_help(tmp_path: Path, no_tools: None, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, branches())
    monkeypatch.setattr(helping, "_LEAST", 0.9)
    assert find_help(*asked(path)).useless == ("another order", "operations in place")


def test_a_search_that_is_interrupted_ends_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from memprof.planning.ordering import find

    order = find.find_order
    interrupted = lambda *arguments: replace(order(*arguments), ending="interrupted")  # noqa: E731
    monkeypatch.setattr(find, "find_order", interrupted)
    with pytest.raises(KeyboardInterrupt):
        find_help(*asked(written(tmp_path, branches())))


def test_operations_in_place_are_those_that_plan_counts(tmp_path: Path, no_tools: None) -> None:
    nodes = [node("MatMul", ["x", "wide"], ["a"]), node("Relu", ["a"], ["r"]), node("ReduceMax", ["r"], ["y"])]
    path = written(
        tmp_path, model(nodes, inputs=[tensor("x", [1, 10])], outputs=["y"], initializers=[weight("wide", 10, 1000)])
    )
    (change,) = find_help(*asked(path)).changes
    assert (change.what, change.saved_bytes) == ("operations in place", 3960)  # 40 of the input stay beside it
    order = memprof.plan(path, in_place=True, keep_order=True).order
    assert order is not None
    assert change.peak_bytes == order.peak_bytes


def test_what_helps_nothing_is_said_to(tmp_path: Path, no_tools: None) -> None:
    path = written(tmp_path, model([node("Relu", ["x"], ["y"])], inputs=[tensor("x", [4])], outputs=["y"]))
    assert find_help(*asked(path)) == helping.Helped(useless=("another order", "operations in place"))


def test_a_large_file_is_skipped_and_said_so(tmp_path: Path, monkeypatch: object) -> None:
    path = written(tmp_path, branches())
    request, report = asked(path)
    monkeypatch.setattr(helping, "_MOST_NODES", 1)  # type: ignore[attr-defined]
    (untried,) = find_help(request, report).skipped
    assert untried == Untried("a large model: changes are not tried", f"memprof plan {path}")
    assert find_help(Request(source=str(path), from_file=True), report) == helping.Helped()


def test_the_command_shows_each_with_a_command_that_runs(run: Run, tmp_path: Path, monkeypatch: object) -> None:
    path = written(tmp_path, images())
    monkeypatch.chdir(tmp_path)  # type: ignore[attr-defined]
    flags = ["--dim", "batch=2", "--dim", "height=64", "--dim", "width=64"]
    shown = run("analyze", path, *flags).stdout
    assert "What would help" in shown
    document = run("analyze", path, *flags, "--json").json
    assert [change["what"] for change in document["help"]] == ["half the height and width", "batch 1"]
    for change in document["help"]:
        done = run(*shlex.split(change["command"])[1:], "--json")
        assert json.loads(done.stdout)["runtimes"]["reference"]["peak_intermediate_bytes"] == change["peak_bytes"]


def test_a_check_that_is_over_says_it_too(run: Run, tmp_path: Path) -> None:
    path = written(tmp_path, images())
    flags = ["--dim", "batch=2", "--dim", "height=64", "--dim", "width=64"]
    over = run("check", path, *flags, "--max-peak", "1kB")
    assert over.code == 1
    assert "What would help\n  half the height and width: " in over.stdout
    document = run("check", path, *flags, "--max-peak", "1kB", "--json").json
    assert [change["what"] for change in document["help"]] == ["half the height and width", "batch 1"]
    assert "help" not in run("check", path, *flags, "--max-peak", "1GB", "--json").json
    assert "help" not in run("check", path, *flags, "--max-weights", "1B", "--json").json


_HALVED = """
import torch


def make():
    return torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU())
"""


def test_a_named_module_is_asked_for_at_other_sizes(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    (tmp_path / "net.py").write_text(_HALVED)
    request = Request(source=f"{tmp_path / 'net.py'}:make", inputs={"": (4, 3, 64, 64)})
    report = memprof.analyze(request)
    changes = find_help(request, report).changes
    assert [change.what for change in changes] == [
        "half the height and width",
        "batch 1",
        "weights and activations in bfloat16",
    ]
    assert changes[1].peak_bytes * 4 == report.peak_intermediate_bytes
    assert changes[1].command.endswith("net.py:make --input 1x3x64x64")
    assert changes[2].peak_bytes * 2 == report.peak_intermediate_bytes
    assert changes[2].command.endswith("net.py:make --input 4x3x64x64 --precision bfloat16")


_WIDE = """
import torch


def make():
    return torch.nn.Linear(512, 512), torch.zeros(1, 512)
"""


def test_a_training_step_is_asked_for_with_less_state_of_its_optimiser(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    (tmp_path / "net.py").write_text(_WIDE)
    request = Request(source=f"{tmp_path / 'net.py'}:make", training=memprof.Training("adam"))
    report = memprof.analyze(request)
    found = {change.what: change for change in find_help(request, report).changes}
    parameters = 512 * 513 * 4
    for name in ("momentum", "sgd"):
        change = found[f"the optimiser {name}"]
        other = memprof.analyze(replace(request, training=memprof.Training(name)))
        assert change.peak_bytes == other.peak_intermediate_bytes
        assert change.saved_bytes >= parameters
    half = found["weights and activations in bfloat16"]
    assert half.saved_weight_bytes == parameters // 2
    assert half.command.endswith("net.py:make --optimizer adam --precision bfloat16")
    assert half.peak_bytes == memprof.analyze(replace(request, precision="bfloat16")).peak_intermediate_bytes


def test_what_would_take_too_long_is_named_with_the_command_that_tries_it(
    tmp_path: Path, run: Run, no_tools: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path, images())
    monkeypatch.chdir(tmp_path)
    request, report = asked(path, dims={"batch": 8, "height": 64, "width": 64})
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    everything = find_help(request, report)
    changes = {change.what: change for change in everything.changes}
    monkeypatch.setattr(helping, "MAX_STEPS", 20)  # one evaluation of two operations
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "another"))
    found = find_help(request, report)
    assert [change.what for change in found.changes] == ["batch 1"]
    assert [untried.what for untried in found.skipped] == [
        "half the height and width",
        "another order",
        "operations in place",
    ]
    assert found.skipped[0].command == changes["half the height and width"].command
    for untried in found.skipped:
        assert run(*shlex.split(untried.command)[1:]).code == 0
    shown = run("analyze", path, "--dim", "batch=8", "--dim", "height=64", "--dim", "width=64").stdout
    assert f"  Not tried: another order\n    {found.skipped[1].command}\n" in shown


def test_no_clock_decides_what_is_tried(tmp_path: Path, no_tools: None, monkeypatch: pytest.MonkeyPatch) -> None:
    found = asked(written(tmp_path, branches()))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    before = find_help(*found)
    seconds = itertools.count(step=1e6)
    for clock in ("process_time", "perf_counter", "monotonic"):
        monkeypatch.setattr(time, clock, lambda: next(seconds))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "another"))
    assert find_help(*found) == before
    assert before.changes
