"""Whole strategies of search on a table of known networks: memprof's own and its rivals.

    memnas      rounds as memprof searches: from a base to what is next to it, ranked, eight at a time
    random      any network, none twice
    local       all neighbours of the best not yet left, one after the other; from anywhere when none is better
    evolution   20 live, the fittest of 5 gets a child by one step, the oldest dies (Real et al., AAAI 2019)
    nsga2       20 live, crossover and one step, survival by fronts and crowding (Deb et al., 2002)

Two networks are neighbours where no closer pair of codes would do: around each, all within the least Hamming distance
that holds 16 others. In a whole table that is a changed edge or layer; in a sampled one whatever is nearest.

With the front as the goal the best are the fronts, one behind the other (of a front, local search takes any); with
the metric they are the highest scores. Every strategy knows all bytes, for those are exact, and is told an accuracy
once it asks to train.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import pairwise
from statistics import mean, median, pstdev

import numpy as np
from numpy.typing import NDArray

from memprof.nas.jobs import derive_seed
from memprof.nas.rank.choosing import BASES, Batch, Promise, bases_on_front, choose_for_front, choose_for_metric
from memprof.nas.rank.controller import believe
from memprof.nas.rank.fronts import pareto_front
from memprof.nas.rank.metric import Measures, Metric
from memprof.nas.rank.rankers import Candidate, RankedRound, code_bits

FIRST, BATCH = 16, 8
"""Networks that the first round of ``memnas`` trains, and every later one: those of the quick preset."""
LEAST_ACCURACY = 1e-6
"""What stands for an accuracy of 0, by which nothing can be divided."""
_POPULATION, _TOURNAMENT = 20, 5
_NEIGHBOURS = 16
_CROSSOVER = 0.9


class World:
    """A table, and how near its networks are to each other.

    Args:
        cells: Networks with their accuracy.
        metric: What is to be maximised; ``None`` for the front.
    """

    def __init__(self, cells: Sequence[tuple[Candidate, float]], metric: Metric | None) -> None:
        self.candidates = [candidate for candidate, _ in cells]
        self.metric = metric
        self.measures = [
            Measures(
                accuracy=max(accuracy, LEAST_ACCURACY),
                peak_intermediate_bytes=1,
                parameter_bytes=candidate.parameter_bytes,
            )
            for candidate, accuracy in cells
        ]
        bits = code_bits(self.candidates)
        self._bits: NDArray[np.float32] = bits.reshape(len(bits), -1).astype(np.float32)
        self._ones = self._bits.sum(axis=1)
        self._near: dict[int, list[int]] = {}

    @cached_property
    def yardstick(self) -> Measures:
        """The medians of the table, which the metric compares with."""
        return Measures(
            accuracy=median(m.accuracy for m in self.measures),
            peak_intermediate_bytes=1,
            parameter_bytes=max(1, int(median(m.parameter_bytes for m in self.measures))),
        )

    def score(self, measures: Measures) -> float:
        """Return the metric against the table's medians."""
        assert self.metric is not None, "a front has no score"
        return self.metric.score(measures, self.yardstick)

    def best_first(self, measures: Mapping[int, Measures]) -> list[list[int]]:
        """Return groups of equals, the best first: fronts, or networks one by one by the metric."""
        if self.metric is not None:
            return [[i] for i in sorted(measures, key=lambda i: (-self.score(measures[i]), i))]
        left, groups = dict(measures), []
        while left:
            groups.append(list(pareto_front(left)))
            for i in groups[-1]:
                del left[i]
        return groups

    def neighbours(self, network: int) -> list[int]:
        """Return who is next to a network."""
        if network not in self._near:
            distance = self._distances(self._bits[network])
            distance[network] = np.inf
            most = min(_NEIGHBOURS, len(distance) - 1)
            reach = np.partition(distance, most - 1)[most - 1] if most else -1.0
            self._near[network] = np.flatnonzero(distance <= reach).tolist()
        return self._near[network]

    def cross(self, one: int, other: int, rng: random.Random) -> int:
        """Return a network nearest to a code that has each bit from one of two parents."""
        takes = np.array([rng.random() < 0.5 for _ in range(self._bits.shape[1])])
        distance = self._distances(np.where(takes, self._bits[one], self._bits[other]))
        return rng.choice(np.flatnonzero(distance <= distance.min()).tolist())

    def _distances(self, code: NDArray[np.float32]) -> NDArray[np.float32]:
        found: NDArray[np.float32] = self._ones + code.sum() - 2 * self._bits @ code
        return found


