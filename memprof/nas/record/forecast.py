"""How far a search is and how long it will still take, from what its epochs took so far. An estimate.

    seconds left = epochs left * seconds of an epoch / workers

Epochs left are those of the open round and, where the number of rounds is limited, of the rounds after it. Who has
failed, was cut or dropped trains no more. What an epoch takes is measured on visits that ended well: one that hung
says nothing about the others. Later networks are larger, so the estimate is rather low.

A search also ends when the chosen network has all its cells. When that is nobody knows, for a round that trims adds
none. So all rounds that were asked for count, and ``forecast_scope`` says when they are more than growing needs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from memprof.nas.record.halving import count_survivors, open_visits
from memprof.nas.record.scores import entrants, order_of_round
from memprof.nas.record.settings import Settings
from memprof.nas.record.state import Round, SearchState, Tournament
from memprof.nas.record.tournament import best_standing, waiting

Scope = Literal["round", "search", "at most"]
"""What a forecast is of: the open round, the whole search, or a search that may well end sooner."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a search is.

    Attributes:
        index: The last round, 0 for the first.
        generated: Candidates that round considered.
        chosen: Of those, chosen for training.
        epochs_done: Epochs that these have trained.
        epochs_left: Epochs that they will still train if none fails from here on.
        leading: Validation accuracy of the network that leads the open round, or of the best after a tournament.
        is_final: Whether the tournament has begun.
        seconds_left: The forecast; ``None`` while nobody can know.
        scope: What the forecast is of.
    """

    index: int
    generated: int
    chosen: int
    epochs_done: int
    epochs_left: int
    leading: float | None
    is_final: bool
    seconds_left: float | None
    scope: Scope


def measure_progress(state: SearchState, seconds_left: float | None) -> Progress:
    """Return how far a search is that has opened its first round.

    Args:
        state: The search.
        seconds_left: What ``Search.forecast`` says, which knows the clock.
    """
    found = state.rounds[-1]
    final = state.final
    trained = [c.candidate for c in (final or found).chosen]
    done = sum(max((o.epochs for o in state.outcomes.get(number, ())), default=0) for number in trained)
    ordered = order_of_round(state, found)
    leads = state.measures(ordered[0]) if ordered else None
    best = best_standing(state) if final else None
    left = _epochs_left(state, found) if final is None else len(waiting(state, final)) * final.epochs
    return Progress(
        index=found.index,
        generated=found.generated,
        chosen=len(found.chosen),
        epochs_done=done,
        epochs_left=left,
        leading=best.accuracy if best else leads.accuracy if leads else None,
        is_final=final is not None,
        seconds_left=seconds_left,
        scope=forecast_scope(state),
    )


SHARE_OF_TOURNAMENT = 0.4
"""Most of a time budget that is kept for the tournament."""

_CAUTION = 1.15
"""How much longer than its estimate a tournament may take."""

_FIELDS = ((1.0, 1.0), (0.75, 1.0), (0.75, 0.67), (0.5, 0.67), (0.5, 0.34), (0.25, 0.34))
"""Shares of the finalists and of the seeds that are asked for, tried in turn where time is short."""


def reserved_seconds(state: SearchState, seconds: float) -> float:
    """Return what of a time budget is kept for the tournament: what those take who would enter it now, by their
    epochs so far, and never more than a share of the whole."""
    settings = state.settings
    if settings is None or not settings.finalists:
        return 0.0
    most, found = SHARE_OF_TOURNAMENT * seconds, entrants(state, settings.finalists)
    if len(found) < settings.finalists:  # who else will enter is not known yet
        return most
    return min(most, _seconds_of_tournament(state, found, settings.final_seeds))


def plan_tournament(state: SearchState, seconds_left: float) -> tuple[list[int], int, int]:
    """Return who enters a tournament, how often each trains and for how many epochs; nobody if none can.

    Fewer enter and train less often where the time is short. Where not even the smallest field fits, all of it trains
    as long as one of the search's rungs, the longest that fits: a short judgement by fresh weights is one, half of a
    tournament is none.
    """
    settings = state.settings
    if settings is None or not settings.finalists:
        return [], 0, 0
    found, repeats = list[int](), 0
    for share, part in _FIELDS:
        found = entrants(state, max(1, round(share * settings.finalists)))
        repeats = max(1, round(part * settings.final_seeds))
        if _seconds_of_tournament(state, found, repeats) <= seconds_left:
            return found, repeats, settings.final_epochs
    needed = _seconds_of_tournament(state, found, repeats) / settings.final_epochs
    fitting = [epochs for epochs in settings.rungs if epochs * needed <= seconds_left]
    return (found, repeats, max(fitting)) if fitting else ([], 0, 0)


def is_fuller(plan: tuple[list[int], int, int], held: Tournament) -> bool:
    """Return whether a tournament that is planned would judge more than one that was held: more trainings or longer
    ones, or others who now lead, no less.

    Args:
        plan: As from ``plan_tournament``.
        held: Opened after as many rounds.
    """
    found, repeats, epochs = plan
    before, now = len(held.chosen) * held.epochs, len(found) * repeats * epochs
    return now > before or (now == before and not set(found) <= set(held.entrants))


def _seconds_of_tournament(state: SearchState, found: Sequence[int], repeats: int) -> float:
    """Return what a tournament takes at most, by what an epoch of each entrant took: who is idle last waits for one
    training (Graham, 1966)."""
    assert state.settings is not None, "a search starts with its settings"
    workers = state.limits.workers
    epochs = [_seconds_of_epoch(state, (number,)) or 0.0 for number in found]
    turns = (repeats * sum(epochs) + (workers - 1) * max(epochs, default=0.0)) / workers
    return _CAUTION * state.settings.final_epochs * turns


def forecast_seconds(state: SearchState) -> float | None:
    """Return about how many seconds of training are left; ``None`` before the first visit that ended well.

    Without a limit on rounds that is what is left of the open round.
    """
    if state.finished:
        return 0.0
    settings, seconds = state.settings, _seconds_of_epoch(state)
    if settings is None or not state.rounds or seconds is None:
        return None
    found, steps = state.rounds[-1], _steps(settings)
    later = range(found.index + 1, state.limits.rounds or 0)
    beside = sum(steps) if settings.inherits else 0  # the base trains on, all the way
    epochs = _epochs_left(state, found)
    epochs += sum(_epochs(steps, _expected(settings, found, i)) + beside for i in later)
    if state.limits.rounds is not None or state.tournaments:
        epochs += _final_epochs_left(state)
    return epochs * seconds / state.limits.workers


def forecast_scope(state: SearchState) -> Scope:
    """Return what the forecast is of."""
    limits, settings = state.limits, state.settings
    if limits.rounds is None:
        return "round" if limits.seconds is None else "search"
    if settings is None or not state.rounds or settings.goal == "front":
        return "search"
    found = state.rounds[-1]
    cells = 0 if found.base is None else state.chosen[found.base].architecture.slots
    return "at most" if limits.rounds - found.index > settings.max_cells - cells else "search"


def _final_epochs_left(state: SearchState) -> int:
    """Return the epochs of the tournament that is open, or is to come."""
    assert state.settings is not None, "a search starts with its settings"
    settings = state.settings
    if state.final is not None:
        return len(waiting(state, state.final)) * state.final.epochs
    return (settings.finalists + 1) * settings.final_seeds * settings.final_epochs if settings.finalists else 0


def _seconds_of_epoch(state: SearchState, numbers: Iterable[int] | None = None) -> float | None:
    """Return what an epoch took, of some networks or of all; ``None`` before any."""
    seconds, epochs = 0.0, 0
    for number in state.outcomes if numbers is None else numbers:
        visits = state.outcomes.get(number, ())
        done = [visit for visit in visits if visit.status == "ok"]
        seconds += sum(visit.seconds for visit in done)
        epochs += max((visit.epochs for visit in done), default=0)
    return seconds / epochs if epochs else None


def _epochs_left(state: SearchState, found: Round) -> int:
    """Return the epochs that a round still trains if no more of its candidates fail."""
    settings = state.settings
    if settings is None or found.is_closed:
        return 0
    coming = open_visits(state, found).coming
    return sum(visits * step for visits, step in zip(coming, _steps(settings), strict=True))


def _steps(settings: Settings) -> list[int]:
    """Return the epochs that each rung adds."""
    return [until - reached for reached, until in pairwise((0, *settings.rungs))]


def _epochs(steps: Sequence[int], candidates: int) -> int:
    """Return the epochs that so many candidates train over rungs, the better half going on after each.

    >>> _epochs([1, 1, 2], 6)
    11
    """
    total = 0
    for step in steps:
        total += candidates * step
        candidates = min(candidates, count_survivors(candidates))
    return total


def epochs_of_round(settings: Settings, index: int) -> int:
    """Return the epochs that a round trains if it has all the candidates it may have and none fails.

    Args:
        settings: What the search does; it samples its first rounds.
        index: Of the round, from 0.
    """
    steps = _steps(settings)
    most = settings.sample if index < settings.first_rounds else settings.top_k
    assert most is not None, "nobody knows how many a round has that trains all"
    return _epochs(steps, most) + (sum(steps) if settings.inherits and index else 0)


def _expected(settings: Settings, found: Round, index: int) -> int:
    """Return about how many candidates round ``index`` will train: as many as it may, if so many will grow and fit.

    The same share fits the budget as in round ``found``, the last one known.
    """
    sides = len(settings.layers) * (index + 1)
    grown = len(settings.combines) * (sides**2 if settings.mirror_images else sides * (sides + 1) // 2)
    fitting = grown * (found.generated - found.rejected) // max(1, found.generated)
    most = settings.sample if index < settings.first_rounds else settings.top_k
    return fitting if most is None else min(most, fitting)
