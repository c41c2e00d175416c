"""What this process holds: resident pages, as the system counts them, and what is taken of the C library's heap."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path
from typing import Any


def resident() -> tuple[int, int]:
    """Return the bytes of this process's resident pages, and of those among them that are no file's."""
    lines = Path("/proc/self/smaps_rollup").read_text(encoding="ascii", errors="replace").splitlines()
    sizes = {line.partition(":")[0]: int(line.split()[1]) * 1024 for line in lines if line.endswith(" kB")}
    return sizes["Rss"], sizes["Anonymous"]


def most_resident() -> int:
    """Return the most bytes of resident pages that this process has had at once."""
    text = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    return next(int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("VmHWM"))


_NAMES = ("arena", "pieces", "fast", "maps", "mapped", "most", "fast_bytes", "used", "free", "top")


class _Info(ctypes.Structure):
    """What ``mallinfo2`` returns."""

    _fields_ = [(name, ctypes.c_size_t) for name in _NAMES]


def c_library() -> Any:
    """Return glibc, ``None`` if the C library is another or does not count."""
    if not sys.platform.startswith("linux") or ctypes.sizeof(ctypes.c_void_p) != 8:
        return None
    libc: Any = ctypes.CDLL(None)
    if not hasattr(libc, "gnu_get_libc_version") or not hasattr(libc, "mallinfo2"):
        return None
    libc.mallinfo2.restype = _Info
    libc.malloc.restype = ctypes.c_void_p
    libc.malloc.argtypes = (ctypes.c_size_t,)
    libc.munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
    return libc


def taken_bytes(libc: Any) -> int:
    """Return what is taken of the C library's heap, small pieces that it keeps ready included."""
    found = libc.mallinfo2()
    return int(found.used + found.mapped)
