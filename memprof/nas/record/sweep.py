"""Figure 5 of MemNAS from one shared pool: which of the networks that a search trained each lambda would choose.

One search trains, and every lambda chooses among the same networks: accuracy is their worth
(``memprof.nas.record.scores``), the metric compares with the first round's winner. The authors searched anew for each
lambda; a shared pool costs one search and tells what lambda does apart from what chance does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from memprof.base.errors import UsageError
from memprof.nas.rank.metric import Measures
from memprof.nas.record.summary import CandidateSummary, SearchSummary

SWEEP_SCHEMA = "memprof/nas-sweep/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepPoint:
    """What one lambda chooses.

    Attributes:
        accuracy_weight: Lambda.
        candidate: The network with the highest score; of equals the one of fewest bytes, then the most accurate.
        accuracy: Its worth.
        parameter_bytes: Its parameters, deployed.
        peak_intermediate_bytes: Its peak, deployed.
        score: The metric against the first round's winner.
    """

    accuracy_weight: float
    candidate: int
    accuracy: float
    parameter_bytes: int
    peak_intermediate_bytes: int
    score: float

    @property
    def total_bytes(self) -> int:
        """Parameters and peak together."""
        return self.parameter_bytes + self.peak_intermediate_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class LambdaSweep:
    """What lambda does, on the networks of one search.

    Attributes:
        dataset: What the search is on.
        seed: Of the search.
        pool: Networks that went all the way, among which each lambda chooses.
        yardstick: The first round's winner.
        points: A choice for each lambda, by rising lambda.
    """

    dataset: str
    seed: int
    pool: int
    yardstick: int
    points: tuple[SweepPoint, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the sweep as JSON-ready values, schema ``memprof/nas-sweep/1``."""
        return {
            "schema": SWEEP_SCHEMA,
            "dataset": self.dataset,
            "seed": self.seed,
            "pool": self.pool,
            "yardstick": self.yardstick,
            "points": [
                {("lambda" if name == "accuracy_weight" else name): value for name, value in asdict(point).items()}
                for point in self.points
            ],
        }


def sweep_lambda(summary: SearchSummary, weights: Sequence[float]) -> LambdaSweep:
    """Return what each lambda would choose of the networks that a search trained all the way.

    Raises:
        UsageError: No lambda was named, one is not from 0 to 1, or no round of the search is done.
    """
    if not weights or not all(0 <= weight <= 1 for weight in weights):
        raise UsageError("Lambda is from 0 to 1.", "Name one or more: --lambda 0,.2,.5,.8,1")
    pool = [found for found in summary.candidates if found.worth]
    first = next((found.winner for found in summary.rounds if found.winner is not None), None)
    yardstick = next((found for found in pool if found.candidate == first), None)
    if yardstick is None:
        raise UsageError("No round of the search is done: there is nothing to choose from.", "Let it go on first.")
    points = []
    for weight in sorted(set(weights)):
        metric = replace(summary.settings.metric, accuracy_weight=weight)
        scores = {found.candidate: metric.score(_measures(found), _measures(yardstick)) for found in pool}
        best = min(
            pool, key=lambda found: (-scores[found.candidate], _total(found), -(found.worth or 0.0), found.candidate)
        )
        points.append(
            SweepPoint(
                accuracy_weight=weight,
                candidate=best.candidate,
                accuracy=_measures(best).accuracy,
                parameter_bytes=best.parameter_bytes,
                peak_intermediate_bytes=best.peak_intermediate_bytes,
                score=scores[best.candidate],
            )
        )
    return LambdaSweep(
        dataset=summary.settings.dataset,
        seed=summary.settings.seed,
        pool=len(pool),
        yardstick=yardstick.candidate,
        points=tuple(points),
    )


def _measures(found: CandidateSummary) -> Measures:
    assert found.worth is not None, "only those that went all the way are in the pool"
    return Measures(
        accuracy=found.worth,
        peak_intermediate_bytes=found.peak_intermediate_bytes,
        parameter_bytes=found.parameter_bytes,
    )


def _total(found: CandidateSummary) -> int:
    return found.parameter_bytes + found.peak_intermediate_bytes
