"""How long a search will still take, from what its epochs took so far. An estimate: later networks are larger.

    seconds left = epochs left * seconds of an epoch / workers, and never more than the time budget leaves

Epochs left are those of the open round and, where the number of rounds is limited, of the rounds after it.
"""

from __future__ import annotations

from memprof.nas.settings import Settings
from memprof.nas.state import SearchState


def forecast_seconds(state: SearchState) -> float | None:
    """Return about how many seconds of training are left; ``None`` before the first outcome.

    Without a limit on rounds that is what is left of the open round.
    """
    settings = state.settings
    visits = [visit for visits in state.outcomes.values() for visit in visits]
    epochs = sum(max(visit.epochs for visit in visits) for visits in state.outcomes.values())
    if settings is None or not state.rounds or not epochs:
        return None
    found = state.rounds[-1]
    done = sum(max((o.epochs for o in state.outcomes.get(c.candidate, ())), default=0) for c in found.chosen)
    left = 0 if found.is_closed else max(0, _epochs(settings, len(found.chosen)) - done)
    for index in range(found.index + 1, state.limits.rounds or 0):
        count = settings.sample or len(found.chosen) if index < settings.first_rounds else settings.top_k
        left += _epochs(settings, count)
    return left * sum(visit.seconds for visit in visits) / epochs / state.limits.workers


def _epochs(settings: Settings, candidates: int) -> int:
    """Return the epochs that a round of so many candidates trains, the better half going on after each rung."""
    total = reached = 0
    for until in settings.rungs:
        total += candidates * (until - reached)
        reached, candidates = until, max(1, candidates // 2)
    return total
