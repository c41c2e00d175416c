"""A runtime model is added by one file and one row: a copy of the package gets one, and every command takes it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import onnx
import pytest

import memprof
from tests import onnx_models

REPOSITORY = Path(__file__).parents[2]

TOY = '''"""toy: as reference, and every operation takes twelve bytes more while it runs."""

from collections.abc import Sequence
from dataclasses import replace

from memprof.analysis import Lifetimes
from memprof.ir import Graph
from memprof.runtimes.model import Ordering, RuntimeModel
from memprof.runtimes.reference import reference_lifetimes


def toy_lifetimes(graph: Graph, order: Sequence[int] | None = None) -> Lifetimes:
    """Return the lifetimes of ``graph``, its nodes in ``order``."""
    found = reference_lifetimes(graph, order)
    reserved = found.reserved or (0,) * len(found.schedule.steps)
    return replace(found, reserved=tuple(size + 12 for size in reserved))


MODEL = RuntimeModel(
    name="toy",
    definition="as reference, and every operation takes twelve bytes more while it runs",
    summary="twelve bytes more",
    best_grade="estimate",
    counts_inputs=True,
    lifetimes=toy_lifetimes,
    ordering=Ordering(
        bound="memprof.planning.ordering.kinds:reference_problem",
        related=("memprof.planning.ordering.kinds:reference_problem",),
    ),
)
'''

CONTRACT = """from memprof.runtimes import RUNTIMES
from tests.contracts.runtime import RuntimeContract


class TestToy(RuntimeContract):
    row = RUNTIMES["toy"]
"""

BUDGET = """
from memprof.nas.space.budget import Budget
from memprof.nas.space.screening import measure
from tests.nas.networks import random_network
network = random_network(0)
plain, toy = (measure(network, Budget(runtime=name)).peak_intermediate_bytes for name in ("reference", "toy"))
print(toy - plain)
"""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a copy of the package that has the toy, and a model."""
    folder = tmp_path_factory.mktemp("house")
    package = Path(memprof.__file__).parent
    shutil.copytree(package, folder / "memprof", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "memprof/runtimes/toy").mkdir()
    (folder / "memprof/runtimes/toy/__init__.py").write_text(TOY)
    table = folder / "memprof/runtimes/__init__.py"
    text = table.read_text()
    assert "\n_ROWS = (\n" in text
    table.write_text(
        text.replace("\n_ROWS = (\n", "\nfrom memprof.runtimes import toy\n\n_ROWS = (\n    toy.MODEL,\n")
    )
    (folder / "test_toy.py").write_text(CONTRACT)
    onnx.save(two_branches(), str(folder / "model.onnx"))
    return folder


def two_branches() -> onnx.ModelProto:
    """Return x -> two wide branches, each narrowed and then joined: listed badly, both wide ones first."""
    nodes = [onnx_models.node("Concat", ["x", "x", "x", "x"], [f"wide{i}"], axis=0) for i in (0, 1)]
    nodes += [onnx_models.node("ReduceSum", [f"wide{i}"], [f"thin{i}"], keepdims=1) for i in (0, 1)]
    nodes.append(onnx_models.node("Add", ["thin0", "thin1"], ["y"]))
    return onnx_models.model(nodes, inputs=[onnx_models.tensor("x", (100,))], outputs=["y"])


def run(house: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run Python on the copy."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(house), str(REPOSITORY)))}
    return subprocess.run(
        [sys.executable, *words],
        capture_output=True,
        text=True,
        check=False,
        cwd=house,
        env=environment,
        timeout=600,
    )


def test_analyze_shows_it(house: Path) -> None:
    words = ("-m", "memprof", "analyze", "model.onnx", "--runtime", "toy", "--runtime", "reference", "--json")
    done = run(house, *words)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)["runtimes"]
    assert list(found) == ["toy", "reference"]
    assert found["toy"]["peak_intermediate_bytes"] == found["reference"]["peak_intermediate_bytes"] + 12
    assert found["toy"]["grade"] == "estimate"


def test_plan_orders_for_it(house: Path) -> None:
    done = run(house, "-m", "memprof", "plan", "model.onnx", "--runtime", "toy", "--json")
    assert done.returncode == 0, done.stderr
    plan = json.loads(done.stdout)
    assert plan["runtime"] == "toy"
    assert plan["order"]["peak_before_bytes"] == 400 + 1600 + 1600 + 12
    assert plan["order"]["peak_bytes"] == 400 + 4 + 1600 + 12


def test_check_judges_it(house: Path) -> None:
    words = ("-m", "memprof", "check", "model.onnx", "--runtime", "toy", "--max-peak")
    assert run(house, *words, "3612").returncode == 0
    assert run(house, *words, "3611").returncode == 1


def test_a_search_takes_it_for_its_budget(house: Path) -> None:
    done = run(house, "-c", BUDGET)
    assert done.stdout.strip() == "12", done.stderr


def test_verify_says_that_nothing_runs_it_and_help_names_it(house: Path) -> None:
    done = run(house, "-m", "memprof", "verify", "model.onnx", "--runtime", "toy")
    assert done.returncode == 2
    assert "nothing to verify 'toy'" in done.stderr
    assert "toy" in run(house, "-m", "memprof", "plan", "--help").stdout


def test_the_contract_holds_for_it_by_a_subclass_of_two_lines(house: Path) -> None:
    done = run(house, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(house), "test_toy.py")
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout
