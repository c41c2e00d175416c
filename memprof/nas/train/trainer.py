"""Train one network and score it: the paper's recipe, its augmentation, and results for everything that goes wrong.

    SGD with warm restarts (cosine), batch 128, learning rate 0.01, momentum 0.9, 60 epochs, cross entropy;
    channel normalisation, padding and random crop, horizontal flip, cutout        MemNAS, CVPR 2020, section 4.1

The paper does not give the restart periods: here 4, 8, 16 and 32 epochs, which make up the 60. Data lie on the device
as uint8 and are augmented there, a batch at a time. Every epoch draws from (seed, epoch), and the learning rate is a
function of the step: training that stops at an epoch and goes on from its checkpoint gives what one run gives.
A GPU replays each step as one CUDA graph (``memprof.nas.train.steps``).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import isfinite
from typing import Any

import torch
from torch import Tensor, nn

from memprof.base.errors import InputError
from memprof.base.text import first_line
from memprof.nas.jobs import Status
from memprof.nas.train.augmentation import Pictures
from memprof.nas.train.data import TrainingData
from memprof.nas.train.images import AnyImages
from memprof.nas.train.modules import NO_BUILDERS, Builders, lay_out
from memprof.nas.train.recipe import Recipe
from memprof.nas.train.sharing import ALONE, Share, share_norms
from memprof.nas.train.steps import Scores, Steps, on_own_stream


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
        captures: Whether a GPU's steps are captured as CUDA graphs.
        builders: What makes the modules of layers of one's own.
        share: What of each batch, and of what is scored, is this process's.
    """

    def __init__(
        self,
        data: TrainingData,
        recipe: Recipe,
        device: torch.device,
        *,
        captures: bool = True,
        builders: Builders = NO_BUILDERS,
        share: Share = ALONE,
    ) -> None:
        self.builders = builders
        self._share = share
        self.recipe = recipe
        self._device = device
        self._captures = captures
        self._layout = torch.channels_last if device.type == "cuda" else torch.contiguous_format
        self._pictures = Pictures(data.training, data.augmentation, device, self._layout)
        self._validation = data.validation.to(device)

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
            until: Epochs in all; the recipe's if left out. If more than those, the cycles of the learning
                rate end with these.
            start: Where to go on from.
            deadline: ``time.monotonic()`` at which training gives up.
            on_epoch: Called after each epoch with its number and mean loss.

        Returns:
            What came of it, and the checkpoint to go on from. Never raises for NaN, a lack of memory or time.
        """
        with on_own_stream(self._device):
            return self._train(module, seed, until or self.recipe.epochs, start, deadline, on_epoch)

    def _train(
        self,
        module: nn.Module,
        seed: int,
        until: int,
        start: Checkpoint | None,
        deadline: float,
        on_epoch: Callable[[int, float], None],
    ) -> tuple[Training, Checkpoint]:
        module.to(self._device)
        if self._device.type == "cuda":
            module.to(memory_format=self._layout)
        elif (
            not self.builders and self._share.count == 1
        ):  # one's own module, or gloo, may know the other layout alone
            lay_out(module)
        if self._share.count > 1:
            share_norms(module, self._share.count)
        recipe = self.recipe if until <= self.recipe.epochs else replace(self.recipe, epochs=until)
        steps = Steps(module, self._pictures, recipe, self._captures, self._share)
        epoch = 0
        if start is not None:
            epoch = start.epoch
            restore(module, start.weights)
            if start.momentum:
                steps.descent.restore(start.momentum)
        loss = float("nan")
        status: Status = "ok"
        message = ""
        try:
            while epoch < until:
                loss = _train_epoch(steps, seed, epoch, deadline)
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
        return training, Checkpoint(epoch, module.state_dict(), steps.descent.state())

    def accuracy(self, module: nn.Module, images: AnyImages) -> float:
        """Return the share of ``images`` that ``module`` classifies correctly; one wait for the device."""
        images, of_all = images.to(self._device), len(images)
        if self._share.count > 1:
            images = images.select(self._share.part_of(torch.arange(of_all, device=self._device)))
        batch = min(len(images), 512 if self._device.type == "cpu" else self.recipe.batch)  # a shape that cuDNN knows
        with on_own_stream(self._device):
            right = Scores(module, images, self._pictures.normalized, batch, self._captures).count()
            return int(self._share.total(torch.tensor(right, device=self._device))) / of_all


def _train_epoch(steps: Steps, seed: int, epoch: int, deadline: float) -> float:
    """Return the mean loss of an epoch.

    Raises:
        _StopTrainingError: The time is up, or the loss is no number.
    """
    steps.begin(seed, epoch)
    for number in range(steps.count):
        if time.monotonic() > deadline:
            raise _StopTrainingError("timed out", f"no time left in epoch {epoch + 1}")
        steps.take()
        steps.wait(number)
    mean = steps.mean_loss()
    if not isfinite(mean):
        raise _StopTrainingError("diverged", f"the loss is {mean} in epoch {epoch + 1}")
    return mean


def restore(module: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Fill ``module`` in place with weights that were saved.

    Raises:
        InputError: They are another network's.
    """
    try:
        module.load_state_dict(weights)
    except (RuntimeError, TypeError, AttributeError) as error:
        raise InputError("The saved weights are not of this network.", "Search again in a new folder.") from error


class _StopTrainingError(Exception):
    """Training ends early, with a status that says why."""

    def __init__(self, status: Status, message: str) -> None:
        super().__init__(message)
        self.status: Status = status
        self.message = message


def _is_out_of_memory(error: BaseException) -> bool:
    text = str(error).lower()
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(words in text for words in _NO_MEMORY)


_NO_MEMORY = ("not enough memory", "can't allocate memory", "cannot allocate memory", "out of memory")
"""How the allocators that raise a plain RuntimeError say so: torch's on the CPU, the kernel, CUDA's libraries."""
