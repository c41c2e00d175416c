"""Ctrl-C inside of a planner: ``plan`` keeps the best so far, and what only asks for a plan ends as a whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from memprof.planning.offsets import solver
from memprof.planning.ordering import find
from tests.cli.conftest import Run
from tests.exporters.test_tflite_plan import two_arms
from tests.onnx_models import model, node, tensor


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


INSIDE = {"addresses": (solver._Run, "_run_greedies"), "orders": (find._Run, "_solve")}


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "net.tflite").write_bytes(two_arms())
    nodes = [node(op, ["x"], [op]) for op in ("Relu", "Exp")]
    proto = model([*nodes, node("Add", ["Relu", "Exp"], ["y"])], inputs=[tensor("x", ["batch", 64])], outputs=["y"])
    (tmp_path / "memprof.toml").write_text(
        '[[check.models]]\nsource = "net.onnx"\nmax-peak = 1\nruntime = "reference"\ndims = { batch = 1 }\n'
    )
    (tmp_path / "net.onnx").write_bytes(proto.SerializeToString())
    return tmp_path


@pytest.mark.parametrize("where", INSIDE)
@pytest.mark.parametrize(
    "line",
    [
        "analyze net.tflite",
        "boards net.tflite",
        "boards net.onnx --dim batch=1",
        "check net.tflite --board nucleo-h743zi",
        "check net.onnx --dim batch=1 --board nucleo-h743zi",
        "fit net.onnx --board nucleo-h743zi --dim batch",
        "check",
    ],
)
def test_what_asks_for_a_plan_ends_as_a_whole(
    files: Path, run: Run, monkeypatch: pytest.MonkeyPatch, line: str, where: str
) -> None:
    monkeypatch.chdir(files)
    monkeypatch.setattr(*INSIDE[where], interrupt)
    outcome = run(*line.split())
    assert (outcome.code, outcome.stderr.splitlines()[-1:]) == (130, ["error: Interrupted."]), outcome


@pytest.mark.parametrize("where", INSIDE)
@pytest.mark.parametrize("line", ["plan net.tflite -o new.tflite", "plan net.onnx --dim batch=1 -o new.onnx"])
def test_a_plan_keeps_the_best_so_far(
    files: Path, run: Run, monkeypatch: pytest.MonkeyPatch, line: str, where: str
) -> None:
    monkeypatch.chdir(files)
    monkeypatch.setattr(*INSIDE[where], interrupt)
    assert run(*line.split()).code == 0
    assert list(files.glob("new.*"))
