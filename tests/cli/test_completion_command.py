"""``memprof completion``: scripts for shells, values for flags, and the man page."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from memprof.cli import COMMANDS
from memprof.runtimes import RUNTIMES
from tests.cli.conftest import Run


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_script_is_one_that_its_shell_reads(run: Run, shell: str, tmp_path: Path) -> None:
    found = run("completion", shell)
    assert found.code == 0
    assert "_MEMPROF_COMPLETE" in found.stdout
    if shutil.which(shell):
        (tmp_path / "script").write_text(found.stdout)
        assert subprocess.run([shell, "-n", str(tmp_path / "script")], check=False).returncode == 0


def completed(run_process: Run, words: str) -> list[str]:
    """Return what bash would offer for the last of ``words``."""
    env = {"_MEMPROF_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split(" ")) - 1)}
    lines = run_process(env=env).stdout.splitlines()
    return [line.partition(",")[2] for line in lines if line]


def test_commands_flags_and_values_are_completed(run_process: Run, model: Path, dynamic_model: Path) -> None:
    assert completed(run_process, "memprof com") == ["compare", "completion"]
    assert "--runtime" in completed(run_process, "memprof analyze --r")
    assert set(completed(run_process, "memprof analyze --runtime ")) == set(RUNTIMES)
    assert completed(run_process, "memprof analyze --runtime pa") == ["paper"]
    assert "nucleo-h743zi" in completed(run_process, "memprof analyze --board nucleo")
    assert completed(run_process, f"memprof analyze {dynamic_model} --dim ") == ["batch="]
    assert completed(run_process, f"memprof analyze {model} --dim ") == []
    assert completed(run_process, "memprof analyze gone.onnx --dim ") == []


@pytest.mark.parametrize(
    ("shell", "words"),
    [
        ("zsh", {"COMP_WORDS": "memprof analyze --runtime ", "COMP_CWORD": "3"}),
        ("fish", {"COMP_WORDS": "memprof analyze --runtime ", "COMP_CWORD": ""}),
    ],
)
def test_values_are_completed_in_the_other_shells_too(run_process: Run, shell: str, words: dict[str, str]) -> None:
    offered = run_process(env={"_MEMPROF_COMPLETE": f"{shell}_complete", **words}).stdout
    assert all(name in offered for name in RUNTIMES)


def test_the_man_page_has_every_command_with_its_flags_and_all_exit_codes(run: Run) -> None:
    page = run("completion", "man").stdout
    for name in COMMANDS:
        assert f'.SS "memprof {name} ' in page
    assert '.SS "memprof nas search ' in page
    assert ".B \\-\\-max\\-peak BYTES" in page
    assert page.count("\n.TP\n.B ") > 100
    assert not [line for line in page.splitlines() if line.startswith("'")]


def test_the_man_page_is_one_that_man_reads(run: Run) -> None:
    if not shutil.which("groff"):
        pytest.skip("there is no groff here")
    page = run("completion", "man").stdout
    done = subprocess.run(["groff", "-man", "-Tutf8", "-ww"], input=page, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
