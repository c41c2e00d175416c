"""The lowest versions that pyproject.toml admits: installs them into a fresh environment and runs the tests there.

    python benchmarks/lowest.py FOLDER [--extra nas --extra solver ...] [--list] [pytest arguments ...]

Without an extra the base part alone is installed, and what needs more skips itself. ``--list`` prints the versions,
and nothing is installed. The upper bounds are tried by ordinary installations, which take the newest versions.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tomllib
import venv
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TOOLS = ("expecttest", "hypothesis", "jsonschema", "pytest", "pytest-xdist", "scipy")
_REQUIREMENT = re.compile(r"(?P<name>[\w.-]+)(?:\[[\w,-]+\])?>=(?P<lowest>[\w.]+)")


def lowest_versions(extras: Sequence[str]) -> Iterator[str]:
    """Yield ``name==version`` for each dependency of the base, of the extras, and for the tools of the tests."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    optional = project["optional-dependencies"]
    wanted = list(project["dependencies"])
    for extra in extras:
        wanted += optional[extra]
    wanted += [line for line in optional["dev"] if re.split(r"[>=\[]", line)[0] in TOOLS]
    for line in wanted:
        found = _REQUIREMENT.match(line)
        if found and found["name"] != project["name"]:
            yield f"{found['name']}=={found['lowest']}"


def main() -> None:
    """Install and run the tests; the exit code is theirs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--extra", action="append", default=[])
    parser.add_argument("--list", action="store_true")
    options, tests = parser.parse_known_args()
    versions = list(lowest_versions(options.extra))
    if options.list:
        print("\n".join(versions))
        return
    if not options.folder.exists():
        venv.create(options.folder, with_pip=True)
    python = options.folder / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", *versions], check=True)
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--no-deps", "-e", ROOT], check=True)
    sys.exit(subprocess.run([python, "-m", "pytest", "-q", *tests], cwd=ROOT, check=False).returncode)


if __name__ == "__main__":
    main()
