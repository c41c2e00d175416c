"""What a CI system is given: the workflow, the action, the hooks, and the versions of Python that are claimed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path

import pytest

from tests.cli.conftest import write_chain

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
VERSIONS = [text.rpartition(" ")[2] for text in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", text)]


def text_of(name: str) -> str:
    return (ROOT / name).read_text()


def test_the_workflow_runs_make_test_on_every_python_that_is_claimed() -> None:
    workflow = text_of(".github/workflows/test.yml")
    assert re.findall(r'"(3\.\d+)"', workflow) == VERSIONS
    assert "make test PYTHON=python${{ matrix.python }}" in workflow
    assert PROJECT["requires-python"] == f">={VERSIONS[0]}"


def test_the_weekly_workflow_runs_the_tests_that_make_test_leaves_out() -> None:
    workflow, makefile = text_of(".github/workflows/slow.yml"), text_of("Makefile")
    assert "- run: make slow\n" in workflow
    assert "    - cron:" in workflow
    run = r"^{}:[^\n]*\n\t\$\(BIN\)/python -m pytest -n 2 --dist loadfile{}$"
    assert re.search(run.format("test", ""), makefile, re.MULTILINE)
    assert re.search(
        run.format("slow", ' -m "slow or not slow" --hypothesis-profile=thorough'), makefile, re.MULTILINE
    )
    assert "-m 'not slow'\"" in text_of("pyproject.toml")


def test_the_hook_before_a_commit_is_the_first_part_of_make_test() -> None:
    assert "entry: make lint" in text_of(".pre-commit-config.yaml")
    assert re.search(r"^test: lint$", text_of("Makefile"), re.MULTILINE)


def test_the_hook_for_other_projects_runs_the_command() -> None:
    hook = text_of(".pre-commit-hooks.yaml")
    assert "entry: memprof check\n" in hook
    pattern = re.search(r"files: (.+)", hook)
    assert pattern is not None
    assert all(re.search(pattern[1], name) for name in ("a/b.onnx", "memprof.toml", "x/pyproject.toml"))
    assert not re.search(pattern[1], "src/onnx.py")


def step_of(name: str, place: int) -> str:
    """Return one of the scripts of several lines in a file of YAML."""
    return text_of(name).split("      run: |\n")[place + 1].partition("\n    - ")[0]


@pytest.mark.parametrize(("listed", "wanted"), [("", "ALL"), ("7\n9\n", "--method PATCH ONE/7")])
def test_the_action_writes_one_comment_and_later_writes_over_it(tmp_path: Path, listed: str, wanted: str) -> None:
    gh = tmp_path / "gh"
    gh.write_text(f'#!/bin/sh\necho "$*" >> calls\nif [ "$2" = --paginate ]; then printf {listed!r}; fi\n')
    gh.chmod(0o755)
    (tmp_path / "page.md").write_text("<!-- memprof check -->\n")
    env = {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}", "PAGE": "page.md", "ALL": "ALL", "ONE": "ONE"}
    script = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", textwrap.dedent(step_of("action.yml", 1))]
    subprocess.run(script, cwd=tmp_path, env=env, check=True)
    asked, written = (tmp_path / "calls").read_text().splitlines()
    assert asked.startswith("api --paginate ALL --jq ")
    assert written == f"api --silent {wanted} --field body=@page.md"
    assert "<!-- memprof check -->" in asked


@pytest.mark.parametrize(("limit", "code"), [("2kB", 0), ("1kB", 1)])
def test_the_action_annotates_sums_up_and_ends_as_check_does(tmp_path: Path, limit: str, code: int) -> None:
    step = step_of("action.yml", 0)
    write_chain(tmp_path / "net.onnx", ["Relu", "Sigmoid"], [1, 250])
    (tmp_path / "ci.toml").write_text(
        f'[[check.models]]\nsource = "net.onnx"\nmax-peak = "{limit}"\nruntime = "reference"\n'
    )
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    command = bin_folder / "memprof"
    command.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m memprof "$@"\n')
    command.chmod(0o755)
    env = {
        "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}",
        "RUNNER_TEMP": str(tmp_path),
        "GITHUB_OUTPUT": str(tmp_path / "outputs"),
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary"),
        "ARGUMENTS": "--config ci.toml",
    }
    script = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", textwrap.dedent(step)]
    done = subprocess.run(script, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    assert (done.stdout.startswith("::error file=net.onnx,")) is (code == 1)
    assert (tmp_path / "summary").read_text().startswith("<!-- memprof check -->\n**Memory: 1 model: ")
    outputs = dict(line.split("=", 1) for line in (tmp_path / "outputs").read_text().splitlines())
    assert all(Path(path).stat().st_size for path in outputs.values())
    assert outputs.keys() == {"markdown", "sarif"}


def interpreters(version: str) -> list[str]:
    """Return the interpreters of one version that are at hand."""
    homes = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))
    return [found for found in (shutil.which(f"python{version}"), *map(str, homes)) if found]


_PROBE = """
import ast, pathlib, sys
assert "%d.%d" % sys.version_info[:2] == sys.argv[1]
for path in pathlib.Path(sys.argv[2], "memprof").rglob("*.py"):
    compile(path.read_bytes(), str(path), "exec")
import memprof
x4 = memprof.TensorType("float32", (1, 4))
builder = memprof.GraphBuilder()
x = builder.add_input("x", x4)
(y,) = builder.add_node("Relu", [x], [memprof.NewValue("y", x4)])
print(memprof.analyze(builder.build([y]), runtimes=["reference"]).peak_intermediate_bytes)
"""


@pytest.mark.parametrize("version", VERSIONS)
def test_a_python_that_is_claimed_and_at_hand_reads_all_files_and_analyses_a_graph(version: str) -> None:
    for interpreter in interpreters(version):
        done = subprocess.run(
            [interpreter, "-c", _PROBE, version, str(ROOT)],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        )
        if "pyenv" in done.stderr and "not found" in done.stderr:
            continue  # a shim of a version that is not installed
        assert done.stdout == "32\n", done.stderr[-2000:]
        return
    pytest.skip(f"there is no Python {version} here")
