"""The last line of what a command prints is a command that runs, and another one than was just run."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest
from onnx import TensorProto, helper, save

from tests.cli.conftest import Run, write_chain, write_counting
from tests.cli.test_fit_command import EVEN
from tests.tflite_models import chain

SITUATIONS: tuple[Any, ...] = (
    "analyze net.onnx",
    "analyze net.onnx -o a.png",
    "analyze net.onnx --why -o a.png",
    "analyze net.onnx --runtime paper --why -o a.png",
    "analyze net.onnx --runtime paper --runtime ideal --why -o a.png",
    "analyze dynamic.onnx --why -o a.png",
    "analyze dynamic.onnx --dim batch=2 --why -o a.png",
    "analyze open.onnx",
    "analyze report.json",
    "analyze report.json --why -o page.html",
    "analyze net.tflite --why -o a.png",
    "analyze dynamic.onnx --sweep batch=1..4",
    "analyze dynamic.onnx --sweep batch=1..4 -o sweep.svg",
    "fit dynamic.onnx --ram 1MB",
    "fit dynamic.onnx --ram 1B",
    pytest.param("analyze even.py:make --sweep resolution=8..12 -o sweep.svg", marks=pytest.mark.slow),
    pytest.param("analyze even.py:make --sweep batch=1..3 -o sweep.svg", marks=pytest.mark.slow),
    "plan net.onnx",
    "plan net.onnx --in-place",
    "plan table.csv",
    "compare report.json net.onnx",
    "check net.onnx --max-peak 1",
    "check open.onnx --max-peak 1MB",
    "boards net.tflite",
    "plan net.tflite",
    "plan net.tflite -o better.tflite",
    "verify net.onnx",
    "verify dynamic.onnx --dim batch=2 --runtime onnxruntime",
    "verify net.onnx --optimized",
    "bench net.onnx dynamic.onnx",
    pytest.param("analyze asks:make --run --why -o a.png", marks=pytest.mark.slow),
    pytest.param("verify asks:make --runtime pytorch", marks=pytest.mark.slow),
)


_ASKS = """
import torch


class Asks(torch.nn.Module):
    def forward(self, x):
        return x * 2 if bool((x > 0).all()) else x


def make():
    return Asks(), torch.ones(4)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("situations")
    write_chain(found / "net.onnx", ["Relu", "Sigmoid"], [1, 250])
    write_chain(found / "dynamic.onnx", ["Relu", "Sigmoid"], ["batch", 250])
    write_counting(found / "open.onnx")
    (found / "net.tflite").write_bytes(chain(4, 8, 4))
    (found / "asks.py").write_text(_ASKS)
    (found / "even.py").write_text(EVEN)
    (found / "table.csv").write_text("id,lower,upper,size\na,0,3,4\nb,2,5,4\n")
    return found


@pytest.mark.parametrize("situation", SITUATIONS)
def test_the_next_command_runs_and_is_another(
    run: Run, folder: Path, situation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    if "report.json" in situation and not Path("report.json").exists():
        run("analyze", "net.onnx", "-o", "report.json")
    words = shlex.split(situation)
    last = run(*words).stdout.splitlines()[-1]
    assert last.startswith("Next: memprof ")
    following = shlex.split(last)[2:]
    assert following != words
    done = run(*following)
    assert done.code == 0, f"{shlex.join(following)}\n{done.stderr}"


def test_what_no_flag_settles_leads_to_no_plan(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [4] if name == "x" else None) for name in "xy")
    graph = helper.make_graph([helper.make_node("Mine", ["x"], ["y"], domain="mine")], "any", [x], [y])
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), "any.onnx")
    last = run("analyze", "any.onnx", "--why", "-o", "a.png").stdout.splitlines()[-1]
    assert last.startswith("Next: memprof check any.onnx --max-peak ")
    assert run(*shlex.split(last)[2:]).code == 4
