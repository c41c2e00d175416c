"""What a CI system is given, against the schemas that others publish: they are not ours to copy.

``MEMPROF_SCHEMAS`` names a folder with ``sarif-schema-2.1.0.json`` (oasis-tcs/sarif-spec), ``JUnit.xsd``
(windyroad/JUnit-Schema); check-jsonschema brings those of GitHub's actions and workflows.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from jsonschema.validators import validator_for

from tests.cli.conftest import Run, write_chain

ROOT = Path(__file__).parents[2]


def published(name: str) -> Path:
    folder = os.environ.get("MEMPROF_SCHEMAS")
    if not folder:
        pytest.skip("MEMPROF_SCHEMAS names no folder of published schemas")
    return Path(folder, name)


@pytest.fixture
def reports(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with the reports of a gate of four models: fits, over, failed, informs."""
    monkeypatch.chdir(tmp_path)
    write_chain(tmp_path / "net.onnx", ["Relu"], [1, 500])
    budgets = [("fits", "net.onnx", "1MB"), ("over", "net.onnx", "1"), ("failed", "gone.onnx", "1")]
    lines = [
        f'[[check.models]]\nname = "{name}"\nsource = "{source}"\nmax-peak = "{limit}"\n'
        for name, source, limit in budgets
    ]
    told = '[[check.models]]\nname = "a<b>&c"\nsource = "net.onnx"\nmax-peak = 1\ninformational = true\n'
    (tmp_path / "memprof.toml").write_text("".join(lines) + told)
    assert run("check", "-o", "out.sarif", "-o", "out.xml").code == 1
    return tmp_path


def test_sarif_is_valid(reports: Path) -> None:
    schema = json.loads(published("sarif-schema-2.1.0.json").read_text(encoding="utf-8"))
    log = json.loads((reports / "out.sarif").read_text(encoding="utf-8"))
    validator_for(schema)(schema).validate(log)
    assert len(log["runs"][0]["results"]) == 3


def test_junit_is_valid(reports: Path) -> None:
    xmlschema = pytest.importorskip("xmlschema", reason="xmlschema is not installed")
    xmlschema.XMLSchema(str(published("JUnit.xsd"))).validate(str(reports / "out.xml"))


@pytest.mark.parametrize("kind", ["actions", "workflows"])
def test_the_action_and_the_workflows_are_valid(kind: str, tmp_path: Path) -> None:
    if find_spec("check_jsonschema") is None:
        pytest.skip("check-jsonschema is not installed")
    page = (ROOT / "docs" / "check.md").read_text(encoding="utf-8")
    (tmp_path / "shown.yml").write_text(re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)[0])
    workflows = [*(ROOT / ".github" / "workflows").glob("*.yml"), tmp_path / "shown.yml"]
    files = {"actions": [ROOT / "action.yml"], "workflows": workflows}[kind]
    words = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.github-{kind}", *map(str, files)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
