"""Where results go: stdout, stderr for progress, and files that are written whole or not at all."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

import click

from memprof.errors import UsageError
from memprof.text import safe_text


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


def write_atomically(target: str, write: Callable[[Path], None]) -> None:
    """Have ``write`` make a file beside ``target`` and move it there, so that no half-written file is ever seen.

    Args:
        target: The file to make or to replace; its folder must exist.
        write: Writes the file it is given, which has the suffix of ``target``.

    Raises:
        UsageError: The target cannot be written.
    """
    final = Path(os.path.realpath(target))  # through a symbolic link, not over it
    check_writable(target)
    draft = final.with_name(f".memprof-{secrets.token_hex(6)}{final.suffix}")
    try:
        write(draft)
        if final.exists():
            draft.chmod(final.stat().st_mode & 0o777)
        draft.replace(final)
    except OSError as error:
        raise _unwritable(target, error.strerror or str(error)) from error
    finally:
        draft.unlink(missing_ok=True)


def check_writable(target: str) -> None:
    """Fail before the work, not after it, if ``target`` cannot be written.

    Raises:
        UsageError: The folder is missing or read-only, or the target is a folder, a device or read-only.
    """
    final = Path(os.path.realpath(target))
    if not final.parent.is_dir():
        raise _unwritable(target, "its folder does not exist")
    if final.is_dir():
        raise _unwritable(target, "it is a folder")
    if final.exists() and not final.is_file():
        raise _unwritable(target, "it is not a regular file")
    if not os.access(final if final.exists() else final.parent, os.W_OK):
        raise _unwritable(target, "permission denied")


def _unwritable(target: str, reason: str) -> UsageError:
    return UsageError(f"Cannot write {safe_text(target)}: {reason}.", "Choose another place for -o.")
