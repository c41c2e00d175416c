"""Images of one's own: arrays or a torch Dataset, from Python or from a function that is named on the command line.

    ROOT/own-training-pixels.npy   uint8 (n, channels, height, width)      ROOT/own-training-labels.npy   int64 (n,)
    ROOT/own-test-pixels.npy, ROOT/own-test-labels.npy                     where there are any

They are kept beside the search when it starts. Workers, resumes and final trainings read those files: the function is
called once, by who named it, and a search folder from somebody else cannot name one.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from memprof.base.errors import InputError, UsageError
from memprof.base.files import write_whole
from memprof.base.text import first_line, safe_text
from memprof.nas.given.inside import inside
from memprof.nas.train.arrays import map_array

_Pair = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]
"""Pixels and labels."""

NAME = "own"
"""What such a data set is called in a search's settings."""

_RETURNS = (
    "A function returns (training, test) or training alone; each is (images, labels) or a torch Dataset of "
    "(image, label)."
)


def images_from(name: str) -> tuple[Any, Any]:
    """Call the function that ``name`` stands for and return its training and test images, ``None`` for no test.

    Args:
        name: ``package.module:function``, imported from the current folder or the installed packages.

    Raises:
        UsageError: There is no such function.
        InputError: It failed.
    """
    module, _, function = name.partition(":")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        make = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise UsageError(
            f"There is no function {name!r}: {safe_text(first_line(error))}.", "Name it as package.module:function."
        ) from error
    try:
        found = make()
    except Exception as error:  # somebody's own code may fail in any way
        raise InputError(
            f"{name} failed: {type(error).__name__}: {safe_text(first_line(error))}.", _RETURNS
        ) from error
    is_pair_of_parts = isinstance(found, tuple) and len(found) == 2 and not _is_arrays(found)
    return found if is_pair_of_parts else (found, None)


def keep_images(root: Path, training: Any, test: Any = None) -> None:
    """Keep images of one's own beside a search, whose data set is then ``own``.

    Args:
        root: Folder of the search's data, ``DIR/data``; made if it is not there.
        training: ``(images, labels)`` as arrays or tensors, or a torch Dataset of ``(image, label)``. Images are
            uint8, or numbers from 0 to 1; (n, height, width), channels first, or last if there are 1 or 3 of them.
        test: The same, for the one final score; ``None`` for none.

    Raises:
        InputError: They are no images, or labels are not 0, 1, 2 and so on.
    """
    parts = {"training": _arrays(training, "training")}
    if test is not None:
        parts["test"] = _arrays(test, "test")
    if parts["training"][1].min() != 0 or len(np.unique(parts["training"][1])) != parts["training"][1].max() + 1:
        raise InputError("Labels of own images are not 0, 1, 2 and so on, each with an image.", "Number the classes.")
    _check_test(**parts)
    root.mkdir(parents=True, exist_ok=True)
    for part, arrays in parts.items():
        for kind, array in zip(("pixels", "labels"), arrays, strict=True):
            write_whole(inside(root, f"{NAME}-{part}-{kind}.npy"), partial(_save, array))


def _check_test(training: _Pair, test: _Pair | None = None) -> None:
    """Raise if test images are of another shape, or of a class that nothing is trained on: not days later."""
    if test is not None and test[0].shape[1:] != training[0].shape[1:]:
        raise InputError(
            f"The own test images have the shape {test[0].shape[1:]}, those to train on {training[0].shape[1:]}.",
            "Make them alike.",
        )
    if test is not None and test[1].max() > training[1].max():
        raise InputError(
            f"The own test images have a class {test[1].max()}, those to train on end at {training[1].max()}.",
            "Number the classes alike in both.",
        )


def kept_images(root: Path, part: str) -> tuple[Tensor, Tensor]:
    """Return pixels and labels that were kept.

    Args:
        root: Folder of the search's data.
        part: ``training`` or ``test``.

    Raises:
        InputError: There are none, or they are spoilt.
    """
    try:
        pixels, labels = (map_array(root, f"{NAME}-{part}-{kind}.npy") for kind in ("pixels", "labels"))
        if (
            pixels.dtype != np.uint8
            or pixels.ndim != 4
            or labels.dtype != np.int64
            or labels.shape != pixels.shape[:1]
        ):
            raise ValueError("other types or shapes")
        if not pixels.size or labels.min() < 0:
            raise ValueError("no images, or labels below 0")
        if part == "training" and len(np.unique(labels)) - 1 != labels.max():  # names of 2^62 classes never end
            raise ValueError("a class without an image")
    except ValueError as error:
        raise InputError(
            f"There are no own {part} images in {safe_text(str(root))}: {safe_text(first_line(error))}.",
            "Name the function that makes them: nas search --data-from package.module:function.",
        ) from error
    return torch.from_numpy(pixels), torch.from_numpy(np.array(labels))


def _save(array: np.ndarray[Any, Any], path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, array, allow_pickle=False)


def _is_arrays(found: Any) -> bool:
    """Return whether these are images and their labels: arrays, tensors, or lists of each."""
    if not isinstance(found, tuple) or len(found) != 2:
        return False
    return all(hasattr(part, "shape") or (isinstance(part, list) and not _has_pairs(part)) for part in found)


def _has_pairs(found: list[Any]) -> bool:
    return bool(found) and isinstance(found[0], tuple)


def _arrays(found: Any, part: str) -> _Pair:
    try:
        images, labels = found if _is_arrays(found) else _of_dataset(found)
        pixels, numbers = _as_bytes(np.asarray(images)), np.asarray(labels)
        if numbers.dtype.kind not in "biuf":
            raise ValueError(f"labels are whole numbers from 0, not {numbers.reshape(-1)[:1].tolist()}")
        if numbers.ndim != 1 or len(numbers) != len(pixels) or not len(pixels):
            raise ValueError(f"{len(pixels)} images and labels of shape {numbers.shape}")
        if not np.array_equal(numbers, numbers.astype(np.int64)) or numbers.min() < 0:
            raise ValueError("labels are whole numbers from 0")
    except (TypeError, ValueError, AttributeError, IndexError) as error:
        raise InputError(
            f"The own {part} images cannot be used: {safe_text(first_line(error))}.", _RETURNS
        ) from error
    return pixels, numbers.astype(np.int64)


def _of_dataset(found: Any) -> tuple[np.ndarray[Any, Any], list[Any]]:
    """Return all images and labels of a torch Dataset, or of any sequence of pairs."""
    pairs: Sequence[Any] = [found[i] for i in range(len(found))]
    return np.stack([np.asarray(image) for image, _ in pairs]), [label for _, label in pairs]


def _as_bytes(images: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return images as uint8, channels first."""
    if images.ndim == 3:
        images = images[:, None]
    if images.ndim != 4:
        raise ValueError(f"images of shape {images.shape}")
    if images.shape[1] not in {1, 3} and images.shape[3] in {1, 3}:
        images = images.transpose(0, 3, 1, 2)
    if images.dtype == np.uint8:
        return np.ascontiguousarray(images)
    if not np.issubdtype(images.dtype, np.floating) or not (images.min() >= 0 and images.max() <= 1):
        raise ValueError("pixels are bytes, or numbers from 0 to 1")
    return np.ascontiguousarray((images * 255).round().astype(np.uint8))
