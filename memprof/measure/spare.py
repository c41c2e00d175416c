"""How much memory is to be had: what the machine has to spare, and what control groups leave of it.

    machine             pages that are free
    control groups      version 2: ``memory.max`` less ``memory.current``; version 1: ``memory.limit_in_bytes`` less
                        ``memory.usage_in_bytes``; of this process and of all around it

A container's limit is one of these: what the machine has beyond it brings the out-of-memory killer.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

_LIMITS = (("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes"))


def spare_bytes(groups: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> int:
    """Return the bytes that this process and its children may still take, 0 where that is not known.

    Args:
        groups: Where the control groups are.
        own: The file that names those of this process.
    """
    try:
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return 0
    return max(0, min([free, *_left(groups, own)]))


def _left(groups: Path, own: Path) -> Iterator[int]:
    """Yield what each limit that is set leaves."""
    for folder in _folders(groups, own):
        for limit, used in _LIMITS:
            try:
                yield int((folder / limit).read_text()) - int((folder / used).read_text())
            except (OSError, ValueError):  # there is none, or it says "max"
                continue


def _folders(groups: Path, own: Path) -> Iterator[Path]:
    """Yield the folders of the groups of this process that may limit memory, and of those around them."""
    try:
        lines = own.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, name = rest.partition(":")
        if controllers and "memory" not in controllers.split(","):
            continue
        base = groups / "memory" if controllers else groups
        path = PurePosixPath(name.lstrip("/"))
        yield from (base / each for each in (path, *path.parents) if ".." not in each.parts)
