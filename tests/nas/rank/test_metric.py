"""Equation 4 with the sign that the text means."""

from __future__ import annotations

import pytest

from memprof.nas.rank.metric import Measures, Metric


def measures(accuracy: float, peak: int, parameters: int) -> Measures:
    return Measures(accuracy=accuracy, peak_intermediate_bytes=peak, parameter_bytes=parameters)


BASE = measures(0.8, 1000, 500)


def test_the_same_network_scores_nothing() -> None:
    assert Metric(accuracy_weight=0.3).score(BASE, BASE) == 0


def test_more_memory_costs_and_more_accuracy_pays() -> None:
    metric = Metric(accuracy_weight=0.5)
    assert metric.score(measures(0.8, 2000, 500), BASE) == pytest.approx(-0.5)
    assert metric.score(measures(0.8, 1000, 250), BASE) == pytest.approx(0.25)
    assert metric.score(measures(0.88, 1000, 500), BASE) == pytest.approx(0.05)


def test_lambda_1_sees_accuracy_alone_and_lambda_0_bytes_alone() -> None:
    candidate = measures(0.88, 2000, 1000)
    assert Metric(accuracy_weight=1).score(candidate, BASE) == pytest.approx(0.1)
    assert Metric(accuracy_weight=0).score(candidate, BASE) == pytest.approx(-2)


def test_the_authors_weights_apply_to_their_terms() -> None:
    metric = Metric(accuracy_weight=0, peak_weight=0.7, parameter_weight=0.3)
    assert metric.score(measures(0.8, 2000, 500), BASE) == pytest.approx(-0.7)
    assert metric.score(measures(0.8, 1000, 1000), BASE) == pytest.approx(-0.3)


@pytest.mark.parametrize("bad", [(0.0, 1, 1), (0.5, 0, 1), (0.5, 1, 0), (float("nan"), 1, 1)])
def test_nothing_is_divided_by_zero(bad: tuple[float, int, int]) -> None:
    with pytest.raises(ValueError, match="more than zero"):
        measures(*bad)
