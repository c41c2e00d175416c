"""What a search knows, as a fold over its journal. Pure: no file, no clock, no torch.

event       says                                              changes
started     settings, limits                                  both
round       base, counts, candidates chosen for training      opens a round
outcome     what came of one visit to one candidate           the candidate's results
cut         candidates that the time budget drops             they wait for nothing any more
closed      winner of the round                               closes it; its winner is the next base
resumed     a process took over, and its limits               the limits; a round that time cut off is open again
stopped     a process ended early, and its seconds            the time spent
finished    why the search ended, and its seconds             the end
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from memprof.errors import InputError
from memprof.nas.jobs import Outcome
from memprof.nas.rank.metric import Measures
from memprof.nas.record.journal import Event
from memprof.nas.record.settings import Limits, Settings
from memprof.nas.space.architecture import Architecture


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """A candidate that is to be trained.

    Attributes:
        candidate: Its number in the search.
        architecture: What it is.
        parameter_bytes: Its parameters, deployed.
        peak_intermediate_bytes: Its peak, deployed.
        predicted: The controller's score; ``None`` in rounds without one.
    """

    candidate: int
    architecture: Architecture
    parameter_bytes: int
    peak_intermediate_bytes: int
    predicted: float | None

    def to_json(self) -> dict[str, Any]:
        """Return the candidate as JSON-ready values."""
        return {
            "candidate": self.candidate,
            "architecture": self.architecture.to_json(),
            "parameter_bytes": self.parameter_bytes,
            "peak_intermediate_bytes": self.peak_intermediate_bytes,
            "predicted": self.predicted,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Chosen:
        """Return the candidate that ``to_json`` wrote."""
        return cls(**{**data, "architecture": Architecture.from_json(data["architecture"])})


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One round.

    Attributes:
        index: 0 for the first.
        base: Candidate that it started from; ``None`` in the first.
        generated: Candidates that growing and trimming gave.
        rejected: Of those, how many were over a budget.
        chosen: Candidates to train.
        least_peak_bytes: The smallest peak of all that were generated; ``None`` if none was.
        least_parameter_bytes: The fewest parameter bytes of all that were generated.
        cut: Candidates that the time budget dropped.
        winner: Candidate chosen for the next round; ``None`` while the round is open or if none was trained.
        score: The winner's metric, relative to the base.
        is_closed: Whether the round is over.
    """

    index: int
    base: int | None
    generated: int
    rejected: int
    chosen: tuple[Chosen, ...]
    least_peak_bytes: int | None = None
    least_parameter_bytes: int | None = None
    cut: frozenset[int] = frozenset()
    winner: int | None = None
    score: float | None = None
    is_closed: bool = False


@dataclass(frozen=True, kw_only=True)
class SearchState:
    """Everything a search knows.

    Attributes:
        settings: What it does; ``None`` before it was started.
        limits: How long and where its last process ran.
        rounds: Rounds so far, the last one perhaps open.
        outcomes: By candidate the outcomes of its visits, lowest rung first.
        seconds: Time that processes spent, from event to event.
        last_at: Time of the last event.
        is_stopped: Whether the last process ended early, in order.
        finished: Why the search ended; empty while it goes on.
    """

    settings: Settings | None = None
    limits: Limits = field(default_factory=Limits)
    rounds: tuple[Round, ...] = ()
    outcomes: Mapping[int, tuple[Outcome, ...]] = field(default_factory=dict)
    seconds: float = 0.0
    last_at: float = 0.0
    is_stopped: bool = False
    finished: str = ""

    @cached_property
    def chosen(self) -> Mapping[int, Chosen]:
        """Every candidate that was chosen for training, by number."""
        return {chosen.candidate: chosen for found in self.rounds for chosen in found.chosen}

    def measures(self, candidate: int, rung: int | None = None) -> Measures | None:
        """Return what the metric compares, after the last visit or that of ``rung``; ``None`` if that one failed.

        What comes of a later rung changes nothing about an earlier one, so a ranking at a rung stays as it was.
        """
        visits = [o for o in self.outcomes.get(candidate, ()) if rung is None or o.rung == rung]
        if not visits or visits[-1].status != "ok" or visits[-1].accuracy <= 0:
            return None
        chosen = self.chosen[candidate]
        return Measures(
            accuracy=visits[-1].accuracy,
            peak_intermediate_bytes=chosen.peak_intermediate_bytes,
            parameter_bytes=chosen.parameter_bytes,
        )


def fold(events: Iterable[Event], state: SearchState | None = None) -> SearchState:
    """Return the state after ``events``, starting from ``state`` or from nothing.

    Raises:
        InputError: An event says something that no search of this version writes.
    """
    state = state or SearchState()
    for event in events:
        passed = event.at - state.last_at if event.kind not in ("started", "resumed") else 0.0
        try:
            state = FOLDS[event.kind](state, event.data)
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            raise InputError(
                f"The journal holds an event {event.kind!r} that is damaged or of another version: {error}.",
                "Start a new search in another folder.",
            ) from error
        state = replace(state, seconds=state.seconds + max(0.0, passed), last_at=event.at)
    return state


def _started(state: SearchState, data: Mapping[str, Any]) -> SearchState:
    return replace(state, settings=Settings.from_json(data["settings"]), limits=Limits(**data["limits"]))


def _round(state: SearchState, data: Mapping[str, Any]) -> SearchState:
    opened = Round(**{**data, "chosen": tuple(Chosen.from_json(item) for item in data["chosen"])})
    return replace(state, rounds=(*state.rounds, opened))


def _outcome(state: SearchState, data: Mapping[str, Any]) -> SearchState:
    outcome = Outcome(**data)
    visits = (*state.outcomes.get(outcome.candidate, ()), outcome)
    return replace(state, outcomes={**state.outcomes, outcome.candidate: visits})


def _cut(state: SearchState, data: Mapping[str, Any]) -> SearchState:
    return _with_last_round(state, cut=state.rounds[-1].cut | frozenset(data["candidates"]))


def _closed(state: SearchState, data: Mapping[str, Any]) -> SearchState:
    return _with_last_round(state, winner=data["winner"], score=data["score"], is_closed=True)


def _with_last_round(state: SearchState, **changes: Any) -> SearchState:
    return replace(state, rounds=(*state.rounds[:-1], replace(state.rounds[-1], **changes)))


def _resumed(state: SearchState, data: Mapping[str, Any]) -> SearchState:
    state = replace(state, limits=Limits(**data["limits"]), is_stopped=False, finished="")
    if state.rounds and state.rounds[-1].cut:  # the time cut that round off, and now there may be more of it
        return _with_last_round(state, cut=frozenset(), winner=None, score=None, is_closed=False)
    return state


def _stopped(state: SearchState, data: Mapping[str, Any]) -> SearchState:
    return replace(state, is_stopped=True)


def _finished(state: SearchState, data: Mapping[str, Any]) -> SearchState:
    return replace(state, finished=data["reason"])


FOLDS: Mapping[str, Callable[[SearchState, Mapping[str, Any]], SearchState]] = {
    "started": _started,
    "round": _round,
    "outcome": _outcome,
    "cut": _cut,
    "closed": _closed,
    "resumed": _resumed,
    "stopped": _stopped,
    "finished": _finished,
}
"""How each kind of event changes the state."""
