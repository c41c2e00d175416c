"""One encoded image: a file, or a part of a tar shard, and its pixels. What is damaged or giant is one error."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import torch
from torch import Tensor

from memprof.base.errors import InputError, LimitError
from memprof.base.text import first_line, safe_text

MOST_PIXELS, MOST_IMAGE_BYTES = 50_000_000, 128 * 1024**2
SUFFIXES = frozenset((".jpg", ".jpeg", ".png", ".webp", ".gif"))
"""Of the kinds that torchvision decodes."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """Where an encoded image is.

    Attributes:
        path: The file that holds it.
        offset: Where in it; 0 and no size for a file of its own.
        size: Bytes; ``None`` for all of the file.
        name: What it is called in a shard.
    """

    path: Path
    offset: int = 0
    size: int | None = None
    name: str = ""

    def __str__(self) -> str:
        return safe_text(f"{self.path}/{self.name}" if self.name else str(self.path))

    def read(self) -> bytes:
        """Return its bytes.

        Raises:
            LimitError: There are more than of any photograph.
            OSError: The file cannot be read, or ends early.
        """
        size = self.path.stat().st_size if self.size is None else self.size
        if size > MOST_IMAGE_BYTES:
            raise LimitError(f"The image {self} has {size:,} bytes.", f"At most {MOST_IMAGE_BYTES:,}.")
        with self.path.open("rb") as file:
            file.seek(self.offset)
            content = file.read(size)
        if len(content) < size:
            raise OSError("it ends early")
        return content


def decode(file: Encoded, side: int | None) -> Tensor:
    """Return an image in red, green and blue, (3, height, width).

    With a ``side`` the shorter edge is scaled to it and the middle cropped, as is usual for ImageNet.

    Raises:
        InputError: It cannot be read, or is not one picture of 8 bits a channel.
        LimitError: It is larger than any photograph.
    """
    from torchvision.io import ImageReadMode, decode_image

    try:
        content = file.read()
        _refuse_giant(file, content)
        found: Tensor = decode_image(torch.frombuffer(bytearray(content), dtype=torch.uint8), ImageReadMode.RGB)
    except (OSError, RuntimeError, ValueError) as error:
        reason = safe_text(first_line(error))
        raise InputError(f"The image {file} cannot be read: {reason}.", "Replace it, or remove it.") from error
    if found.dtype != torch.uint8 or found.dim() != 3:  # a PNG of 16 bits a channel
        raise _not_one_picture(file)
    return found if side is None else _cropped(found, side)


def describe_size(shape: torch.Size) -> str:
    """Return height and width in words."""
    return f"{shape[1]}x{shape[2]}"


@contextmanager
def without_warnings() -> Iterator[None]:
    """Hear no warning of giant images, which are refused; once, as threads share what is heard."""
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        yield


def _not_one_picture(file: Encoded) -> InputError:
    return InputError(f"The image {file} is not one picture of 8 bits a channel.", "Convert it, or remove it.")


def _refuse_giant(file: Encoded, content: bytes) -> None:
    """Raise if an image is larger than any photograph, or a film, before its pixels take all memory."""
    from PIL import Image

    try:
        with Image.open(BytesIO(content)) as image:
            width, height = image.size
            if image.format == "GIF" and getattr(image, "is_animated", False):
                raise _not_one_picture(file)  # all its pictures would be decoded
    except Image.DecompressionBombError:
        width, height = MOST_PIXELS, 2
    if width * height > MOST_PIXELS:
        raise LimitError(f"The image {file} has more than {MOST_PIXELS:,} pixels.", "Scale it down, or remove it.")


def _cropped(image: Tensor, side: int) -> Tensor:
    from torchvision.transforms.functional import center_crop, resize

    scaled: Tensor = center_crop(resize(image, [side], antialias=True), [side, side])
    return scaled
