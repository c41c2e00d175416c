"""Which network a round starts from and what it trains, where the Pareto front is the goal: used by searches and by
simulations of them alike.

    base      of the front, the four members that fewest rounds started from, spread over its bytes; the one whose
              batch promises most: more than one is kept, and what did not pay is left behind
    batch     each time whoever is expected to add most area under accuracy against the logarithm of its bytes, with
              those taken before it: over all accuracies that it may have, by the ranker's mean and deviation
              (expected improvement of the hypervolume: Emmerich, Giannakoglou and Naujoks, 2006)
    order     of networks that were measured: the most accurate, then each time whoever adds most area, then by fronts

The area counts from what guessing gets: counted from the least accurate network, the smallest one would add nothing.

That area goes on to the largest network that is known or offered, and an octave beyond: where it ends with the front,
a search whose front holds small networks alone sees no worth in any larger one, and never leaves them.

By the metric a batch holds those whose scores are expected to be furthest above a yardstick (expected improvement):
in a search the worth of its base, in a simulation the best score.

Where a candidate of a batch stands in for its accuracy, that is half a deviation above its mean.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from heapq import heapify, heappop, heapreplace
from math import erf, exp, inf, log, pi, sqrt

from memprof.nas.rank.fronts import by_layers, pareto_front
from memprof.nas.rank.metric import Measures

OPTIMISM = 0.5
"""Deviations above the mean."""
BASES = 4
"""Bases that a round weighs."""
_BEYOND = 0.1
"""How far the area goes on past the largest network, which would add nothing otherwise."""
_OCTAVE = log(2)
"""How far the area of a batch goes on past the largest network that is known or offered."""
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
    taken += _by_gain({number: front[number] for number in front if number not in taken}, front, taken, floor, most)
    left = {number: found for number, found in measures.items() if number not in taken}
    return [*taken, *by_layers(left, most - len(taken))]


def _by_gain(
    left: Mapping[int, Measures], front: Mapping[int, Measures], taken: Sequence[int], floor: float, most: int
) -> list[int]:
    """Return who is left, each time whoever adds most area to all before it, as long as anybody adds some.

    What a network adds only falls as others come before it, so what it added before bounds that, and most are not
    counted anew for each place (lazy greedy: Minoux, 1978).
    """
    if not left:
        return []
    steps = _Steps(floor, max(map(_size, front.values())) + _BEYOND)
    for number in taken:
        steps.add(front[number])
    waiting = [(-steps.gain(found), -found.accuracy, number, 0) for number, found in left.items()]
    heapify(waiting)
    chosen: list[int] = []
    while waiting and waiting[0][0] < 0 and len(taken) + len(chosen) < most:
        _, accuracy, number, counted = waiting[0]
        if counted < len(chosen):
            heapreplace(waiting, (-steps.gain(front[number]), accuracy, number, len(chosen)))
            continue
        heappop(waiting)
        steps.add(front[number])
        chosen.append(number)
    return chosen


@dataclass(frozen=True, slots=True)
class Batch:
    """What a round would train.

    Attributes:
        chosen: Candidates, in the order in which they are worth training.
        gain: What they promise together: by this, batches from several bases compare.
    """

    chosen: list[int]
    gain: float


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


def choose_for_metric(
    score: Callable[[Measures], float], best: float, offered: Mapping[int, Promise], most: int
) -> Batch:
    """Return up to ``most`` of those offered, those first whose scores are expected to be furthest above ``best``.

    Args:
        score: The metric, linear in the accuracy.
        best: The best score so far.
        offered: Each candidate.
        most: How many to choose.
    """
    means = {number: score(found.measures) for number, found in offered.items()}
    gains = {number: _excess(means[number] - best, _spread(score, found)) for number, found in offered.items()}
    chosen = sorted(gains, key=lambda number: (-gains[number], -means[number], number))[:most]
    return Batch(chosen, sum(gains[number] for number in chosen) if chosen else -inf)


def _spread(score: Callable[[Measures], float], found: Promise) -> float:
    """Return the deviation of a score, from that of its accuracy."""
    higher = replace(found.measures, accuracy=found.measures.accuracy + found.deviation)
    return score(higher) - score(found.measures)


def choose_for_front(
    known: Iterable[Measures],
    offered: Mapping[int, Promise],
    most: int,
    floor: float | None = None,
    largest: int | None = None,
) -> Batch:
    """Return up to ``most`` of those offered, in the order in which they are worth training.

    Args:
        known: What is trained; accuracies on the scale of those offered.
        offered: Each candidate.
        most: How many to choose.
        floor: The accuracy from which the area counts; that of the front's least accurate if left out.
        largest: Bytes to which the area goes at least: those of the largest network that any base of the round
            offers, so that batches of several bases compare; of those given if left out.
    """
    front = list(known)
    end = log(max([largest or 1, *map(_bytes, front), *(_bytes(found.measures) for found in offered.values())]))
    front = [front[i] for i in pareto_front(dict(enumerate(front)))]
    left = dict(offered)
    if not left:
        return Batch([], 0.0)
    if floor is None:
        floor = min((m.accuracy for m in front), default=0.0)
    steps = _Staircase(front, floor, end + _OCTAVE)
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
        steps = _Staircase(front, floor, end + _OCTAVE)
        tried.remove(number)
        chosen.append(number)
    rest = {number: found.hopeful for number, found in left.items()}
    return Batch([*chosen, *by_layers(rest, most - len(chosen))], total)


class _Staircase:
    """The most accurate network of at most so many bytes, over the logarithm of these."""

    def __init__(self, front: Sequence[Measures], floor: float, end: float) -> None:
        self._steps: list[tuple[float, float, float]] = []  # where each begins and ends, and its accuracy
        start, best = -inf, floor
        for size, accuracy in sorted((_size(found), -found.accuracy) for found in front):
            if -accuracy > best:
                self._steps.append((start, size, best))
                start, best = size, -accuracy
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


class _Steps:
    """The most accurate network of at most so many bytes, over the logarithm of these, as networks are added."""

    def __init__(self, floor: float, end: float) -> None:
        self._floor, self._end = floor, end
        self._sizes: list[float] = []  # rising
        self._accuracies: list[float] = []  # of the same, rising

    def gain(self, found: Measures) -> float:
        """Return the area that a network would add."""
        start, total = _size(found), 0.0
        place = bisect_right(self._sizes, start)
        level = self._accuracies[place - 1] if place else self._floor
        while level < found.accuracy:
            end = self._sizes[place] if place < len(self._sizes) else self._end
            total += (found.accuracy - level) * (end - start)
            if place == len(self._sizes):
                break
            start, level = end, max(level, self._accuracies[place])
            place += 1
        return total

    def add(self, found: Measures) -> None:
        """Count a network from now on."""
        size = _size(found)
        place = bisect_right(self._sizes, size)
        if found.accuracy <= (self._accuracies[place - 1] if place else self._floor):
            return
        first, last = bisect_left(self._sizes, size), bisect_right(self._accuracies, found.accuracy)
        self._sizes[first : max(first, last)] = [size]
        self._accuracies[first : max(first, last)] = [found.accuracy]


def _bytes(found: Measures) -> int:
    return found.parameter_bytes + found.peak_intermediate_bytes


def _size(found: Measures) -> float:
    return log(_bytes(found))
