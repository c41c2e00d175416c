"""Where results go: stdout, and stderr for progress; files are ``memprof.base.files``'s business."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO, TypeVar

import click

from memprof.base.errors import UsageError
from memprof.cli.waiting import Bar, Stage, WaitLine

_Bar = TypeVar("_Bar", bound=Bar)

MIN_WIDTH = 40
"""Columns below which nothing is broken further."""

OWN_PROCESS = "memprof.own_process"
"""Key in the metadata of a context: whether the process ends with the command."""


@contextmanager
def open_stdout() -> Iterator[TextIO]:
    """Give stdout for results; a reader that closes its end early (``| head``) is no failure.

    Characters that stdout's encoding lacks are written as escapes.

    Raises:
        UsageError: Stdout cannot be written: the disk is full, say.
    """
    stream = sys.stdout
    if stream is None:  # started with stdout closed
        stream = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - stands in for the closed one
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")
    try:
        with _line().quiet():
            yield stream
            stream.flush()
    except BrokenPipeError:
        silence(stream)
    except OSError as error:
        silence(stream)
        raise UsageError(f"Cannot write the result to stdout: {error.strerror}.", "Make room there.") from error


def silence(stream: TextIO) -> None:
    """Send what ``stream`` still holds nowhere: it would fail once more when the interpreter exits."""
    with suppress(OSError, ValueError):  # no file behind it: nothing is flushed at exit either
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


@contextmanager
def telling(what: str) -> Iterator[Stage]:
    """Tell a person at a terminal what is going on, once a wait has taken longer than a moment."""
    with _line().saying(what) as stage:
        yield stage


@contextmanager
def drawing(bar: _Bar) -> Iterator[_Bar]:
    """Show a bar while the body runs."""
    with _line().drawing(bar):
        yield bar


def _line() -> WaitLine:
    """Return the line of the command that runs; outside of the program one that nobody draws."""
    context = click.get_current_context(silent=True)
    return (context and context.find_object(WaitLine)) or WaitLine(sys.stderr)


def note(message: str) -> None:
    """Tell the person, not the pipe: one line on stderr, folded where a terminal is narrower."""
    with _line().cleared():
        print_quietly(fold(message, sys.stderr), sys.stderr)


def fold(text: str, stream: TextIO | None, indent: int = 2) -> str:
    """Return a line in as many as the terminal behind ``stream`` needs, broken between words.

    A pipe gets it whole, as who searches a log wants it, unless COLUMNS says how wide its reader is. What is longer
    than a line by itself, a path or a name, stays whole too: it is there to be copied.

    Args:
        text: A line.
        stream: Where it goes.
        indent: Blanks before each further line.
    """
    if stream is None or not (stream.isatty() or os.environ.get("COLUMNS", "").isdigit()):
        return text
    import textwrap

    width = max(MIN_WIDTH, shutil.get_terminal_size().columns)
    folding = textwrap.TextWrapper(
        width, subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False
    )
    return "\n".join(map(folding.fill, text.split("\n")))


def print_quietly(message: str, stream: TextIO | None) -> None:
    """Write a line to ``stream`` if anybody is there to read it; ``None`` is one that was closed at the start."""
    if stream is None:
        return
    try:
        click.echo(message, file=stream)
    except OSError:
        silence(stream)
