"""How good a predicted ranking is: AP@k, NDCG@k and Kendall's tau, and what chance alone would score.

    AP@k    mean, over the hits in the predicted top k, of the precision at their rank; a hit is in the true top k
    NDCG@k  relevance 1 / true rank; DCG = rel_1 + sum over i >= 2 of rel_i / log2(i); divided by the ideal DCG
    tau     Kendall's tau-a over all pairs; a tied pair counts for neither side, so ties keep it below 1

AP and NDCG need an order without ties. Equal scores are ordered by a fixed pseudo-random permutation of the indices,
one for predicted and an unrelated one for true scores; each depends on the number of scores alone. So a constant
predictor is one random ranking, however the truth goes with the index, and the same scores give the same figure. The
price: where the true scores tie, a copy of them need not score 1.

The definitions are those behind Table 3 of MemNAS (CVPR 2020, section 4.5). With them a random ranking of 392
candidates scores .193 .290 (AP@50, AP@100) and .092 .140 (NDCG), so no figure stands without its random band.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import log2

import numpy as np
from numpy.typing import NDArray

_PREDICTED_TIES, _TRUE_TIES = 45_001, 45_002
"""Seeds of the permutations that order ties: any two that differ."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """What random rankings score.

    Attributes:
        mean: Their mean.
        low: Their 2.5th percentile.
        high: Their 97.5th percentile.
    """

    mean: float
    low: float
    high: float


def average_precision(predicted: Sequence[float], true: Sequence[float], k: int) -> float:
    """Return AP@k of a ranking by ``predicted`` against one by ``true``; more is better in both.

    Raises:
        ValueError: The lengths differ, there are no scores, one is NaN, or k is less than 1.

    >>> average_precision([3, 2, 1], [3, 2, 1], k=2)
    1.0
    """
    found, wanted = _checked(predicted, true, k)
    best = set(_order(wanted, _TRUE_TIES)[:k])
    hits = 0
    total = 0.0
    for rank, index in enumerate(_order(found, _PREDICTED_TIES)[:k], start=1):
        if index in best:
            hits += 1
            total += hits / rank
    return total / hits if hits else 0.0


def ndcg(predicted: Sequence[float], true: Sequence[float], k: int) -> float:
    """Return NDCG@k of a ranking by ``predicted`` against one by ``true``; more is better in both.

    Raises:
        ValueError: The lengths differ, there are no scores, one is NaN, or k is less than 1.

    >>> ndcg([3, 2, 1], [3, 2, 1], k=3)
    1.0
    """
    found, wanted = _checked(predicted, true, k)
    relevance = {index: 1 / rank for rank, index in enumerate(_order(wanted, _TRUE_TIES), start=1)}
    gained = _dcg([relevance[index] for index in _order(found, _PREDICTED_TIES)[:k]])
    return gained / _dcg([1 / rank for rank in range(1, min(k, len(wanted)) + 1)])


def kendall_tau(predicted: Sequence[float], true: Sequence[float]) -> float:
    """Return Kendall's tau-a: concordant minus discordant pairs over all pairs; a tie counts for neither.

    Ties stay in the denominator: with any, in either ranking, no predictor reaches 1. A single score has tau 0.

    Raises:
        ValueError: The lengths differ, there are no scores, or one is NaN.

    >>> kendall_tau([1, 2, 3], [1, 3, 2])  # doctest: +ELLIPSIS
    0.333...
    """
    # Ranks compare as the scores do; the difference of two infinite scores would be NaN.
    first, second = (np.unique(scores, return_inverse=True)[1] for scores in _checked(predicted, true))
    n = len(first)
    if n < 2:
        return 0.0
    agreement = sum(
        float(np.sum(np.sign(first[i + 1 :] - first[i]) * np.sign(second[i + 1 :] - second[i]))) for i in range(n - 1)
    )
    return agreement / (n * (n - 1) / 2)


def random_band(true: Sequence[float], k: int, *, measure: str, repeats: int = 1000, seed: int = 0) -> Band:
    """Return what ``repeats`` random rankings score.

    Args:
        true: The true scores.
        k: Length of the top list; not used by ``kendall_tau``.
        measure: ``average_precision``, ``ndcg`` or ``kendall_tau``.
        repeats: Number of random rankings.
        seed: Seed of the rankings.

    Raises:
        ValueError: There are no scores, one is NaN, or k is less than 1 in a measure that uses it.
    """
    rng = np.random.default_rng(seed)
    score = MEASURES[measure]
    found = [score(rng.permutation(len(true)).tolist(), true, k) for _ in range(repeats)]
    low, high = np.percentile(found, [2.5, 97.5])
    return Band(mean=float(np.mean(found)), low=float(low), high=float(high))


MEASURES: dict[str, Callable[[Sequence[float], Sequence[float], int], float]] = {
    "average_precision": average_precision,
    "ndcg": ndcg,
    "kendall_tau": lambda predicted, true, k: kendall_tau(predicted, true),
}
"""Measure by name, each (predicted, true, k) -> float."""


def _checked(
    predicted: Sequence[float], true: Sequence[float], k: int = 1
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return both rankings' scores as arrays, once they can be ranked."""
    if len(predicted) != len(true):
        raise ValueError(f"each candidate has two scores, but {len(predicted)} are predicted and {len(true)} true")
    if not len(true):
        raise ValueError("there are no scores to rank")
    if k < 1:
        raise ValueError(f"the top list has at least one place; k is {k}")
    found, wanted = np.asarray(predicted, dtype=np.float64), np.asarray(true, dtype=np.float64)
    if np.isnan(found).any() or np.isnan(wanted).any():
        raise ValueError("a score is NaN, which has no rank")
    return found, wanted


def _order(scores: NDArray[np.float64], ties: int) -> list[int]:
    """Return the indices by falling score, equal ones in the random order that seed ``ties`` gives this length."""
    places = np.random.default_rng((ties, len(scores))).permutation(len(scores))
    order: list[int] = np.lexsort((places, -scores)).tolist()
    return order


def _dcg(relevances: Sequence[float]) -> float:
    return sum(rel if i == 1 else rel / log2(i) for i, rel in enumerate(relevances, start=1))
