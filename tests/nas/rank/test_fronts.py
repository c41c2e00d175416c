"""Pareto fronts against their definition, networks that tie in everything among them."""

from __future__ import annotations

import random

import pytest

from memprof.nas.rank.fronts import pareto_front
from memprof.nas.rank.metric import Measures


def measured(accuracy: float, parameters: int, peak: int) -> Measures:
    return Measures(accuracy=accuracy, parameter_bytes=parameters, peak_intermediate_bytes=peak)


def beats(one: Measures, other: Measures) -> bool:
    """Tell whether ``one`` is no worse in all three and better in one."""
    is_no_worse = (
        one.accuracy >= other.accuracy
        and one.parameter_bytes <= other.parameter_bytes
        and one.peak_intermediate_bytes <= other.peak_intermediate_bytes
    )
    return is_no_worse and one != other


@pytest.mark.parametrize("seed", range(60))
def test_the_front_is_who_nobody_beats(seed: int) -> None:
    rng = random.Random(seed)
    measures = {i: measured(rng.randrange(1, 5) / 5, rng.randrange(1, 5), rng.randrange(1, 5)) for i in range(14)}
    expected = {i for i, one in measures.items() if not any(beats(other, one) for other in measures.values())}
    assert set(pareto_front(measures)) == expected


def test_networks_equal_in_all_three_all_stay() -> None:
    measures = {1: measured(0.5, 10, 10), 2: measured(0.5, 10, 10), 3: measured(0.4, 20, 20)}
    assert pareto_front(measures) == (1, 2)
