"""Settings that suit a data set and an amount of time, and the paper's own.

    preset   first rounds   top k   epochs   halving   inherits   mirror images
    quick    a sample       few     few      yes       yes        one candidate
    paper    all            100     60       no        no         apart

``quick`` is ours: a search fits minutes on a laptop. ``paper`` is section 4.1 as printed; it took the authors 14
days on four GPUs. Small images get narrow blocks, and few images a small batch and a larger step.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from memprof.nas.rank.metric import Metric
from memprof.nas.record.settings import Settings
from memprof.nas.space.architecture import CIFAR10, IMAGENET, Template
from memprof.nas.space.budget import Budget
from memprof.nas.train.data import SOURCES, load_training
from memprof.nas.train.recipe import Recipe

Preset = Literal["quick", "paper"]

EPOCHS_OF_FINAL = 3
"""A final training is as many times as long as that of a candidate: what its weights inherit, it must learn."""

GPU_BATCH = 512
"""Images of a step that a GPU is fed: at 128 it waits between kernels for most of the time."""

_SMALL_PIXELS = 16 * 16
_LARGE_PIXELS = 96 * 96
_FEW_IMAGES = 5000


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFacts:
    """What a preset needs to know of a data set.

    Attributes:
        name: As the user named it.
        input_shape: Channels, height and width of an image.
        classes: Number of classes.
        images: Number of training images.
        limit: The limit that was asked for.
        side: The height and width that were asked for.
    """

    name: str
    input_shape: tuple[int, int, int]
    classes: int
    images: int
    limit: int | None
    side: int | None = None


def facts_of(name: str, *, root: Path, limit: int | None = None, side: int | None = None) -> DataFacts:
    """Load a data set and return what a preset needs to know of it.

    Args:
        name: ``digits``, ``cifar10``, or the path of a folder in ImageFolder layout.
        root: Folder that downloads go to.
        limit: Training images to use; all if left out.
        side: Height and width to which the images of a folder are scaled and cropped.

    Raises:
        UsageError: There is no such data set or folder.
        InputError: The data cannot be read or downloaded.
    """
    name = place_of(name)
    data = load_training(name, root=root, limit=limit, side=side)
    return DataFacts(
        name=name,
        input_shape=data.input_shape,
        classes=data.classes,
        images=len(data.training),
        limit=limit,
        side=side,
    )


def place_of(dataset: str) -> str:
    """Return a data set's name as it means the same from every folder: that of a folder becomes absolute."""
    return str(Path(dataset).resolve()) if dataset not in SOURCES and Path(dataset).is_dir() else dataset


def template_for(facts: DataFacts, width: int | None = None) -> Template:
    """Return the blocks that suit the images; ``width`` replaces the filters of every layer."""
    _, rows, columns = facts.input_shape
    base = IMAGENET if rows * columns >= _LARGE_PIXELS else CIFAR10
    if width is None and rows * columns <= _SMALL_PIXELS:
        width = 16
    template = replace(base, input_shape=facts.input_shape, classes=facts.classes)
    if width is None:
        return template
    return replace(template, widths=(width,) * len(template.widths), stem_width=width)


def quick(facts: DataFacts, metric: Metric, budget: Budget, seed: int, width: int | None = None) -> Settings:
    """Return settings for minutes, not days.

    Args:
        facts: What ``facts_of`` found.
        metric: The trade-off.
        budget: Hard limits.
        seed: Of everything that is drawn.
        width: Filters of every layer; what suits the images if left out.
    """
    if facts.images < _FEW_IMAGES:
        recipe = Recipe(epochs=6, batch=32, learning_rate=0.05, first_cycle=2)
    else:
        recipe = Recipe(
            epochs=7, learning_rate=0.05, first_cycle=1, label_smoothing=0.1, weight_decay=5e-4, nesterov=True
        )
    return Settings(
        dataset=facts.name,
        image_limit=facts.limit,
        image_side=facts.side,
        template=template_for(facts, width),
        seed=seed,
        metric=metric,
        budget=budget,
        recipe=recipe,
        rungs=recipe.cycle_ends,
        final_epochs=EPOCHS_OF_FINAL * recipe.epochs,
        first_rounds=1,
        ranker="blend",
    )


def fed(settings: Settings, device: str) -> Settings:
    """Return a quick search's settings with the batch that keeps a device busy; the learning rate goes with it.

    Args:
        settings: What ``quick`` returned.
        device: ``cpu``, ``cuda`` or ``cuda:N``.
    """
    if device == "cpu" or settings.recipe.batch >= GPU_BATCH or settings.recipe.batch < Recipe().batch:
        return settings  # a small batch is for few images, whatever the device
    return replace(settings, recipe=settings.recipe.with_batch(GPU_BATCH))


def paper(facts: DataFacts, metric: Metric, budget: Budget, seed: int, width: int | None = None) -> Settings:
    """Return the paper's settings: every candidate of two rounds, then the top 100, 60 epochs each, no short cut.

    Args:
        facts: What ``facts_of`` found.
        metric: The trade-off.
        budget: Hard limits.
        seed: Of everything that is drawn.
        width: Filters of every layer; what suits the images if left out.
    """
    return Settings(
        dataset=facts.name,
        image_limit=facts.limit,
        image_side=facts.side,
        template=template_for(facts, width),
        seed=seed,
        metric=metric,
        budget=budget,
        max_cells=13,
        sample=None,
        top_k=100,
        recipe=Recipe(),
        rungs=(Recipe().epochs,),
        inherits=False,
        mirror_images=True,
        goal="metric",
        prunes=False,
        finalists=2,
        final_epochs=Recipe().epochs,
    )


PRESETS = {"quick": quick, "paper": paper}
"""Preset by name."""
