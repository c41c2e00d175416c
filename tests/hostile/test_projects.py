"""A ``memprof.toml`` and its baseline from a stranger: each ends in an answer or one sentence, and nothing else."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path

import pytest

from memprof.base.errors import MemprofError
from memprof.base.units import format_bytes
from memprof.cli import main
from memprof.gate.config import read_config
from tests.cli.conftest import write_chain
from tests.hostile.attack import SECONDS, attack
from tests.hostile.documents import spoil_toml
from tests.hostile.test_search_folders import unprintable

CODES = range(6)
PROJECT = """
[check]
baseline = "memory.json"
[[check.models]]
source = "net.onnx"
max-peak = "1MB"
max-growth = "5%"
dims = { batch = 2 }
runtime = "reference"
"""
EVIL = '"pwned\\u001b[31m\\u202e\\n## pwned"'
VALUES = (
    *(
        "9" * 400,
        "-" + "9" * 400,
        "1e999",
        "inf",
        "nan",
        "-1",
        "0",
        "true",
        '""',
        "[]",
        "{}",
        EVIL,
        '"' + "a" * 10**6 + '"',
    ),
    *('"/dev/zero"', '"../outside.json"', '"../../../etc/passwd"', '"-o"', '"--help"', "[" * 5000 + "]" * 5000),
    *(
        "[" + "1," * 200_000 + "]",
        "{ a = { b = { c = 1 } } }",
        '"\\ud800"',
        "1979-05-27",
        '"=1+1"',
        '"*.onnx"',
        '"//"',
    ),
)


ODD = (
    *(value for value in VALUES if len(value) < 1000),
    *(f'"{text}"' for text in ("\\u0000", "a\\u0000b", "9" * 5000 + "%", "9" * 5000, "1.%", ".%", "9" * 30 + "TiB")),
)
KEYS = (
    *("source", "name", "runtime", "dims", "inputs", "training", "optimizer", "device", "optimized", "max-peak"),
    *("max-params", "max-weights", "max-total", "max-growth", "board", "margin", "informational", "baseline"),
)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project beside a file of the user's."""
    (tmp_path / "outside.json").write_text("mine")
    folder = tmp_path / "project"
    folder.mkdir()
    write_chain(folder / "net.onnx", ["Relu"], ["batch", 64])
    return folder


def test_the_project_that_nobody_spoilt_is_fine(project: Path) -> None:
    (project / "memprof.toml").write_text(PROJECT)
    jobs = [["check", "--update-baseline"], ["check", "--json"]]
    assert [answer.code for answer in attack(project, jobs)] == [0, 0]


def test_a_hostile_project_ends_in_an_answer_or_a_refusal(project: Path) -> None:
    """A hundred and twenty of them; every tenth is asked to write its baseline, too."""
    whole = project / "memprof.toml"
    whole.write_text(PROJECT)
    attack(project, [["check", "--update-baseline"]])
    jobs = []
    for i in range(120):
        folder = project.parent / str(i)
        folder.mkdir()
        for name in ("net.onnx", "memory.json"):
            (folder / name).write_bytes((project / name).read_bytes())
        (folder / "memprof.toml").write_text(spoil_toml(PROJECT, random.Random(i), VALUES))
        more = ["--update-baseline"] if i % 10 == 0 else [["--json"], ["--format", "github"], []][i % 3]
        jobs.append(["check", "--config", str(folder / "memprof.toml"), *more])

    answers = attack(project.parent, jobs)

    for i, answer in enumerate(answers):
        assert answer.code in CODES, f"{i}: {answer.stderr[-600:]}"
        assert answer.seconds < SECONDS, i
        assert not unprintable(answer.stdout + answer.stderr), i
        if "--json" in jobs[i]:
            json.loads(answer.stdout, parse_constant=pytest.fail)
    assert (project.parent / "outside.json").read_text() == "mine"
    assert {0, 2} <= {answer.code for answer in answers}


@pytest.mark.parametrize("key", KEYS)
def test_a_key_with_any_odd_value_is_read_or_refused(project: Path, key: str) -> None:
    """What is read can be used: a limit has a size that can be shown, a path can be asked for."""
    path = project / "memprof.toml"
    refused = 0
    for value in ODD:
        keys = {"source": '"net.onnx"', "max-peak": '"1MB"', key: value}
        baseline = f"baseline = {keys.pop('baseline')}\n" if "baseline" in keys else ""
        lines = [f"{name} = {said}" for name, said in keys.items()]
        path.write_text("\n".join([f"[check]\n{baseline}[[check.models]]", *lines]), encoding="utf-8")
        try:
            found = read_config(path)
        except MemprofError:
            refused += 1
            continue
        (model,) = found.models
        for size in (model.budgets.peak, model.budgets.params, model.budgets.weights, model.budgets.total):
            format_bytes(size or 0)
            assert (size or 0) < 2**63
        format_bytes(model.margin_bytes)
        os.fsencode(model.request.source), os.fsencode(found.baseline)
        assert "\0" not in f"{model.request.source}{found.baseline}{model.name}"
    assert refused > len(ODD) / 2


@pytest.mark.parametrize(
    "content", ["9" * 400, "[" * 100_000, "null", '{"models": []}', '{"schema": "memprof/baseline/1"}']
)
def test_a_baseline_that_nobody_saved_is_refused(
    project: Path, content: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    (project / "memprof.toml").write_text(PROJECT)
    (project / "memory.json").write_text(content)

    assert main.main(["check"], standalone_mode=False) in (2, 3)
    assert capsys.readouterr().err.startswith("error: ")


@pytest.mark.parametrize("name", ["memprof.toml", "memory.json"])
def test_a_project_that_is_no_plain_file_is_refused_at_once(project: Path, name: str) -> None:
    (project / "memprof.toml").write_text(PROJECT)
    (project / name).unlink(missing_ok=True)
    (project / name).symlink_to("/dev/zero")

    (answer,) = attack(project, [["check"]])

    assert answer.code in (2, 3), answer.stderr
    assert answer.seconds < SECONDS / 2
