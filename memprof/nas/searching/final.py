"""Train a found architecture from scratch by the full recipe and score it once on test data.

    DIR/trained/NAME/architecture.json     what was trained
    DIR/trained/NAME/recipe.json           how, so that nobody goes on with another schedule
    DIR/trained/NAME/checkpoint.pt         after each cycle of the learning rate, each tenth of the epochs, at the end
    DIR/trained/NAME/result.json           written once, after the one look at the test images

The test images have no part in the search and none in this training; once the result is there, training this network
again is refused, under whatever name, so that nobody picks the better of two test scores.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from memprof.base.errors import RuntimeFailure, UsageError
from memprof.nas.given.inside import create_anew, inner_folder, inside, open_inside
from memprof.nas.given.values import parse_json, read_record
from memprof.nas.jobs import derive_seed
from memprof.nas.record.journal import take_lock
from memprof.nas.record.trainings import (
    FINAL_LOCK,
    RESULT,
    TRAINED,
    FinalTraining,
    finished_trainings,
)
from memprof.nas.searching.run import DATA, Part, TrainerRecipe, saved_search, trusted
from memprof.nas.space.architecture import Architecture
from memprof.nas.space.isomorphism import network_key
from memprof.nas.space.screening import refuse_giant, screen
from memprof.nas.train.data import load_test
from memprof.nas.train.evaluation import load_checkpoint, save_checkpoint
from memprof.nas.train.modules import build_module
from memprof.nas.train.recipe import Recipe
from memprof.nas.train.sharing import ALONE, Share
from memprof.nas.train.trainer import Checkpoint

CHECKPOINT = "checkpoint.pt"
_RECIPE = "recipe.json"
_MOST_RECIPE_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class FinalPlan:
    """What to train, and where it goes.

    Attributes:
        folder: Folder of the search it comes from.
        candidate: The candidate it comes from.
        architecture: What to train.
        name: Folder below ``trained``.
        recipe: How to train.
        device: ``cpu``, ``cuda`` or ``cuda:N``.
        part: What to train on.
        space_file: What declares layers of one's own that code makes; that code runs.
    """

    folder: Path
    candidate: int
    architecture: Architecture
    name: str
    recipe: Recipe
    device: str
    part: Part = "training"
    space_file: Path | None = None

    @property
    def stops(self) -> tuple[int, ...]:
        """Epochs after which a checkpoint is written."""
        epochs = self.recipe.epochs
        return tuple(sorted({*self.recipe.cycle_ends, *range(0, epochs, max(1, -(-epochs // 10)))} - {0}))

    @property
    def place(self) -> Path:
        """Folder of the result."""
        return self.folder / TRAINED / self.name


def scale(architecture: Architecture, *, blocks: int | None = None, width: int | None = None) -> Architecture:
    """Return ``architecture`` with another number of blocks or another width, as the authors did for ImageNet.

    Block i of n takes the cells and width of the block at the same part of the old depth; the first of those that
    share an old block keeps its stride, the others have stride 1.

    Args:
        architecture: What a search found.
        blocks: Number of blocks; unchanged if left out.
        width: Filters of the widest block; the others keep their ratio to it.

    Raises:
        UsageError: So few blocks are left that a block of stride 2 is among those that go.
    """
    old = architecture.blocks
    count = blocks or len(old)
    widest = max(block.width for block in old)
    factor = (width or widest) / widest
    sources = [i * len(old) // count for i in range(count)]
    scaled = tuple(
        replace(
            old[source],
            stride=old[source].stride if i == 0 or sources[i - 1] != source else 1,
            width=max(1, round(old[source].width * factor)),
        )
        for i, source in enumerate(sources)
    )
    if count < len(old) and sum(b.stride == 2 for b in scaled) != sum(b.stride == 2 for b in old):
        raise UsageError(f"{count} blocks are too few for the strides of {len(old)}.", "Ask for more blocks.")
    return replace(architecture, blocks=scaled, stem_width=max(1, round(architecture.stem_width * factor)))


def training_name(candidate: int, found: Architecture, *, blocks: int | None = None, width: int | None = None) -> str:
    """Return what to call the training of a scaled network: its candidate, and what ``scale`` changes of it.

    A depth or width that the network has anyway is no change, so that one network has one name.

    Args:
        candidate: The candidate.
        found: Its architecture, before ``scale``.
        blocks: As for ``scale``.
        width: As for ``scale``.
    """
    parts = [str(candidate)]
    if blocks not in {None, len(found.blocks)}:
        parts.append(f"{blocks}-blocks")
    if width not in {None, max(block.width for block in found.blocks)}:
        parts.append(f"width-{width}")
    return "-".join(parts)


def count_epochs(epochs: int) -> str:
    """Return a number of epochs in words.

    >>> count_epochs(1), count_epochs(60)
    ('1 epoch', '60 epochs')
    """
    return f"{epochs} {'epoch' if epochs == 1 else 'epochs'}"


def train_final(plan: FinalPlan, on_epoch: Callable[[int, float], None] = lambda epoch, loss: None) -> FinalTraining:
    """Train from fresh weights and score once on the test images.

    Goes on from the last cycle of the learning rate if it was interrupted.

    Args:
        plan: What to train.
        on_epoch: Called after each epoch with its number and mean loss.

    Raises:
        UsageError: It is trained and scored already, was begun in another way, or another process trains.
        InputError: The training or test images, or what an interrupted training left, cannot be read.
        RuntimeFailure: Training diverged or ran out of memory.
    """
    with hold_training(plan):
        return train_share(plan, plan.device, ALONE, on_epoch)


@contextmanager
def hold_training(plan: FinalPlan) -> Iterator[None]:
    """Keep others from training in the search's folder: two at once would both look at the test.

    Raises:
        UsageError: It is trained and scored already, or another process trains.
    """
    with take_lock(inner_folder(plan.folder, TRAINED), FINAL_LOCK, "final training"):
        _refuse_second_look(plan)
        yield


def train_share(plan: FinalPlan, device: str, share: Share, on_epoch: Callable[[int, float], None]) -> FinalTraining:
    """Train a share of what is planned, of which somebody holds the lock; the first share writes what comes of it.

    Args:
        plan: What to train.
        device: Where this share trains.
        share: Which one, of how many.
        on_epoch: Called after each epoch with its number and mean loss.

    Raises:
        UsageError: It was begun in another way.
        InputError: The training or test images, or what an interrupted training left, cannot be read.
        RuntimeFailure: Training diverged or ran out of memory.
    """
    start = _interrupted_training(plan)
    saved, _ = saved_search(plan.folder)
    # Loaded first, scored last: after hours of training is too late to find out that they are missing.
    test = load_test(saved.dataset, root=inside(plan.folder, DATA), side=saved.image_side)
    settings = replace(saved, recipe=plan.recipe, rungs=(plan.recipe.epochs,))
    code = trusted(plan.space_file, saved)
    trainer = TrainerRecipe(settings, str(plan.folder / DATA), device, plan.part, code, share)()
    if share.rank == 0:
        inner_folder(plan.folder / TRAINED, plan.name)
        _write_json(plan.place / "architecture.json", plan.architecture.to_json())
        _write_json(plan.place / _RECIPE, {**asdict(plan.recipe), "part": plan.part})
    seed = derive_seed(settings.seed, "final", plan.candidate)
    torch.manual_seed(seed)
    refuse_giant(plan.architecture)
    module = build_module(plan.architecture, trainer.builders)
    done = 0 if start is None else start.epoch
    for until in (end for end in plan.stops if end >= done):
        training, start = trainer.train(module, seed=seed, until=until, start=start, on_epoch=on_epoch)
        if training.status != "ok":
            raise RuntimeFailure(f"Training {plan.name} ended: {training.status}, {training.message}.")
        if share.rank == 0:
            save_checkpoint(start, plan.place / CHECKPOINT)
    footprint = screen(plan.architecture, settings.budget.dtype)
    result = FinalTraining(
        name=plan.name,
        candidate=plan.candidate,
        architecture=plan.architecture,
        epochs=plan.recipe.epochs,
        validation_accuracy=training.accuracy if plan.part == "training" else None,
        test_accuracy=trainer.accuracy(module, test),
        parameter_bytes=footprint.parameter_bytes,
        peak_intermediate_bytes=footprint.peak_intermediate_bytes,
    )
    if share.rank == 0:
        _write_json(plan.place / RESULT, result.to_json())
    return result


def _refuse_second_look(plan: FinalPlan) -> None:
    """Raise if this very network has seen the test images, whatever its training was called."""
    wanted = network_key(plan.architecture)
    for result in finished_trainings(plan.folder):
        if result.name == plan.name or network_key(result.architecture) == wanted:
            raise UsageError(
                f"This network is trained already, as {result.name!r}, and has seen the test images.",
                f"Take it along: nas export --trained {result.name}. Or train another candidate, depth or width.",
            )


def _interrupted_training(plan: FinalPlan) -> Checkpoint | None:
    """Return where an interrupted training stopped, ``None`` to start from fresh weights."""
    path = inside(plan.folder, TRAINED, plan.name, CHECKPOINT)
    if not path.is_file():
        return None
    start = load_checkpoint(path)
    before = _begun_with(plan)
    if before is None or start.epoch > plan.recipe.epochs or not before.leads_like(plan.recipe, start.epoch):
        raise UsageError(
            f"Training {plan.name} was interrupted after {count_epochs(start.epoch)} on another way than that to the "
            f"{plan.recipe.epochs} asked for.",
            f"Go on with the flags it was begun with, or remove {plan.place}.",
        )
    return start


def _begun_with(plan: FinalPlan) -> Recipe | None:
    """Return the recipe of an interrupted training; ``None`` if it trained on other images, or nobody knows."""
    try:
        with open_inside(plan.place, _RECIPE, most_bytes=_MOST_RECIPE_BYTES) as file:
            data = parse_json(file.read())
        if not isinstance(data, dict) or data.pop("part", None) != plan.part:
            return None
        return read_record(Recipe, data)
    except (OSError, ValueError):
        return None


def _write_json(path: Path, data: dict[str, Any]) -> None:
    """Write a file whole or not at all, a loss of power included."""
    passing = inside(path.parent, path.name).with_suffix(f".{os.getpid()}.part")
    with create_anew(passing) as file:
        file.write((json.dumps(data, indent=2) + "\n").encode())
        file.flush()
        os.fsync(file.fileno())
    passing.replace(path)
