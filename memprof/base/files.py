"""Files that are written whole or not at all: by a draft beside them, flushed to the disk, that takes their name.

    folder/.memprof-1a2b3c4d.png    the draft: written, flushed; removed if anything fails
    folder/picture.png              the target: the old one or the new one, whole, a loss of power included

A process that is killed leaves its draft behind, never half a target. The draft has the suffix of its target, since
some writers go by it.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from memprof.base.errors import UsageError

_DRAFT = ".memprof-"


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
    draft = final.with_name(f"{_DRAFT}{secrets.token_hex(6)}{final.suffix}")
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
