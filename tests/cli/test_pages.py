"""``-o report.html`` of every command that has a page, and what is refused before the work."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run


def test_every_command_writes_its_page(run: Run, model: Path, tmp_path: Path) -> None:
    for words in (("plan", model), ("compare", model, model), ("verify", model), ("analyze", model)):
        target = tmp_path / f"{words[0]}.html"
        found = run(*words, "-o", target)
        assert (found.code, found.stderr.splitlines()[-1]) == (0, f"wrote {target}")
        assert f'"made by","memprof {words[0]} {model}' in target.read_text()
        redacted = run(*words, "--redact-names", "-o", target)
        assert redacted.code == 0
        assert model.name not in target.read_text()


@pytest.mark.parametrize("command", ["compare", "verify"])
def test_what_cannot_be_written_is_said_before_the_work(run: Run, model: Path, tmp_path: Path, command: str) -> None:
    models = [model] * (2 if command == "compare" else 1)
    wrong = run(command, *models, "-o", tmp_path / "page.xyz")
    assert (wrong.code, wrong.stdout) == (2, "")
    assert "Choose: .html .json" in wrong.stderr
    assert run(command, *models, "--redact-names").code == 2
    assert run(command, *models, "-o", tmp_path / "found.json").code == 0
    assert json.loads((tmp_path / "found.json").read_text())["schema"].startswith("memprof/")
