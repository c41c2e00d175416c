"""Images for a search: where they come from, and the split that keeps test data out of every decision.

    digits         scikit-learn's 1,797 handwritten digits, 1x8x8: real, small, offline
    cifar10        torchvision's CIFAR-10, 3x32x32: downloaded once where there is a network
    own            arrays that ``memprof.nas.train.own`` keeps
    a folder       torchvision's ImageFolder layout, train/CLASS/*.png and test/CLASS/*.png (or val/)

A search sees ``TrainingData`` alone: the training images, and a validation part split off them by class with a fixed
seed. Test images have a loader of their own, which only the final scoring calls.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from memprof.base.errors import InputError, LimitError, MissingExtraError, UsageError
from memprof.base.text import first_line, safe_text
from memprof.nas.train import own
from memprof.nas.train.decoded import decode_once
from memprof.nas.train.own import kept_images
from memprof.nas.train.splits import held_out_places, shuffled_by_class

MOST_PIXELS, MOST_IMAGE_BYTES = 50_000_000, 128 * 1024**2
_SUFFIXES = frozenset((".jpg", ".jpeg", ".png", ".webp", ".gif"))
"""Of the kinds that torchvision decodes."""
VALIDATION_SHARE = 0.2


@dataclass(frozen=True, slots=True)
class Images:
    """Images and their classes.

    Attributes:
        pixels: uint8, (n, channels, height, width).
        labels: int64, (n,).
    """

    pixels: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def select(self, indices: Tensor) -> Images:
        """Return the images at ``indices``."""
        return Images(self.pixels[indices], self.labels[indices])

    def to(self, device: torch.device) -> Images:
        """Return the images on ``device``."""
        return Images(self.pixels.to(device), self.labels.to(device))


@dataclass(frozen=True, slots=True, kw_only=True)
class Augmentation:
    """Random changes of training images.

    Attributes:
        padding: Zeros around the image before a random crop of the old shape.
        flips: Whether to mirror half of the images.
        cutout: Side of the square that is set to zero; 0 for none.
    """

    padding: int
    flips: bool
    cutout: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingData:
    """What a search may see.

    Attributes:
        name: As the user named it.
        training: Images to train on.
        validation: Images to choose by, split off the training images.
        classes: Number of classes.
        augmentation: What suits these images.
    """

    name: str
    training: Images
    validation: Images
    classes: int
    augmentation: Augmentation

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image."""
        _, channels, height, width = self.training.pixels.shape
        return channels, height, width

    @property
    def with_validation(self) -> TrainingData:
        """The same with the validation images among those to train on: nothing can be chosen by them any more."""
        parts = (self.training, self.validation)
        both = Images(torch.cat([part.pixels for part in parts]), torch.cat([part.labels for part in parts]))
        return replace(self, training=both)


def load_training(name: str, *, root: Path, limit: int | None = None, side: int | None = None) -> TrainingData:
    """Return the training and validation images of a data set.

    Args:
        name: ``digits``, ``cifar10``, or the path of a folder in ImageFolder layout.
        root: Folder that downloads go to.
        limit: Images to keep of the training set, the same number of each class; all if left out.
        side: Height and width to which the images of a folder are scaled and cropped; left as they are if left out.

    Raises:
        UsageError: There is no such data set or folder, a class has no image to train on or none to choose by, or the
            images have a size of their own.
        InputError: The data cannot be read or downloaded.
    """
    found = _source(name).training(_Request(name, root, limit, side))
    images = found.images
    order = torch.arange(len(images))
    held_out = held_out_places(order, images.labels, VALIDATION_SHARE)
    return TrainingData(
        name=name,
        training=images.select(order[~held_out]),
        validation=images.select(order[held_out]),
        classes=len(found.class_names),
        augmentation=found.augmentation,
    )


