"""Final trainings: scaled networks keep their order and strides, and no network sees the test images twice."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

import torch
from click.testing import CliRunner
from PIL import Image

from memprof.base.errors import InputError, UsageError
from memprof.base.units import format_bytes
from memprof.cli import main
from memprof.nas.jobs import Job, Outcome
from memprof.nas.rank.metric import Metric
from memprof.nas.record.journal import Journal
from memprof.nas.record.settings import Limits, Settings
from memprof.nas.record.trainings import find_training, finished_trainings, read_result
from memprof.nas.searching import final
from memprof.nas.searching.export import weights_of
from memprof.nas.searching.final import CHECKPOINT, FinalPlan, scale, train_final, training_name
from memprof.nas.searching.rounds import Search
from memprof.nas.space.architecture import CIFAR10, GROWN_LAYERS, Architecture, Cell, Layer, Template
from memprof.nas.space.budget import Budget
from memprof.nas.train.data import load_test, load_training
from memprof.nas.train.evaluation import load_checkpoint
from memprof.nas.train.recipe import Recipe

TINY = Template(strides=(1, 2), widths=(4, 4), input_shape=(1, 8, 8), classes=10, stem_width=4)
RECIPE = Recipe(epochs=6, batch=32, learning_rate=0.05, first_cycle=2)
SETTINGS = Settings(
    dataset="digits",
    image_limit=100,
    template=TINY,
    metric=Metric(accuracy_weight=0.5),
    budget=Budget(dtype="int8"),
    sample=3,
    recipe=replace(RECIPE, epochs=1),
    rungs=(1,),
)


def cell(layer1: Layer, layer2: Layer) -> Cell:
    return Cell(input1=0, input2=0, layer1=layer1, layer2=layer2)


NETWORK = TINY.build([cell(Layer.CONV_3X3, Layer.MAX_POOL_3X3)])
MIRRORED = TINY.build([cell(Layer.MAX_POOL_3X3, Layer.CONV_3X3)])

FOUND = replace(
    CIFAR10.build([cell(Layer.CONV_3X3, Layer.CONV_3X3)]),
    blocks=tuple(
        replace(block, cells=(cell(GROWN_LAYERS[i], Layer.CONV_3X3),), width=8 * (i + 1))
        for i, block in enumerate(CIFAR10.build([]).blocks)
    ),
    stem_width=10,
)
"""Five blocks, all different: strides 1 2 1 2 1, widths 8 to 40."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the folder of a search that has started, with a space in its name."""
    place = tmp_path / "a run"
    with Journal(place) as journal:
        journal.append("started", {"settings": SETTINGS.to_json(), "limits": Limits(rounds=1).to_json()})
    return place


def plan_for(
    folder: Path, architecture: Architecture = NETWORK, name: str = "3", recipe: Recipe = RECIPE
) -> FinalPlan:
    return FinalPlan(folder=folder, candidate=3, architecture=architecture, name=name, recipe=recipe, device="cpu")


@pytest.mark.parametrize("blocks", [6, 11, 16])
def test_more_blocks_keep_the_order_of_cells_and_the_number_of_halvings(blocks: int) -> None:
    scaled = scale(FOUND, blocks=blocks)
    assert len(scaled.blocks) == blocks
    assert sum(block.stride == 2 for block in scaled.blocks) == 2
    runs = [list(run) for _, run in groupby(scaled.blocks, key=lambda block: (block.cells, block.width))]
    assert [(run[0].cells, run[0].width) for run in runs] == [(block.cells, block.width) for block in FOUND.blocks]
    assert [run[0].stride for run in runs] == [1, 2, 1, 2, 1]
    assert max(map(len, runs)) - min(map(len, runs)) <= 1
    assert scaled.stem_width == FOUND.stem_width


def test_the_depth_and_width_a_network_has_change_nothing_not_even_its_name() -> None:
    for same in ({}, {"blocks": 5}, {"width": 40}, {"blocks": 5, "width": 40}):
        assert scale(FOUND, **same) == FOUND
        assert training_name(12, FOUND, **same) == "12"


def test_the_name_of_a_training_says_what_was_changed() -> None:
    assert training_name(12, FOUND, blocks=16) == "12-16-blocks"
    assert training_name(12, FOUND, blocks=5, width=64) == "12-width-64"
    assert training_name(12, FOUND, blocks=16, width=64) == "12-16-blocks-width-64"


