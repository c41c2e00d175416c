"""Train one network and score it: the paper's recipe, its augmentation, and results for everything that goes wrong.

    SGD with warm restarts (cosine), batch 128, learning rate 0.01, momentum 0.9, 60 epochs, cross entropy;
    channel normalisation, padding and random crop, horizontal flip, cutout        MemNAS, CVPR 2020, section 4.1

The paper does not give the restart periods: here 4, 8, 16 and 32 epochs, which make up the 60. Data lie on the device
as uint8 and are augmented there, a batch at a time. Every epoch draws from (seed, epoch), and the learning rate is a
function of the step: training that stops at an epoch and goes on from its checkpoint gives what one run gives.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from math import isfinite
from typing import Any

import torch
from torch import Tensor, nn

from memprof.errors import InputError
from memprof.nas.jobs import Status
from memprof.nas.train.data import Augmentation, Images, TrainingData
from memprof.nas.train.recipe import Recipe
from memprof.text import first_line


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """What came of training.

    Attributes:
        status: ``ok``, or what went wrong.
        accuracy: Share of validation images classified correctly after the last epoch; 0 if not ``ok``.
        epochs: Epochs done in all, earlier ones included.
        loss: Mean training loss of the last epoch.
        message: What went wrong, in one line.
    """

    status: Status
    accuracy: float = 0.0
    epochs: int = 0
    loss: float = float("nan")
    message: str = ""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Weights and what training needs to go on from them.

    Attributes:
        epoch: Epochs done.
        weights: State of the module.
        momentum: State of the optimiser; empty to start from the weights alone.
    """

    epoch: int
    weights: dict[str, Tensor]
    momentum: dict[str, Any]


class Trainer:
    """Trains networks on one data set, held on one device.

    Args:
        data: Training and validation images.
        recipe: How to train.
        device: Where.
    """

    def __init__(self, data: TrainingData, recipe: Recipe, device: torch.device) -> None:
        self.recipe = recipe
        self._device = device
        # On a CPU channels_last is faster too, but there the backward pass of narrow 1x7 convolutions (four channels)
        # ends in a corrupted heap: torch 2.14.1, x86-64.
        self._layout = torch.channels_last if device.type == "cuda" else torch.contiguous_format
        self._augmentation = data.augmentation
        self._training = data.training.to(device)
        self._validation = data.validation.to(device)
        pixels = self._training.pixels.float() if len(self._training) < 2000 else self._training.pixels[:2000].float()
        self._mean = pixels.mean((0, 2, 3)).view(1, -1, 1, 1)
        self._deviation = pixels.std((0, 2, 3)).view(1, -1, 1, 1).clamp_min(1.0)
        pad = self._augmentation.padding
        padded = nn.functional.pad(self._training.pixels, (pad,) * 4)
        _, _, height, width = self._training.pixels.shape
        self._crops = padded.unfold(2, height, 1).unfold(3, width, 1)  # a view: (n, c, 2 pad + 1, 2 pad + 1, h, w)

    def train(
        self,
        module: nn.Module,
        *,
        seed: int,
        until: int | None = None,
        start: Checkpoint | None = None,
        deadline: float = float("inf"),
        on_epoch: Callable[[int, float], None] = lambda epoch, loss: None,
    ) -> tuple[Training, Checkpoint]:
        """Train ``module`` in place up to epoch ``until`` and score it on the validation images.

        Args:
            module: Images (n, c, h, w) to logits (n, classes).
            seed: Of the order of images and their augmentation.
            until: Epochs in all; the recipe's if left out.
            start: Where to go on from.
            deadline: ``time.monotonic()`` at which training gives up.
            on_epoch: Called after each epoch with its number and mean loss.

        Returns:
            What came of it, and the checkpoint to go on from. Never raises for NaN, a lack of memory or time.
        """
        device, recipe = self._device, self.recipe
        module.to(device)
        module.to(memory_format=self._layout)
        optimizer = torch.optim.SGD(module.parameters(), recipe.learning_rate, recipe.momentum)
        epoch = 0
        if start is not None:
            epoch = start.epoch
            restore(module, start.weights)
            if start.momentum:
                _restore_momentum(optimizer, start.momentum)
        loss = float("nan")
        status: Status = "ok"
        message = ""
        try:
            while epoch < (until or recipe.epochs):
                loss = self._epoch(module, optimizer, seed, epoch, deadline)
                epoch += 1
                on_epoch(epoch, loss)
            accuracy = self.accuracy(module, self._validation)
        except _StopTrainingError as stop:
            status, message, accuracy = stop.status, stop.message, 0.0
        except (MemoryError, torch.OutOfMemoryError, RuntimeError) as error:
            if not _is_out_of_memory(error):
                raise
            status, message, accuracy = "out of memory", first_line(error), 0.0
        training = Training(status=status, accuracy=accuracy, epochs=epoch, loss=loss, message=message)
        return training, Checkpoint(epoch, module.state_dict(), optimizer.state_dict())

    def accuracy(self, module: nn.Module, images: Images) -> float:
        """Return the share of ``images`` that ``module`` classifies correctly."""
        module.eval()
        right = torch.zeros((), dtype=torch.int64, device=self._device)
        images = images.to(self._device)
        with torch.inference_mode(), self._autocast():
            for i in range(0, len(images), 512):
                logits = module(self._normalized(images.pixels[i : i + 512]))
                right += (logits.argmax(1) == images.labels[i : i + 512]).sum()
        return int(right) / len(images)

    def _epoch(
        self, module: nn.Module, optimizer: torch.optim.Optimizer, seed: int, epoch: int, deadline: float
    ) -> float:
        module.train()
        generator = torch.Generator(self._device).manual_seed((seed * 100_003 + epoch) % 2**63)
        count, batch = len(self._training), self.recipe.batch
        order = torch.randperm(count, generator=generator, device=self._device)
        total = torch.zeros((), device=self._device)
        for i in range(0, count, batch):
            if time.monotonic() > deadline:
                raise _StopTrainingError("timed out", f"no time left in epoch {epoch + 1}")
            indices = order[i : i + batch]
            if len(indices) < 2:  # batch norm needs two
                continue
            for group in optimizer.param_groups:
                group["lr"] = self.recipe.rate_at(epoch + i / count)
            with self._autocast():
                logits = module(self._augmented(indices, generator))
                loss = nn.functional.cross_entropy(logits.float(), self._training.labels[indices])
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
            total += loss.detach() * len(indices)
        mean = float(total) / count
        if not isfinite(mean):
            raise _StopTrainingError("diverged", f"the loss is {mean} in epoch {epoch + 1}")
        return mean

    def _autocast(self) -> Any:
        if self._device.type == "cuda":
            return torch.autocast("cuda", torch.bfloat16)
        return nullcontext()

    def _normalized(self, pixels: Tensor) -> Tensor:
        images = (pixels.float() - self._mean) / self._deviation
        return images.to(memory_format=self._layout)

    def _augmented(self, indices: Tensor, generator: torch.Generator) -> Tensor:
        """Return normalised training images, cropped, flipped and cut out at random."""
        change: Augmentation = self._augmentation
        count, device = len(indices), self._device
        top, left = torch.randint(0, 2 * change.padding + 1, (2, count), generator=generator, device=device)
        images = self._normalized(self._crops[indices, :, top, left])
        if change.flips:
            is_flipped = torch.rand(count, generator=generator, device=device) < 0.5
            images = torch.where(is_flipped.view(-1, 1, 1, 1), images.flip(3), images)
        if change.cutout:
            images = images * _cutout_mask(images, change.cutout, generator)
        return images


