"""What ``-o FILE`` of ``compare`` and ``verify`` writes, and how a page says which command wrote it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

from memprof.base.errors import UsageError
from memprof.base.files import check_writable, strange_suffix, write_whole
from memprof.base.text import safe_text
from memprof.cli.output import note, telling

if TYPE_CHECKING:
    from memprof.render.page import Page

Write = Callable[[TextIO], None]

SUFFIXES = (".html", ".json")
"""What can be written of a result that has no picture of its own."""


@dataclass(frozen=True, slots=True)
class Origin:
    """How a page comes to be.

    Attributes:
        command: The command that writes it, for its last line.
        is_redacted: Whether names are left out, this command's among them.
    """

    command: str = ""
    is_redacted: bool = False


UNSAID = Origin()
"""No command is known."""


page_option = click.option(
    "-o",
    "targets",
    multiple=True,
    metavar="FILE",
    help="Write a file: an interactive page (.html) or the JSON document (.json). Repeatable.",
)


redact_option = click.option("--redact-names", is_flag=True, help="Leave the model's names out of -o FILE.html.")


def check_redaction(targets: Iterable[str], *, is_redacted: bool) -> None:
    """Fail if names are to be left out where no page is written.

    Raises:
        UsageError: No target is a page.
    """
    if is_redacted and not any(Path(target).suffix.lower() == ".html" for target in targets):
        raise UsageError("--redact-names is about pages, and none is written.", "Add -o report.html.")


def check_result_targets(targets: Iterable[str]) -> None:
    """Fail before the work if a file cannot be written.

    Raises:
        UsageError: A suffix means nothing, or a place cannot be written.
    """
    for target in targets:
        if Path(target).suffix.lower() not in SUFFIXES:
            raise strange_suffix(target, SUFFIXES)
        check_writable(target)


def write_results(targets: Iterable[str], writers: Mapping[str, Write]) -> None:
    """Write each of ``targets`` by the writer of its suffix, whole or not at all, and say so on stderr."""
    for target in targets:
        write = writers[Path(target).suffix.lower()]

        def fill(path: Path, write: Write = write) -> None:
            with path.open("w", encoding="utf-8", newline="") as stream:
                write(stream)

        with telling(f"writing {safe_text(target)}"):
            write_whole(target, fill)
        note(f"wrote {safe_text(target)}")


def print_page(page: Page, stream: TextIO, origin: Origin) -> None:
    """Write ``page`` with its last line, names left out if they are to be."""
    import platform

    import memprof
    from memprof.render.page import PageNote, redact_page, write_page

    versions = (("memprof", memprof.__version__), ("Python", platform.python_version()))
    if origin.is_redacted:
        write_page(redact_page(page), stream, PageNote(versions=versions))
    else:
        write_page(page, stream, PageNote(command=origin.command, versions=versions))