def test_another_width_keeps_the_ratio_of_the_blocks() -> None:
    scaled = scale(FOUND, width=20)
    assert [block.width for block in scaled.blocks] == [4, 8, 12, 16, 20]
    assert scaled.stem_width == 5
    assert min(block.width for block in scale(FOUND, width=1).blocks) == 1


@pytest.mark.parametrize("blocks", [1, 2])
def test_too_few_blocks_for_the_strides_are_refused(blocks: int) -> None:
    with pytest.raises(UsageError, match=f"^{blocks} blocks are too few for the strides of 5"):
        scale(FOUND, blocks=blocks)


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that grows with every look at test images."""
    found: list[str] = []

    def look(name: str, *, root: Path, side: int | None) -> Any:
        found.append(name)
        return load_test(name, root=root, side=side)

    monkeypatch.setattr(final, "load_test", look)
    return found


def test_a_network_sees_the_test_images_once_under_whatever_name(folder: Path, looks: list[str]) -> None:
    plan = plan_for(folder, recipe=replace(RECIPE, epochs=1))
    result = train_final(plan)
    assert looks == ["digits"]
    assert 0 <= result.test_accuracy <= 1
    assert read_result(plan.place) == result
    assert finished_trainings(folder) == [result]
    for again in (
        plan,
        replace(plan, recipe=RECIPE),
        replace(plan, name="3-2-blocks"),
        replace(plan, name="3-width-4"),
        replace(plan, name="8", candidate=8, architecture=MIRRORED),
    ):
        with pytest.raises(
            UsageError, match=r"^This network is trained already, as '3', and has seen the test images"
        ):
            train_final(again)
    assert looks == ["digits"]
    assert [path.name for path in (folder / "trained").iterdir() if path.is_dir()] == ["3"]


def test_another_depth_is_another_network(folder: Path) -> None:
    short = replace(RECIPE, epochs=1)
    train_final(plan_for(folder, recipe=short))
    train_final(plan_for(folder, architecture=scale(NETWORK, blocks=3), name="3-3-blocks", recipe=short))
    assert [found.name for found in finished_trainings(folder)] == ["3", "3-3-blocks"]


def stop_at(epoch: int) -> Any:
    """Return what to call after each epoch to be interrupted after one of them."""

    def on_epoch(number: int, loss: float) -> None:
        if number == epoch:
            raise KeyboardInterrupt

    return on_epoch


def test_an_interrupted_training_goes_on_to_what_one_run_gives(folder: Path) -> None:
    plan = plan_for(folder)
    with pytest.raises(KeyboardInterrupt):
        train_final(plan, stop_at(4))
    assert read_result(plan.place) is None
    assert load_checkpoint(plan.place / CHECKPOINT).epoch == 3  # the fourth was not written down
    epochs: list[int] = []
    resumed = train_final(plan, lambda epoch, loss: epochs.append(epoch))
    assert epochs == [4, 5, 6]
    one_run = replace(plan, name="other", folder=folder.parent / "again")
    with Journal(one_run.folder) as journal:
        journal.append("started", {"settings": SETTINGS.to_json(), "limits": Limits().to_json()})
    assert replace(train_final(one_run), name=plan.name) == resumed
    ends = [load_checkpoint(p.place / CHECKPOINT).weights for p in (plan, one_run)]
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])


def test_fewer_epochs_than_an_interrupted_training_has_are_refused(folder: Path, looks: list[str]) -> None:
    plan = plan_for(folder)
    with pytest.raises(KeyboardInterrupt):
        train_final(plan, stop_at(3))
    looks.clear()
    for other in (
        replace(plan, recipe=replace(RECIPE, epochs=1, first_cycle=1)),
        replace(plan, recipe=RECIPE.in_one_cycle(6)),
        replace(plan, recipe=replace(RECIPE, momentum=0.8)),
        replace(plan, part="all"),
    ):
        with pytest.raises(UsageError, match=r"^Training 3 was interrupted after 2 epochs on another way"):
            train_final(other)
    assert looks == []
    as_many = train_final(plan_for(folder, recipe=replace(RECIPE, epochs=2)))
    assert as_many.epochs == 2


def test_missing_test_images_are_found_out_before_training(tmp_path: Path) -> None:
    data, folder = tmp_path / "data", tmp_path / "run"
    for name in ("ant", "bee"):
        (data / "train" / name).mkdir(parents=True)
        for shade in (10, 20):
            Image.new("RGB", (8, 8), (shade,) * 3).save(data / "train" / name / f"{shade}.png")
    template = replace(TINY, input_shape=(3, 8, 8), classes=2)
    settings = replace(SETTINGS, dataset=str(data), image_limit=None, template=template)
    with Journal(folder) as journal:
        journal.append("started", {"settings": settings.to_json(), "limits": Limits().to_json()})
    plan = plan_for(folder, architecture=template.build([cell(Layer.CONV_3X3, Layer.CONV_3X3)]))
    with pytest.raises(UsageError, match="has no test or val folder"):
        train_final(plan, stop_at(1))
    assert not plan.place.exists()
    (data / "test" / "cow").mkdir(parents=True)
    with pytest.raises(InputError, match="'cow'"):
        train_final(plan, stop_at(1))


def test_a_training_that_is_not_finished_is_refused_by_name(folder: Path) -> None:
    with pytest.raises(UsageError, match="There is no finished training '4' in ") as caught:
        find_training(folder, "4")
    assert caught.value.hint == "Finished: none."
    train_final(plan_for(folder, recipe=replace(RECIPE, epochs=1)))
    with pytest.raises(UsageError) as caught:
        find_training(folder, "4")
    assert caught.value.hint == "Finished: 3."
    with pytest.raises(UsageError, match=r"^3 is a training of candidate 3, not of 1"):
        weights_of(folder, 1, NETWORK, "3")
    assert weights_of(folder, 3, NETWORK, "3")[2] == "weights trained from scratch for 1 epoch"


def made_up(job: Job) -> Outcome:
    """Return the outcome of a job, the better the lower its number."""
    return Outcome(
        candidate=job.candidate,
        rung=job.rung,
        status="ok",
        accuracy=0.9 - 0.1 * job.candidate,
        epochs=job.until,
        loss=1.0,
        seconds=1.0,
    )


@pytest.fixture
def searched(folder: Path) -> Path:
    """Return the folder of a search with three candidates, of which nothing was trained really."""
    with Journal(folder) as journal:
        search = Search(folder, journal, lambda: 0.0)
        while jobs := search.ask():
            for job in jobs:
                search.tell(made_up(job))
    return folder


def lines_of(arguments: list[str]) -> Iterator[str]:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    return iter(result.stdout.splitlines())


def test_the_next_command_of_train_exports_that_network_and_says_what_it_takes_on_the_device(searched: Path) -> None:
    best = json.loads("\n".join(lines_of(["nas", "status", str(searched), "--json"])))["best"]["candidate"]
    other = next(number for number in range(3) if number != best)
    flags = ["--candidate", str(other), "--blocks", "2", "--epochs", "1", "--device", "cpu"]
    *_, trained, last = lines_of(["nas", "train", str(searched), *flags])
    assert trained.endswith("after 1 epoch from scratch")
    program, *following = shlex.split(last.removeprefix("Next: "))
    assert (program, following) == ("memprof", ["nas", "export", str(searched), "--trained", str(other)])
    first, device, last = lines_of(following)
    assert first.startswith(f"Candidate {other} with weights trained from scratch for 1 epoch;")
    counted = find_training(searched, str(other))
    assert device == (
        "The file is float32; as int8, which the search counts, the network has "
        f"{format_bytes(counted.parameter_bytes)} of parameters and a peak of "
        f"{format_bytes(counted.peak_intermediate_bytes)} (reference)"
    )
    assert shlex.split(last.removeprefix("Next: ")) == ["memprof", "bench", str(searched / "export" / "model.onnx")]


def test_the_validation_images_may_be_trained_on_once_all_is_chosen(folder: Path) -> None:
    short = replace(RECIPE, epochs=1, first_cycle=1)
    result = train_final(replace(plan_for(folder, recipe=short), part="all"))
    assert result.validation_accuracy is None
    assert read_result(folder / "trained" / "3") == result
    data = load_training("digits", root=folder, limit=100)
    assert len(data.with_validation.training) == len(data.training) + len(data.validation) == 100