def restore(module: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Fill ``module`` in place with weights that were saved.

    Raises:
        InputError: They are another network's.
    """
    try:
        module.load_state_dict(weights)
    except (RuntimeError, TypeError, AttributeError) as error:
        raise InputError("The saved weights are not of this network.", "Search again in a new folder.") from error


def _restore_momentum(optimizer: torch.optim.Optimizer, saved: Mapping[str, Any]) -> None:
    """Take the momentum of each parameter, and nothing else, from an optimiser's saved state.

    Raises:
        InputError: It is another network's.
    """
    parameters = optimizer.param_groups[0]["params"]
    try:
        found = [saved["state"][i]["momentum_buffer"] for i in range(len(parameters))]
        if [buffer.shape for buffer in found] != [parameter.shape for parameter in parameters]:
            raise TypeError("other shapes")
        for parameter, buffer in zip(parameters, found, strict=True):
            optimizer.state[parameter]["momentum_buffer"] = buffer.to(parameter)
    except (KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise InputError("The saved momentum is not of this network.", "Search again in a new folder.") from error


class _StopTrainingError(Exception):
    """Training ends early, with a status that says why."""

    def __init__(self, status: Status, message: str) -> None:
        super().__init__(message)
        self.status: Status = status
        self.message = message


def _cutout_mask(images: Tensor, side: int, generator: torch.Generator) -> Tensor:
    """Return 0 inside one square per image, centred anywhere (so that it may leave the image), else 1."""
    count, _, height, width = images.shape
    device = images.device
    middle_row = torch.randint(0, height, (count, 1), generator=generator, device=device)
    middle_column = torch.randint(0, width, (count, 1), generator=generator, device=device)
    rows, columns = torch.arange(height, device=device), torch.arange(width, device=device)
    in_rows = (rows >= middle_row - side // 2) & (rows < middle_row + (side + 1) // 2)
    in_columns = (columns >= middle_column - side // 2) & (columns < middle_column + (side + 1) // 2)
    return (~(in_rows[:, None, :, None] & in_columns[:, None, None, :])).to(images.dtype)


def _is_out_of_memory(error: BaseException) -> bool:
    text = str(error).lower()
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(words in text for words in _NO_MEMORY)


_NO_MEMORY = ("not enough memory", "can't allocate memory", "cannot allocate memory", "out of memory")
"""How the allocators that raise a plain RuntimeError say so: torch's on the CPU, the kernel, CUDA's libraries."""
