"""Ranking measures: known values, and the random band that the paper's own definitions give."""

from __future__ import annotations

import random

import pytest

from memprof.nas.controller import RANKERS
from memprof.nas.rankers import Candidate, RankedRound, fit_parameters, fit_ridge
from memprof.nas.ranking import average_precision, kendall_tau, ndcg, random_band


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


def make_round(rng: random.Random, count: int) -> RankedRound:
    """Return candidates whose score is the weighted sum of their bits."""
    weights = [random.Random(i).uniform(-1, 1) for i in range(24)]
    codes = ["".join(rng.choice("01") for _ in range(24)) for _ in range(count)]
    scores = tuple(sum(w for bit, w in zip(code, weights, strict=True) if bit == "1") for code in codes)
    return RankedRound(tuple(Candidate((code[:12], code[12:]), code.count("1")) for code in codes), scores)


@pytest.mark.parametrize("name", ["scc", "single-rnn", "double-rnn", "ridge"])
def test_a_ranker_learns_what_can_be_learnt_and_repeats_itself(name: str) -> None:
    rng = random.Random(0)
    history, pool = [make_round(rng, 40)], make_round(rng, 60)
    predicted = RANKERS[name](history, 3)(pool.candidates)
    assert kendall_tau(predicted, pool.scores) > 0.4
    assert RANKERS[name](history, 3)(pool.candidates) == predicted


def test_the_controllers_scores_do_not_depend_on_the_order_it_is_asked_in() -> None:
    rng = random.Random(1)
    history, pool = [make_round(rng, 20)], make_round(rng, 15).candidates
    predictor = RANKERS["scc"](history, 0)
    assert predictor(pool[::-1])[::-1] == pytest.approx(predictor(pool), abs=1e-5)


def test_the_parameter_count_is_followed_in_the_direction_it_had() -> None:
    small, large = Candidate(("0",), 1), Candidate(("1",), 9)
    shrinking = fit_parameters([RankedRound((small, large), (1.0, 0.0))], 0)
    growing = fit_parameters([RankedRound((small, large), (0.0, 1.0))], 0)
    assert shrinking([small])[0] > shrinking([large])[0]
    assert growing([small])[0] < growing([large])[0]


def test_ridge_stands_scores_that_do_not_differ() -> None:
    same = RankedRound((Candidate(("01",), 1), Candidate(("10",), 1)), (0.5, 0.5))
    assert fit_ridge([same], 0)(same.candidates) == pytest.approx([0, 0])
