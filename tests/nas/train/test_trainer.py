"""The trainer: what it draws comes from the seed alone, and all that goes wrong is a result."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

import torch
from torch import Tensor, nn

from memprof.base.errors import UsageError
from memprof.nas.train.data import TrainingData
from memprof.nas.train.descent import Descent
from memprof.nas.train.devices import pick_device
from memprof.nas.train.evaluation import load_checkpoint, save_checkpoint
from memprof.nas.train.images import Augmentation, Images
from memprof.nas.train.recipe import Recipe
from memprof.nas.train.trainer import Checkpoint, Trainer, Training

PLAIN = Augmentation(padding=0, flips=False, cutout=0)
EVERYTHING = Augmentation(padding=1, flips=True, cutout=3)
RECIPE = Recipe(epochs=5, batch=16, learning_rate=0.1, first_cycle=2)
CPU = torch.device("cpu")


def make_trainer(change: Augmentation = EVERYTHING, count: int = 50, recipe: Recipe = RECIPE) -> Trainer:
    """Return a trainer on random pictures of 8x8 pixels, none of which is grey or black, in three classes."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.where(torch.rand((count, 2, 8, 8), generator=generator) < 0.4, 50, 200).to(torch.uint8)
    images = Images(pixels, torch.randint(0, 3, (count,), generator=generator))
    validation = images.select(torch.arange(20))
    data = TrainingData(name="", training=images, validation=validation, classes=3, augmentation=change)
    return Trainer(data, recipe, CPU)


def make_module(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)
    )


def assert_same(one: Checkpoint, other: Checkpoint) -> None:
    """Check that two trainings ended in the same weights, batch norm's included, and the same momentum."""
    assert one.epoch == other.epoch
    assert one.weights.keys() == other.weights.keys()
    assert all(torch.equal(one.weights[name], other.weights[name]) for name in one.weights)
    first, second = one.momentum["state"], other.momentum["state"]
    assert first.keys() == second.keys() != set()
    assert all(torch.equal(first[i]["momentum_buffer"], second[i]["momentum_buffer"]) for i in first)


@pytest.mark.parametrize("stop", [1, 2, 3])  # 2 is where the learning rate restarts
def test_training_resumed_from_its_checkpoint_is_one_run_to_the_bit(tmp_path: Path, stop: int) -> None:
    whole, whole_end = make_trainer().train(make_module(), seed=7)
    _, middle = make_trainer().train(make_module(), seed=7, until=stop)
    save_checkpoint(middle, tmp_path / "middle.pt")
    torch.manual_seed(123)  # what another process may have drawn
    start = load_checkpoint(tmp_path / "middle.pt")
    resumed, resumed_end = make_trainer().train(make_module(seed=99), seed=7, start=start)
    assert resumed == whole
    assert whole.epochs == 5
    assert_same(resumed_end, whole_end)


@pytest.mark.parametrize("count", [1, 3, 512, 513, 1100])
def test_every_image_is_scored_once_whatever_the_batch(count: int) -> None:
    generator = torch.Generator().manual_seed(0)
    images = Images(
        torch.randint(0, 256, (count, 2, 8, 8), dtype=torch.uint8, generator=generator),
        torch.randint(0, 3, (count,), generator=generator),
    )
    trainer, module = make_trainer(), make_module().eval()
    with torch.inference_mode():
        expected = (module(trainer._pictures.normalized(images.pixels)).argmax(1) == images.labels).sum()
    assert trainer.accuracy(module, images) == int(expected) / count


def test_weights_follow_the_seed() -> None:
    def weights(seed: int) -> Tensor:
        _, end = make_trainer().train(make_module(), seed=seed, until=1)
        return torch.cat([value.flatten().float() for value in end.weights.values()])

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


def test_every_epoch_draws_anew() -> None:
    """With a learning rate of nearly nothing the loss of an epoch depends on what is drawn in it alone."""
    losses: list[float] = []
    still = replace(RECIPE, learning_rate=1e-9)
    make_trainer(recipe=still).train(make_module(), seed=1, on_epoch=lambda epoch, loss: losses.append(loss))
    assert len(set(losses)) == 5


