"""Who wins: the metric of every trained candidate, in its round and over the whole search. Pure functions of a state.

The metric is relative to the base of the round. The first round has none: there the medians of its own candidates
stand in. The winner of the whole search is measured against the winner of the first round, one yardstick for all.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

from memprof.nas.rank.metric import Measures
from memprof.nas.record.state import Round, SearchState


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenRung:
    """Where an open round stands in its successive halving.

    Attributes:
        index: The rung.
        waiting: Candidates that still lack their visit of this rung, in order.
        going_on: How many will go on to the next rung if none of them fails.
    """

    index: int
    waiting: tuple[int, ...]
    going_on: int


def open_rung(state: SearchState, found: Round) -> OpenRung | None:
    """Return the first rung of a round that is not done, ``None`` if all are: after each the better half goes on."""
    assert state.settings is not None, "a search starts with its settings"
    alive = [chosen.candidate for chosen in found.chosen if chosen.candidate not in found.cut]
    for rung in range(len(state.settings.rungs)):
        waiting = tuple(n for n in alive if not any(o.rung == rung for o in state.outcomes.get(n, ())))
        scores = scores_of_round(state, found, rung)
        kept = count_survivors(len(alive))
        if waiting:
            going_on = min(kept, len(waiting) + len(scores.keys() & set(alive)))
            return OpenRung(index=rung, waiting=waiting, going_on=going_on)
        best = set(sorted(scores, key=lambda number: (-scores[number], number))[:kept])
        alive = [number for number in alive if number in best]
    return None


def count_survivors(candidates: int) -> int:
    """Return how many of so many candidates go on after a rung: the better half."""
    return max(1, candidates // 2)


def scores_of_round(state: SearchState, found: Round, rung: int | None = None) -> dict[int, float]:
    """Return the metric of each candidate of a round that was trained, relative to the round's base.

    Args:
        state: The search.
        found: One of its rounds.
        rung: The rung to compare at; the last visit of each if left out.
    """
    assert state.settings is not None, "a search starts with its settings"
    measured = {
        chosen.candidate: measures
        for chosen in found.chosen
        if (measures := state.measures(chosen.candidate, rung)) is not None
    }
    if not measured:
        return {}
    previous = state.measures(found.base) if found.base is not None else None
    previous = previous or median_measures(measured.values())
    return {number: state.settings.metric.score(m, previous) for number, m in measured.items()}


def median_measures(measures: Iterable[Measures]) -> Measures:
    """Return the median of each measure: what the first round, which has no base, is compared with."""
    found = list(measures)
    return Measures(
        accuracy=median(m.accuracy for m in found),
        peak_intermediate_bytes=int(median(m.peak_intermediate_bytes for m in found)),
        parameter_bytes=int(median(m.parameter_bytes for m in found)),
    )


def best_candidate(state: SearchState) -> tuple[int, float] | None:
    """Return the winner of the whole search and its metric against the first round's winner; ``None`` before that.

    Those are compared that were trained longest, so that no short training is held against a long one.
    """
    scores = score_against_first(state)
    epochs = {number: state.outcomes[number][-1].epochs for number in scores}
    most = max(epochs.values(), default=0)
    longest = [number for number in scores if epochs[number] == most]
    best = min(longest, key=lambda number: (-scores[number], number), default=None)
    return None if best is None else (best, scores[best])


def score_against_first(state: SearchState) -> dict[int, float]:
    """Return the metric of each trained network against the first round's winner."""
    first = next((found.winner for found in state.rounds if found.winner is not None), None)
    settings = state.settings
    yardstick = state.measures(first) if first is not None else None
    if settings is None or yardstick is None:
        return {}
    return {
        number: settings.metric.score(measures, yardstick)
        for number in state.chosen
        if (measures := state.measures(number)) is not None
    }


def pareto_front(state: SearchState) -> tuple[int, ...]:
    """Return the trained candidates that no other beats in accuracy, parameters and peak at once, by parameters.

    Two that are equal in all three both stay. By falling accuracy, whoever is beaten is beaten by one before it with
    no more parameters and no higher peak. Those seen that no other undercuts in both form a staircase, so one search
    in it tells: O(n log n), but for what moving its steps costs.
    """
    measured = {number: m for number in state.chosen if (m := state.measures(number)) is not None}

    def by_accuracy(number: int) -> tuple[float, int, int, int]:
        found = measured[number]
        return -found.accuracy, found.parameter_bytes, found.peak_intermediate_bytes, number

    front: list[int] = []
    parameters: list[int] = []  # of the staircase, rising
    peaks: list[int] = []  # of the same, falling
    last: Measures | None = None
    for number in sorted(measured, key=by_accuracy):
        found = measured[number]
        place = bisect_right(parameters, found.parameter_bytes)
        if found != last and place and peaks[place - 1] <= found.peak_intermediate_bytes:
            continue
        front.append(number)
        last = found
        stop = place
        while stop < len(peaks) and peaks[stop] >= found.peak_intermediate_bytes:
            stop += 1
        parameters[place:stop], peaks[place:stop] = [found.parameter_bytes], [found.peak_intermediate_bytes]
    return tuple(sorted(front, key=lambda number: (measured[number].parameter_bytes, number)))
