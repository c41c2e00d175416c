"""What people and programs are told of a search: one frozen value, made from its state.

JSON schema ``memprof/nas-status/2``. Only a tournament says which network is the best; until then one leads.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from memprof.errors import InputError
from memprof.nas.rank.metric import Measures
from memprof.nas.record.journal import BEAT_SECONDS, Event, read_journal
from memprof.nas.record.scores import front_of_search, leader, scores_of_round, worth
from memprof.nas.record.settings import Settings
from memprof.nas.record.state import Round, SearchState, fold
from memprof.nas.record.tournament import Standing, best_standing, standings
from memprof.nas.space.architecture import Architecture

STATUS_SCHEMA = "memprof/nas-status/2"
MISSED_BEATS = 5

Status = Literal["running", "stopped", "interrupted", "finished"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateSummary:
    """One network that was chosen for training.

    Attributes:
        candidate: Its number.
        round: Round that chose it.
        architecture: What it is.
        status: ``ok``, what went wrong, ``cut`` by the time budget, or ``waiting``.
        message: What went wrong, in one line.
        validation_accuracy: After its last visit; ``None`` if it has none.
        epochs: Epochs trained.
        parameter_bytes: Deployed.
        peak_intermediate_bytes: Deployed.
        epochs_in_all: Those behind its weights, inherited ones among them.
        is_base: Whether it is the round's base itself, which trained on beside the candidates.
        worth: Its accuracy on the search's one scale (``memprof.nas.record.scores``); ``None`` unless it went all the
            way.
        round_score: The metric against the base that trained on beside it; ``None`` if it was not trained.
        predicted: The accuracy that the controller predicted; ``None`` in rounds without one.
        seconds: Time its visits took.
    """

    candidate: int
    round: int
    architecture: Architecture
    status: str
    message: str
    validation_accuracy: float | None
    epochs: int
    parameter_bytes: int
    peak_intermediate_bytes: int
    epochs_in_all: int
    is_base: bool
    worth: float | None
    round_score: float | None
    predicted: float | None
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundSummary:
    """One round.

    Attributes:
        index: 0 for the first.
        base: Candidate it started from.
        generated: Candidates that were considered.
        rejected: Of those, over a budget.
        idle: Trims that save neither a byte nor a MAC, and were none.
        pruned: Of those within the budget, that could not win even without an error.
        chosen: Of the rest, chosen for training.
        trained: Of those, trained so far without failing.
        failed: Of those, one visit of which failed.
        winner: Candidate chosen for the next round.
        score: Its metric, relative to the base.
    """

    index: int
    base: int | None
    generated: int
    rejected: int
    idle: int
    pruned: int
    chosen: int
    trained: int
    failed: int
    winner: int | None
    score: float | None


@dataclass(frozen=True, kw_only=True)
class SearchSummary:
    """A whole search.

    Attributes:
        settings: What it does.
        status: Whether it runs, was stopped in order, was interrupted (no heartbeat), or is finished.
        reason: Why it finished; empty while it has not.
        seconds: Time spent training and choosing.
        rounds: All rounds.
        candidates: All networks chosen for training, by number.
        standings: How the entrants of the tournament did, the most accurate first; none before it.
        best: The best of them; ``None`` before the tournament.
        leader: Who leads as far as rounds can tell; ``None`` before the first is closed.
        front: Candidates that no other beats in worth, parameters and peak at once.
    """

    settings: Settings
    status: Status
    reason: str
    seconds: float
    rounds: tuple[RoundSummary, ...]
    candidates: tuple[CandidateSummary, ...]
    standings: tuple[Standing, ...]
    best: Standing | None
    leader: CandidateSummary | None
    front: tuple[CandidateSummary, ...]

    @property
    def found(self) -> CandidateSummary | None:
        """The best network's candidate, before a tournament the leader."""
        if self.best is None:
            return self.leader
        return next(c for c in self.candidates if self.best.candidate == c.candidate)

    def to_json(self) -> dict[str, Any]:
        """Return the summary as JSON-ready values."""
        return {
            "schema": STATUS_SCHEMA,
            "state": self.status,
            "reason": self.reason,
            "seconds": round(self.seconds, 3),
            "rounds": len(self.rounds),
            "candidates": {
                "generated": sum(r.generated for r in self.rounds),
                "rejected": sum(r.rejected for r in self.rounds),
                "idle": sum(r.idle for r in self.rounds),
                "pruned": sum(r.pruned for r in self.rounds),
                "chosen": sum(r.chosen for r in self.rounds),
                "trained": sum(r.trained for r in self.rounds),
                "failed": sum(r.failed for r in self.rounds),
            },
            "best": None if self.best is None else self._standing_json(self.best),
            "standings": [self._standing_json(found) for found in self.standings],
            "leader": None if self.leader is None else _candidate_json(self.leader),
            "front": [_candidate_json(found) for found in self.front],
            "settings": self.settings.to_json(),
        }

    def _standing_json(self, found: Standing) -> dict[str, Any]:
        candidate = next(c for c in self.candidates if c.candidate == found.candidate)
        return {
            "candidate": found.candidate,
            "architecture": candidate.architecture.to_json(),
            "validation_accuracy": found.accuracy,
            "standard_error": found.standard_error,
            "accuracies": list(found.accuracies),
            "epochs": found.epochs,
            "score": found.score,
            "parameter_bytes": found.parameter_bytes,
            "peak_intermediate_bytes": found.peak_intermediate_bytes,
        }


