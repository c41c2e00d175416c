"""``memprof completion``: scripts for shells, values for flags, and the man page."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
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


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_values_are_completed_in_the_other_shells_too(run_process: Run, shell: str, dynamic_model: Path) -> None:
    def offered(words: str, begun: str = "") -> set[str]:
        # zsh is told which word it is in, fish the text that it starts with.
        at = {"zsh": str(len(words.split())), "fish": begun}[shell]
        env = {"_MEMPROF_COMPLETE": f"{shell}_complete", "COMP_WORDS": f"{words} {begun}", "COMP_CWORD": at}
        lines = run_process(env=env).stdout.splitlines()
        # zsh: type, value, help, a line each; fish: type, value, help lie behind commas, tabs or line breaks.
        return set(lines[1::3]) if shell == "zsh" else {re.split(r"[,\t]", line)[1] for line in lines if "," in line}

    assert offered("memprof analyze --runtime") == set(RUNTIMES)
    assert "nucleo-h743zi" in offered("memprof analyze --board", "nucleo")
    assert all(name.startswith("nucleo") for name in offered("memprof analyze --board", "nucleo"))
    assert offered(f"memprof analyze {dynamic_model} --dim") == {"batch="}
    assert offered("memprof plan model.onnx --format", "po") == {"poster"}


# What a shell's script does once the shell has the words: fish says it itself, zsh's own functions are stood in for.
_ASKED = {
    "fish": "source script; complete -C 'memprof {words}'",
    "zsh": """
        compdef() {{ : }}
        compadd() {{ print -rl -- $completions }}
        _describe() {{ print -rl -- $completions_with_descriptions }}
        source ./script
        words=(memprof {words})
        CURRENT=$#words
        _memprof_completion
    """,
}


@pytest.mark.parametrize("shell", sorted(_ASKED))
def test_the_script_offers_the_values_in_the_shell_itself(
    run: Run, shell: str, dynamic_model: Path, tmp_path: Path
) -> None:
    if not shutil.which(shell):
        pytest.skip(f"there is no {shell} here")
    (tmp_path / "script").write_text(run("completion", shell).stdout)
    env = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    for words, offered in (
        ("analyze --board nucleo-h7", "nucleo-h743zi"),
        (f"fit {dynamic_model} --dim ba", "batch="),
    ):
        command = [shell, "-c", _ASKED[shell].format(words=words)]
        done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=True)
        assert [re.split(r"[\t:]", line)[0] for line in done.stdout.split("\n") if line] == [offered]


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
