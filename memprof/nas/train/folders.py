"""Images of a folder: a folder for each class, as torchvision's ImageFolder has it, or tar shards.

    DIR/train/CLASS/*.jpg      and DIR/test or DIR/val
    DIR/train/*.tar            ``memprof.nas.train.shards``

What decodes to no more than ``MOST_HELD_BYTES`` is decoded once, kept beside the search and held in memory; more than
that stays in its files and is streamed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from memprof.base.errors import InputError, UsageError
from memprof.base.text import safe_text
from memprof.nas.train.decoded import decode_once
from memprof.nas.train.encoded import SUFFIXES, Encoded, decode, without_warnings
from memprof.nas.train.images import (
    AnyImages,
    Augmentation,
    Images,
    Labelled,
    Request,
    StreamedImages,
    choose,
    decode_alike,
)
from memprof.nas.train.shards import by_number, is_sharded, list_shards

MOST_HELD_BYTES = 1 << 30
"""Of pixels, that each worker holds: 7,000 images of 224x224."""

Sample = tuple[Encoded, int]
"""An image and its label."""


def read_folder(request: Request) -> Labelled:
    """Return the images of ``train`` that a search may see.

    Raises:
        UsageError: There is no such part, or a class has too few images.
        InputError: The images cannot be read, or there is nothing to tell apart.
    """
    place = _part(request.name, ("train",))
    class_names, samples = _listed(place)
    if len(class_names) == 1:
        single = safe_text(class_names[0])
        raise InputError(f"{place} has the single class {single!r}.", "There is nothing to tell apart.")
    if idle := sorted(set(range(len(class_names))) - {label for _, label in samples}):
        raise InputError(f"The class folder {place / class_names[idle[0]]} has no images.", "Fill it, or remove it.")
    chosen = choose(torch.tensor([label for _, label in samples]), class_names, request.limit)
    # Chosen by their labels first: of a large folder only these are decoded.
    shape = _shape_of(samples[0][0], request.side)
    images = _read([samples[i] for i in chosen.tolist()], shape, request)
    side = min(shape[1:])
    change = Augmentation(padding=max(1, side // 8), flips=True, cutout=side // 2)
    return Labelled(images=images, class_names=class_names, augmentation=change)


def read_folder_test(request: Request) -> AnyImages:
    """Return the images of ``test``, or of ``val``; labels mean the classes of ``train``.

    Raises:
        UsageError: There is no such part.
        InputError: The images cannot be read, or have a class that is not trained.
    """
    training, place = _part(request.name, ("train",)), _part(request.name, ("test", "val"))
    class_names, known = _listed(training)
    _, samples = _listed(place, class_names)
    if not samples:
        raise InputError(f"There are no images in {place}.", "Put them into a folder for each class.")
    return _read(samples, _shape_of(known[0][0], request.side), request)


def _part(name: str, choices: tuple[str, ...]) -> Path:
    place = next((path for choice in choices if (path := Path(name) / choice).is_dir()), None)
    if place is None:
        raise UsageError(f"The folder {name!r} has no {' or '.join(choices)} folder.", "Use ImageFolder layout.")
    return place


def _listed(place: Path, known: tuple[str, ...] | None = None) -> tuple[tuple[str, ...], list[Sample]]:
    """Return the names of the classes of a part, and each image with its label; by name.

    Args:
        place: The folder of the part.
        known: Classes that labels mean; the part's own if left out.

    Raises:
        InputError: It has a class that is not known.
    """
    if is_sharded(place):
        named = list_shards(place)
        names = tuple(sorted({name for name, _ in named}, key=by_number))
    else:
        named, names = [], _class_names(place)
    classes = names if known is None else known
    if unknown := [name for name in names if name not in classes]:
        raise InputError(
            f"{place} has a class that its training images lack: {safe_text(unknown[0])!r}.",
            "Train on it, or remove it.",
        )
    labels = {name: label for label, name in enumerate(classes)}
    samples = [(file, labels[name]) for name, file in named] if named else _files(place, classes)
    return classes, samples


def _class_names(place: Path) -> tuple[str, ...]:
    """Return the names of the class folders; a class's place among those of the training folder is its label."""
    try:
        names = tuple(sorted(path.name for path in place.iterdir() if path.is_dir()))
    except OSError as error:
        raise InputError(f"{place} cannot be read: {error.strerror}.", "Look at its permissions.") from error
    if not names:
        raise InputError(f"There are no class folders in {place}.", "Put images of each class into one of its own.")
    return names


def _files(place: Path, class_names: tuple[str, ...]) -> list[Sample]:
    """Return each image file of the classes and its label, by name; other files are left alone.

    Links are followed, as people link their images together, and every folder is entered once: a link that leads back
    to where it lies ends there.
    """
    found: list[Sample] = []
    for label, name in enumerate(class_names):
        try:
            found += [(Encoded(path), label) for path in _images_in(place / name)]
        except OSError as error:
            raise InputError(
                f"{error.filename} cannot be read: {error.strerror}.", "Look at its permissions and links."
            ) from error
    return found


def _images_in(folder: Path) -> Iterator[Path]:
    """Yield the image files below ``folder``; none if it is not there, as a class that has no test images is not."""
    waiting, seen = [folder] if folder.exists() else [], set[tuple[int, int]]()
    while waiting:
        place = waiting.pop()
        status = place.stat()
        if (status.st_dev, status.st_ino) in seen:
            continue
        seen.add((status.st_dev, status.st_ino))
        with os.scandir(place) as found:  # says what is a file without a look at each
            entries = sorted(found, key=lambda entry: entry.name)
        plain = [entry for entry in entries if not entry.is_symlink()]
        links = {entry.path: Path(entry.path) for entry in entries if entry.is_symlink()}  # Path forgives loops
        files = {entry.path for entry in plain if entry.is_file()} | {
            p for p, link in links.items() if link.is_file()
        }
        folders = {entry.path for entry in plain if entry.is_dir()} | {
            p for p, link in links.items() if link.is_dir()
        }
        yield from (Path(e.path) for e in entries if e.path in files and Path(e.name).suffix.lower() in SUFFIXES)
        waiting += [Path(entry.path) for entry in reversed(entries) if entry.path in folders]


def _read(samples: Sequence[Sample], shape: torch.Size, request: Request) -> AnyImages:
    """Return images that all have ``shape``: channels, height and width; scaled and cropped if that is asked for."""
    files, labels = [file for file, _ in samples], torch.tensor([label for _, label in samples])
    if len(files) * shape.numel() > MOST_HELD_BYTES:
        return StreamedImages(files=files, labels=labels, shape=shape, side=request.side)

    def pixels_of(place: int) -> Tensor:
        return decode_alike(files[place], request.side, shape)

    with without_warnings():
        return Images(decode_once(files, shape, request.side, request.root, pixels_of), labels)


def _shape_of(file: Encoded, side: int | None) -> torch.Size:
    with without_warnings():
        return decode(file, side).shape
