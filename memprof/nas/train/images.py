"""Images and their classes: held in memory, or read from files as they are asked for.

    held        one tensor of pixels
    streamed    files, or parts of tar shards: what a step needs was decoded by threads while those before it ran

Both are asked for the same things, and the same indices give the same pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from memprof.base.errors import InputError, UsageError
from memprof.nas.train.ahead import Ahead
from memprof.nas.train.encoded import Encoded, decode, describe_size
from memprof.nas.train.splits import shuffled_by_class

Crops = Callable[[Tensor, Tensor, Tensor], Tensor]


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

    @property
    def shape(self) -> torch.Size:
        """Channels, height and width of each."""
        return self.pixels.shape[1:]

    @property
    def is_held(self) -> bool:
        """Whether all pixels lie in memory: a step that reads them can be captured as a graph."""
        return True

    def select(self, indices: Tensor) -> Images:
        """Return the images at ``indices``."""
        return Images(self.pixels[indices], self.labels[indices])

    def to(self, device: torch.device) -> Images:
        """Return the images on ``device``."""
        return Images(self.pixels.to(device), self.labels.to(device))

    def joined(self, other: Images | StreamedImages) -> Images:
        """Return these images and ``other`` after them."""
        return Images(torch.cat([self.pixels, other.pixels]), torch.cat([self.labels, other.labels]))

    def foresee(self, order: Tensor) -> None:
        """Do nothing: whatever is asked for next is there."""

    def gather(self, indices: Tensor) -> Tensor:
        """Return the pixels at ``indices``, a tensor on the images' device."""
        return self.pixels.index_select(0, indices)

    def crops(self, padding: int) -> Crops:
        """Return a function from indices, tops and lefts to that part of each padded image, as large as the image."""
        _, height, width = self.shape
        padded = nn.functional.pad(self.pixels, (padding,) * 4)
        windows = padded.unfold(2, height, 1).unfold(3, width, 1)  # a view: (n, c, 2 pad + 1, 2 pad + 1, h, w)
        return lambda indices, top, left: windows[indices, :, top, left]


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamedImages:
    """Images that stay in their files.

    Attributes:
        files: Where each is.
        labels: int64, (n,), on the device where pixels are wanted.
        shape: Channels, height and width of each, once scaled and cropped.
        side: What they are scaled to; ``None`` to leave them as they are.
    """

    files: Sequence[Encoded]
    labels: Tensor
    shape: torch.Size
    side: int | None
    _ahead: Ahead = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_ahead", Ahead(self._decode, self.shape.numel()))

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def is_held(self) -> bool:
        """Whether all pixels lie in memory."""
        return False

    @property
    def pixels(self) -> Tensor:
        """All pixels, decoded now: of a few images."""
        return self.gather(torch.arange(len(self)))

    def select(self, indices: Tensor) -> StreamedImages:
        """Return the images at ``indices``."""
        files = [self.files[i] for i in indices.tolist()]
        return replace(self, files=files, labels=self.labels[indices])

    def to(self, device: torch.device) -> StreamedImages:
        """Return the images as ``device`` wants them; the files stay where they are."""
        return replace(self, labels=self.labels.to(device))

    def joined(self, other: AnyImages) -> StreamedImages:
        """Return these images and ``other`` after them.

        Raises:
            UsageError: The others are held in memory.
        """
        if not isinstance(other, StreamedImages):
            raise UsageError("Images in memory cannot join those in files.")
        labels = torch.cat([self.labels, other.labels])
        return replace(self, files=[*self.files, *other.files], labels=labels)

    def foresee(self, order: Tensor) -> None:
        """Begin to decode what will be asked for, in this order; what was foreseen before is forgotten."""
        self._ahead.foresee(order.tolist())

    def gather(self, indices: Tensor) -> Tensor:
        """Return the pixels at ``indices``, a tensor on the images' device."""
        return torch.stack(self._ahead.take(indices.tolist())).to(self.labels.device)

    def crops(self, padding: int) -> Crops:
        """Return a function from indices, tops and lefts to that part of each padded image, as large as the image."""
        _, height, width = self.shape

        def crop(indices: Tensor, top: Tensor, left: Tensor) -> Tensor:
            padded = nn.functional.pad(self.gather(indices), (padding,) * 4)
            windows = padded.unfold(2, height, 1).unfold(3, width, 1)
            return windows[torch.arange(len(indices), device=windows.device), :, top, left]

        return crop

    def _decode(self, place: int) -> Tensor:
        return decode_alike(self.files[place], self.side, self.shape)


AnyImages = Images | StreamedImages


def decode_alike(file: Encoded, side: int | None, shape: torch.Size) -> Tensor:
    """Return the pixels of a file that has the shape of all others.

    Raises:
        InputError: It has another, or cannot be read.
    """
    found = decode(file, side)
    if found.shape != shape:
        raise InputError(
            f"The image {file} has {describe_size(found.shape)} pixels, the first training image "
            f"{describe_size(shape)}.",
            "Scale and crop all of them: --image-size 224.",
        )
    return found


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


@dataclass(frozen=True, slots=True)
class Request:
    """Which images are wanted; see ``load_training``."""

    name: str
    root: Path
    limit: int | None
    side: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """The images of a data set to train on and to choose by.

    Attributes:
        images: The images, in turns: one of each class, then the next of each.
        class_names: Name of each label.
        augmentation: What suits them.
    """

    images: AnyImages
    class_names: tuple[str, ...]
    augmentation: Augmentation


def choose(labels: Tensor, class_names: Sequence[str], limit: int | None) -> Tensor:
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


def refuse_side(request: Request) -> None:
    if request.side is not None:
        raise UsageError(f"The images of {request.name} have a size of their own.", "Leave --image-size out.")
