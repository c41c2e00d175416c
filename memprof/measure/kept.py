"""Answers of onnxruntime that are kept: structures of graphs without weights, by what they depend on.

A file is there whole or not at all, and the oldest go first. What is kept depends on the structure that was asked
about, on how it is asked, on onnxruntime's version and on the processor, whose layout a session takes.

    the answer | 0x32 0x40 | 64 digits: SHA-256 of the file's name and the answer

Two bytes and 64 digits are a documentation text in protobuf, so an .onnx file stays one. A disk that lost half of a
file, another file under its name or one that somebody has edited does not fit its seal and is asked for again.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import re
from importlib.util import find_spec
from pathlib import Path

from memprof.base.errors import InputError
from memprof.base.files import read_plain

_MAX_KEPT = 1024
_MAX_BYTES = 2**28
_EDITION = "5"
"""Another one wherever something else is asked, or of look-alikes made otherwise: older answers are not used."""

_SEAL = b"\x32\x40"
_SEAL_BYTES = len(_SEAL) + 64
_IS_OURS = re.compile(r"[0-9a-f]{64}\.")


def kept_path(kind: str, *key: str, suffix: str = ".onnx") -> Path | None:
    """Return where an answer is kept, ``None`` where there is no place for it.

    Args:
        kind: Name of the folder.
        key: What the answer depends on, besides onnxruntime and the processor.
        suffix: How its name ends.
    """
    runtime = installed_version()
    if runtime is None:
        return None
    try:
        base = Path(os.environ.get("XDG_CACHE_HOME", ""))
        base = base if base.is_absolute() else Path.home() / ".cache"  # a relative one is to be ignored
    except RuntimeError:  # nobody's home
        return None
    digest = hashlib.sha256("\n".join((*key, _EDITION, runtime, _processor())).encode()).hexdigest()
    return base / "memprof" / kind / f"{digest}{suffix}"


def read_kept(kept: Path | None) -> bytes | None:
    """Return the answer that was kept, ``None`` if there is none that is whole and belongs to this name."""
    if kept is None:
        return None
    with contextlib.suppress(InputError):
        content = read_plain(kept, _MAX_BYTES, "an answer that was kept")
        answer = content[:-_SEAL_BYTES]
        return answer if content[-_SEAL_BYTES:] == _seal(answer, kept) else None
    return None


def keep(answer: Path, kept: Path) -> None:
    """Keep an answer that lies in a file, whole or not at all; a full or closed disk keeps none."""
    with contextlib.suppress(OSError):
        keep_bytes(answer.read_bytes(), kept)


def keep_bytes(answer: bytes, kept: Path) -> None:
    """Keep an answer, whole or not at all; a full or closed disk keeps none."""
    with contextlib.suppress(OSError):
        kept.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = [path for path in kept.parent.iterdir() if _IS_OURS.match(path.name)]  # drafts of killed ones too
        others = sorted(found, key=lambda path: path.lstat().st_mtime)
        for old in others[: max(0, len(others) - _MAX_KEPT + 1)]:
            old.unlink(missing_ok=True)
        draft = kept.with_name(f"{kept.name}.{os.urandom(8).hex()}.part")  # threads keep the same answer, too
        try:
            draft.write_bytes(answer + _seal(answer, kept))
            draft.replace(kept)
        finally:
            draft.unlink(missing_ok=True)


def _seal(answer: bytes, kept: Path) -> bytes:
    return _SEAL + hashlib.sha256(kept.name.encode() + answer).hexdigest().encode()


def installed_version() -> str | None:
    """Return the version of the installed onnxruntime, ``None`` if nobody says; nothing of it is run."""
    found = find_spec("onnxruntime")
    if found is not None and found.origin is not None:
        with contextlib.suppress(OSError):
            text = Path(found.origin).read_text(encoding="utf-8", errors="replace")
            if stated := re.search(r"^__version__ = [\"'](.+)[\"']$", text, re.MULTILINE):
                return stated[1]
    from importlib.metadata import PackageNotFoundError, version  # slow to load

    try:
        return version("onnxruntime")
    except PackageNotFoundError:
        return None


def package_stamp(*names: str) -> str:
    """Return what changes when one of the named packages is installed anew, removed or added; none of them is run."""
    stamps = []
    for name in names:
        found = find_spec(name)
        if found is not None and found.origin is not None:
            status = Path(found.origin).stat()
            stamps.append((name, found.origin, status.st_mtime_ns, status.st_size))
    return repr(stamps)


def _processor() -> str:
    """Return what the layout of a session depends on."""
    lines: list[str] = []
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    flags = next((line for line in lines if line.startswith("flags")), "")
    return f"{platform.machine()} {os.environ.get('PROCESSOR_IDENTIFIER', '')} {flags}"  # the second on Windows
