"""What people and programs are told of a search: one frozen value, made from its state.

JSON schema ``memprof/nas-status/1``.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from memprof.errors import InputError
from memprof.nas.record.journal import BEAT_SECONDS, Event, read_journal
from memprof.nas.record.scores import best_candidate, pareto_front, score_against_first, scores_of_round
from memprof.nas.record.settings import Settings
from memprof.nas.record.state import Round, SearchState, fold
from memprof.nas.space.architecture import Architecture

STATUS_SCHEMA = "memprof/nas-status/1"
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
        score: The metric against the first round's winner; ``None`` if it was not trained.
        round_score: The metric against its round's base; ``None`` if it was not trained.
        predicted: The controller's score; ``None`` in rounds without one.
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
    score: float | None
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
        best: The winner of the whole search, by the metric against the first round's winner.
        front: Candidates that no other beats in accuracy, parameters and peak at once.
    """

    settings: Settings
    status: Status
    reason: str
    seconds: float
    rounds: tuple[RoundSummary, ...]
    candidates: tuple[CandidateSummary, ...]
    best: CandidateSummary | None
    front: tuple[CandidateSummary, ...]

    @property
    def best_score(self) -> float | None:
        """The best network's metric against the first round's winner."""
        return None if self.best is None else self.best.score

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
                "chosen": sum(r.chosen for r in self.rounds),
                "trained": sum(r.trained for r in self.rounds),
                "failed": sum(r.failed for r in self.rounds),
            },
            "best": None if self.best is None else _candidate_json(self.best),
            "front": [_candidate_json(found) for found in self.front],
            "settings": self.settings.to_json(),
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
    scores = score_against_first(state)
    candidates = {c.candidate: c for found in state.rounds for c in _summarize_candidates(state, found, scores)}
    best = best_candidate(state)
    return SearchSummary(
        settings=state.settings,
        status=_status(state, max(last_beat, state.last_at), now),
        reason=state.finished,
        seconds=state.seconds,
        rounds=tuple(_summarize_round(state, candidates, index) for index in range(len(state.rounds))),
        candidates=tuple(candidates.values()),
        best=candidates[best[0]] if best else None,
        front=tuple(candidates[number] for number in pareto_front(state)),
    )


def _status(state: SearchState, last_sign: float, now: float) -> Status:
    if state.finished:
        return "finished"
    if state.is_stopped:
        return "stopped"
    return "running" if now - last_sign < MISSED_BEATS * BEAT_SECONDS else "interrupted"


def _summarize_candidates(
    state: SearchState, found: Round, scores: Mapping[int, float]
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
            score=scores.get(number),
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
        "score": found.score,
        "round_score": found.round_score,
        "epochs": found.epochs,
    }
