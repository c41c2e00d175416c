"""Models on disk and two ways to run the program: in this process, and as a user does."""

from __future__ import annotations

import itertools
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from typing import Any

import onnx
import pytest
from click.testing import CliRunner
from onnx import TensorProto, helper

from memprof.cli import main
from tests.schemas import check_document


@dataclass(frozen=True)
class Outcome:
    """What a run of the program left behind."""

    code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        """The one document on stdout, which is what its schema says."""
        document = json.loads(self.stdout)
        check_document(document)
        return document


Run = Callable[..., Outcome]
_SEPARATE: dict[str, Any] = {"mix_stderr": False} if "mix_stderr" in signature(CliRunner).parameters else {}
"""Keeps stdout and stderr apart, which click does by itself from 8.2 on."""


@pytest.fixture
def run(no_tools: None) -> Run:
    """Run the program in this process."""

    def invoke(*arguments: str | Path) -> Outcome:
        result = CliRunner(**_SEPARATE).invoke(main, [str(argument) for argument in arguments])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return Outcome(result.exit_code, result.stdout, result.stderr)

    return invoke


@pytest.fixture
def run_process() -> Run:
    """Run the program as a user does: ``python -m memprof`` in a process of its own."""

    def invoke(*arguments: str | Path, env: dict[str, str] | None = None, cwd: Path | None = None) -> Outcome:
        done = subprocess.run(
            [sys.executable, "-m", "memprof", *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), **(env or {})},
            cwd=cwd,
        )
        return Outcome(done.returncode, done.stdout, done.stderr)

    return invoke


def write_space(path: Path) -> Path:
    """Write a whole space of six bits, in which what is larger is more accurate."""
    rng = random.Random(0)
    rows = ["code,accuracy,bytes"]
    for bits in itertools.product("01", repeat=6):
        ones = bits.count("1")
        rows.append(f"{''.join(bits)},{0.5 + 0.05 * ones + 0.05 * rng.random()},{100 * (1 + ones)}")
    path.write_text("\n".join(rows))
    return path


def write_chain(path: Path, ops: Sequence[str], shape: Sequence[int | str], names: Sequence[str] = ()) -> Path:
    """Write a chain of operations with one input and output each, all tensors float32 of ``shape``."""
    names = names or [f"t{i}" for i in range(len(ops) + 1)]
    nodes = [
        helper.make_node(op, [names[i]], [names[i + 1]], name=f"node_{i}", domain="" if op != "Strange" else "acme")
        for i, op in enumerate(ops)
    ]
    graph = helper.make_graph(
        nodes,
        "chain",
        [helper.make_tensor_value_info(names[0], TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(names[-1], TensorProto.FLOAT, shape)],
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("acme", 1)], ir_version=8
    )
    onnx.save(model, path)
    return path


def write_counting(path: Path) -> None:
    """Write a model whose data decide a size that has no bound: the largest of 250 numbers."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 250])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["found"])
    nodes = [
        helper.make_node("ReduceMax", ["x"], ["most"], axes=[1], keepdims=0),
        helper.make_node("Cast", ["most"], ["size"], to=TensorProto.INT64),
        helper.make_node("ConstantOfShape", ["size"], ["y"], name="find"),
    ]
    graph = helper.make_graph(nodes, "counting", [x], [y])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a model of which everything is known: three tensors of 1,000 bytes."""
    return write_chain(tmp_path_factory.mktemp("models") / "net.onnx", ["Relu", "Sigmoid"], [1, 250])


@pytest.fixture(scope="session")
def dynamic_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a model whose batch is open."""
    return write_chain(tmp_path_factory.mktemp("models") / "dynamic.onnx", ["Relu", "Sigmoid"], ["batch", 250])


def wider_mobilenet() -> Any:
    """Return MobileNetV2 with 1.4 times the channels: a factory, as a command line names it."""
    from torchvision.models import mobilenet_v2

    return mobilenet_v2(width_mult=1.4)
