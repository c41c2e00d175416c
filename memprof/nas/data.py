"""Images for a search: where they come from, and the split that keeps test data out of every decision.

    digits         scikit-learn's 1,797 handwritten digits, 1x8x8: real, small, offline
    cifar10        torchvision's CIFAR-10, 3x32x32: downloaded once where there is a network
    a folder       torchvision's ImageFolder layout, train/CLASS/*.png and test/CLASS/*.png (or val/)

A search sees ``TrainingData`` alone: the training images, and a validation part split off them by class with a fixed
seed. Test images have a loader of their own, which only the final scoring calls.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from memprof.errors import InputError, MissingExtraError, UsageError

VALIDATION_SHARE = 0.2
_SPLIT_SEED = 0
_TEST_FOLDERS = ("test", "val")


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


def load_training(name: str, *, root: Path, limit: int | None = None) -> TrainingData:
    """Return the training and validation images of a data set.

    Args:
        name: ``digits``, ``cifar10``, or the path of a folder in ImageFolder layout.
        root: Folder that downloads go to.
        limit: Images to keep of the training set, the same number of each class; all if left out.

    Raises:
        UsageError: There is no such data set or folder.
        InputError: The data cannot be read or downloaded.
    """
    images, classes, augmentation = _source(name)(name, root, is_test=False)
    order = _shuffled_by_class(images.labels, limit)
    held_out = _every(order, images.labels, VALIDATION_SHARE)
    return TrainingData(
        name=name,
        training=images.select(order[~held_out]),
        validation=images.select(order[held_out]),
        classes=classes,
        augmentation=augmentation,
    )


def load_test(name: str, *, root: Path) -> Images:
    """Return the test images of a data set: for the one final score of a network, never for a choice.

    Raises:
        UsageError: There is no such data set or folder.
        InputError: The data cannot be read or downloaded.
    """
    images, _, _ = _source(name)(name, root, is_test=True)
    return images


_Source = Callable[..., tuple[Images, int, Augmentation]]


def _source(name: str) -> _Source:
    if name in _SOURCES:
        return _SOURCES[name]
    if Path(name).is_dir():
        return _folder
    raise UsageError(
        f"There is no data set {name!r}.", f"Choose {', '.join(_SOURCES)}, or a folder with train/CLASS/ images."
    )


def _digits(name: str, root: Path, *, is_test: bool) -> tuple[Images, int, Augmentation]:
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise MissingExtraError("The data set digits", "nas") from error
    found = load_digits()
    pixels = torch.from_numpy((found.images * (255 / 16)).astype(np.uint8)).unsqueeze(1)
    images = Images(pixels, torch.from_numpy(found.target.astype(np.int64)))
    order = _shuffled_by_class(images.labels, None)
    is_held_out = _every(order, images.labels, VALIDATION_SHARE)
    # A mirrored digit is no digit, and in 8x8 pixels a cut-out square hides all of one.
    return images.select(order[is_held_out == is_test]), 10, Augmentation(padding=1, flips=False, cutout=0)


def _cifar10(name: str, root: Path, *, is_test: bool) -> tuple[Images, int, Augmentation]:
    from torchvision.datasets import CIFAR10

    try:
        found = CIFAR10(str(root), train=not is_test, download=True)
    except (OSError, RuntimeError) as error:
        raise InputError(
            f"CIFAR-10 is not in {root} and cannot be downloaded: {error}.",
            "Use --dataset digits, or a folder with train/CLASS/ images.",
        ) from error
    pixels = torch.from_numpy(found.data).permute(0, 3, 1, 2).contiguous()
    return Images(pixels, torch.tensor(found.targets)), 10, Augmentation(padding=4, flips=True, cutout=16)


def _folder(name: str, root: Path, *, is_test: bool) -> tuple[Images, int, Augmentation]:
    from torchvision.datasets import ImageFolder
    from torchvision.io import ImageReadMode, decode_image

    folders = _TEST_FOLDERS if is_test else ("train",)
    place = next((path for part in folders if (path := Path(name) / part).is_dir()), None)
    if place is None:
        raise UsageError(f"The folder {name!r} has no {' or '.join(folders)} folder.", "Use ImageFolder layout.")
    try:
        found = ImageFolder(str(place)).samples
        first = decode_image(found[0][0], ImageReadMode.RGB)
        pixels = torch.empty((len(found), *first.shape), dtype=torch.uint8)
        for i, (path, _) in enumerate(found):
            pixels[i] = decode_image(path, ImageReadMode.RGB)
    except (OSError, RuntimeError) as error:
        raise InputError(f"The images in {place} cannot be read: {error}.", "All must have one size.") from error
    labels = torch.tensor([label for _, label in found])
    side = min(pixels.shape[2:])
    return (
        Images(pixels, labels),
        int(labels.max()) + 1,
        Augmentation(padding=max(1, side // 8), flips=True, cutout=side // 2),
    )


_SOURCES: dict[str, _Source] = {"digits": _digits, "cifar10": _cifar10}


def _shuffled_by_class(labels: Tensor, limit: int | None) -> Tensor:
    """Return indices that go round the classes, each class shuffled with the fixed seed; at most ``limit``."""
    generator = torch.Generator().manual_seed(_SPLIT_SEED)
    turns = torch.empty(len(labels), dtype=torch.int64)
    for label in torch.unique(labels):
        members = (labels == label).nonzero().squeeze(1)
        turns[members[torch.randperm(len(members), generator=generator)]] = torch.arange(len(members))
    order = torch.argsort(turns, stable=True)
    return order if limit is None else order[:limit]


def _every(order: Tensor, labels: Tensor, share: float) -> Tensor:
    """Return which places of ``order`` are held out: of each class the first ``share``."""
    chosen = labels[order]
    is_held_out = torch.zeros(len(order), dtype=torch.bool)
    for label in torch.unique(chosen):
        places = (chosen == label).nonzero().squeeze(1)
        is_held_out[places[: max(1, round(len(places) * share))]] = True
    return is_held_out
