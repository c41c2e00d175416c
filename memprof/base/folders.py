"""Folders for what lives as long as a computation. One that a killed process left behind is removed by the next.

    /tmp/memprof-x1y2z3/   made by scratch_folder, removed at its end
        lock               locked by the process as long as it lives: the system unlocks it however that ends

A folder of ours whose lock can be taken has lost its process.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

try:
    import fcntl as _fcntl
except ModuleNotFoundError:  # Windows: what a killed process left stays until somebody clears the folder
    _fcntl = None  # type: ignore[assignment]

_PREFIX = "memprof-"
_NAME = re.compile(rf"{_PREFIX}[0-9a-f]{{16}}")
_LOCK = "lock"


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Give an empty private folder, removed at the end with all that is in it."""
    base = Path(tempfile.gettempdir())
    _remove_forsaken(base)
    folder = base / f"{_PREFIX}{os.urandom(8).hex()}"  # known before it is there, so that it is removed
    try:
        folder.mkdir(mode=0o700)
        with _locked(folder):
            inner = folder / "files"
            inner.mkdir()
            yield inner
    finally:
        try:
            shutil.rmtree(folder, ignore_errors=True)
        except BaseException:  # a signal that came while it was removed
            shutil.rmtree(folder, ignore_errors=True)
            raise


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    draft = folder / "lock.part"
    with draft.open("wb") as lock:
        if _fcntl is not None:
            with contextlib.suppress(OSError):  # a file system without locks: the name below is then left out too
                _fcntl.flock(lock, _fcntl.LOCK_EX | _fcntl.LOCK_NB)
                draft.rename(folder / _LOCK)  # locked before it has its name: nobody finds it free
        yield


def _remove_forsaken(base: Path) -> None:
    if _fcntl is None:
        return
    with contextlib.suppress(OSError):
        for folder in base.glob(f"{_PREFIX}*"):
            with contextlib.suppress(OSError):
                if _is_forsaken(folder, _fcntl):
                    shutil.rmtree(folder, ignore_errors=True)


def _is_forsaken(folder: Path, fcntl: Any) -> bool:
    if not _NAME.fullmatch(folder.name) or folder.lstat().st_uid != os.getuid() or folder.is_symlink():
        return False
    handle = os.open(folder / _LOCK, os.O_RDWR | os.O_NOFOLLOW)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # held
        return False
    finally:
        os.close(handle)
    return True
