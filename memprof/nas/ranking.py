"""How good a predicted ranking is: AP@k, NDCG@k and Kendall's tau, and what chance alone would score.

    AP@k    mean, over the hits in the predicted top k, of the precision at their rank; a hit is in the true top k
    NDCG@k  relevance 1 / true rank; DCG = rel_1 + sum over i >= 2 of rel_i / log2(i); divided by the ideal DCG
    tau     Kendall's tau-a over all pairs; ties count half of nothing

The definitions are those behind Table 3 of MemNAS (CVPR 2020, section 4.5). With them a random ranking of 392
candidates scores .193 .290 (AP@50, AP@100) and .092 .140 (NDCG), so no figure stands without its random band.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import log2

import numpy as np


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

    >>> average_precision([3, 2, 1], [3, 2, 1], k=2)
    1.0
    """
    best = set(_order(true)[:k])
    hits = 0
    total = 0.0
    for rank, index in enumerate(_order(predicted)[:k], start=1):
        if index in best:
            hits += 1
            total += hits / rank
    return total / hits if hits else 0.0


def ndcg(predicted: Sequence[float], true: Sequence[float], k: int) -> float:
    """Return NDCG@k of a ranking by ``predicted`` against one by ``true``; more is better in both.

    >>> ndcg([3, 2, 1], [3, 2, 1], k=3)
    1.0
    """
    relevance = {index: 1 / rank for rank, index in enumerate(_order(true), start=1)}
    gained = _dcg([relevance[index] for index in _order(predicted)[:k]])
    return gained / _dcg([1 / rank for rank in range(1, min(k, len(true)) + 1)])


def kendall_tau(predicted: Sequence[float], true: Sequence[float]) -> float:
    """Return Kendall's tau-a: concordant minus discordant pairs over all pairs; a tie counts for neither.

    >>> kendall_tau([1, 2, 3], [1, 3, 2])  # doctest: +ELLIPSIS
    0.333...
    """
    first, second = np.asarray(predicted, dtype=float), np.asarray(true, dtype=float)
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


def _order(scores: Sequence[float]) -> list[int]:
    """Return the indices by falling score, ties by index."""
    return sorted(range(len(scores)), key=lambda i: (-scores[i], i))


def _dcg(relevances: Sequence[float]) -> float:
    return sum(rel if i == 1 else rel / log2(i) for i, rel in enumerate(relevances, start=1))
