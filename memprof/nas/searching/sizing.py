"""A search that fits its time: what it trains on, and how many for how long, from what one image costs here.

    seconds of the rounds = sum over rounds r of  epochs(r) * images * seconds of an image * cells(r) / speed-up

``seconds of an image`` is measured on a network of two cells, per cell, at each width that is tried. By the metric a
round adds a cell. With the front as the goal rounds start from small networks as often as from large ones, and their
networks gain a cell in ten rounds or so (measured on searches of 28 and 33 rounds).

Choices are tried from the preset's own down: fewer candidates, then fewer epochs, fewer images, narrower layers; the
first of which six rounds fit what the tournament leaves of the time is taken. An estimate: later rounds may trim, and
networks of one size differ in speed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from memprof.nas.record.forecast import SHARE_OF_TOURNAMENT, epochs_of_round
from memprof.nas.record.settings import Limits, Settings
from memprof.nas.space.architecture import Cell, Layer

ROUNDS = 6
_FEWEST_IMAGES = 1000
_NARROWEST = 8
_CANDIDATES = ((16, 8), (12, 6), (8, 4))
"""Sample of the first rounds, top k of later ones."""

_SHORT_EPOCHS = 3
_ROUNDS_OF_A_CELL = {"front": 10, "metric": 1}
"""Rounds in which the networks that are trained gain a cell, by goal."""
_MOST_ROUNDS = 1000
"""Beyond which nobody counts."""
_LANES_GAIN = 1.25
"""What several candidates at once on one GPU gain over one: ``benchmarks/gpu.py``."""

_PROBE_CELLS = (
    Cell(input1=0, input2=0, layer1=Layer.CONV_3X3, layer2=Layer.DEPTHWISE_3X3),
    Cell(input1=0, input2=1, layer1=Layer.FACTORIZED_7, layer2=Layer.MAX_POOL_3X3),
)
_PROBE_IMAGES = {"cpu": 320, "cuda": 16_384}
"""On a GPU enough that most steps are captured."""


@dataclass(frozen=True, slots=True)
class Sized:
    """A search that was sized.

    Attributes:
        settings: What it does.
        seconds: What six rounds are thought to take.
        rounds: About how many fit.
        image_seconds: What one image costs in one cell of it, in one worker.
    """

    settings: Settings
    seconds: float
    rounds: int
    image_seconds: float

    def describe(self, images: int) -> str:
        """Return the choice in one line.

        Args:
            images: What the data set has to train on.
        """
        settings = self.settings
        used = min(images, settings.image_limit or images)
        few = "only " if self.rounds < ROUNDS else ""
        many = "1 round fits" if self.rounds == 1 else f"{self.rounds} rounds fit"
        return (
            f"{used:,} images, width {max(settings.template.widths)}, {settings.recipe.epochs} epochs in rungs of "
            f"{', '.join(map(str, settings.rungs))}, {settings.sample} candidates in the first rounds and "
            f"{settings.top_k} in later ones: {few}about {many}"
        )


def size(
    preset: Callable[[int, int], Settings],
    images: int,
    width: int,
    limits: Limits,
    image_seconds: Callable[[Settings], float],
) -> Sized:
    """Return the largest search whose six rounds fit its time; the smallest there is if none does.

    Args:
        preset: From training images and the width of the widest layer to settings.
        images: Training images there are.
        width: Of the preset's widest layer.
        limits: How long it may run, and on how many workers.
        image_seconds: What one image costs in one cell of such a search, in one worker; asked once for each width.
    """
    assert limits.seconds is not None, "without an end there is nothing to size"
    allowed = limits.seconds * (1 - (SHARE_OF_TOURNAMENT if preset(images, width).finalists else 0))
    speed_up = float(limits.workers)
    if limits.device != "cpu":
        speed_up = len(limits.devices) * (_LANES_GAIN if limits.lanes > 1 else 1.0)
    cost = cache(lambda width: image_seconds(preset(images, width)))
    found = None
    for settings, part in _choices(preset, images, width):
        each = cost(max(settings.template.widths))
        effective = each * part / speed_up
        found = Sized(settings, _seconds(settings, effective, ROUNDS), _rounds(settings, effective, allowed), each)
        if found.seconds <= allowed:
            break
    assert found is not None, "there is always a choice"
    return found


def _choices(preset: Callable[[int, int], Settings], images: int, width: int) -> Iterator[tuple[Settings, int]]:
    """Yield settings and their images, from the preset's own down."""
    narrow = width
    while True:
        used = images
        while True:
            settings = preset(used, narrow)
            short = replace(settings.recipe, epochs=_SHORT_EPOCHS, first_cycle=1)
            for recipe in (settings.recipe, short):
                for sample, top_k in _CANDIDATES:
                    sized = replace(
                        settings,
                        recipe=recipe,
                        rungs=recipe.cycle_ends,
                        final_epochs=settings.final_epochs * recipe.epochs // settings.recipe.epochs,
                        sample=sample,
                        top_k=top_k,
                    )
                    yield sized, used
            if used // 2 < _FEWEST_IMAGES:
                break
            used //= 2
        if narrow // 2 < _NARROWEST:
            return
        narrow //= 2


def _seconds(settings: Settings, epoch_seconds: float, rounds: int) -> float:
    """Return what some rounds take, by what an epoch takes in one cell."""
    return sum(_seconds_of_round(settings, epoch_seconds, r) for r in range(rounds))


def _rounds(settings: Settings, epoch_seconds: float, allowed: float) -> int:
    """Return how many rounds fit, at least one: a search trains what it can."""
    left = allowed
    for r in range(_MOST_ROUNDS):
        left -= _seconds_of_round(settings, epoch_seconds, r)
        if left < 0:
            return max(1, r)
    return _MOST_ROUNDS


def _seconds_of_round(settings: Settings, epoch_seconds: float, index: int) -> float:
    cells = min(settings.max_cells, 1 + index / _ROUNDS_OF_A_CELL[settings.goal])
    return epochs_of_round(settings, index) * epoch_seconds * cells


def measure_image_seconds(settings: Settings, root: Path, device: str) -> float:
    """Train a network of two cells for two epochs on some images and return what one image costs in one cell.

    Args:
        settings: What the search does: its data, template and recipe.
        root: Folder of its data.
        device: Where; of several the first.
    """
    import torch

    from memprof.nas.train.data import load_training
    from memprof.nas.train.modules import build_module
    from memprof.nas.train.trainer import Trainer

    device = device.split(",", maxsplit=1)[0]
    most = max(_PROBE_IMAGES[device.split(":")[0]], 4 * settings.template.classes)
    data = load_training(settings.dataset, root=root, limit=settings.image_limit, side=settings.image_side)
    probe = replace(data, training=data.training.select(torch.arange(min(most, len(data.training)))))
    trainer = Trainer(probe, replace(settings.recipe, epochs=2, first_cycle=2), torch.device(device))
    moments = [time.perf_counter()]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        module = build_module(settings.template.build(_PROBE_CELLS))
        trainer.train(module, seed=0, on_epoch=lambda epoch, loss: moments.append(time.perf_counter()))
    finally:
        torch.set_num_threads(threads)
    return (moments[-1] - moments[-2]) / len(probe.training) / len(_PROBE_CELLS)
