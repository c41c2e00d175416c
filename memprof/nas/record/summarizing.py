"""What a search folder says, made into a summary: while the search runs in another process, or after."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from memprof.base.errors import InputError
from memprof.nas.rank.metric import Measures
from memprof.nas.record.journal import BEAT_SECONDS, Event, read_journal
from memprof.nas.record.scores import front_of_search, leader, scores_of_round, worth
from memprof.nas.record.state import Round, SearchState, fold
from memprof.nas.record.summary import CandidateSummary, RoundSummary, SearchSummary, Status
from memprof.nas.record.tournament import best_standing, standings

MISSED_BEATS = 5


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
        status=_status(state, (last_beat, state.last_at), now),
        reason=state.finished,
        seconds=state.seconds,
        rounds=tuple(_summarize_round(state, candidates, index) for index in range(len(state.rounds))),
        candidates=tuple(candidates.values()),
        standings=standings(state),
        best=best_standing(state),
        leader=None if leads is None else candidates[leads],
        front=tuple(candidates[number] for number in front_of_search(state)),
    )


def _status(state: SearchState, signs: Sequence[float], now: float) -> Status:
    """Return whether it runs: a sign of life counts by its distance from now, for clocks are set back and ahead."""
    if state.finished:
        return "finished"
    if state.is_stopped:
        return "stopped"
    is_alive = any(abs(now - sign) < MISSED_BEATS * BEAT_SECONDS for sign in signs)
    return "running" if is_alive else "interrupted"


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