Known = Mapping[int, Measures]
Strategy = Callable[[World, Known, random.Random, str], Iterator[list[int]]]
"""(table, what is trained so far, generator, ranker) -> batches to train; what comes of them is known at the next."""


def search_at_random(world: World, known: Known, rng: random.Random, ranker: str) -> Iterator[list[int]]:
    """Yield any networks."""
    yield from ([i] for i in rng.sample(range(len(world.candidates)), len(world.candidates)))


def search_locally(world: World, known: Known, rng: random.Random, ranker: str) -> Iterator[list[int]]:
    """Yield the neighbours of the best, one by one."""
    left_behind: set[int] = set()
    while True:
        best = world.best_first(known)[0] if known else []
        base = next((i for i in rng.sample(best, len(best)) if i not in left_behind), None)
        if base is None:
            base = _anybody(world, known, rng)
            yield [base]
        for i in rng.sample(fresh := _untrained(world.neighbours(base), known), len(fresh)):
            yield [i]
        left_behind.add(base)


def evolve(world: World, known: Known, rng: random.Random, ranker: str) -> Iterator[list[int]]:
    """Yield children of the fittest of a few; the oldest dies."""
    alive = rng.sample(range(len(world.candidates)), min(_POPULATION, len(world.candidates)))
    yield list(alive)
    while True:
        few = rng.sample(alive, min(_TOURNAMENT, len(alive)))
        parent = rng.choice(world.best_first({i: known[i] for i in few})[0])
        child = _step(world, parent, known, rng)
        yield [child]
        alive = [*alive[1:], child]


def evolve_by_fronts(world: World, known: Known, rng: random.Random, ranker: str) -> Iterator[list[int]]:
    """Yield generations of NSGA-II; survival by fronts whatever the goal is."""
    alive = rng.sample(range(len(world.candidates)), min(_POPULATION, len(world.candidates)))
    yield list(alive)
    while True:
        places = {i: place for place, i in enumerate(_by_crowding({i: known[i] for i in alive}))}
        children: list[int] = []
        for _ in range(len(alive)):
            one, other = (min(rng.sample(alive, min(2, len(alive))), key=places.__getitem__) for _ in range(2))
            child = world.cross(one, other, rng) if rng.random() < _CROSSOVER else one
            if child in known or child in children:
                child = _step(world, child, {**known, **dict.fromkeys(children, known[one])}, rng)
            children.append(child)
        yield list(children)
        alive = _by_crowding({i: known[i] for i in {*alive, *children}})[: len(alive)]


def search_in_rounds(world: World, known: Known, rng: random.Random, ranker: str) -> Iterator[list[int]]:
    """Yield memprof's own rounds: a first one, then each from a base to what is next to it."""
    yield _first_round(world, rng)
    used: list[int] = []
    seed = rng.randrange(2**31)
    while True:
        open_ones = {i: m for i, m in known.items() if _untrained(world.neighbours(i), known)}
        bases = _bases(world, known, open_ones, used)
        if not bases:
            yield [_anybody(world, known, rng)]
            continue
        believed = _believe(world, known, ranker, derive_seed(seed, "round", len(used)) % 2**31)
        offered = {base: believed(_untrained(world.neighbours(base), known)) for base in bases}
        batches = _batches(world, known, offered)
        base = max(bases, key=lambda i: batches[i].gain)
        used.append(base)
        yield batches[base].chosen


