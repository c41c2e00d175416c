"""Files of a search folder, found and opened without following anything out of it.

The folder itself is the user's choice, a link to it included. What lies in it is not: a link there may lead to any
file of the user's, to be read into a report or written over, a pipe never ends, and a sparse file has no size. So
every name below the folder must be a plain file or folder, checked before anything is opened.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from memprof.base.errors import InputError
from memprof.base.text import safe_text

_HINT = "A search keeps plain files and folders: remove it, or take another folder."
_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)


def inside(folder: Path, *names: str) -> Path:
    """Return ``folder / names``, which need not be there; what is there is a plain file or folder, as is its way.

    Args:
        folder: Folder of a search.
        names: One plain name for each step down.

    Raises:
        InputError: A name is none, or something on the way is a link, a device or a pipe.
    """
    path = folder
    for i, name in enumerate(names):
        if name in ("", ".", "..") or "/" in name or "\0" in name:
            raise InputError(f"{safe_text(name)!r} is no name of a file in {safe_text(str(folder))}.", _HINT)
        path /= name
        try:
            mode = path.lstat().st_mode
        except FileNotFoundError:
            return path.joinpath(*names[i + 1 :])
        except OSError as error:
            raise InputError(f"{safe_text(str(path))} cannot be read: {error.strerror}.", _HINT) from error
        is_fine = stat.S_ISDIR(mode) or (i == len(names) - 1 and stat.S_ISREG(mode))
        if not is_fine:
            raise InputError(f"{safe_text(str(path))} is {_what(mode)}.", _HINT)
    return path


def inner_folder(folder: Path, name: str) -> Path:
    """Return the folder ``name`` in ``folder``, made if it is not there.

    Raises:
        InputError: Something else has that name, a link to a folder included.
    """
    path = inside(folder, name)
    path.mkdir(exist_ok=True)
    return path


def output_folder(asked: Path | None, folders: Sequence[Path], name: str, files: Sequence[str]) -> Path:
    """Return where a command writes ``files``, made if it is not there; nothing is written through a link in it.

    Args:
        asked: Where the user wants them; ``name`` in the first folder if left out.
        folders: Folders of searches.
        name: What the folder is called there.
        files: Names that are about to be written.

    Raises:
        InputError: The folder lies in a search and is a link there, or one of the files is a link or no file.
    """
    target = folders[0] / name if asked is None else asked
    full = Path(os.path.abspath(target))  # noqa: PTH100 - by its letters: resolving would follow what must not be
    for root in (Path(os.path.abspath(folder)) for folder in folders):  # noqa: PTH100 - as above
        if full.is_relative_to(root):
            inside(root, *full.relative_to(root).parts)
    target.mkdir(parents=True, exist_ok=True)
    for file in files:
        if inside(target, file).is_dir():
            raise InputError(f"{safe_text(str(target / file))} is a folder.", "Remove it, or choose another place.")
    return target


def open_inside(folder: Path, *names: str, most_bytes: int) -> BinaryIO:
    """Open a file of a search for reading.

    Args:
        folder: Folder of the search.
        names: As for ``inside``.
        most_bytes: Largest size that is accepted.

    Raises:
        FileNotFoundError: There is no such file.
        InputError: It is no plain file, or a larger one.
    """
    path = inside(folder, *names)
    file = os.fdopen(os.open(path, os.O_RDONLY | _NO_FOLLOW), "rb")
    found = os.fstat(file.fileno())
    if stat.S_ISREG(found.st_mode) and found.st_size <= most_bytes:
        return file
    file.close()
    reason = f"larger than {most_bytes:,} bytes" if stat.S_ISREG(found.st_mode) else _what(found.st_mode)
    raise InputError(f"{safe_text(str(path))} is {reason}.", _HINT)


def create_anew(path: Path) -> BinaryIO:
    """Open a file for writing that is not there before: what has its name is removed, never written through.

    Raises:
        OSError: The folder cannot be written.
    """
    path.unlink(missing_ok=True)
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_FOLLOW, 0o666), "wb")


def _what(mode: int) -> str:
    for is_kind, words in _KINDS:
        if is_kind(mode):
            return words
    return "no plain file"


_KINDS = (
    (stat.S_ISLNK, "a link"),
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISREG, "a file where a folder should be"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
)
