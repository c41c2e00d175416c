"""A final training shared by processes takes the steps that one process takes, and survives the death of any."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch")

import torch

from memprof.base.errors import RuntimeFailure, UsageError
from memprof.nas.record.journal import Journal
from memprof.nas.record.settings import Limits
from memprof.nas.searching import together
from memprof.nas.searching.final import CHECKPOINT, FinalPlan, scale, train_final
from memprof.nas.searching.together import train_together
from memprof.nas.space.architecture import Cell, Layer, Template
from memprof.nas.train.evaluation import load_checkpoint
from memprof.nas.train.recipe import Recipe
from tests.nas.searching.searches import SETTINGS

TEMPLATE = Template(strides=(1, 2), widths=(4, 4), input_shape=(1, 8, 8), classes=10, stem_width=4)
NETWORK = TEMPLATE.build([Cell(input1=0, input2=0, layer1=Layer.CONV_3X3, layer2=Layer.DEPTHWISE_3X3)])
RECIPE = Recipe(epochs=2, batch=32, learning_rate=0.05, first_cycle=1)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Sum as each of the processes does."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def plan_in(folder: Path, blocks: int = 2, recipe: Recipe = RECIPE) -> FinalPlan:
    settings = replace(SETTINGS, template=TEMPLATE, image_limit=300)
    with Journal(folder) as journal:
        journal.append("started", {"settings": settings.to_json(), "limits": Limits(rounds=1).to_json()})
    return FinalPlan(
        folder=folder,
        candidate=0,
        architecture=scale(NETWORK, blocks=blocks),
        name="0",
        recipe=recipe,
        device="cpu",
    )


def weights_of(plan: FinalPlan) -> dict[str, torch.Tensor]:
    return load_checkpoint(plan.place / CHECKPOINT).weights


def assert_close(one: FinalPlan, other: FinalPlan) -> None:
    found, expected = weights_of(one), weights_of(other)
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.allclose(found[name], tensor, rtol=1e-3, atol=1e-4), name


def test_two_processes_train_sixteen_blocks_as_one_does(tmp_path: Path) -> None:
    # Few and small steps: rounding grows with each, and a ReLU that it switches makes of 1e-7 as much as 1e-2.
    recipe = replace(RECIPE, epochs=1, batch=60, learning_rate=0.01)
    alone, shared = (plan_in(tmp_path / name, 16, recipe) for name in ("alone", "shared"))
    expected = train_final(alone)
    epochs: list[int] = []
    found = train_together(shared, ("cpu", "cpu"), lambda epoch, loss: epochs.append(epoch))
    assert epochs == [1]
    assert_close(shared, alone)
    assert found.test_accuracy == pytest.approx(expected.test_accuracy, abs=0.02)
    assert found.validation_accuracy == pytest.approx(expected.validation_accuracy, abs=0.04)
    with pytest.raises(UsageError, match="has seen the test images"):
        train_together(shared, ("cpu", "cpu"))


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_where_a_process_is_killed_the_others_end_and_a_resume_goes_on(
    rank: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = replace(RECIPE, epochs=4, batch=120, first_cycle=4)
    alone, shared = plan_in(tmp_path / "alone", recipe=recipe), plan_in(tmp_path / "shared", recipe=recipe)
    train_final(alone)
    children = []
    start = together._start

    def counted(*arguments: object) -> object:
        found = start(*arguments)  # type: ignore[arg-type]
        children.append(found[0])
        return found

    monkeypatch.setattr(together, "_start", counted)

    def kill(epoch: int, loss: float) -> None:
        if epoch == 3:
            os.kill(children[rank].pid, signal.SIGKILL)

    with pytest.raises(RuntimeFailure, match=r"ended with code -9|failed"):
        train_together(shared, ("cpu", "cpu"), kill)
    assert all(child.exit_code is not None for child in children)
    assert load_checkpoint(shared.place / CHECKPOINT).epoch in {1, 2, 3}
    epochs: list[int] = []
    train_together(shared, ("cpu",) * 4, lambda epoch, loss: epochs.append(epoch))  # another number of processes
    assert epochs
    assert epochs[0] > 1
    assert_close(shared, alone)


def test_a_batch_that_cannot_be_shared_and_data_that_are_gone_are_one_error(tmp_path: Path) -> None:
    plan = plan_in(tmp_path / "run")
    with pytest.raises(UsageError, match="cannot be shared equally by 3"):
        train_together(plan, ("cpu",) * 3)
