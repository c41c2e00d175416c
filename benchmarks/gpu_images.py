"""Images of an archive as arrays, decoded once by all cores: train/CLASS/ and test/CLASS/ inside a .tar.gz file."""

from __future__ import annotations

import os
import tarfile
import tempfile
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from PIL import Image

from memprof.nas.train.data import TrainingData, load_training
from memprof.nas.train.own import NAME, keep_images

Arrays = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]
_AT_ONCE = 500


def keep_archive(archive: Path, root: Path, most: int | None = None) -> None:
    """Decode an archive and keep its images beside a search, whose data set is then ``own``.

    Args:
        archive: The .tar.gz file.
        root: Folder of the search's data.
        most: Images of each part to keep, taken evenly; all if left out.
    """
    parts = arrays_of(archive, most)
    keep_images(root, parts["train"], parts["test"])


def training_data(archive: Path) -> TrainingData:
    """Return the images of an archive as a search sees them."""
    with tempfile.TemporaryDirectory() as folder:
        keep_archive(archive, Path(folder))
        return load_training(NAME, root=Path(folder))


def arrays_of(archive: Path, most: int | None = None) -> Mapping[str, Arrays]:
    """Return pixels (n, height, width, 3) and labels of both parts."""
    files: dict[str, list[tuple[str, bytes]]] = {"train": [], "test": []}
    with tarfile.open(archive) as found:
        for member in found:
            *_, part, name, _ = ("", "", *PurePosixPath(member.name).parts)
            content = found.extractfile(member) if member.isfile() and part in files else None
            if content is not None:
                files[part].append((name, content.read()))
    classes = sorted({name for name, _ in files["train"]})
    arrays = {}
    with ProcessPoolExecutor(min(16, os.cpu_count() or 1)) as pool:
        for part, pairs in files.items():
            kept = pairs[:: max(1, len(pairs) // most)] if most else pairs
            decoded = pool.map(_decode, (content for _, content in kept), chunksize=_AT_ONCE)
            arrays[part] = np.stack(list(decoded)), np.array([classes.index(name) for name, _ in kept])
    return arrays


def _decode(content: bytes) -> np.ndarray[Any, Any]:
    with Image.open(BytesIO(content)) as image:
        return np.asarray(image.convert("RGB"))
