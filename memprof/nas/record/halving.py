"""Who of an open round trains next: successive halving, by rung or as outcomes come. Pure functions of a state.

    by rung       all finish a rung, then the better half goes on (Jamieson and Talwalkar, arXiv 1502.07943)
    as they come  of the first n of a rung, in order, the better half goes on as soon as those n are known, for each n
                  (as ASHA, Li et al., arXiv 1810.05934)

ASHA ranks whatever came first. Here a rung's order is that of the candidates, or of who went on to it, and only a
beginning without a gap counts: who goes on does not depend on who was faster, and a resumed search decides as an
undisturbed one does. Without waiting for a rung some go on that all of it would have left behind.

The base that trains on beside the candidates goes all the way: each rung is compared with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

from memprof.nas.record.scores import order_among, settings_of
from memprof.nas.record.state import Round, SearchState


@dataclass(frozen=True, slots=True, kw_only=True)
class Visits:
    """What of an open round can train now, and what will.

    Attributes:
        ready: (candidate, rung) of each visit that waits for nothing, the lowest rung first.
        coming: For each rung, how many visits of it are still to be done if nobody fails.
    """

    ready: tuple[tuple[int, int], ...]
    coming: tuple[int, ...]


def open_visits(state: SearchState, found: Round) -> Visits:
    """Return what can train now; nothing is ready once the round is done, or when all that can train does."""
    settings = settings_of(state)
    queues = (_by_rung if settings.halving == "by rung" else _as_they_come)(state, found)
    ready: list[tuple[int, int]] = []
    coming: list[int] = []
    expected = 0
    for rung in range(len(settings.rungs)):
        settled = queues[rung] if rung < len(queues) else []
        if rung:
            before = [n for n in queues[rung - 1] if _may_go_on(state, n, rung - 1)] if rung <= len(queues) else None
            most = count_survivors(expected)
            expected = max(len(settled), most if before is None else min(most, len(before)))
        else:
            expected = len(settled)
        base = _base_at(state, found, rung)
        is_base_next = settings.halving != "by rung" or rung < len(queues)
        queue = [*(base if is_base_next else []), *settled]
        waiting = [number for number in queue if not _is_told(state, number, rung)]
        ready += [(number, rung) for number in waiting]
        told = sum(_is_told(state, number, rung) for number in settled)
        beside = [n for n in _bases(found) if all(_may_go_on(state, n, earlier) for earlier in range(rung))]
        coming.append(max(0, expected - told) + sum(not _is_told(state, number, rung) for number in beside))
    return Visits(ready=tuple(ready), coming=tuple(coming))


def _may_go_on(state: SearchState, number: int, rung: int) -> bool:
    return not _is_told(state, number, rung) or state.measures(number, rung) is not None


def count_survivors(candidates: int) -> int:
    """Return how many of so many candidates go on after a rung: the better half."""
    return max(1, candidates // 2)


def _is_told(state: SearchState, number: int, rung: int) -> bool:
    return any(outcome.rung == rung for outcome in state.outcomes.get(number, ()))


def _candidates(found: Round) -> list[int]:
    return [c.candidate for c in found.chosen if not c.is_base and c.candidate not in found.cut]


def _bases(found: Round) -> list[int]:
    return [c.candidate for c in found.chosen if c.is_base and c.candidate not in found.cut]


def _by_rung(state: SearchState, found: Round) -> list[list[int]]:
    """Return who trains at each rung, as far as that is settled."""
    queues = [_candidates(found)]
    for rung in range(len(settings_of(state).rungs) - 1):
        alive = queues[-1]
        if not all(_is_told(state, number, rung) for number in (*alive, *_base_at(state, found, rung))):
            break
        best = set(order_among(state, found, alive, rung)[: count_survivors(len(alive))])
        queues.append([number for number in alive if number in best])
    return queues


def _base_at(state: SearchState, found: Round, rung: int) -> list[int]:
    """Return the base that a rung is compared with, unless it failed before or was cut."""
    return [n for n in _bases(found) if all(state.measures(n, earlier) is not None for earlier in range(rung))]


def _as_they_come(state: SearchState, found: Round) -> list[list[int]]:
    """Return who trains at each rung, as far as that is settled, in the order in which it was."""
    queues = [_candidates(found)]
    is_complete = True
    for rung in range(len(settings_of(state).rungs) - 1):
        queue, following = queues[-1], list[int]()
        known = list(takewhile(lambda number, rung=rung: _is_told(state, number, rung), queue))  # type: ignore[misc]
        if not all(_is_told(state, number, rung) for number in _base_at(state, found, rung)):
            known = []  # nobody can be compared yet
        is_complete = is_complete and len(known) == len(queue)
        for count in range(2, len(known) + 1):
            following += _promoted(state, found, known[:count], rung, following, count // 2)
        if is_complete:
            following += _promoted(state, found, known, rung, following, count_survivors(len(known)))
        queues.append(following)
    return queues


def _promoted(
    state: SearchState, found: Round, known: Sequence[int], rung: int, already: Sequence[int], most: int
) -> list[int]:
    """Return those of the best of ``known`` that did not go on before."""
    return [number for number in order_among(state, found, known, rung)[:most] if number not in already]
