"""How well each ranker ranks, on networks whose accuracy is known: NAS-Bench-201, or any table of codes.

    pool of 392 cells -> 98 of them with their accuracy for training -> rank the other 294 -> AP@k, NDCG@k, tau

The table is what ``memprof.nas.rank.tables`` reads. 392 candidates is the authors' second
round (MemNAS, CVPR 2020, Table 3; they state no pool size). tau is Kendall's tau-a: a tied pair counts for neither
side, so ties in a prediction keep it below 1. Every figure, a mean over pools, stands beside what single random
rankings of the last pool's cells score, and with the interval that 95 % of the means of pools drawn anew from these
have; where scores tie, AP and NDCG take a random order (``memprof.nas.rank.ranking``).
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import mean
from typing import Any

from memprof.base.errors import UsageError
from memprof.nas.jobs import derive_seed
from memprof.nas.rank.controller import RANKERS
from memprof.nas.rank.rankers import Candidate, RankedRound
from memprof.nas.rank.ranking import MEASURES, Band, random_band
from memprof.nas.rank.simulate import mean_interval

POOL, TRAINED = 392, 98
COLUMNS: tuple[tuple[str, str, int], ...] = (
    ("AP@50", "average_precision", 50),
    ("AP@100", "average_precision", 100),
    ("NDCG@50", "ndcg", 50),
    ("NDCG@100", "ndcg", 100),
    ("tau", "kendall_tau", 0),
)
"""Heading, measure and k."""


@dataclass(frozen=True, slots=True)
class ControllerBench:
    """What each ranker scored.

    Attributes:
        scores: Ranker -> heading -> mean over the repetitions.
        intervals: Ranker -> heading -> from and to: where 95 % of such means lie, by drawing the pools anew.
        bands: Heading -> what random rankings of the last repetition's pool score.
        repeats: Repetitions, each with a pool of its own.
        pool: Networks in a pool.
        trained: Of those, the ones that a ranker learns from.
    """

    scores: dict[str, dict[str, float]]
    intervals: dict[str, dict[str, tuple[float, float]]]
    bands: dict[str, Band]
    repeats: int
    pool: int
    trained: int

    def to_json(self) -> dict[str, Any]:
        """Return the result as JSON-ready values, schema ``memprof/nas-controllers/1``."""
        return {
            "schema": "memprof/nas-controllers/1",
            "pool": self.pool,
            "trained": self.trained,
            "repeats": self.repeats,
            "scores": self.scores,
            "intervals": {
                name: {column: list(found) for column, found in columns.items()}
                for name, columns in self.intervals.items()
            },
            "random_band": {
                name: {"mean": band.mean, "low": band.low, "high": band.high} for name, band in self.bands.items()
            },
        }


def bench_controllers(
    cells: list[tuple[Candidate, float]],
    *,
    repeats: int,
    seed: int,
    rankers: Iterable[str] = tuple(RANKERS),
    pool_size: int = POOL,
    trained: int = TRAINED,
) -> ControllerBench:
    """Return what each ranker scores on ``repeats`` random pools of ``cells``.

    Raises:
        UsageError: There are fewer cells than a pool needs, or none are left to rank.
    """
    if len(cells) < pool_size:
        raise UsageError(f"The table has {len(cells)} cells; a pool needs {pool_size}.")
    if not 1 < trained < pool_size - 1:
        raise UsageError(f"Of a pool of {pool_size}, {trained} trained networks leave nothing to learn or to rank.")
    found: dict[str, dict[str, list[float]]] = {name: {column: [] for column, _, _ in COLUMNS} for name in rankers}
    true: list[float] = []
    for repeat in range(repeats):
        pool = random.Random(derive_seed(seed, "pool", repeat)).sample(cells, pool_size)
        known, asked = pool[:trained], pool[trained:]
        history = [RankedRound(tuple(c for c, _ in known), tuple(score for _, score in known))]
        true = [score for _, score in asked]
        for name, columns in found.items():
            predictor = RANKERS[name](history, derive_seed(seed, "ranker", repeat) % 2**31)
            predicted = predictor([c for c, _ in asked])
            for column, measure, k in COLUMNS:
                columns[column].append(MEASURES[measure](predicted, true, k))
    return ControllerBench(
        scores={
            name: {column: mean(values) for column, values in columns.items()} for name, columns in found.items()
        },
        intervals={
            name: {column: mean_interval(values, seed) for column, values in columns.items()}
            for name, columns in found.items()
        },
        bands={column: random_band(true, k, measure=measure, seed=seed) for column, measure, k in COLUMNS},
        repeats=repeats,
        pool=pool_size,
        trained=trained,
    )