def load_test(name: str, *, root: Path, side: int | None = None) -> Images:
    """Return the test images of a data set: for the one final score of a network, never for a choice.

    Labels mean the same classes as in training, and the images have the same shape.

    Args:
        name: As for ``load_training``.
        root: Folder that downloads go to.
        side: As for ``load_training``.

    Raises:
        UsageError: There is no such data set or folder.
        InputError: The data cannot be read or downloaded, or are not of the training set's classes and shape.
    """
    return _source(name).test(_Request(name, root, None, side))


@dataclass(frozen=True, slots=True)
class _Request:
    """Which images are wanted; see ``load_training``."""

    name: str
    root: Path
    limit: int | None
    side: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Labelled:
    """The images of a data set to train on and to choose by.

    Attributes:
        images: The images, in turns: one of each class, then the next of each.
        class_names: Name of each label.
        augmentation: What suits them.
    """

    images: Images
    class_names: tuple[str, ...]
    augmentation: Augmentation


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """Where images come from.

    Attributes:
        training: Reads the images that a search may see.
        test: Reads the others.
    """

    training: Callable[[_Request], _Labelled]
    test: Callable[[_Request], Images]


def _source(name: str) -> _Source:
    if name in SOURCES:
        return SOURCES[name]
    if Path(name).is_dir():
        return _FOLDER
    raise UsageError(
        f"There is no data set {name!r}.", f"Choose {', '.join(SOURCES)}, or a folder with train/CLASS/ images."
    )


def _choose(labels: Tensor, class_names: Sequence[str], limit: int | None) -> Tensor:
    """Return which images to use, in turns.

    Raises:
        UsageError: Some class would not keep two images: one to train on and one to choose by.
    """
    least = 2 * len(class_names)
    if limit is not None and limit < least:
        raise UsageError(
            f"{limit} images of {len(class_names)} classes leave some class without an image to train on or "
            "without one to choose by.",
            f"Use {least} images or more, or all of them.",
        )
    for class_name, count in zip(class_names, labels.bincount().tolist(), strict=True):
        if count < 2:
            raise UsageError(
                f"The class {class_name!r} has one training image, which would be held out to choose by.",
                "Add an image of it, or leave the class out.",
            )
    return shuffled_by_class(labels, limit)


_DIGITS = tuple("0123456789")


def _refuse_side(request: _Request) -> None:
    if request.side is not None:
        raise UsageError(f"The images of {request.name} have a size of their own.", "Leave --image-size out.")


def _digits(request: _Request) -> _Labelled:
    _refuse_side(request)
    # A mirrored digit is no digit, and in 8x8 pixels a cut-out square hides all of one.
    change = Augmentation(padding=1, flips=False, cutout=0)
    images, _ = _split_digits()
    return _Labelled(
        images=images.select(_choose(images.labels, _DIGITS, request.limit)), class_names=_DIGITS, augmentation=change
    )


def _digits_test(request: _Request) -> Images:
    return _split_digits()[1]


def _split_digits() -> tuple[Images, Images]:
    """Return training and test images: scikit-learn's come without a split."""
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise MissingExtraError("The data set digits", "nas") from error
    found = load_digits()
    pixels = torch.from_numpy((found.images * (255 / 16)).astype(np.uint8)).unsqueeze(1)
    images = Images(pixels, torch.from_numpy(found.target.astype(np.int64)))
    order = shuffled_by_class(images.labels, None)
    is_held_out = held_out_places(order, images.labels, VALIDATION_SHARE)
    return images.select(order[~is_held_out]), images.select(order[is_held_out])


def _cifar10(request: _Request) -> _Labelled:
    _refuse_side(request)
    found = _open_cifar10(request.root, part="train")
    images, class_names = _cifar10_images(found), tuple(found.classes)
    return _Labelled(
        images=images.select(_choose(images.labels, class_names, request.limit)),
        class_names=class_names,
        augmentation=Augmentation(padding=4, flips=True, cutout=16),
    )


def _cifar10_test(request: _Request) -> Images:
    return _cifar10_images(_open_cifar10(request.root, part="test"))