def _first_round(world: World, rng: random.Random) -> list[int]:
    """Return the smallest network and others of every size, for a table has no empty network to grow from; with the
    front as the goal half of them from beside the smallest, which by the metric are most often nothing."""
    ordered = sorted(range(len(world.candidates)), key=lambda i: (world.candidates[i].parameter_bytes, i))
    beside = world.neighbours(ordered[0]) if world.metric is None else []
    near = rng.sample(beside, min(FIRST // 2 - 1, len(beside)))
    parts = FIRST - 1 - len(near)
    ends = [len(ordered) * i // parts for i in range(parts + 1)]
    spread = [rng.choice(ordered[start:end]) for start, end in pairwise(ends) if end > start]
    return list(dict.fromkeys([ordered[0], *near, *spread]))


def _bases(world: World, known: Known, open_ones: Known, used: list[int]) -> list[int]:
    """Return where a round may start: networks that still have somebody untrained beside them."""
    if world.metric is None:
        front = set(pareto_front(known))
        floor = min(m.accuracy for m in known.values())
        return bases_on_front({i: m for i, m in open_ones.items() if i in front}, used, floor)[:BASES]
    return sorted(open_ones, key=lambda i: (-world.score(known[i]), i))[:BASES]


def _believe(world: World, known: Known, ranker: str, seed: int) -> Callable[[list[int]], dict[int, Promise]]:
    """Return what a ranker that learnt from the known promises of others."""
    accuracies = [m.accuracy for m in known.values()]
    history = [RankedRound(tuple(world.candidates[i] for i in known), tuple(accuracies))]
    belief = believe(ranker, history, seed)
    level, deviation = mean(accuracies), pstdev(accuracies)

    def promise(pool: list[int]) -> dict[int, Promise]:
        said = belief([world.candidates[i] for i in pool])
        return {
            i: Promise(
                replace(world.measures[i], accuracy=min(1.0, max(1e-6, level + deviation * score))),
                deviation * unsure,
            )
            for i, score, unsure in zip(pool, said.means, said.deviations, strict=True)
        }

    return promise


def _batches(world: World, known: Known, offered: Mapping[int, dict[int, Promise]]) -> dict[int, Batch]:
    """Return what a round from each base would train, and what that promises."""
    if world.metric is None:
        measured = [found.measures for pool in offered.values() for found in pool.values()]
        largest = max(found.parameter_bytes + found.peak_intermediate_bytes for found in measured)
        return {
            base: choose_for_front(known.values(), pool, BATCH, largest=largest) for base, pool in offered.items()
        }
    best = max(map(world.score, known.values()))
    return {base: choose_for_metric(world.score, best, pool, BATCH) for base, pool in offered.items()}


def _untrained(networks: Sequence[int], known: Collection[int]) -> list[int]:
    return [i for i in networks if i not in known]


def _anybody(world: World, known: Known, rng: random.Random) -> int:
    """Return a network that was not trained; any where there is none left."""
    everybody = range(len(world.candidates))
    return rng.choice(_untrained(everybody, known) or everybody)


def _step(world: World, parent: int, known: Known, rng: random.Random) -> int:
    """Return an untrained neighbour, or anybody where there is none."""
    fresh = _untrained(world.neighbours(parent), known)
    return rng.choice(fresh) if fresh else _anybody(world, known, rng)


def _by_crowding(measures: Mapping[int, Measures]) -> list[int]:
    """Return networks by fronts; within a front those first whose neighbours in it are far apart."""
    ordered: list[int] = []
    left = dict(measures)
    while left:
        front = sorted(pareto_front(left), key=lambda i: (left[i].parameter_bytes, i))
        gaps = _gaps([left[i] for i in front])
        ordered += [i for _, i in sorted(zip(gaps, front, strict=True), key=lambda pair: (-pair[0], pair[1]))]
        for i in front:
            del left[i]
    return ordered


def _gaps(front: Sequence[Measures]) -> list[float]:
    """Return for each of a front, by rising bytes, how far those beside it are apart; the ends count as infinite."""
    if len(front) < 3:
        return [float("inf")] * len(front)
    sizes, accuracies = [float(np.log(m.parameter_bytes)) for m in front], [m.accuracy for m in front]
    wide, high = sizes[-1] - sizes[0] or 1.0, max(accuracies) - min(accuracies) or 1.0
    inner = [
        (sizes[i + 1] - sizes[i - 1]) / wide + abs(accuracies[i + 1] - accuracies[i - 1]) / high
        for i in range(1, len(front) - 1)
    ]
    return [float("inf"), *inner, float("inf")]


STRATEGIES: Mapping[str, Strategy] = {
    "memnas": search_in_rounds,
    "random": search_at_random,
    "local": search_locally,
    "evolution": evolve,
    "nsga2": evolve_by_fronts,
}
"""Strategy by name, memprof's first."""
