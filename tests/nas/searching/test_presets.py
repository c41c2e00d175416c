"""Presets: the paper's is section 4.1, the quick one ends every training at the end of a cycle."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch")


from memprof.base.errors import UsageError
from memprof.cli.nas.search import _CHANGED, _changed
from memprof.nas.given.values import read_record
from memprof.nas.rank.controller import RANKERS
from memprof.nas.rank.metric import Metric
from memprof.nas.record.settings import RANKER_NAMES, Limits, Settings
from memprof.nas.searching.presets import DataFacts, fed, paper, place_of, quick, template_for
from memprof.nas.space.architecture import CIFAR10, IMAGENET, Layer
from memprof.nas.space.budget import Budget
from memprof.nas.space.generator import generate

METRIC, BUDGET = Metric(accuracy_weight=0.5), Budget()
_UNSET = (*_CHANGED, "epochs", "batch", "accuracy_weight", "widths", "strides", "layers")
NO_FLAGS = (
    dict.fromkeys(_UNSET)
    | dict.fromkeys(("no_halving", "no_inherit", "mirror_images"), False)
    | {"halving": None, "space": None}
)


def facts(side: int = 32, images: int = 40_000) -> DataFacts:
    return DataFacts(name="cifar10", input_shape=(3, side, side), classes=10, images=images, limit=None)


def test_the_papers_preset_is_section_4_1() -> None:
    found = paper(facts(), METRIC, BUDGET, seed=0)
    recipe = found.recipe
    assert (recipe.epochs, recipe.batch, recipe.learning_rate, recipe.momentum) == (60, 128, 0.01, 0.9)
    assert recipe.cycle_ends == (4, 12, 28, 60)
    assert (recipe.label_smoothing, recipe.weight_decay, recipe.nesterov) == (0, 0, False)
    assert (found.first_rounds, found.sample, found.top_k, found.ranker) == (2, None, 100, "scc")
    assert (found.rungs, found.inherits, found.mirror_images) == ((60,), False, True)
    assert found.template == CIFAR10


def test_a_gpu_gets_a_batch_and_a_rate_four_times_as_large_but_not_of_few_images() -> None:
    found = fed(quick(facts(), METRIC, BUDGET, seed=0), "cuda:1").recipe
    assert (found.batch, found.learning_rate) == (512, pytest.approx(0.2))
    few = quick(facts(images=1000), METRIC, BUDGET, seed=0)
    assert fed(few, "cuda") == few
    assert fed(quick(facts(), METRIC, BUDGET, seed=0), "cpu").recipe.batch == 128


def test_blocks_and_layers_of_ones_own_are_the_space() -> None:
    found = changed(strides="1,2,1", widths="8,16,32", layers="conv_3x3,max_pool_3x3")
    assert (found.template.strides, found.template.widths, found.template.stem_width) == ((1, 2, 1), (8, 16, 32), 8)
    assert found.layers == (Layer.CONV_3X3, Layer.MAX_POOL_3X3)
    start = found.template.build([])
    grown = list(generate(start, found.combines, layers=found.layers))
    assert {layer for each in grown for _, layer in each.blocks[0].cells[0].layers} == set(found.layers)
    assert len(grown) == 2 * 3  # two combiners, three unordered pairs of two layers
    assert read_record(Settings, found.to_json()) == found
    assert changed(strides="1,2").template.widths == (64, 64)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"strides": "1,3"}, "no such blocks"),
        ({"strides": "one"}, "no list of numbers"),
        ({"widths": "8,8"}, "2 widths for 5 blocks"),
        ({"widths": "0,8,8,8,8"}, "no such blocks"),
        ({"layers": "conv_3x3,identity"}, "no layer 'identity'"),
        ({"layers": "conv_3x3,conv_3x3"}, "each named once"),
    ],
)
def test_a_space_that_is_none_is_refused(flags: dict[str, str], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        changed(**flags)


def test_a_batch_that_is_asked_for_takes_the_learning_rate_along() -> None:
    found = changed(batch=64).recipe
    assert (found.batch, found.learning_rate) == (64, pytest.approx(0.1))


def test_large_images_get_sixteen_blocks_and_small_ones_narrow_ones() -> None:
    assert template_for(facts(224)).strides == IMAGENET.strides
    assert set(template_for(facts(8)).widths) == {16}
    assert template_for(facts(8), width=4).stem_width == 4


@pytest.mark.parametrize("images", [1000, 40_000])
def test_a_quick_network_is_compared_where_a_cycle_ends(images: int) -> None:
    found = quick(facts(images=images), METRIC, BUDGET, seed=0)
    assert found.rungs == found.recipe.cycle_ends
    assert len(found.rungs) > 1


def changed(**flags: object) -> Settings:
    return _changed(quick(facts(images=1000), METRIC, BUDGET, seed=0), NO_FLAGS | flags)


def test_other_epochs_keep_rungs_at_the_ends_of_cycles() -> None:
    assert changed(epochs=1).rungs == (1,)
    assert changed(epochs=30).rungs == (10, 30)
    assert changed(epochs=30).recipe.cycle_ends == (10, 30)
    assert changed(epochs=30, no_halving=True).rungs == (30,)


def test_every_short_cut_can_be_switched_off() -> None:
    found = changed(no_halving=True, no_inherit=True, mirror_images=True)
    assert (found.rungs, found.inherits, found.mirror_images) == ((6,), False, True)


def test_a_folder_means_the_same_from_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "images").mkdir()
    monkeypatch.chdir(tmp_path)
    assert place_of("images") == str((tmp_path / "images").resolve())
    assert place_of("digits") == "digits"
    assert place_of("nothing-here") == "nothing-here"


@pytest.mark.parametrize(
    ("field", "value"), [("runtime", "pytorch"), ("dtype", "bf16"), ("peak_bytes", -1), ("parameter_bytes", -1)]
)
def test_a_budget_that_cannot_be_kept_to_is_refused(field: str, value: object) -> None:
    with pytest.raises(UsageError):
        Budget(**{field: value})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("workers", 0),
        ("threads", 0),
        ("rounds", 0),
        ("seconds", 0.0),
        ("seconds", float("nan")),
        ("seconds", float("inf")),
        ("job_seconds", float("inf")),
    ],
)
def test_limits_that_no_search_can_keep_to_are_refused(field: str, value: object) -> None:
    with pytest.raises(UsageError):
        Limits(**{field: value})  # type: ignore[arg-type]


@pytest.mark.parametrize(("field", "value"), [("ranker", "oracle"), ("first_rounds", 0), ("top_k", 0), ("sample", 0)])
def test_settings_that_would_fail_rounds_later_are_refused_now(field: str, value: object) -> None:
    with pytest.raises(UsageError):
        replace(quick(facts(), METRIC, BUDGET, seed=0), **{field: value})  # type: ignore[arg-type]


def test_every_ranker_has_its_name() -> None:
    assert tuple(RANKERS) == RANKER_NAMES


@pytest.mark.parametrize("weight", [-1.0, float("nan"), float("inf")])
def test_weights_that_are_no_weights_are_refused(weight: float) -> None:
    with pytest.raises(UsageError, match="weights"):
        Metric(accuracy_weight=0.5, peak_weight=weight)


def test_lambda_lets_the_metric_lead_and_a_final_training_follows_the_epochs() -> None:
    assert changed().goal == "front"
    assert changed(accuracy_weight=0.5).goal == "metric"
    assert changed(epochs=5).final_epochs == 15
    assert changed(epochs=5, final_epochs=2).final_epochs == 2
