"""``memprof doctor``: what is installed here, and the command that brings what is missing.

Asks the metadata of the installed distributions, imports none of them: a broken torch must not break its diagnosis.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import metadata
from typing import Any

import click

import memprof
from memprof.base.distribution import NAME, install_command, requirements
from memprof.cli.options import json_option
from memprof.cli.output import open_stdout
from memprof.render.json import write_document

DOCTOR_SCHEMA = "memprof/doctor/1"
_REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)(?:\[([^\]]*)\])?[^;]*(?:;.*extra\s*==\s*[\"']([^\"']+)[\"'])?")
_FOR_DEVELOPERS = frozenset({"dev", "docs"})
_SUMS = frozenset({"all"})  # other extras together
_FIRST = ("onnxruntime", "torch")
"""What most answers profit from, in this order; other extras serve single commands, which ask for them."""


@dataclass(frozen=True, slots=True)
class Distribution:
    """A dependency: its name, and its version or ``None`` if it is not installed."""

    name: str
    version: str | None


@click.command()
@json_option
def command(as_json: bool) -> int:
    """Versions of memprof, Python and each dependency, and how to install what is missing."""
    base, extras = find_dependencies()
    with open_stdout() as stream:
        if as_json:
            write_document(_document(base, extras), stream)
        else:
            stream.writelines(f"{line}\n" for line in _lines(base, extras))
    return 0 if all(found.version for found in base) else 5


def find_dependencies() -> tuple[list[Distribution], dict[str, list[Distribution]]]:
    """Return the dependencies of the base, and those of each extra, with the versions installed here."""
    base: dict[str, None] = {}
    extras: dict[str, dict[str, None]] = {}
    nested: list[tuple[str, str]] = []
    for requirement in requirements():
        match = _REQUIREMENT.match(requirement)
        assert match is not None, f"{requirement!r} is no requirement"
        name, parts, extra = match.groups()
        if extra is None:
            base[name] = None
        elif extra not in _FOR_DEVELOPERS | _SUMS:
            found = extras.setdefault(extra, {})
            if name == NAME:
                nested += [(extra, part.strip()) for part in parts.split(",")]
            else:
                found[name] = None
    for extra, part in nested:
        extras[extra] |= extras.get(part, {})
    return _installed(base), {extra: _installed(names) for extra, names in sorted(extras.items())}


def _installed(names: Iterable[str]) -> list[Distribution]:
    return [Distribution(name, _version(name)) for name in sorted(names)]


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _lines(base: list[Distribution], extras: dict[str, list[Distribution]]) -> list[str]:
    lines = [
        f"memprof {memprof.__version__}, Python {platform.python_version()}, {platform.platform(terse=True)}",
        "",
    ]
    missing = [extra for extra, found in extras.items() if not all(d.version for d in found)]
    for title, found in (("base", base), *extras.items()):
        labels = [title, *[""] * len(found)]
        lines += [
            f"{label:<13} {d.name:<15} {d.version or 'missing'}" for label, d in zip(labels, found, strict=False)
        ]
        if title in missing:
            lines.append(f"{'':<14}{install_command(title)}")
    if not all(d.version for d in base):
        hint = install_command()
    else:
        useful = next((extra for extra in _FIRST if extra in missing), None)
        hint = install_command(useful) if useful else "memprof analyze --help"
    return [*lines, "", f"Next: {hint}"]


def _document(base: list[Distribution], extras: dict[str, list[Distribution]]) -> dict[str, Any]:
    return {
        "schema": DOCTOR_SCHEMA,
        "memprof": memprof.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(terse=True),
        "base": {d.name: d.version for d in base},
        "extras": {
            extra: {
                "is_complete": all(d.version for d in found),
                "distributions": {d.name: d.version for d in found},
                "install": install_command(extra),
            }
            for extra, found in extras.items()
        },
    }
