"""Who wins a round, and what a network is worth. Pure functions of a state.

A candidate inherits its base's weights and trains on. So does the base, as candidate 0 of the round, for exactly as
long: what a candidate gains is what it has over that one, and more training alone gains nothing.

    round      metric of a candidate against the base that trained on beside it, at the same rung
    worth      accuracy on one scale for the whole search: a network's is its base's and what it gained over that one;
               those of the first round, which are compared with each other alone, have their own accuracy

Where candidates start from fresh weights, no base trains on: equal epochs compare as they are. The first round has no
base, and the medians of its own candidates stand in.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from statistics import median

from memprof.nas.rank.choosing import BASES, bases_on_front, by_area
from memprof.nas.rank.fronts import pareto_front
from memprof.nas.rank.metric import Measures
from memprof.nas.record.settings import Settings
from memprof.nas.record.state import Round, SearchState


def measured_in_round(state: SearchState, found: Round, rung: int | None = None) -> dict[int, Measures]:
    """Return what was measured of each network of a round, at a rung or after its last visit."""
    return {
        chosen.candidate: measures
        for chosen in found.chosen
        if (measures := state.measures(chosen.candidate, rung)) is not None
    }


def yardstick_of_round(state: SearchState, found: Round, rung: int | None = None) -> Measures | None:
    """Return what the candidates of a round are compared with: the base that trained on beside them.

    If that one failed, or none trains on, its measures from before; in the first round the candidates' medians.
    """
    measured = measured_in_round(state, found, rung)
    beside = next((measured[c.candidate] for c in found.chosen if c.is_base and c.candidate in measured), None)
    if beside is None and found.base is not None:
        beside = state.measures(found.base)
    return beside or (median_measures(measured.values()) if measured else None)


def scores_of_round(state: SearchState, found: Round, rung: int | None = None) -> dict[int, float]:
    """Return the metric of each network of a round that was trained, relative to its yardstick.

    Args:
        state: The search.
        found: One of its rounds.
        rung: The rung to compare at; the last visit of each if left out.
    """
    yardstick = yardstick_of_round(state, found, rung)
    if yardstick is None:
        return {}
    metric = settings_of(state).metric
    return {number: metric.score(m, yardstick) for number, m in measured_in_round(state, found, rung).items()}


def order_of_round(state: SearchState, found: Round, rung: int | None = None) -> list[int]:
    """Return the trained networks of a round, the best first: by the metric or by the area they add."""
    settings = settings_of(state)
    if settings.goal == "front":
        return by_area(measured_in_round(state, found, rung), settings.chance)
    scores = scores_of_round(state, found, rung)
    return sorted(scores, key=lambda number: (-scores[number], number))


def order_among(state: SearchState, found: Round, numbers: Sequence[int], rung: int) -> list[int]:
    """Return those of some candidates of a round that a rung has measured, the best first, whatever the others did.

    Args:
        state: The search.
        found: One of its rounds.
        numbers: Who is compared.
        rung: At which rung; the base that trained on must have done it.
    """
    bases = {chosen.candidate for chosen in found.chosen if chosen.is_base}
    measured = measured_in_round(state, found, rung)
    among = {number: m for number, m in measured.items() if number in bases or number in set(numbers)}
    settings = settings_of(state)
    if settings.goal == "front" or not among:
        return [number for number in by_area(among, settings.chance) if number not in bases]
    yardstick = None if found.base is None else yardstick_of_round(state, found, rung)
    yardstick = yardstick or median_measures(among.values())
    scores = {number: settings.metric.score(m, yardstick) for number, m in among.items() if number not in bases}
    return sorted(scores, key=lambda number: (-scores[number], number))


def finalists_of_round(state: SearchState, found: Round) -> list[int]:
    """Return those of a round that were trained longest, the best first."""
    ordered = order_of_round(state, found)
    rungs = {number: state.outcomes[number][-1].rung for number in ordered}
    longest = max(rungs.values(), default=0)
    return [number for number in ordered if rungs[number] == longest]


def median_measures(measures: Iterable[Measures]) -> Measures:
    """Return the median of each measure: what the first round, which has no base, is compared with."""
    found = list(measures)
    return Measures(
        accuracy=median(m.accuracy for m in found),
        peak_intermediate_bytes=int(median(m.peak_intermediate_bytes for m in found)),
        parameter_bytes=int(median(m.parameter_bytes for m in found)),
    )


def worth(state: SearchState) -> dict[int, Measures]:
    """Return what each network that went all the way is worth: its bytes, and its accuracy on the search's one scale.

    A base that trained on is worth what it was before, and stands under its old number alone.
    """
    found: dict[int, Measures] = {}
    for each in state.rounds:
        if not each.is_closed:
            continue
        known = found.get(state.origin(each.base)) if each.base is not None and settings_of(state).inherits else None
        beside = yardstick_of_round(state, each)
        for number in finalists_of_round(state, each):
            measures = state.measures(number)
            if measures is None or state.chosen[number].is_base:
                continue
            if known is None or beside is None:
                found[number] = measures
            else:
                gained = known.accuracy + measures.accuracy - beside.accuracy
                found[number] = replace(measures, accuracy=min(1.0, max(1e-6, gained)))
    return found


def front_of_search(state: SearchState) -> tuple[int, ...]:
    """Return the networks that no other beats in worth, parameters and peak at once, by rising parameters."""
    found = worth(state)
    return tuple(sorted(pareto_front(found), key=lambda number: (found[number].parameter_bytes, number)))


def leader(state: SearchState) -> int | None:
    """Return the network that leads before any tournament: by the metric against the first round's winner, or as
    accurate as any within the budget; ``None`` before the first round is closed."""
    found = worth(state)
    first = first_winner(state)
    if not found or first is None or first not in found:
        return None
    metric = settings_of(state).metric
    if settings_of(state).goal == "front":
        return min(found, key=lambda number: (-found[number].accuracy, found[number].parameter_bytes, number))
    return min(found, key=lambda number: (-metric.score(found[number], found[first]), number))


def first_winner(state: SearchState) -> int | None:
    """Return the winner of the first round that had one: the yardstick of the whole search."""
    return next((found.winner for found in state.rounds if found.winner is not None), None)


def next_bases(state: SearchState) -> list[int | None]:
    """Return where the next round may start, the first choice first; ``None`` is the empty network.

    By the metric: the winner of the round before, the base itself where nothing paid. For the front: some of its
    members, those that fewest rounds started from, spread over its bytes, and the empty network, for most of its
    growths were not in the first round's sample. So more than one is kept, and what did not pay is left behind.
    """
    settings = settings_of(state)
    if not state.rounds:
        return [None]
    if settings.goal == "metric" or len(state.rounds) < settings.first_rounds:
        winner = state.rounds[-1].winner
        return [None] if winner is None else [winner]
    used = [state.origin(each.base) for each in state.rounds if each.base is not None]
    return [*bases_on_front(worth(state), used, settings.chance)[:BASES], None]


def entrants(state: SearchState, most: int) -> list[int]:
    """Return who enters the tournament: the best of the front, and the first round's winner, whom they must beat."""
    found, first, settings = worth(state), first_winner(state), settings_of(state)
    front = {number: found[number] for number in pareto_front(found)}
    if settings.goal == "front" or first not in found:
        ordered = by_area(front, settings.chance, most)
    else:
        yardstick = found[first]
        ordered = sorted(front, key=lambda number: (-settings.metric.score(front[number], yardstick), number))
    chosen = ordered[:most]
    return [*chosen, *([first] if first is not None and first in found and first not in chosen else [])]


def settings_of(state: SearchState) -> Settings:
    """Return what a search does that has started."""
    assert state.settings is not None, "a search starts with its settings"
    return state.settings
