"""Every command and every piece of Python in README.md and docs/ runs, in a folder that holds the demo's model.

    ```sh          each line is a command; those that set the project up (make, git, pip) are left out
    ```sh device   needs a device: left out
    ```python      a script
    ```text        output: stable lines of it are looked for below

The blocks of one page run in their order in one folder, as a reader would type them. Links lead somewhere.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from memprof.base.errors import MissingExtraError

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
_BLOCK = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SET_UP = ("make ", "git ", "pip ", "cd ", "python -m pip")
_LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")


def blocks(page: Path) -> list[tuple[str, str]]:
    """Return (language, text) of the blocks of a page that run."""
    found = _BLOCK.findall(page.read_text(encoding="utf-8"))
    return [
        (language, text) for language, more, text in found if language in ("sh", "python") and "device" not in more
    ]


def commands(text: str) -> list[str]:
    lines = [line.strip() for line in text.replace("\\\n", " ").splitlines()]
    return [line for line in lines if line and not line.startswith(("#", *_SET_UP))]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("demo") / "mobilenet_v2.onnx"
    subprocess.run([sys.executable, str(ROOT / "examples" / "mobilenet_v2.py"), str(path)], check=True)
    return path


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)], ids=lambda page: page.name)
def test_every_block_of_a_page_runs(page: Path, model: Path, tmp_path: Path) -> None:
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "mobilenet_v2.onnx").write_bytes(model.read_bytes())
    (tmp_path / "model.onnx").write_bytes(model.read_bytes())
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    for language, text in blocks(page):
        for command in commands(text) if language == "sh" else [text]:
            call = ["bash", "-c", command] if language == "sh" else [sys.executable, "-c", command]
            done = subprocess.run(
                call, cwd=tmp_path, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False
            )
            if done.returncode == MissingExtraError.code and find_spec("torch") is None:
                pytest.skip(done.stderr)
            assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"


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
    """Return a line without its spaces; what a process takes depends on the machine's cores."""
    words = line.split()
    return " ".join(words[:1] + words[3:] if words[:1] == ["Process"] else words)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in _LINK.findall(page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"
