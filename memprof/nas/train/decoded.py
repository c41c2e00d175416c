"""Pixels of image files, decoded once and kept beside the search: other workers and later runs map them.

    ROOT/decoded-KEY.npy     uint8 (n, channels, height, width); KEY is a hash of every file's path, size and time

Other files, another order or another size have another key, so a kept file is right or is not looked at. One that is
spoilt, of another shape or a link is decoded anew: it is a saving, never an input.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from memprof.base.errors import InputError
from memprof.base.processes import usable_cores
from memprof.nas.given.inside import create_anew, inside
from memprof.nas.train.arrays import map_array
from memprof.nas.train.encoded import Encoded

FEWEST_KEPT = 1000
"""Fewer images are decoded in the time that a file takes."""

_AT_ONCE = 256
_MOST_THREADS = 8


def decode_once(
    files: Sequence[Encoded], shape: torch.Size, side: int | None, root: Path, decode: Callable[[int], Tensor]
) -> Tensor:
    """Return the pixels of image files, uint8 (n, *shape).

    Args:
        files: The encoded images.
        shape: Channels, height and width of each.
        side: What they are scaled to; part of the key.
        root: Folder to keep them in.
        decode: Returns the pixels of one file by its place in ``files``; may run in several threads.
    """
    if len(files) < FEWEST_KEPT:
        return _decode_all(len(files), shape, decode)
    name = f"decoded-{_key(files, side)}.npy"
    with suppress(ValueError, InputError):
        kept = map_array(root, name)
        if kept.dtype == np.uint8 and kept.shape == (len(files), *shape):
            return torch.from_numpy(kept)
    pixels = _decode_all(len(files), shape, decode)
    with suppress(OSError, InputError):  # where nothing can be kept, nothing is saved
        _keep(pixels, root, name)
    return pixels


def _decode_all(count: int, shape: torch.Size, decode: Callable[[int], Tensor]) -> Tensor:
    pixels = torch.empty((count, *shape), dtype=torch.uint8)

    def fill(start: int) -> None:
        for i in range(start, min(start + _AT_ONCE, count)):
            pixels[i] = decode(i)

    with ThreadPoolExecutor(min(_MOST_THREADS, usable_cores())) as threads:
        list(threads.map(fill, range(0, count, _AT_ONCE)))  # the first error in order is raised
    return pixels


def _keep(pixels: Tensor, root: Path, name: str) -> None:
    root.mkdir(parents=True, exist_ok=True)
    passing = inside(root, f"{name}.{os.getpid()}.part")
    try:
        with create_anew(passing) as file:
            np.save(file, pixels.numpy(), allow_pickle=False)
        passing.replace(root / name)
    finally:
        passing.unlink(missing_ok=True)


def _key(files: Sequence[Encoded], side: int | None) -> str:
    digest = hashlib.sha256(repr(side).encode())
    for part in _facts(files):
        digest.update(part.encode(errors="surrogateescape"))
    return digest.hexdigest()[:24]


def _facts(files: Sequence[Encoded]) -> Iterator[str]:
    for file in files:
        status = file.path.stat()
        yield f"{file.path}\0{file.offset}\0{status.st_size}\0{status.st_mtime_ns}\0"