def _open_cifar10(root: Path, *, part: Literal["train", "test"]) -> Any:
    from torchvision.datasets import CIFAR10

    try:
        return CIFAR10(str(root), train=part == "train", download=True)
    except (OSError, RuntimeError) as error:
        raise InputError(
            f"CIFAR-10 is not in {root} and cannot be downloaded: {error}.",
            "Use --dataset digits, or a folder with train/CLASS/ images.",
        ) from error


def _cifar10_images(found: Any) -> Images:
    return Images(torch.from_numpy(found.data).permute(0, 3, 1, 2).contiguous(), torch.tensor(found.targets))


def _folder(request: _Request) -> _Labelled:
    place = _part(request.name, ("train",))
    class_names = _class_names(place)
    if len(class_names) == 1:
        single = safe_text(class_names[0])
        raise InputError(f"{place} has the single class {single!r}.", "There is nothing to tell apart.")
    samples = _samples(place, class_names)
    if idle := sorted(set(range(len(class_names))) - {label for _, label in samples}):
        raise InputError(f"The class folder {place / class_names[idle[0]]} has no images.", "Fill it, or remove it.")
    chosen = _choose(torch.tensor([label for _, label in samples]), class_names, request.limit)
    # Chosen by their labels first: of a large folder only these are decoded.
    shape = _shape_of(samples[0][0], request.side)
    images = _read_images([samples[i] for i in chosen.tolist()], shape, request)
    side = min(images.pixels.shape[2:])
    change = Augmentation(padding=max(1, side // 8), flips=True, cutout=side // 2)
    return _Labelled(images=images, class_names=class_names, augmentation=change)


def _folder_test(request: _Request) -> Images:
    training, place = _part(request.name, ("train",)), _part(request.name, ("test", "val"))
    class_names = _class_names(training)
    if unknown := sorted(set(_class_names(place)) - set(class_names)):
        raise InputError(f"{place} has a class that {training} lacks: {unknown[0]!r}.", "Train on it, or remove it.")
    samples = _samples(place, class_names)
    if not samples:
        raise InputError(f"There are no images in {place}.", "Put them into a folder for each class.")
    shape = _shape_of(_samples(training, class_names)[0][0], request.side)
    return _read_images(samples, shape, request)


def _part(name: str, choices: tuple[str, ...]) -> Path:
    place = next((path for choice in choices if (path := Path(name) / choice).is_dir()), None)
    if place is None:
        raise UsageError(f"The folder {name!r} has no {' or '.join(choices)} folder.", "Use ImageFolder layout.")
    return place


def _class_names(place: Path) -> tuple[str, ...]:
    """Return the names of the class folders; a class's place among those of the training folder is its label."""
    try:
        names = tuple(sorted(path.name for path in place.iterdir() if path.is_dir()))
    except OSError as error:
        raise InputError(f"{place} cannot be read: {error.strerror}.", "Look at its permissions.") from error
    if not names:
        raise InputError(f"There are no class folders in {place}.", "Put images of each class into one of its own.")
    return names


def _samples(place: Path, class_names: tuple[str, ...]) -> list[tuple[Path, int]]:
    """Return each image file of the classes and its label, by name; other files are left alone.

    Links are followed, as people link their images together, and every folder is entered once: a link that leads back
    to where it lies ends there.
    """
    found: list[tuple[Path, int]] = []
    for label, name in enumerate(class_names):
        try:
            found += [(path, label) for path in _images_in(place / name)]
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
        yield from (Path(e.path) for e in entries if e.path in files and Path(e.name).suffix.lower() in _SUFFIXES)
        waiting += [Path(entry.path) for entry in reversed(entries) if entry.path in folders]


def _read_images(samples: Sequence[tuple[Path, int]], shape: torch.Size, request: _Request) -> Images:
    """Decode images that all have ``shape``: channels, height and width; scaled and cropped if that is asked for."""
    paths = [path for path, _ in samples]

    def decode(place: int) -> Tensor:
        decoded = _decode(paths[place], request.side)
        if decoded.shape != shape:
            raise InputError(
                f"The image {paths[place]} has {_size(decoded.shape)} pixels, the first training image "
                f"{_size(shape)}.",
                "Scale and crop all of them: --image-size 224.",
            )
        return decoded

    with _without_warnings():
        pixels = decode_once(paths, shape, request.side, request.root, decode)
    return Images(pixels, torch.tensor([label for _, label in samples]))


def _decode(path: Path, side: int | None) -> Tensor:
    """Return an image in red, green and blue, (3, height, width).

    With a ``side`` the shorter edge is scaled to it and the middle cropped, as is usual for ImageNet.
    """
    from torchvision.io import ImageReadMode, decode_image

    try:
        _refuse_giant_image(path)
        decoded: Tensor = decode_image(str(path), ImageReadMode.RGB)
    except (OSError, RuntimeError, ValueError) as error:
        reason = safe_text(first_line(error))
        raise InputError(
            f"The image {safe_text(str(path))} cannot be read: {reason}.", "Replace it, or remove it."
        ) from error
    if decoded.dtype != torch.uint8 or decoded.dim() != 3:  # a PNG of 16 bits a channel, an animated GIF
        raise InputError(f"The image {path} is not one picture of 8 bits a channel.", "Convert it, or remove it.")
    return decoded if side is None else _cropped(decoded, side)


def _shape_of(path: Path, side: int | None) -> torch.Size:
    with _without_warnings():
        return _decode(path, side).shape


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Hear no warning of giant images, which are refused; once, as threads share what is heard."""
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        yield


def _refuse_giant_image(path: Path) -> None:
    """Raise if an image is larger than any photograph: its head tells, before its pixels take all memory."""
    from PIL import Image

    size = path.stat().st_size
    if size > MOST_IMAGE_BYTES:
        raise LimitError(f"The image {safe_text(str(path))} has {size:,} bytes.", f"At most {MOST_IMAGE_BYTES:,}.")
    try:
        with Image.open(path) as image:
            width, height = image.size
    except Image.DecompressionBombError:
        width, height = MOST_PIXELS, 2
    if width * height > MOST_PIXELS:
        raise LimitError(
            f"The image {safe_text(str(path))} has more than {MOST_PIXELS:,} pixels.", "Scale it down, or remove it."
        )


def _cropped(image: Tensor, side: int) -> Tensor:
    from torchvision.transforms.functional import center_crop, resize

    scaled: Tensor = center_crop(resize(image, [side], antialias=True), [side, side])
    return scaled


def _size(shape: torch.Size) -> str:
    return f"{shape[1]}x{shape[2]}"


def _own(request: _Request) -> _Labelled:
    _refuse_side(request)
    images = Images(*kept_images(request.root, "training"))
    names = tuple(map(str, range(int(images.labels.max()) + 1)))
    side, is_grey = min(images.pixels.shape[2:]), images.pixels.shape[1] == 1
    # Grey ones may be characters, which a mirror or a hole makes into others.
    change = Augmentation(padding=max(1, side // 8), flips=not is_grey, cutout=0 if is_grey else side // 2)
    chosen = _choose(images.labels, names, request.limit)
    return _Labelled(images=images.select(chosen), class_names=names, augmentation=change)


def _own_test(request: _Request) -> Images:
    training, test = kept_images(request.root, "training"), Images(*kept_images(request.root, "test"))
    if test.pixels.shape[1:] != training[0].shape[1:] or test.labels.max() > training[1].max():
        raise InputError("The own test images have another shape or class than those to train on.", "Mend the test.")
    return test


SOURCES = {
    "digits": _Source(training=_digits, test=_digits_test),
    "cifar10": _Source(training=_cifar10, test=_cifar10_test),
    own.NAME: _Source(training=_own, test=_own_test),
}
_FOLDER = _Source(training=_folder, test=_folder_test)
