"""What a round may start from and train: generate, reject, rank; begun before it is asked for.

    first rung told    what the ranker learns from is known: it learns while the later rungs train
                       what is next to each likely base is generated and counted
    last rung begun    so is what is next to the likely winners of the round

So workers that finish a round find the next one chosen, or nearly so. What the ranker learns is a function of the
state alone, and is taken only where that is still the one it was begun with. What is next to a base is the same for
the whole search: it is kept while rounds weigh that base, and loses only who was trained. Who is faster changes no
choice.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from math import inf
from statistics import mean, pstdev

from memprof.nas.jobs import derive_seed
from memprof.nas.rank.blend import Belief
from memprof.nas.rank.choosing import Promise, choose_for_front, choose_for_metric
from memprof.nas.rank.controller import believe
from memprof.nas.rank.metric import Measures
from memprof.nas.rank.rankers import Candidate, RankedRound
from memprof.nas.record.scores import (
    finalists_of_round,
    measured_in_round,
    median_measures,
    next_bases,
    settings_of,
    worth,
)
from memprof.nas.record.settings import Settings
from memprof.nas.record.state import Round, SearchState
from memprof.nas.searching.aside import Aside
from memprof.nas.space.architecture import Architecture
from memprof.nas.space.budget import Budget
from memprof.nas.space.encoding import encode_block
from memprof.nas.space.generator import generate, identity
from memprof.nas.space.screening import Footprint, count_macs, is_within, measure

_FEWEST_FINALS = 3
"""Networks whose accuracies tell how far they differ."""

_MOST_PREPARED = 3
"""Possible bases whose candidates are counted ahead."""

Pick = tuple[Architecture, Footprint, float | None]
"""A network to train, what it takes, and the accuracy that was predicted."""

_Beliefs = Callable[[Sequence[Candidate]], Belief]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fresh:
    """What is next to a base.

    Attributes:
        measured: Candidates that were not trained before, with what they take.
        idle: How many trims save nothing and so are none.
    """

    measured: list[tuple[Architecture, Footprint]]
    idle: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Near:
    """All that is next to a base, whoever was trained.

    Attributes:
        measured: Candidates with what they take, by what is equal for two ways of writing one.
        idle: Trims that save nothing.
    """

    measured: dict[Hashable, tuple[Architecture, Footprint]]
    idle: frozenset[Hashable]

    def without(self, known: Collection[Hashable]) -> Fresh:
        """Return what is left of it."""
        left = [found for key, found in self.measured.items() if key not in known]
        return Fresh(measured=left, idle=len(self.idle.difference(known)))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Open:
    """What a round from one base could train.

    Attributes:
        base: Candidate that it starts from; ``None`` for the empty network.
        fresh: What is next to it.
        fitting: How many are within the budget.
        able: Of those, who could win.
    """

    base: int | None
    fresh: Fresh
    fitting: int
    able: list[tuple[Architecture, Footprint]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What a round from one base would be.

    Attributes:
        base: Candidate that it starts from; ``None`` for the empty network.
        parent: That network.
        fresh: What is next to it.
        fitting: How many are within the budget.
        able: Of those, how many could win.
        picked: What it would train.
        gain: What that promises.
    """

    base: int | None
    parent: Architecture
    fresh: Fresh
    fitting: int
    able: int
    picked: list[Pick]
    gain: float


