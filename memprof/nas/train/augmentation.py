"""Images on a device, and the random changes of an epoch: all drawn before it begins, made a batch at a time.

    plan (6, n)    the order of the images, and of each the crop's top and left, whether it is flipped, and the row
                   and column of the middle of its cutout

What is drawn depends on the generator alone, never on the batch, and a batch is changed by tensor operations without
a draw, a branch on values or a wait: a step can be captured as a CUDA graph and replayed on other columns.
"""

from __future__ import annotations

import torch
from torch import Tensor

from memprof.nas.train.images import AnyImages, Augmentation

PLAN_ROWS = 6
_IMAGES_OF_STATISTICS = 2000


class Pictures:
    """Training images on a device, normalised and changed at random as they are asked for.

    Args:
        images: The training images.
        change: What may be changed.
        device: Where they lie from now on.
        layout: Memory format of what a network reads.
    """

    def __init__(
        self, images: AnyImages, change: Augmentation, device: torch.device, layout: torch.memory_format
    ) -> None:
        self._change = change
        self._device = device
        self._layout = layout
        self.images = images.to(device)
        first = torch.arange(min(len(images), _IMAGES_OF_STATISTICS), device=device)
        pixels = self.images.gather(first).float()
        self._mean = pixels.mean((0, 2, 3)).view(1, -1, 1, 1)
        self._deviation = pixels.std((0, 2, 3)).view(1, -1, 1, 1).clamp_min(1.0)
        _, _, height, width = pixels.shape
        self._crop = self.images.crops(change.padding)
        self._rows = torch.arange(height, device=device)
        self._columns = torch.arange(width, device=device)

    def __len__(self) -> int:
        return len(self.images)

    def draw(self, generator: torch.Generator) -> Tensor:
        """Return the plan of an epoch, int64 (6, n).

        Args:
            generator: On the device; the plan is a function of its seed.
        """
        count, device = len(self), self._device
        order = torch.randperm(count, generator=generator, device=device)
        tops = [2 * self._change.padding + 1] * 2
        sizes = [*tops, 2, len(self._rows), len(self._columns)]
        drawn = [torch.randint(0, size, (count,), generator=generator, device=device) for size in sizes]
        return torch.stack([order, *drawn])

    def changed(self, plan: Tensor) -> Tensor:
        """Return the images of some columns of a plan: cropped, flipped, normalised and cut out."""
        indices, top, left, flip, row, column = plan.unbind()
        pixels = self._crop(indices, top, left)
        if self._change.flips:
            pixels = torch.where(flip.view(-1, 1, 1, 1) == 1, pixels.flip(3), pixels)
        images = self.normalized(pixels)
        if self._change.cutout:
            images = images * self._kept(row, column).to(images.dtype)
        return images

    def normalized(self, pixels: Tensor) -> Tensor:
        """Return pixels by the mean and deviation of each channel over training images."""
        images = (pixels.float() - self._mean) / self._deviation
        return images.to(memory_format=self._layout)

    def _kept(self, row: Tensor, column: Tensor) -> Tensor:
        """Return false inside one square per image, centred anywhere (so that it may leave the image), else true."""
        side = self._change.cutout
        from_row, from_column = self._rows - row[:, None], self._columns - column[:, None]
        in_rows = (from_row >= -(side // 2)) & (from_row < (side + 1) // 2)
        in_columns = (from_column >= -(side // 2)) & (from_column < (side + 1) // 2)
        return ~(in_rows[:, None, :, None] & in_columns[:, None, None, :])