@pytest.mark.parametrize("recipe", [RECIPE, replace(RECIPE, nesterov=True, weight_decay=0.01, label_smoothing=0.2)])
def test_training_is_that_of_a_plain_loop_with_the_optimiser_of_torch(recipe: Recipe) -> None:
    trainer, module = make_trainer(PLAIN, recipe=recipe), make_module()
    _, end = trainer.train(module, seed=3)
    plain, pictures = make_module().train(), trainer._pictures
    optimizer = torch.optim.SGD(
        plain.parameters(), momentum=recipe.momentum, nesterov=recipe.nesterov, weight_decay=recipe.weight_decay
    )
    for epoch in range(recipe.epochs):
        order = pictures.draw(torch.Generator().manual_seed(3 * 100_003 + epoch))[0]
        for i in range(0, 48, 16):  # two images wait for the next epoch
            indices = order[i : i + 16]
            optimizer.param_groups[0]["lr"] = recipe.rate_at(epoch + i / 48)
            loss = nn.functional.cross_entropy(
                plain(pictures.normalized(pictures.images.pixels[indices])),
                pictures.images.labels[indices],
                label_smoothing=recipe.label_smoothing,
            )
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(end.weights[name], value, rtol=1e-4, atol=1e-5)


def test_what_trains_longer_than_its_recipe_ends_at_the_end_of_a_cycle(monkeypatch: pytest.MonkeyPatch) -> None:
    rates: list[float] = []
    monkeypatch.setattr(Descent, "step", lambda self, rate: rates.append(float(rate)))
    make_trainer().train(make_module(), seed=0, until=12)
    assert rates[-1] == pytest.approx(0.1 * 0.5 * (1 + math.cos(math.pi * (1 - 1 / 3 / 6))), rel=1e-3)
    assert max(rates) == pytest.approx(0.1)


def test_the_learning_rate_restarts_at_epochs_4_12_and_28_and_ends_at_60() -> None:
    recipe = Recipe()
    restarts = (0, 4, 12, 28, 60)
    assert [recipe.rate_at(epoch) for epoch in restarts] == [0.01] * 5
    assert [recipe.rate_at(epoch - 1e-6) for epoch in restarts[1:]] == pytest.approx([0] * 4, abs=1e-12)
    assert [recipe.rate_at(epoch) for epoch in (2, 8, 20, 44)] == pytest.approx([0.005] * 4)
    rates = [recipe.rate_at(i / 10) for i in range(600)]
    assert [i / 10 for i in range(1, 600) if rates[i] > rates[i - 1]] == [4, 12, 28]


def augmented(change: Augmentation, count: int = 50) -> tuple[Tensor, Tensor, float]:
    """Return pictures as they are and as they are trained on, both normalised, and what black becomes."""
    pictures = make_trainer(change, count)._pictures
    plan = pictures.draw(torch.Generator().manual_seed(0))
    changed = pictures.changed(plan)[plan[0].argsort()]
    black = pictures.normalized(torch.zeros((1, 2, 1, 1), dtype=torch.uint8))
    return pictures.normalized(pictures.images.pixels), changed, black


def test_without_augmentation_pictures_are_only_normalised() -> None:
    images, changed, _ = augmented(PLAIN)
    assert torch.equal(images, changed)
    assert images.mean((0, 2, 3)).tolist() == pytest.approx([0, 0], abs=1e-5)
    assert images.std((0, 2, 3)).tolist() == pytest.approx([1, 1], abs=1e-5)


def test_a_crop_is_the_picture_moved_over_a_black_frame() -> None:
    images, changed, black = augmented(replace(PLAIN, padding=2))
    assert changed.shape == images.shape
    framed = black.expand(len(images), 2, 12, 12).clone()
    framed[:, :, 2:10, 2:10] = images
    moves = {(top, left): framed[:, :, top : top + 8, left : left + 8] for top in range(5) for left in range(5)}
    found = [next(move for move, crops in moves.items() if torch.equal(crops[i], changed[i])) for i in range(50)]
    assert {top for top, _ in found} == {left for _, left in found} == set(range(5))


