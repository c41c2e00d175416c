"""Which network a round starts from and what it trains, where the Pareto front is the goal: used by searches and by
simulations of them alike.

    base      of the front, the four members that fewest rounds started from, the most accurate first; the one whose
              batch promises most: more than one is kept, and what did not pay is left behind
    batch     each time whoever adds most area under predicted accuracy against the logarithm of its bytes, with those
              taken before it; where nobody adds any, by fronts

A network's accuracy is taken at half a deviation above its mean: of two that promise the same, the one that less is
known of (an upper confidence bound).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf, log

from memprof.nas.rank.fronts import by_layers, pareto_front
from memprof.nas.rank.metric import Measures

OPTIMISM = 0.5
"""Deviations above the mean."""
BASES = 4
"""Bases that a round weighs."""
_PROMISES = 3
_BEYOND = 0.1
"""How far the area goes on past the largest network, which would add nothing otherwise."""
_TRIED = 40
"""Candidates that are tried for each place of a batch: those that would add most if they came first."""


def bases_on_front(known: Mapping[int, Measures], used: Sequence[int]) -> list[int]:
    """Return where the next round may start, the first choice first.

    Args:
        known: What each trained network is worth.
        used: Where the rounds so far started.
    """
    front = pareto_front(known)
    return sorted(front, key=lambda number: (used.count(number), -known[number].accuracy, number))


@dataclass(frozen=True, slots=True)
class Batch:
    """What a round would train.

    Attributes:
        chosen: Candidates, in the order in which they are worth training.
        gain: What they promise together: by this, batches from several bases compare.
    """

    chosen: list[int]
    gain: float


def choose_for_metric(score: Callable[[Measures], float], offered: Mapping[int, Measures], most: int) -> Batch:
    """Return up to ``most`` of those offered, the highest scores first; their gain is the mean of the best three."""
    scores = {number: score(found) for number, found in offered.items()}
    chosen = sorted(scores, key=lambda number: (-scores[number], number))[:most]
    best = [scores[number] for number in chosen[:_PROMISES]]
    return Batch(chosen, sum(best) / len(best) if best else -inf)


def choose_for_front(known: Iterable[Measures], offered: Mapping[int, Measures], most: int) -> Batch:
    """Return up to ``most`` of those offered, in the order in which they are worth training.

    Args:
        known: What is trained; accuracies on the scale of those offered.
        offered: Exact bytes and predicted accuracy of each candidate.
        most: How many to choose.
    """
    front = list(known)
    front = [front[i] for i in pareto_front(dict(enumerate(front)))]
    left = dict(offered)
    if not left:
        return Batch([], 0.0)
    area = _Area([*front, *left.values()], floor=min((m.accuracy for m in front), default=0.0))
    best = before = area.of(front)
    gains = {number: area.of([*front, found]) - best for number, found in left.items()}
    tried = sorted(left, key=lambda number: (-gains[number], -left[number].accuracy, number))[:_TRIED]
    chosen: list[int] = []
    while tried and len(chosen) < most:
        added = {number: area.of([*front, left[number]]) for number in tried}
        number = max(tried, key=lambda n: (added[n], left[n].accuracy, -n))
        if added[number] <= best:
            break
        best = added[number]
        front.append(left.pop(number))
        tried.remove(number)
        chosen.append(number)
    rest = by_layers(left, most - len(chosen)) if len(chosen) < most else []
    return Batch([*chosen, *rest], best - before)


def front_area(found: Iterable[Measures], frame: Iterable[Measures], floor: float) -> float:
    """Return the area under the most accurate network of at most so many bytes, against the logarithm of these.

    Args:
        found: The networks.
        frame: Networks whose bytes say where the axis starts and ends.
        floor: The accuracy from which the area counts.
    """
    return _Area(list(frame), floor).of(list(found))


class _Area:
    def __init__(self, frame: Sequence[Measures], floor: float) -> None:
        sizes = [_size(found) for found in frame]
        self._start, self._end, self._floor = min(sizes), max(sizes) + _BEYOND, floor

    def of(self, found: Sequence[Measures]) -> float:
        total, best, start = 0.0, self._floor, self._start
        for size, accuracy in sorted((_size(each), -each.accuracy) for each in found):
            if -accuracy > best:
                total += (best - self._floor) * (size - start)
                best, start = -accuracy, size
        return total + (best - self._floor) * (self._end - start)


def _size(found: Measures) -> float:
    return log(found.parameter_bytes + found.peak_intermediate_bytes)


def hopeful(found: Measures, deviation: float) -> Measures:
    """Return a prediction as a choice takes it: half a deviation above its mean."""
    return replace(found, accuracy=min(1.0, found.accuracy + OPTIMISM * deviation))
