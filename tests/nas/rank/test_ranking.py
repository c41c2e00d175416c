"""Ranking measures: known values, ties, errors, and the random band that the paper's own definitions give."""

from __future__ import annotations

from math import inf, nan

import pytest

from memprof.nas.rank.ranking import MEASURES, average_precision, kendall_tau, ndcg, random_band


def test_a_perfect_ranking_scores_1() -> None:
    true = [0.3, 0.9, 0.1, 0.5]
    assert (average_precision(true, true, 2), ndcg(true, true, 2), kendall_tau(true, true)) == (1, 1, 1)


def test_a_reversed_ranking_has_tau_minus_1() -> None:
    assert kendall_tau([3, 2, 1], [1, 2, 3]) == -1


def test_average_precision_by_hand() -> None:
    true = [4, 3, 2, 1]  # the true top 2: the first two
    predicted = [3, 1, 4, 2]  # predicted order: 3rd, 1st, 4th, 2nd
    assert average_precision(predicted, true, 2) == pytest.approx(1 / 2)
    assert average_precision(predicted, true, 4) == pytest.approx((1 + 1 + 1 + 1) / 4)


def test_ndcg_by_hand() -> None:
    true, predicted = [3, 2, 1], [1, 3, 2]  # predicted order: true ranks 2, 3, 1
    assert ndcg(predicted, true, 2) == pytest.approx((1 / 2 + 1 / 3) / (1 + 1 / 2))


def test_chance_scores_what_the_papers_definitions_give_on_392() -> None:
    true = list(range(392))
    for measure, k, expected in (
        ("average_precision", 50, 0.193),
        ("average_precision", 100, 0.290),
        ("ndcg", 50, 0.092),
        ("ndcg", 100, 0.140),
    ):
        assert random_band(true, k, measure=measure, repeats=400).mean == pytest.approx(expected, abs=0.015)


SCORES = {"average_precision": average_precision, "ndcg": ndcg}


@pytest.mark.parametrize("measure", SCORES)
@pytest.mark.parametrize("true", [range(100), range(100, 0, -1)], ids=["rising", "falling"])
def test_a_constant_predictor_is_a_random_ranking_however_the_truth_goes_with_the_index(
    measure: str, true: range
) -> None:
    band = random_band(true, 20, measure=measure)
    assert band.low <= SCORES[measure]([0.5] * 100, true, 20) <= band.high


@pytest.mark.parametrize("measure", SCORES)
def test_ties_on_both_sides_are_broken_apart(measure: str) -> None:
    same = [1.0] * 100
    band = random_band(same, 20, measure=measure)
    assert band.low <= SCORES[measure](same, same, 20) <= band.high


def test_ties_are_broken_alike_in_every_call() -> None:
    predicted, true = [1, 1, 1, 0, 0, 0], [2, 1, 2, 1, 2, 1]
    assert len({ndcg(predicted, true, 3) for _ in range(5)}) == 1


def test_a_tie_on_either_side_keeps_tau_below_1() -> None:
    assert kendall_tau([1, 1, 2], [1, 2, 3]) == pytest.approx(2 / 3)
    assert kendall_tau([1, 2, 3], [1, 1, 2]) == pytest.approx(2 / 3)
    assert kendall_tau([1, 1, 2], [1, 1, 2]) == pytest.approx(2 / 3)
    assert kendall_tau([0, 0, 0], [1, 2, 3]) == 0


def test_infinite_scores_rank_first_and_last() -> None:
    predicted, true = [inf, inf, 0, -inf], [4, 3, 2, 1]
    assert kendall_tau(predicted, true) == pytest.approx(5 / 6)
    assert average_precision([0, -inf, inf], [2, 1, 3], 1) == 1


@pytest.mark.parametrize(
    ("predicted", "true", "words"),
    [
        ([1, 2], [1, 2, 3], "2 are predicted and 3 true"),
        ([1, 2, 3], [1, 2], "3 are predicted and 2 true"),
        ([], [], "no scores"),
        ([nan, 1], [1, 2], "NaN"),
        ([1, 2], [1, nan], "NaN"),
    ],
)
@pytest.mark.parametrize("measure", MEASURES)
def test_scores_that_cannot_be_ranked_are_an_error(
    measure: str, predicted: list[float], true: list[float], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        MEASURES[measure](predicted, true, 1)


@pytest.mark.parametrize("measure", SCORES)
def test_a_top_list_without_a_place_is_an_error(measure: str) -> None:
    with pytest.raises(ValueError, match="k is 0"):
        SCORES[measure]([1, 2], [1, 2], 0)