def test_a_flip_mirrors_about_half_of_the_pictures_and_changes_no_other() -> None:
    images, changed, _ = augmented(replace(PLAIN, flips=True), count=400)
    is_kept = (changed == images).flatten(1).all(1)
    is_mirrored = (changed == images.flip(3)).flatten(1).all(1)
    assert bool((is_kept ^ is_mirrored).all())
    assert 160 < int(is_mirrored.sum()) < 240


def test_cutout_sets_one_square_to_zero_in_all_channels_and_changes_nothing_else() -> None:
    images, changed, _ = augmented(replace(PLAIN, cutout=4), count=2000)
    is_zero = changed == 0
    assert torch.equal(changed[~is_zero], images[~is_zero])
    assert not bool((images == 0).any())
    assert torch.equal(is_zero[:, 0], is_zero[:, 1])
    rows, columns = is_zero[:, 0].any(2), is_zero[:, 0].any(1)
    assert torch.equal(is_zero[:, 0], rows[:, :, None] & columns[:, None, :])
    assert set(rows.sum(1).tolist()) == set(columns.sum(1).tolist()) == {2, 3, 4}  # less where it leaves the picture
    # Of the eight middles of a side, one shows 2 of its 4 pixels, two show 3 and five show all: 3.5 of 8 on average.
    assert float(is_zero.float().mean()) == pytest.approx((3.5 / 8) ** 2, abs=0.01)


def failing(error: BaseException) -> nn.Module:
    """Return a module whose forward pass raises ``error``."""
    module = make_module()

    def fail(*_: object) -> None:
        raise error

    module.register_forward_pre_hook(fail)
    return module


def with_nan() -> nn.Module:
    module = make_module()
    next(module.parameters()).data[0] = float("nan")
    return module


@pytest.mark.parametrize(
    ("make", "status", "message"),
    [
        (with_nan, "diverged", "the loss is nan in epoch 1"),
        (lambda: failing(MemoryError()), "out of memory", "MemoryError"),
        (lambda: failing(MemoryError("no room\nfor this")), "out of memory", "no room"),
        (lambda: failing(RuntimeError("CUDA out of memory.\nTried to")), "out of memory", "CUDA out of memory."),
    ],
)
def test_what_goes_wrong_is_a_result(make: Callable[[], nn.Module], status: Any, message: str) -> None:
    training, end = make_trainer().train(make(), seed=0)
    assert replace(training, loss=0.0) == Training(status=status, loss=0.0, message=message)
    assert end.epoch == 0


def test_a_bug_is_no_result() -> None:
    with pytest.raises(RuntimeError, match="shapes differ"):
        make_trainer().train(failing(RuntimeError("shapes differ")), seed=0)


def test_training_gives_up_at_its_deadline() -> None:
    training, end = make_trainer().train(make_module(), seed=0, deadline=time.monotonic() - 1)
    assert (training.status, training.message) == ("timed out", "no time left in epoch 1")
    assert (training.accuracy, training.epochs, end.epoch) == (0.0, 0, 0)


@pytest.mark.parametrize(
    ("gpus", "here", "auto"),
    [(0, {"cpu"}, "cpu"), (2, {"cpu", "cuda", "cuda:0", "cuda:1"}, "cuda")],
)
def test_only_devices_that_are_here_are_picked(
    monkeypatch: pytest.MonkeyPatch, gpus: int, here: set[str], auto: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    assert pick_device("auto") == auto
    assert pick_device("all") == ("cuda:0,cuda:1" if gpus else "cpu")
    assert not gpus or pick_device("cuda:1,cuda:0") == "cuda:1,cuda:0"
    for several in ("cuda:0,cuda:0", "cuda,cuda:1", "cpu,cuda:0", "cuda:0,"):
        with pytest.raises(UsageError, match=r"There is no device|Several devices are different GPUs"):
            pick_device(several)
    for wish in ("cpu", "cuda", "cuda:0", "cuda:1", "cuda:2", "cuda:99", "cuda:abc", "cuda:", "cuda:-1", "tpu", ""):
        if wish in here:
            assert pick_device(wish) == wish
        else:
            with pytest.raises(UsageError, match=f"There is no device '{wish}' here"):
                pick_device(wish)
