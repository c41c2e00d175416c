"""A search is as large as its time: six rounds fit by the estimate, wherever anything does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch")


from memprof.nas.rank.metric import Metric
from memprof.nas.record.forecast import epochs_of_round
from memprof.nas.record.settings import Goal, Limits, Settings
from memprof.nas.searching.presets import DataFacts, quick
from memprof.nas.searching.sizing import ROUNDS, measure_image_seconds, size
from memprof.nas.space.budget import Budget

FACTS = DataFacts(name="cifar10", input_shape=(3, 32, 32), classes=10, images=40_000, limit=None)


def preset(images: int, width: int) -> Settings:
    facts = replace(FACTS, images=images, limit=None if images == FACTS.images else images)
    return quick(facts, Metric(accuracy_weight=0.9), Budget(), 0, width)


def sized(minutes: float, image_seconds: float, **limits: object) -> tuple[Settings, float, int]:
    """Return the search that fits, where an image costs half as much in layers of half the width."""
    found = size(
        preset,
        FACTS.images,
        64,
        Limits(seconds=60 * minutes, **limits),  # type: ignore[arg-type] # its fields, by name
        lambda settings: image_seconds * max(settings.template.widths) / 64,
    )
    assert (found.seconds <= 60 * minutes * 0.6) == (found.rounds >= ROUNDS)
    return found.settings, found.seconds, found.rounds


def test_with_time_enough_a_search_is_the_presets_own() -> None:
    assert sized(1000, 1e-5)[0] == preset(40_000, 64)


@pytest.mark.parametrize("minutes", [0.5, 2, 8, 30, 120, 1000])
@pytest.mark.parametrize("image_seconds", [1e-5, 1e-4, 2e-3])
def test_less_time_never_gives_a_larger_search(minutes: float, image_seconds: float) -> None:
    settings, seconds, rounds = sized(minutes, image_seconds)
    more, _, rounds_of_more = sized(2 * minutes, image_seconds)
    assert rounds_of_more >= min(rounds, ROUNDS)
    assert (settings.image_limit or 40_000) * max(settings.template.widths) <= (more.image_limit or 40_000) * max(
        more.template.widths
    )
    assert seconds <= 60 * minutes * 0.6 or (settings.sample, settings.recipe.epochs) == (8, 3)


def test_where_nothing_fits_the_smallest_is_taken_and_said() -> None:
    found = size(preset, FACTS.images, 64, Limits(seconds=20), lambda settings: 2e-3)
    assert found.rounds < ROUNDS
    assert "only about 1 round fits" in found.describe(FACTS.images)
    assert (max(found.settings.template.widths), found.settings.sample) == (8, 8)


@pytest.mark.parametrize("goal", ["front", "metric"])
def test_the_rounds_that_are_told_are_those_that_fit(goal: Goal) -> None:
    """By the metric a round adds a cell; with the front as the goal cells come ten times as slowly."""

    def search(images: int, width: int) -> Settings:
        return replace(preset(images, width), goal=goal, finalists=0)

    found = size(search, FACTS.images, 64, Limits(seconds=3600, workers=2), lambda settings: 2e-5)
    assert found.settings == search(40_000, 64)
    epoch, spent, index = 40_000 * 2e-5 / 2, 0.0, 0
    while True:
        cells = min(6, 1 + index / (10 if goal == "front" else 1))
        spent += epochs_of_round(found.settings, index) * epoch * cells
        if spent > 3600:
            break
        index += 1
    assert found.rounds == index > ROUNDS
    assert f"about {index} rounds fit" in found.describe(FACTS.images)


def test_each_width_is_measured_once() -> None:
    asked: list[int] = []

    def cost(settings: Settings) -> float:
        asked.append(max(settings.template.widths))
        return 2e-3

    size(preset, FACTS.images, 64, Limits(seconds=20), cost)
    assert asked == [64, 32, 16, 8]


def test_more_workers_afford_more() -> None:
    assert sized(8, 1e-4)[1] >= sized(8, 1e-4, workers=8)[1] * 0.1
    assert (sized(8, 5e-4, workers=16)[0].image_limit or 40_000) > (sized(8, 5e-4)[0].image_limit or 40_000)


def test_what_an_image_costs_is_measured_on_the_data_of_the_search() -> None:
    facts = DataFacts(name="digits", input_shape=(1, 8, 8), classes=10, images=400, limit=500)
    settings = quick(facts, Metric(accuracy_weight=0.9), Budget(), 0, 4)
    assert 0 < measure_image_seconds(settings, Path("nowhere"), "cpu") < 1
