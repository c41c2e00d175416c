"""Who is beaten in everything, and who is not: Pareto fronts of accuracy, parameters and peak."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping

from memprof.nas.rank.metric import Measures


def pareto_front(measures: Mapping[int, Measures]) -> tuple[int, ...]:
    """Return those that no other beats in accuracy, parameters and peak at once, the most accurate first.

    Two that are equal in all three both stay. By falling accuracy, whoever is beaten is beaten by one before it with
    no more parameters and no higher peak. Those seen that no other undercuts in both form a staircase, so one search
    in it tells: O(n log n), but for what moving its steps costs.
    """
    front: list[int] = []
    parameters: list[int] = []  # of the staircase, rising
    peaks: list[int] = []  # of the same, falling
    last: Measures | None = None
    for number in sorted(measures, key=lambda number: (*_falling(measures[number]), number)):
        found = measures[number]
        place = bisect_right(parameters, found.parameter_bytes)
        if found != last and place and peaks[place - 1] <= found.peak_intermediate_bytes:
            continue
        front.append(number)
        last = found
        stop = place
        while stop < len(peaks) and peaks[stop] >= found.peak_intermediate_bytes:
            stop += 1
        parameters[place:stop], peaks[place:stop] = [found.parameter_bytes], [found.peak_intermediate_bytes]
    return tuple(front)


def by_layers(measures: Mapping[int, Measures], most: int | None = None) -> list[int]:
    """Return all, or the first ``most``: the front, then the front of the rest, and so on; each by falling accuracy.

    Nobody is weighed: a small network that is not beaten comes before a more accurate one that is.
    """
    left, found = dict(measures), list[int]()
    while left and (most is None or len(found) < most):
        for number in pareto_front(left):
            found.append(number)
            del left[number]
    return found if most is None else found[:most]


def _falling(found: Measures) -> tuple[float, int, int]:
    return -found.accuracy, found.parameter_bytes, found.peak_intermediate_bytes
