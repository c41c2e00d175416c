"""What is missing comes from where this copy came from, never from another project's package of the same name."""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from memprof.base import distribution
from memprof.base.distribution import NAME, install_command

ROOT = Path(__file__).parents[1]
STRANGER = re.compile(r"(?:pipx?|uvx?|poetry)\s[^\n]*?[\s'\"]memprof(?![\w.-])(?:\[|[='\"`@\s)]|$)")
"""A command that would install another project: ``memprof`` without ``-nn`` after the name of an installer."""


class Installed:
    """The metadata of a copy: where it came from."""

    def __init__(self, origin: dict[str, Any] | None) -> None:
        self._text = None if origin is None else json.dumps(origin)

    def read_text(self, filename: str) -> str | None:
        return self._text if filename == "direct_url.json" else None


@pytest.mark.parametrize(
    ("origin", "command"),
    [
        ({"url": "file:///home/me/clone", "dir_info": {"editable": True}}, "pip install -e '/home/me/clone[torch]'"),
        ({"url": "file:///home/me/my%20clone", "dir_info": {}}, "pip install '/home/me/my clone[torch]'"),
        (
            {"url": "https://example.org/a.git", "vcs_info": {"vcs": "git", "commit_id": "abc"}},
            f"pip install '{NAME}[torch] @ git+https://example.org/a.git@abc'",
        ),
        (
            {"url": "file:///tmp/memprof_nn-1-py3-none-any.whl", "archive_info": {}},
            f"pip install '{NAME}[torch] @ file:///tmp/memprof_nn-1-py3-none-any.whl'",
        ),
        (None, f"pip install '{NAME}[torch]'"),
    ],
    ids=["editable clone", "folder", "repository", "wheel", "index"],
)
def test_an_extra_comes_from_where_this_copy_came_from(
    monkeypatch: pytest.MonkeyPatch, origin: dict[str, Any] | None, command: str
) -> None:
    monkeypatch.setattr(metadata, "distribution", lambda name: Installed(origin))
    assert install_command("torch") == command


def test_a_clone_that_is_not_installed_installs_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distribution, "_find_metadata", lambda: None)
    assert install_command("torch") == f"pip install '{ROOT}[torch]'"


def test_the_name_is_that_of_the_metadata() -> None:
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["name"] == NAME


@pytest.mark.parametrize(
    ("text", "leads_astray"),
    [
        ("pip install memprof", True),
        ("pip install 'memprof[torch]'", True),
        ("`pip install memprof`", True),
        ("python -m pip install -U memprof==0.1.0", True),
        ("uv add memprof", True),
        ("pip install 'memprof-nn[torch]'", False),
        ("pip install .  # memprof.analyze then works", False),
    ],
)
def test_the_probe_sees_a_command_that_installs_the_stranger(text: str, leads_astray: bool) -> None:
    assert bool(STRANGER.search(text)) is leads_astray


def test_no_text_of_ours_leads_to_the_stranger() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    names = [name for name in listed.split("\0") if name] or [str(p.relative_to(ROOT)) for p in ROOT.rglob("*.py")]
    texts = (".py", ".md", ".toml", ".yml", ".yaml", ".txt", ".cfg", ".sh", "Makefile")
    astray = [
        name
        for name in names
        if name.endswith(texts) and name != "tests/test_distribution.py" and (ROOT / name).is_file()
        if STRANGER.search((ROOT / name).read_text(encoding="utf-8"))
    ]
    assert astray == []


NO_TORCH = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "torchvision"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Missing())
from memprof.cli import main
for line in sys.stdin:
    print(main.main(line.split(), standalone_mode=False))
"""


def test_without_torch_each_command_of_a_search_names_the_extra(tmp_path: Path) -> None:
    lines = ["nas search -o run", "nas resume run", "nas train run", "nas export run", "nas simulate x.csv"]
    done = subprocess.run(
        [sys.executable, "-c", NO_TORCH],
        input="\n".join(lines),
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == ["5"] * len(lines), done.stderr
    assert done.stderr.count("needs an optional dependency that is not installed.") == len(lines)
    assert done.stderr.count("[nas]") == len(lines)


def test_what_is_installed_has_a_lower_and_an_upper_bound() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wishes = [*project["dependencies"], *itertools.chain(*(project["optional-dependencies"].values()))]
    tools = project["optional-dependencies"]["dev"]  # only who works on memprof installs these
    open_ended = [
        wish for wish in wishes if wish not in tools and not wish.startswith(NAME) and not re.search(r">=.+,<", wish)
    ]
    assert open_ended == []
