"""Every command and every piece of Python in README.md and docs/ runs, in a folder that holds the demo's model.

    ```sh          each line is a command; those that set the project up (make, git, pip) are left out
    ```sh device   needs a device: left out
    ```python      a script
    ```text        output: stable lines of it are looked for below

The blocks of one page run in their order in one folder, as a reader would type them: those of ``AS_TYPED`` in a
shell, those of other pages in this process, which has loaded once what each of a hundred processes would load. Links
lead somewhere.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from click.testing import CliRunner

from memprof.base.errors import MissingExtraError
from memprof.cli import main
from memprof.measure.kept import installed_version

pytestmark = pytest.mark.default_session

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
_BLOCK = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
AS_TYPED = ("index.md", "board.md")
ONE_WORKER = {"nas": {"search": {"workers": 1}, "resume": {"workers": 1}}}
"""Each worker is a process that loads PyTorch."""
_SET_UP = ("make ", "git ", "pip ", "cd ", "python -m pip")
_LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")


def blocks(page: Path) -> list[tuple[str, str]]:
    """Return (language, text) of the blocks of a page that run."""
    found = _BLOCK.findall(page.read_text(encoding="utf-8"))
    return [
        (language, text) for language, more, text in found if language in ("sh", "python") and "device" not in more
    ]


SHOWN_WITH = "1.32"
"""What printed the figures in the README; one that is older may optimise otherwise."""


def _is_as_new_as(version: str) -> bool:
    found = re.findall(r"\d+", installed_version() or "0")[:2]
    return [int(part) for part in found] >= [int(part) for part in version.split(".")]


SLOW = ("out-of-memory.md",)
"""Training steps of a large network; commands on modules, ``fit`` among them, stand on quick pages too."""
SHOWN = [pytest.param(page, marks=pytest.mark.slow if page.name in SLOW else ()) for page in PAGES if blocks(page)]


def commands(text: str) -> list[str]:
    lines = [line.strip() for line in text.replace("\\\n", " ").splitlines()]
    return [line for line in lines if line and not line.startswith(("#", *_SET_UP))]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("demo") / "mobilenet_v2.onnx"
    subprocess.run([sys.executable, str(ROOT / "examples" / "mobilenet_v2.py"), str(path)], check=True)
    return path


@pytest.fixture(scope="module")
def searched() -> dict[str, Path]:
    """Return where each search lies that a page has run: the next page that asks for the same takes a copy."""
    return {}


@pytest.mark.parametrize("page", SHOWN, ids=lambda page: page.name)
def test_every_block_of_a_page_runs(
    page: Path, model: Path, searched: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "mobilenet_v2.onnx").write_bytes(model.read_bytes())
    (tmp_path / "model.onnx").write_bytes(model.read_bytes())
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    run = as_typed if page.name in AS_TYPED else in_process
    for language, text in blocks(page):
        for command in commands(text) if language == "sh" else [text]:
            if command in searched:
                shutil.copytree(searched[command], tmp_path / searched[command].name)
                continue
            code, said = run(command, language)
            if code == MissingExtraError.code and find_spec("torch") is None:
                pytest.skip(said)
            assert code == 0, f"{command}\n{said[-4000:]}"
            if command.startswith("memprof nas search"):
                searched[command] = tmp_path / command.partition(" -o ")[2].split()[0]


def as_typed(command: str, language: str) -> tuple[int, str]:
    """Run a command or a script as a reader does; return its exit code and what it said."""
    call = ["bash", "-c", command] if language == "sh" else [sys.executable, "-c", command]
    done = subprocess.run(call, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def in_process(command: str, language: str) -> tuple[int, str]:
    """Do the same in this process, which has loaded what it takes; programs that are not memprof run as typed."""
    if language == "python":
        with contextlib.redirect_stdout(io.StringIO()) as said:
            exec(compile(command, "<block>", "exec"), {"__name__": "__main__"})
        return 0, said.getvalue()
    program, *words = shlex.split(command, comments=True)
    if program != "memprof":
        return as_typed(command, language)
    arguments, written = (words[:-2], words[-1]) if words[-2:-1] == [">"] else (words, None)
    done = CliRunner().invoke(main, arguments, default_map=ONE_WORKER)
    if written:
        Path(written).write_text(done.stdout)
    return done.exit_code, done.output


@pytest.mark.skipif(not _is_as_new_as(SHOWN_WITH), reason=f"the figures are those of onnxruntime {SHOWN_WITH}")
def test_the_readme_shows_what_analyze_prints(model: Path) -> None:
    shown = next(
        text for language, _, text in _BLOCK.findall((ROOT / "README.md").read_text("utf-8")) if language == "text"
    )
    done = subprocess.run(
        [sys.executable, "-m", "memprof", "analyze", str(model)], capture_output=True, text=True, check=True
    )
    printed = {_stable(line) for line in done.stdout.splitlines()}
    assert not [line for line in shown.splitlines() if _stable(line) not in printed]


def _stable(line: str) -> str:
    """Return a line without its spaces; what a process takes, and how many are asked, depends on the machine."""
    words = line.split()
    return "Process estimate" if words[:1] == ["Process"] and words[3].rstrip(",;") == "estimate" else " ".join(words)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in _LINK.findall(page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_every_test_that_a_page_names_is_there() -> None:
    files = [path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py")]
    there = {name for text in files for name in re.findall(r"^def (test_\w+)", text, re.MULTILINE)}
    there |= {path.name for path in (ROOT / "tests").rglob("*.py")} | {"tests"}
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        named = {*re.findall(r"`(test_\w+(?:\.py)?)`", text), *re.findall(r"tests/(?:[a-z]+/)*(test_\w+\.py)", text)}
        assert named <= there, f"{page.name}: {sorted(named - there)}"