class Offers:
    """Chooses rounds, and prepares the next one while the last one trains."""

    def __init__(self) -> None:
        self._aside = Aside()
        self._prepared = -1
        self._keys: dict[int, Hashable] = {}

    def best(self, state: SearchState) -> Offer:
        """Return the round that promises most, the first of equals."""
        index = len(state.rounds)
        bases = next_bases(state)
        known = self._known(state)
        found = [self._open(state, base, known) for base in bases]
        sizes = (size.parameter_bytes + size.peak_intermediate_bytes for each in found for _, size in each.able)
        largest = max(sizes, default=1)
        offers = [self._offer(state, index, each, largest) for each in found]
        self._aside.forget(keep=[("near", base) for base in bases])
        return max(offers, key=lambda found: (bool(found.picked), found.gain))

    def prepare(self, state: SearchState) -> None:
        """Begin what the next round will ask for, as far as it is known; returns at once."""
        found, settings = state.last, settings_of(state)
        if found.is_closed or found.index + 1 < settings.first_rounds:
            return
        going = [c.candidate for c in found.chosen if c.candidate not in found.cut]
        if not all(state.outcomes.get(number) for number in going):
            return
        if self._prepared != found.index:  # once a round: all of this is known now
            self._prepared, history = found.index, _history(state)
            if history:
                key = ("belief", found.index + 1, history)
                self._aside.begin(key, lambda: _learn(state, found.index + 1, history))
            if settings.goal == "front":
                for base in next_bases(state):  # as far as earlier rounds tell
                    self._begin_near(state, base)
        last = len(settings.rungs) - 1
        likely = [number for number in going if len(state.outcomes[number]) >= last]
        for number in likely[:_MOST_PREPARED]:
            if state.outcomes[number][-1].status == "ok":
                self._begin_near(state, state.origin(number) if settings.goal == "front" else number)

    def _begin_near(self, state: SearchState, base: int | None) -> None:
        self._aside.begin(("near", base), partial(_near, settings_of(state), _network(state, base)))

    def _known(self, state: SearchState) -> set[Hashable]:
        """Return what is equal for a network that was trained before and for any other way of writing it."""
        mirrors = settings_of(state).mirror_images
        for number, chosen in state.chosen.items():
            if number not in self._keys:
                self._keys[number] = identity(chosen.architecture, mirror_images=mirrors)
        return set(self._keys.values())

    def _open(self, state: SearchState, base: int | None, known: Collection[Hashable]) -> _Open:
        """Return what a round from ``base`` could train."""
        near = partial(_near, settings_of(state), _network(state, base))
        fresh = self._aside.take(("near", base), near).without(known)
        fitting = [found for found in fresh.measured if is_within(found[1], settings_of(state).budget)]
        able = [found for found in fitting if _can_win(state, found[1], base)]
        return _Open(base=base, fresh=fresh, fitting=len(fitting), able=able)

    def _offer(self, state: SearchState, index: int, found: _Open, largest: int) -> Offer:
        """Return what that round would train, by the bytes of the largest network that any base offers."""
        picked, gain = self._choose(state, index, found.base, found.able, largest)
        return Offer(
            base=found.base,
            parent=_network(state, found.base),
            fresh=found.fresh,
            fitting=found.fitting,
            able=len(found.able),
            picked=picked,
            gain=gain,
        )

    def _choose(
        self,
        state: SearchState,
        index: int,
        base: int | None,
        able: list[tuple[Architecture, Footprint]],
        largest: int,
    ) -> tuple[list[Pick], float]:
        """Return what the round trains, and what that promises: all or a sample of the first rounds, else what the
        controller likes best."""
        settings = settings_of(state)
        if index < settings.first_rounds:
            if settings.sample is not None and len(able) > settings.sample:
                slots = _network(state, base).slots
                rng = random.Random(derive_seed(settings.seed, "sample", index))
                sizes = {
                    i: found.parameter_bytes + found.peak_intermediate_bytes for i, (_, found) in enumerate(able)
                }
                grown = {i: sizes[i] for i, (found, _) in enumerate(able) if found.slots > slots}
                trimmed = {i: sizes[i] for i, (found, _) in enumerate(able) if found.slots == slots}
                able = [able[i] for i in _stratified(rng, (grown, trimmed), settings.sample)]
            return [(architecture, footprint, None) for architecture, footprint in able], 0.0
        if not able:
            return [], -inf
        history = _history(state)
        beliefs = self._aside.take(("belief", index, history), lambda: _learn(state, index, history))
        predicted = _predict(state, base, beliefs, able)
        if settings.goal == "front":
            found = worth(state)
            batch = choose_for_front(found.values(), predicted, settings.top_k, settings.chance, largest)
        else:
            previous = state.measures(base) if base is not None else None
            yardstick = previous or median_measures(found.measures for found in predicted.values())
            batch = choose_for_metric(lambda m: settings.metric.score(m, yardstick), 0.0, predicted, settings.top_k)
        return [(*able[i], predicted[i].measures.accuracy) for i in batch.chosen], batch.gain


def _network(state: SearchState, base: int | None) -> Architecture:
    return settings_of(state).template.build([]) if base is None else state.chosen[base].architecture


def _near(settings: Settings, parent: Architecture) -> _Near:
    """Return the candidates next to a base; trims that save nothing are none."""
    found = list(_candidates_of(parent, settings))
    if parent.slots >= settings.max_cells:
        found = [candidate for candidate in found if candidate.slots == parent.slots]
    idle = set[int]()
    if settings.prunes:
        trims = [candidate for candidate in found if candidate.slots == parent.slots]
        own, macs = measure(parent, settings.budget), count_macs(parent) if trims else 0
        idle = {id(candidate) for candidate in trims if not _saves(candidate, own, macs, settings.budget)}
    keys = {id(each): identity(each, mirror_images=settings.mirror_images) for each in found}
    return _Near(
        measured={keys[id(each)]: (each, measure(each, settings.budget)) for each in found if id(each) not in idle},
        idle=frozenset(keys[number] for number in idle),
    )


def _can_win(state: SearchState, footprint: Footprint, base: int | None) -> bool:
    """Return whether a candidate without a single error would beat its base as that is now; bytes are exact."""
    settings = settings_of(state)
    previous = None if base is None else state.measures(base)
    if previous is None or settings.goal == "front" or not settings.prunes:
        return True
    flawless = Measures(
        accuracy=1.0,
        peak_intermediate_bytes=footprint.peak_intermediate_bytes,
        parameter_bytes=footprint.parameter_bytes,
    )
    return settings.metric.score(flawless, previous) > 0


def _learn(state: SearchState, index: int, history: tuple[RankedRound, ...]) -> _Beliefs:
    """Return what the ranker holds of candidates of round ``index``."""
    settings = settings_of(state)
    return believe(settings.ranker, history, derive_seed(settings.seed, "controller", index) % 2**31)


