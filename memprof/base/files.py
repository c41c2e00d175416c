"""Files that are read whole within a limit, and written whole or not at all.

A result is written as a draft beside its target, flushed to the disk, that takes its name:

    folder/.memprof-1a2b3c4d.png    the draft: written, flushed; removed if anything fails
    folder/picture.png              the target: the old one or the new one, whole, a loss of power included

A process that is killed leaves its draft behind, never half a target. The draft has the suffix of its target, since
some writers go by it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from memprof.base.errors import InputError, LimitError, UsageError

_DRAFT = ".memprof-"
_NO_WAITING = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


def read_plain(path: Path, limit_bytes: int, what: str) -> bytes:
    """Return the content of a stranger's file, which may be a pipe that nobody writes to, or a device without an end.

    Args:
        path: The file.
        limit_bytes: More is not read.
        what: What it should be, for the error: ``a table of boards``.

    Raises:
        InputError: It is missing, cannot be read, or is no regular file.
        LimitError: It is larger.
    """
    with open_plain(path, what) as file:
        if os.fstat(file.fileno()).st_size > limit_bytes:
            raise _too_large(path, limit_bytes, what)
        try:
            content = file.read(limit_bytes + 1)  # it may grow meanwhile
        except OSError as error:
            raise InputError(f"Cannot read {path}: {error.strerror or error}.", "Fetch it again.") from error
    if len(content) > limit_bytes:
        raise _too_large(path, limit_bytes, what)
    return content


def open_plain(path: Path, what: str) -> BinaryIO:
    """Open a stranger's file for reading; errors as ``read_plain``."""
    try:
        descriptor = os.open(path, os.O_RDONLY | _NO_WAITING)
    except (OSError, ValueError) as error:  # a name with a zero byte is a ValueError
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise InputError(f"Cannot read {path}: {reason}.", "Check the path and its permissions.") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise InputError(f"{path} is not a regular file.", f"Name {what}.")
    return os.fdopen(descriptor, "rb")


def _too_large(path: Path, limit_bytes: int, what: str) -> LimitError:
    return LimitError(f"{path} has more than {limit_bytes:,} bytes.", f"Check that it is {what}.")


def write_whole(target: str | os.PathLike[str], write: Callable[[Path], object]) -> None:
    """Have ``write`` make a file beside ``target`` and give it that name; a symbolic link stays one.

    Args:
        target: The file to make or to replace; its folder must exist. A file that is replaced keeps its mode.
        write: Writes the file it is given, which has the suffix of ``target``.

    Raises:
        UsageError: The target cannot be written.
    """
    if Path(target).name.startswith(
        _DRAFT
    ):  # a draft already: whoever made it sees to the rest, and names the target
        write(Path(target))
        return
    check_writable(target)
    final = Path(os.path.realpath(target))
    draft = final.with_name(f"{_DRAFT}{os.urandom(6).hex()}{final.suffix}")
    try:
        write(draft)
        if final.exists():
            draft.chmod(final.stat().st_mode & 0o777)
        _flush(draft)
        draft.replace(final)
        with suppress(OSError):  # not every system can flush a folder, and the name is given all the same
            _flush(final.parent)
    except OSError as error:
        raise _unwritable(
            target, error.strerror or str(error), "Choose another place, or make room there."
        ) from error
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)


def write_text_whole(target: str | os.PathLike[str], text: str) -> None:
    """Write ``text`` in UTF-8 to ``target``, whole or not at all; line ends stay as they are.

    Raises:
        UsageError: The target cannot be written.
    """
    write_whole(target, lambda draft: draft.write_text(text, encoding="utf-8", newline=""))


def check_writable(target: str | os.PathLike[str]) -> None:
    """Fail before the work, not after it, if ``target`` cannot be written.

    Raises:
        UsageError: The folder is missing or read-only, or the target is a folder, a device or read-only.
    """
    final = Path(os.path.realpath(target))
    if not final.parent.is_dir():
        raise _unwritable(target, "its folder does not exist", f"Make {final.parent} first, or choose another place.")
    if final.is_dir():
        raise _unwritable(target, "it is a folder", "Name a file in it.")
    if final.exists() and not final.is_file():
        raise _unwritable(target, "it is not a regular file", "Choose another place.")
    if not os.access(final if final.exists() else final.parent, os.W_OK):
        raise _unwritable(target, "permission denied", "Choose another place, or allow writing there.")


def strange_suffix(
    target: str, known: Iterable[str], problem: str = "the suffix says what to write, and this one says nothing"
) -> UsageError:
    """Return the error that nothing is written by the name of ``target``: a folder, or a suffix that is not known.

    Args:
        target: What ``-o`` was given.
        known: The suffixes that mean something.
        problem: What is wrong where it is no folder.
    """
    choices = " ".join(known)
    if target.endswith(("/", os.sep)) or Path(target).is_dir():
        return UsageError(f"-o {target}: that is a folder.", f"Name a file in it, by what to write: {choices}.")
    return UsageError(f"-o {target}: {problem}.", f"Choose: {choices}.")


def remove_drafts(folder: Path) -> None:
    """Remove what killed writers left in ``folder``; only where nobody else is writing."""
    for draft in folder.glob(f"{_DRAFT}*"):
        draft.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unwritable(target: str | os.PathLike[str], reason: str, hint: str) -> UsageError:
    return UsageError(f"Cannot write {os.fspath(target)}: {reason}.", hint)
