"""Which network of a search is the best: only equal training from fresh weights tells. Pure functions of a state.

Each entrant trains several times, equally long. Those trainings count that all entrants have done that can be trained
at all, so that every mean is over the same repeats; with it goes its standard error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import sqrt
from statistics import mean, stdev

from memprof.nas.rank.fronts import pareto_front
from memprof.nas.rank.metric import Measures
from memprof.nas.record.state import SearchState, Tournament


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How an entrant did.

    Attributes:
        candidate: Its number in the search.
        accuracies: On the validation images, one for each training that counts.
        epochs: Epochs of each.
        score: The metric against the first round's winner, both by their means.
        parameter_bytes: Deployed.
        peak_intermediate_bytes: Deployed.
    """

    candidate: int
    accuracies: tuple[float, ...]
    epochs: int
    score: float
    parameter_bytes: int
    peak_intermediate_bytes: int

    @property
    def accuracy(self) -> float:
        """The mean."""
        return mean(self.accuracies)

    @property
    def standard_error(self) -> float | None:
        """Of the mean; ``None`` of a single training."""
        count = len(self.accuracies)
        return stdev(self.accuracies) / sqrt(count) if count > 1 else None

    @property
    def total_bytes(self) -> int:
        """Parameters and peak together."""
        return self.parameter_bytes + self.peak_intermediate_bytes

    @property
    def measures(self) -> Measures:
        """What the metric compares."""
        return Measures(
            accuracy=self.accuracy,
            peak_intermediate_bytes=self.peak_intermediate_bytes,
            parameter_bytes=self.parameter_bytes,
        )


def waiting(state: SearchState, tournament: Tournament) -> list[int]:
    """Return the trainings that are still to be done, in order; who failed once trains no more."""
    failed = {e for e in tournament.entrants if _has_failed(state, tournament, e)}
    gone = {number for entrant in failed for number in tournament.trainings(entrant)}
    return [c.candidate for c in tournament.chosen if c.candidate not in state.outcomes and c.candidate not in gone]


def standings(state: SearchState) -> tuple[Standing, ...]:
    """Return how the entrants of the last tournament did that was judged, the most accurate first; none before."""
    return next((found for t in reversed(state.tournaments) if (found := _judge(state, t))), ())


def _judge(state: SearchState, tournament: Tournament) -> tuple[Standing, ...]:
    alive = [entrant for entrant in tournament.entrants if not _has_failed(state, tournament, entrant)]
    done = [
        [state.outcomes.get(n, ())[-1:] for n in (tournament.trainings(entrant)[i] for entrant in alive)]
        for i in range(tournament.repeats)
    ]
    counted = [i for i, visits in enumerate(done) if all(visits)]
    if not counted or not alive:
        return ()
    found = []
    for entrant in alive:
        numbers = tournament.trainings(entrant)
        chosen = state.chosen[entrant]
        found.append(
            Standing(
                candidate=entrant,
                accuracies=tuple(state.outcomes[numbers[i]][-1].accuracy for i in counted),
                epochs=tournament.epochs,
                score=0.0,
                parameter_bytes=chosen.parameter_bytes,
                peak_intermediate_bytes=chosen.peak_intermediate_bytes,
            )
        )
    assert state.settings is not None, "a search starts with its settings"
    metric = state.settings.metric
    yardstick = next((s.measures for s in found if s.candidate == tournament.yardstick), found[0].measures)
    scored = [replace(each, score=metric.score(each.measures, yardstick)) for each in found]
    return tuple(sorted(scored, key=lambda each: (-each.accuracy, each.total_bytes, each.candidate)))


def _has_failed(state: SearchState, tournament: Tournament, entrant: int) -> bool:
    visits = (visit for number in tournament.trainings(entrant) for visit in state.outcomes.get(number, ()))
    return any(visit.status != "ok" or visit.accuracy <= 0 for visit in visits)


def best_standing(state: SearchState) -> Standing | None:
    """Return the best network of a search, ``None`` before a tournament was judged.

    By the metric: whoever scores highest. For the front: the most accurate, or a smaller one whose mean is within a
    standard error of the most accurate one's, for then the difference tells nothing.
    """
    found = standings(state)
    if not found:
        return None
    assert state.settings is not None, "a search starts with its settings"
    if state.settings.goal == "metric":
        return max(found, key=lambda each: (each.score, -each.candidate))
    least = found[0].accuracy - (found[0].standard_error or 0.0)
    return min(
        (each for each in found if each.accuracy >= least), key=lambda each: (each.total_bytes, -each.accuracy)
    )


def front_of_tournament(found: Sequence[Standing]) -> tuple[Standing, ...]:
    """Return those whose mean, parameters and peak no other beats at once, by rising parameters."""
    front = pareto_front({i: each.measures for i, each in enumerate(found)})
    return tuple(sorted((found[i] for i in front), key=lambda each: (each.parameter_bytes, each.candidate)))
