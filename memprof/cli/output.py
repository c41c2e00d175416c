"""Where results go: stdout, and stderr for progress; files are ``memprof.base.files``'s business."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

import click

from memprof.base.errors import UsageError

PATIENCE_SECONDS = 1.0
"""How long a person waits without a word."""


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
def telling(what: str) -> Iterator[None]:
    """Tell a person at a terminal what is going on, once it has taken longer than a moment."""
    stream = sys.stderr
    if stream is None or not stream.isatty():
        yield
        return
    timer = threading.Timer(PATIENCE_SECONDS, note, [f"{what} ..."])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def note(message: str) -> None:
    """Tell the person, not the pipe: one line on stderr."""
    print_quietly(message, sys.stderr)


def print_quietly(message: str, stream: TextIO | None) -> None:
    """Write a line to ``stream`` if anybody is there to read it; ``None`` is one that was closed at the start."""
    if stream is None:
        return
    try:
        click.echo(message, file=stream)
    except OSError:
        silence(stream)
