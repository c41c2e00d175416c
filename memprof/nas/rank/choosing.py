"""Which network a round starts from and what it trains, where the Pareto front is the goal: used by searches and by
simulations of them alike.

    base      of the front, the four members that fewest rounds started from, spread over its bytes; the one whose
              batch promises most: more than one is kept, and what did not pay is left behind
    batch     each time whoever is expected to add most area under accuracy against the logarithm of its bytes, with
              those taken before it: over all accuracies that it may have, by the ranker's mean and deviation
              (expected improvement of the hypervolume: Emmerich, Giannakoglou and Naujoks, 2006)
    order     of networks that were measured: the most accurate, then each time whoever adds most area, then by fronts

The area counts from what guessing gets: counted from the least accurate network, the smallest one would add nothing.

By the metric, and where a candidate of a batch stands in for its accuracy, that is half a deviation above its mean:
of two that promise the same, the one that less is known of (an upper confidence bound).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import erf, exp, inf, log, pi, sqrt

from memprof.nas.rank.fronts import by_layers, pareto_front
from memprof.nas.rank.metric import Measures

OPTIMISM = 0.5
"""Deviations above the mean."""
BASES = 4
"""Bases that a round weighs."""
_PROMISES = 3
_BEYOND = 0.1
"""How far the area goes on past the largest network, which would add nothing otherwise."""
_OCTAVE = log(2)
"""How far the area of a batch goes on past the largest network that is known: as far for each base."""
_TRIED = 40
"""Candidates that are tried for each place of a batch: those that would add most if they came first."""


def bases_on_front(known: Mapping[int, Measures], used: Sequence[int], floor: float) -> list[int]:
    """Return where the next round may start, the first choice first.

    Args:
        known: What each trained network is worth.
        used: Where the rounds so far started.
        floor: The accuracy from which the area counts.
    """
    front = {number: known[number] for number in pareto_front(known)}
    place = {number: place for place, number in enumerate(by_area(front, floor))}
    return sorted(front, key=lambda number: (used.count(number), place[number]))


def by_area(measures: Mapping[int, Measures], floor: float, most: int | None = None) -> list[int]:
    """Return all, or the first ``most``: the most accurate, then each time whoever adds most area to those before it,
    then front by front whoever adds none.

    Args:
        measures: The networks.
        floor: The accuracy from which the area counts.
        most: How many.
    """
    most = len(measures) if most is None else most
    front = {number: measures[number] for number in pareto_front(measures)}
    taken = list(front)[:most][:1]
    area = _Area(list(front.values()), floor) if front else None
    while area is not None and len(taken) < most:
        before = [front[number] for number in taken]
        added = {number: area.of([*before, found]) for number, found in front.items() if number not in taken}
        number = max(added, key=lambda n: (added[n], front[n].accuracy, -n), default=None)
        if number is None or added[number] <= area.of(before):
            break
        taken.append(number)
    left = {number: found for number, found in measures.items() if number not in taken}
    return [*taken, *by_layers(left, most - len(taken))]


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


@dataclass(frozen=True, slots=True)
class Promise:
    """What a candidate promises.

    Attributes:
        measures: Its exact bytes and its predicted accuracy.
        deviation: How unsure that accuracy is.
    """

    measures: Measures
    deviation: float = 0.0

    @property
    def hopeful(self) -> Measures:
        """The same half a deviation above its mean."""
        found = self.measures
        return replace(found, accuracy=min(1.0, found.accuracy + OPTIMISM * self.deviation))


def choose_for_front(
    known: Iterable[Measures], offered: Mapping[int, Promise], most: int, floor: float | None = None
) -> Batch:
    """Return up to ``most`` of those offered, in the order in which they are worth training.

    Args:
        known: What is trained; accuracies on the scale of those offered.
        offered: Each candidate.
        most: How many to choose.
        floor: The accuracy from which the area counts; that of the front's least accurate if left out.
    """
    front = list(known)
    front = [front[i] for i in pareto_front(dict(enumerate(front)))]
    left = dict(offered)
    if not left:
        return Batch([], 0.0)
    if floor is None:
        floor = min((m.accuracy for m in front), default=0.0)
    steps = _Staircase(front, floor)
    gains = {number: steps.expected_gain(found) for number, found in left.items()}
    tried = sorted(left, key=lambda number: (-gains[number], -left[number].measures.accuracy, number))[:_TRIED]
    chosen: list[int] = []
    total = 0.0
    while tried and len(chosen) < most:
        added = {number: steps.expected_gain(left[number]) for number in tried}
        number = max(tried, key=lambda n: (added[n], left[n].measures.accuracy, -n))
        if added[number] <= 0:
            break
        total += added[number]
        front.append(left.pop(number).hopeful)
        steps = _Staircase(front, floor)
        tried.remove(number)
        chosen.append(number)
    rest = {number: found.hopeful for number, found in left.items()}
    return Batch([*chosen, *by_layers(rest, most - len(chosen))], total)


class _Staircase:
    """The most accurate network of at most so many bytes, over the logarithm of these."""

    def __init__(self, front: Sequence[Measures], floor: float) -> None:
        self._steps: list[tuple[float, float, float]] = []  # where each begins and ends, and its accuracy
        start, best = -inf, floor
        for size, accuracy in sorted((_size(found), -found.accuracy) for found in front):
            if -accuracy > best:
                self._steps.append((start, size, best))
                start, best = size, -accuracy
        end = max(map(_size, front), default=0.0) + _OCTAVE
        self._steps.append((start, end, best))

    def expected_gain(self, found: Promise) -> float:
        """Return the mean of the area that a candidate adds, over all accuracies that it may have."""
        size, mean = _size(found.measures), found.measures.accuracy
        return sum(
            (end - max(start, size)) * _expected_excess(mean, found.deviation, accuracy)
            for start, end, accuracy in self._steps
            if end > size
        )


def _expected_excess(mean: float, deviation: float, level: float) -> float:
    """Return the mean of what a normal variable, which ends at 1, has above a level (expected improvement: Jones,
    Schonlau and Welch, 1998)."""
    return _excess(mean - level, deviation) - _excess(mean - 1, deviation)


def _excess(ahead: float, deviation: float) -> float:
    if deviation <= 0:
        return max(0.0, ahead)
    z = ahead / deviation
    return max(0.0, ahead * 0.5 * (1 + erf(z / sqrt(2))) + deviation * exp(-z * z / 2) / sqrt(2 * pi))


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
