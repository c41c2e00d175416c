"""Images for a search: where they come from, and the split that keeps test data out of every decision.

    digits         scikit-learn's 1,797 handwritten digits, 1x8x8: real, small, offline
    cifar10        torchvision's CIFAR-10, 3x32x32: downloaded once where there is a network
    own            arrays that ``memprof.nas.train.own`` keeps
    a folder       a folder for each class, or tar shards: ``memprof.nas.train.folders``

A search sees ``TrainingData`` alone: the training images, and a validation part split off them by class with a fixed
seed. Test images have a loader of their own, which only the final scoring calls.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from memprof.base.errors import InputError, MissingExtraError, UsageError
from memprof.nas.given.inside import inside
from memprof.nas.train import own
from memprof.nas.train.folders import read_folder, read_folder_test
from memprof.nas.train.images import AnyImages, Augmentation, Images, Labelled, Request, choose, refuse_side
from memprof.nas.train.own import kept_images
from memprof.nas.train.splits import held_out_places, shuffled_by_class

VALIDATION_SHARE = 0.2
LEAST_CLASSES = 2
_CIFAR10_ARCHIVE, _CIFAR10_FOLDER = "cifar-10-python.tar.gz", "cifar-10-batches-py"


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
    training: AnyImages
    validation: AnyImages
    classes: int
    augmentation: Augmentation

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image."""
        channels, height, width = self.training.shape
        return channels, height, width

    @property
    def with_validation(self) -> TrainingData:
        """The same with the validation images among those to train on: nothing can be chosen by them any more."""
        return replace(self, training=self.training.joined(self.validation))


def load_training(name: str, *, root: Path, limit: int | None = None, side: int | None = None) -> TrainingData:
    """Return the training and validation images of a data set.

    Args:
        name: ``digits``, ``cifar10``, or the path of a folder in ImageFolder layout.
        root: Folder that downloads go to.
        limit: Images to keep of the training set, the same number of each class; all if left out.
        side: Height and width to which the images of a folder are scaled and cropped; left as they are if left out.

    Raises:
        UsageError: There is no such data set or folder, a class has no image to train on or none to choose by, or the
            images have a size of their own, or all are of one class.
        InputError: The data cannot be read or downloaded.
    """
    found = _source(name).training(Request(name, root, limit, side))
    if len(found.class_names) < LEAST_CLASSES:
        raise UsageError(f"All training images of {name} are of one class: there is nothing to tell apart.")
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


def load_test(name: str, *, root: Path, side: int | None = None) -> AnyImages:
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
    return _source(name).test(Request(name, root, None, side))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """Where images come from.

    Attributes:
        training: Reads the images that a search may see.
        test: Reads the others.
    """

    training: Callable[[Request], Labelled]
    test: Callable[[Request], AnyImages]


def _source(name: str) -> _Source:
    if name in SOURCES:
        return SOURCES[name]
    if Path(name).is_dir():
        return _FOLDER
    raise UsageError(
        f"There is no data set {name!r}.", f"Choose {', '.join(SOURCES)}, or a folder with train/CLASS/ images."
    )


_DIGITS = tuple("0123456789")


def _digits(request: Request) -> Labelled:
    refuse_side(request)
    # A mirrored digit is no digit, and in 8x8 pixels a cut-out square hides all of one.
    change = Augmentation(padding=1, flips=False, cutout=0)
    images, _ = _split_digits()
    return Labelled(
        images=images.select(choose(images.labels, _DIGITS, request.limit)), class_names=_DIGITS, augmentation=change
    )


def _digits_test(request: Request) -> Images:
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


def _cifar10(request: Request) -> Labelled:
    refuse_side(request)
    found = _open_cifar10(request.root, part="train")
    images, class_names = _cifar10_images(found), tuple(found.classes)
    return Labelled(
        images=images.select(choose(images.labels, class_names, request.limit)),
        class_names=class_names,
        augmentation=Augmentation(padding=4, flips=True, cutout=16),
    )


def _cifar10_test(request: Request) -> Images:
    return _cifar10_images(_open_cifar10(request.root, part="test"))


def _open_cifar10(root: Path, *, part: Literal["train", "test"]) -> Any:
    from torchvision.datasets import CIFAR10

    batches = inside(root, _CIFAR10_FOLDER)
    inside(root, _CIFAR10_ARCHIVE)
    for path in batches.rglob("*"):  # torchvision would unpack through a link, and wait for a pipe
        inside(path.parent, path.name)
    try:
        return CIFAR10(str(root), train=part == "train", download=True)
    except (OSError, RuntimeError) as error:
        raise InputError(
            f"CIFAR-10 is not in {root} and cannot be downloaded: {error}.",
            "Use --dataset digits, or a folder with train/CLASS/ images.",
        ) from error


def _cifar10_images(found: Any) -> Images:
    return Images(torch.from_numpy(found.data).permute(0, 3, 1, 2).contiguous(), torch.tensor(found.targets))


def _own(request: Request) -> Labelled:
    refuse_side(request)
    images = Images(*kept_images(request.root, "training"))
    names = tuple(map(str, range(int(images.labels.max()) + 1)))
    side, is_grey = min(images.pixels.shape[2:]), images.pixels.shape[1] == 1
    # Grey ones may be characters, which a mirror or a hole makes into others.
    change = Augmentation(padding=max(1, side // 8), flips=not is_grey, cutout=0 if is_grey else side // 2)
    chosen = choose(images.labels, names, request.limit)
    return Labelled(images=images.select(chosen), class_names=names, augmentation=change)


def _own_test(request: Request) -> Images:
    training, test = kept_images(request.root, "training"), Images(*kept_images(request.root, "test"))
    if test.pixels.shape[1:] != training[0].shape[1:] or test.labels.max() > training[1].max():
        raise InputError("The own test images have another shape or class than those to train on.", "Mend the test.")
    return test


SOURCES = {
    "digits": _Source(training=_digits, test=_digits_test),
    "cifar10": _Source(training=_cifar10, test=_cifar10_test),
    own.NAME: _Source(training=_own, test=_own_test),
}
_FOLDER = _Source(training=read_folder, test=read_folder_test)
