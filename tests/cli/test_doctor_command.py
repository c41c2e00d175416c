"""``memprof doctor``: every dependency of the project, with its version or how to get it."""

from __future__ import annotations

import tomllib
from importlib import metadata
from pathlib import Path

import pytest

from memprof.base import distribution
from tests.cli.conftest import Run

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]


def test_it_knows_every_base_dependency_and_every_extra(run: Run) -> None:
    found = run("doctor", "--json").json
    assert found["schema"] == "memprof/doctor/1"
    assert set(found["base"]) == {requirement.split(">")[0] for requirement in PROJECT["dependencies"]}
    assert found["base"]["click"] == metadata.version("click")
    extras = {name for name, brings in PROJECT["optional-dependencies"].items() if brings}
    assert set(found["extras"]) == extras - {"all", "dev", "docs"}
    assert {"torch", "torchvision", "scikit-learn"} <= set(found["extras"]["nas"]["distributions"])


def test_what_is_missing_comes_with_the_command_that_brings_it(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        if name == "numba":
            raise metadata.PackageNotFoundError(name)
        return "1.0"

    monkeypatch.setattr(metadata, "version", version)
    command = distribution.install_command("solver")
    lines = run("doctor").stdout.splitlines()
    at = lines.index("solver        numba           missing")
    assert lines[at + 1].strip() == command
    assert lines[-1] == "Next: memprof analyze --help", "numba serves the planner alone"
    assert run("doctor", "--json").json["extras"]["solver"] == {
        "is_complete": False,
        "distributions": {"numba": None},
        "install": command,
    }


def test_the_next_command_brings_one_extra_and_not_all(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        if name in {"numba", "torch", "ray"}:
            raise metadata.PackageNotFoundError(name)
        return "1.0"

    monkeypatch.setattr(metadata, "version", version)
    assert run("doctor").stdout.splitlines()[-1] == f"Next: {distribution.install_command('torch')}"


def test_a_missing_base_dependency_is_the_exit_code_of_a_missing_extra(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("memprof.cli.doctor.requirements", lambda: ["no-such-distribution>=1"])
    found = run("doctor")
    assert found.code == 5
    assert "base          no-such-distribution missing" in found.stdout
    assert found.stdout.splitlines()[-1] == f"Next: {distribution.install_command()}"


def test_without_metadata_it_still_answers(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    known = run("doctor", "--json").json
    monkeypatch.setattr(distribution, "_find_metadata", lambda: None)
    bare = run("doctor", "--json").json
    assert {extra: set(found["distributions"]) for extra, found in bare["extras"].items()} == {
        extra: set(found["distributions"]) for extra, found in known["extras"].items()
    }
    assert set(bare["base"]) == set(known["base"])