def status(folder: Path | str) -> SearchSummary:
    """Return what is known of the search in ``folder``, while it runs in another process or after.

    Raises:
        InputError: There is no search in the folder.
    """
    events, last_beat = read_journal(Path(folder))
    summary = summarize(events, last_beat, time.time())
    if summary is None:
        raise InputError(f"The search in {folder} never started.", "Start it: memprof nas search --output DIR")
    return summary


def summarize(events: Iterable[Event], last_beat: float, now: float) -> SearchSummary | None:
    """Return what a journal says; ``None`` if the search never started.

    Args:
        events: The journal.
        last_beat: Time of the last heartbeat, seconds since the epoch.
        now: The time now.
    """
    state = fold(events)
    if state.settings is None:
        return None
    worths = worth(state)
    candidates = {c.candidate: c for found in state.rounds for c in _summarize_candidates(state, found, worths)}
    leads = leader(state)
    return SearchSummary(
        settings=state.settings,
        status=_status(state, max(last_beat, state.last_at), now),
        reason=state.finished,
        seconds=state.seconds,
        rounds=tuple(_summarize_round(state, candidates, index) for index in range(len(state.rounds))),
        candidates=tuple(candidates.values()),
        standings=standings(state),
        best=best_standing(state),
        leader=None if leads is None else candidates[leads],
        front=tuple(candidates[number] for number in front_of_search(state)),
    )


def _status(state: SearchState, last_sign: float, now: float) -> Status:
    if state.finished:
        return "finished"
    if state.is_stopped:
        return "stopped"
    return "running" if now - last_sign < MISSED_BEATS * BEAT_SECONDS else "interrupted"


def _summarize_candidates(
    state: SearchState, found: Round, worths: Mapping[int, Measures]
) -> Iterator[CandidateSummary]:
    round_scores = scores_of_round(state, found)
    for chosen in found.chosen:
        number = chosen.candidate
        visits = state.outcomes.get(number, ())
        failed = next((o for o in visits if o.status != "ok"), None)
        measures = state.measures(number)
        waits = "cut" if number in found.cut else "waiting"
        yield CandidateSummary(
            candidate=number,
            round=found.index,
            architecture=chosen.architecture,
            status=failed.status if failed else "ok" if visits else waits,
            message=failed.message if failed else "",
            validation_accuracy=measures.accuracy if measures else None,
            epochs=max((o.epochs for o in visits), default=0),
            parameter_bytes=chosen.parameter_bytes,
            peak_intermediate_bytes=chosen.peak_intermediate_bytes,
            epochs_in_all=state.epochs(number),
            is_base=chosen.is_base,
            worth=worths[number].accuracy if number in worths else None,
            round_score=round_scores.get(number),
            predicted=chosen.predicted,
            seconds=sum(o.seconds for o in visits),
        )


def _summarize_round(state: SearchState, candidates: dict[int, CandidateSummary], index: int) -> RoundSummary:
    found = state.rounds[index]
    statuses = [candidates[c.candidate].status for c in found.chosen]
    trained = statuses.count("ok")
    return RoundSummary(
        index=index,
        base=found.base,
        generated=found.generated,
        rejected=found.rejected,
        idle=found.idle,
        pruned=found.pruned,
        chosen=len(statuses),
        trained=trained,
        failed=len(statuses) - trained - statuses.count("cut") - statuses.count("waiting"),
        winner=found.winner,
        score=found.score,
    )


def _candidate_json(found: CandidateSummary) -> dict[str, Any]:
    return {
        "candidate": found.candidate,
        "architecture": found.architecture.to_json(),
        "validation_accuracy": found.validation_accuracy,
        "parameter_bytes": found.parameter_bytes,
        "peak_intermediate_bytes": found.peak_intermediate_bytes,
        "worth": found.worth,
        "round_score": found.round_score,
        "epochs": found.epochs,
        "epochs_in_all": found.epochs_in_all,
    }