def _predict(
    state: SearchState, base: int | None, beliefs: _Beliefs, able: list[tuple[Architecture, Footprint]]
) -> dict[int, Promise]:
    """Return each candidate's exact bytes, its predicted accuracy, and how unsure that is.

    A ranker says how much better than its base a candidate is; what the base itself has is known. So candidates of
    several bases compare. Those of the empty network are compared with the first round's.
    """
    settings, known = settings_of(state), _known_beside(state, base)
    asked = [(found, size.parameter_bytes) for found, size in able]
    asked += [(state.chosen[number].architecture, state.chosen[number].parameter_bytes) for number in known]
    belief = beliefs([_candidate(settings, architecture, size) for architecture, size in asked])
    own = mean(belief.means[len(able) :])
    level, deviation = mean(known.values()), _deviation(state)
    return {
        i: Promise(
            Measures(
                accuracy=min(1.0, max(1e-3, level + deviation * (said - own))),
                peak_intermediate_bytes=found.peak_intermediate_bytes,
                parameter_bytes=found.parameter_bytes,
            ),
            deviation * unsure,
        )
        for i, ((_, found), said, unsure) in enumerate(zip(able, belief.means, belief.deviations, strict=False))
    }


def _known_beside(state: SearchState, base: int | None) -> dict[int, float]:
    """Return the accuracies that those of a base's candidates are counted from: its own, or the first round's."""
    if base is None:
        first = next(found for found in state.rounds if found.winner is not None)
        return _final_accuracies(state, first)
    measures = worth(state)[base] if settings_of(state).goal == "front" else state.measures(base)
    assert measures is not None, "a base was trained"
    return {base: measures.accuracy}


def _deviation(state: SearchState) -> float:
    """Return what a ranker's unit is in accuracy at the end of a round: how far those that went all the way differ,
    of the last round with several."""
    for found in reversed(state.rounds):
        finals = _final_accuracies(state, found)
        if len(finals) >= _FEWEST_FINALS:
            return max(pstdev(finals.values()), 1e-3)
    return max(pstdev(_history(state)[-1].scores), 1e-3)


def _final_accuracies(state: SearchState, found: Round) -> dict[int, float]:
    """Return what those of a round reached that went all the way."""
    measured = {number: state.measures(number) for number in finalists_of_round(state, found)}
    return {number: measures.accuracy for number, measures in measured.items() if measures is not None}


def _history(state: SearchState) -> tuple[RankedRound, ...]:
    """Return what the controller learns from: the accuracy of all that were trained, at the first rung."""
    settings, history = settings_of(state), []
    for found in state.rounds:
        measured = measured_in_round(state, found, rung=0)
        if measured:
            by_number = {chosen.candidate: chosen for chosen in found.chosen}
            candidates = [by_number[number] for number in measured]
            history.append(
                RankedRound(
                    tuple(_candidate(settings, c.architecture, c.parameter_bytes) for c in candidates),
                    tuple(m.accuracy for m in measured.values()),
                )
            )
    return tuple(history)


def _candidate(settings: Settings, architecture: Architecture, parameter_bytes: int) -> Candidate:
    slots, bits = settings.max_cells, settings.layer_bits
    return Candidate(tuple(encode_block(block, slots, bits) for block in architecture.blocks), parameter_bytes)


def _candidates_of(parent: Architecture, settings: Settings) -> Iterator[Architecture]:
    return generate(parent, settings.combines, layers=settings.layers, mirror_images=settings.mirror_images)


def _saves(candidate: Architecture, base: Footprint, macs: int, budget: Budget) -> bool:
    """Return whether a trim is less than its base in anything that can be counted."""
    found = measure(candidate, budget)
    is_smaller = (
        found.parameter_bytes < base.parameter_bytes or found.peak_intermediate_bytes < base.peak_intermediate_bytes
    )
    return is_smaller or count_macs(candidate) < macs


def _stratified(rng: random.Random, strata: Sequence[Mapping[int, int]], most: int) -> list[int]:
    """Return ``most`` of all, as many of each stratum where it has so many, in order.

    A stratum gives one of its smallest and one of each further part, by rising bytes: some of every size.

    Args:
        rng: Draws among equals.
        strata: By number the bytes.
        most: How many to return.
    """
    ordered = sorted((_mixed(rng, stratum) for stratum in strata), key=len)
    chosen: list[int] = []
    for i, stratum in enumerate(ordered):
        count = min(len(stratum), (most - len(chosen)) // (len(ordered) - i))
        if count:
            rest, parts = stratum[1:], count - 1
            ends = [len(rest) * part // parts for part in range(parts + 1)] if parts else []
            chosen += [stratum[0], *(rng.choice(rest[start:end]) for start, end in pairwise(ends))]
    return sorted(chosen)


def _mixed(rng: random.Random, stratum: Mapping[int, int]) -> list[int]:
    """Return all by rising bytes, equals in any order."""
    return sorted(rng.sample(list(stratum), len(stratum)), key=stratum.__getitem__)
