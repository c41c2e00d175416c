"""What a page shows -> one HTML file that needs nothing else."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from importlib.resources import files
from typing import TextIO

from memprof.base import palette
from memprof.base.text import safe_text
from memprof.render.page.sides import Page


@dataclass(frozen=True, slots=True)
class PageKind:
    """What a page is made of.

    Attributes:
        frame: The file of its HTML.
        scripts: The files of its script, in order.
    """

    frame: str
    scripts: tuple[str, ...]


REPORT_PAGE = PageKind("page.html", ("model.js", "draw.js", "app.js"))
SEARCH_PAGE = PageKind("search.html", ("search.js",))


@dataclass(frozen=True, slots=True, kw_only=True)
class PageNote:
    """How a page came to be, for its last line.

    Attributes:
        command: The command that wrote it; empty if it was no command.
        versions: Name and version of what made it.
    """

    command: str = ""
    versions: tuple[tuple[str, str], ...] = ()


def write_page(page: Page, stream: TextIO, note: PageNote = PageNote()) -> None:
    """Write ``page`` to ``stream`` as one HTML file."""
    footer = [
        *note.versions,
        *page.digests,
        *([("made by", safe_text(note.command, limit=400))] if note.command else []),
    ]
    write_document_page(page.to_json() | {"footer": footer, "palette": _colours()}, REPORT_PAGE, stream)


def write_document_page(document: Mapping[str, object], kind: PageKind, stream: TextIO) -> None:
    """Write ``document`` as data of an HTML file whose script draws it."""
    data = json.dumps(document, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    script, style = _script(kind.scripts), _style()
    policy = (
        f"default-src 'none'; script-src '{_digest(script)}'; style-src '{_digest(style)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    before, _, rest = _read(kind.frame).partition("DATA")
    between, _, after = rest.partition("SCRIPT")
    stream.write(before.replace("POLICY", policy).replace("STYLE", style))
    stream.write(data)
    stream.writelines((between, script, after))


def _colours() -> dict[str, object]:
    return {
        "light": asdict(palette.LIGHT),
        "dark": asdict(palette.DARK),
        "for": dict(palette.BYTES_FOR),
        "series": list(palette.SERIES),
        "on_colour": palette.ON_COLOUR,
    }


@cache
def _script(names: tuple[str, ...]) -> str:
    """Return the script; each part says ``use strict``, and one scope keeps them from what else is in the window."""
    return f"(() => {{\n{''.join(map(_read, names))}}})();\n"


@cache
def _style() -> str:
    def variables(theme: palette.Theme) -> str:
        return " ".join(f"--{name}: {colour};" for name, colour in asdict(theme).items())

    return _read("page.css").replace("LIGHT", variables(palette.LIGHT)).replace("DARK", variables(palette.DARK))


def _read(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
