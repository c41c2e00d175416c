"""Several arenas of given sizes and costs: which buffer goes where, so that traffic costs least.

    fast  512 KiB, 1 per byte    ┐   every buffer lies in one arena for all its life (nothing is moved), at an offset
    slow  4 GiB,  10 per byte    ┘   cost = sum over buffers of bytes read and written x the arena's cost per byte

Bound   each arena's capacity at each step is priced (Lagrange multipliers, by subgradient steps); with the prices
        every buffer chooses its cheapest arena for itself, which no plan can undercut. Prices are found in floating
        point, rounded, and the bound is then computed in exact arithmetic, so that it is a bound.
Plan    each of many buffers takes its cheapest arena at those prices as it is born, or else one that has a gap.
        Buffers choose in several orders (what they save per byte and step, per byte, in all, at those prices); each
        takes the cheapest arena that has a gap for it. The best plan is then improved: a buffer in a dear arena is
        tried in a cheaper one, whose offsets are planned anew by search, as long as time is left.

Bound and plan meet on easy problems only: choosing what to keep in a small arena is a knapsack over time, NP-hard.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from heapq import heappop, heappush
from itertools import accumulate, pairwise
from math import gcd, lcm
from typing import Any

import numpy as np
import numpy.typing as npt

from memprof.base.errors import BudgetError, IncompleteError, UsageError
from memprof.planning.meter import Meter, OutOfBudget, meter_of
from memprof.planning.offsets.columns import columns_of
from memprof.planning.offsets.in_time import LowestGaps
from memprof.planning.offsets.problem import AllocationProblem, Ints
from memprof.planning.offsets.shelves import Shelves
from memprof.planning.offsets.solver import decide_capacity
from memprof.planning.validator import find_violation

_STEPS_OF_PRICES = 300
_PRICE_UNIT = 2**24
_TRY_STEPS = 50_000
_FEW = 2_000  # buffers that get all prices and orders, whatever the time
_PRICES_SHARE = 0.4  # of the time, for the prices of more of them
_JUDGED_OVER_PLACED = 2  # the bound and the check of a plan, over the plan that is made in any case
_SECONDS_IN_TIME = 1.0  # that more of them may take beyond it for the one plan that is made in any case
_STEPS_PER_BIRTH, _PASSED_PER_STEP = 10, 20

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Arena:
    """A memory.

    Attributes:
        name: What people call it.
        size_bytes: Its bytes.
        cost_per_byte: What reading or writing one byte of it costs, in any unit.
    """

    name: str
    size_bytes: int
    cost_per_byte: Fraction

    def __post_init__(self) -> None:
        if self.size_bytes < 0 or self.cost_per_byte < 0:
            raise UsageError(f"Arena {self.name!r} has a negative size or cost.")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a buffer lies.

    Attributes:
        arena: Index of the arena.
        offset: First byte in it.
    """

    arena: int
    offset: int


_NOWHERE = Place(-1, 0)


@dataclass(frozen=True, kw_only=True)
class ArenasPlan:
    """A place for every buffer, and what is proven of its cost.

    Attributes:
        problem: The buffers, with their traffic.
        arenas: The memories.
        places: Where each buffer lies.
        lower_bound: No plan costs less.
        seconds: Wall time it took.
    """

    problem: AllocationProblem
    arenas: tuple[Arena, ...]
    places: tuple[Place, ...]
    lower_bound: Fraction
    seconds: float

    @cached_property
    def cost(self) -> Fraction:
        """Bytes read and written times the cost per byte of the arena they are in, summed up."""
        traffic = (buffer.traffic_bytes for buffer in self.problem.buffers)
        costs = (self.arenas[place.arena].cost_per_byte for place in self.places)
        return sum((t * cost for t, cost in zip(traffic, costs, strict=True)), Fraction(0))

    @property
    def is_optimal(self) -> bool:
        """Whether no plan costs less, proven."""
        return self.cost == self.lower_bound

    def used_bytes(self, arena: int) -> int:
        """Return the top of the highest buffer in one arena."""
        tops = (p.offset + s for p, s in zip(self.places, self.problem.sizes, strict=True) if p.arena == arena)
        return max(tops, default=0)

    def traffic_bytes(self, arena: int) -> int:
        """Return the bytes read from and written to one arena."""
        pairs = zip(self.places, self.problem.buffers, strict=True)
        return sum(buffer.traffic_bytes for place, buffer in pairs if place.arena == arena)

    def to_json(self) -> dict[str, Any]:
        """Return the plan as JSON-ready values."""
        return {
            "cost": float(self.cost),
            "lower_bound_cost": float(self.lower_bound),
            "exact_lower_bound": str(self.lower_bound),
            "optimal": self.is_optimal,
            "seconds": self.seconds,
            "arenas": [
                {
                    "name": arena.name,
                    "size_bytes": arena.size_bytes,
                    "cost_per_byte": float(arena.cost_per_byte),
                    "exact_cost_per_byte": str(arena.cost_per_byte),
                    "used_bytes": self.used_bytes(i),
                    "traffic_bytes": self.traffic_bytes(i),
                }
                for i, arena in enumerate(self.arenas)
            ],
            "buffers": [
                {
                    "name": buffer.name,
                    "arena": self.arenas[place.arena].name,
                    "offset": place.offset,
                    "size_bytes": buffer.size_bytes,
                    "traffic_bytes": buffer.traffic_bytes,
                    "start": buffer.start,
                    "stop": buffer.stop,
                }
                for buffer, place in zip(self.problem.buffers, self.places, strict=True)
            ],
        }


def plan_arenas(problem: AllocationProblem, arenas: Sequence[Arena], seconds: float | Meter = 10.0) -> ArenasPlan:
    """Return a place for every buffer in one of ``arenas``, as cheap as is found within ``seconds``.

    Raises:
        UsageError: There is no arena, or two have one name.
        BudgetError: The arenas together are smaller than what is alive at one step, or no arena holds some buffer.
        IncompleteError: No plan was found, and none is proven impossible.
    """
    meter = meter_of(seconds)
    if not arenas or len({arena.name for arena in arenas}) < len(arenas):
        raise UsageError("Arenas need names of their own, and there must be one.", "Give --arena NAME=SIZE:COST.")
    _check_room(problem, arenas)
    table = _Table(problem, tuple(arenas))
    is_few = len(table.sizes) <= _FEW
    at_once = None
    if not is_few:
        begun = meter.seconds
        patient = meter.patient(_STEPS_PER_BIRTH * len(table.sizes), _SECONDS_IN_TIME)
        at_once = _place_in_time(table, patient, table.homes(np.zeros((len(arenas), table.span_count))))
        meter.reserve(_JUDGED_OVER_PLACED * (meter.seconds - begun))
    prices, bound = _prices(table, meter)
    if at_once is not None and not meter.has_ended:
        at_home = _place_in_time(table, patient, table.homes(prices))
        at_once = min(filter(None, (at_home, at_once)), key=lambda places: _cost(table, places))
    places = _first_places(table, prices, Meter() if is_few else meter, at_once)
    if places is None:
        raise IncompleteError(
            "No way was found to fit the buffers into the arenas, and none is proven impossible.",
            "Make an arena larger, or give more --seconds.",
        )
    places = _improve(table, places, bound, meter)
    plan = ArenasPlan(
        problem=problem,
        arenas=tuple(arenas),
        places=tuple(places),
        lower_bound=bound,
        seconds=meter.seconds,
    )
    check_arenas(plan)
    return plan


def check_arenas(plan: ArenasPlan) -> None:
    """Judge each arena by itself, as a plan of the buffers in it.

    Raises:
        AssertionError: A rule is broken.
    """
    assert len(plan.places) == len(plan.problem.buffers), "every buffer has one place"
    assert plan.lower_bound <= plan.cost, "a bound that its own plan contradicts"
    for i, arena in enumerate(plan.arenas):
        ids = [b for b, place in enumerate(plan.places) if place.arena == i]
        found = find_violation(_part(plan.problem, ids), [plan.places[b].offset for b in ids], arena.size_bytes)
        assert found is None, f"invalid plan of arena {arena.name}: {found.rule}: {found.message}"


def _check_room(problem: AllocationProblem, arenas: Sequence[Arena]) -> None:
    room = sum(arena.size_bytes for arena in arenas)
    if problem.load_bytes > room:
        raise BudgetError(
            f"{problem.load_bytes:,} bytes are alive at one step; the arenas have {room:,} together.",
            "Make an arena larger.",
        )
    largest = max(range(len(problem.sizes)), key=problem.sizes.__getitem__, default=None)
    if largest is not None and problem.sizes[largest] > max(arena.size_bytes for arena in arenas):
        name = problem.buffers[largest].name
        raise BudgetError(f"Buffer {name!r} of {problem.sizes[largest]:,} bytes is larger than every arena.")


class _Table:
    """The problem by columns, its time line cut where loads change."""

    def __init__(self, problem: AllocationProblem, arenas: tuple[Arena, ...]) -> None:
        self.problem = problem
        self.arenas = arenas
        self.cheapest_first = sorted(range(len(arenas)), key=lambda a: (arenas[a].cost_per_byte, a))
        self.sizes: Ints = np.array(problem.sizes, dtype=np.int64)
        self.traffic: Ints = np.array([buffer.traffic_bytes for buffer in problem.buffers], dtype=np.int64)
        steps = np.array(problem.load_profile[0], dtype=np.int64)
        counted = [buffer if size else None for buffer, size in zip(problem.buffers, problem.sizes, strict=True)]
        self.first: Ints = np.searchsorted(steps, [b.start if b else 0 for b in counted]).astype(np.int64)
        self.last: Ints = np.searchsorted(steps, [b.stop if b else 0 for b in counted]).astype(np.int64)
        self.first[self.sizes == 0] = self.last[self.sizes == 0] = 0
        self.span_count = max(0, len(steps) - 1)

    @property
    def costs(self) -> Floats:
        """Cost per byte of each arena."""
        return np.array([float(arena.cost_per_byte) for arena in self.arenas])

    @property
    def room(self) -> Floats:
        """Bytes of each arena."""
        return np.array([float(arena.size_bytes) for arena in self.arenas])

    def loads(self, homes: Ints) -> Floats:
        """Return the bytes in each arena at each span, if buffer b is in arena ``homes[b]``."""
        change = np.zeros((len(self.arenas), self.span_count + 1))
        np.add.at(change, (homes, self.first), self.sizes)
        np.add.at(change, (homes, self.last), -self.sizes)
        found: Floats = np.cumsum(change, axis=1)[:, :-1]
        return found

    @cached_property
    def own_costs(self) -> Floats:
        """Cost of the traffic of each buffer in each arena, endless where it is too large. [arena, buffer]"""
        found: Floats = self.costs[:, None] * self.traffic
        found[self.sizes[None, :] > self.room[:, None]] = np.inf
        return found

    def homes(self, prices: Floats) -> Ints:
        """Return the arena that is the cheapest for each buffer by itself."""
        found: Ints = np.argmin(self.own_costs + self.rents(prices), axis=0)
        return found

    def rents(self, prices: Floats) -> Floats:
        """Return what each buffer pays in each arena: prices of all its spans, times its bytes. [arena, buffer]"""
        sums = np.concatenate([np.zeros((len(self.arenas), 1)), np.cumsum(prices, axis=1)], axis=1)
        found: Floats = (sums[:, self.last] - sums[:, self.first]) * self.sizes
        return found


def _prices(table: _Table, meter: Meter) -> tuple[Floats, Fraction]:
    """Return the best prices found, [arena, span], and the bound that they prove."""
    prices = np.zeros((len(table.arenas), table.span_count))
    highest = float((table.costs.max() * table.traffic).sum())
    best, best_value = prices, -np.inf
    pace = 1.0
    part = meter.part(_PRICES_SHARE)
    for _ in range(_STEPS_OF_PRICES if table.span_count else 0):
        if len(table.sizes) > _FEW and part.has_ended:
            break
        charged = table.own_costs + table.rents(prices)
        homes = np.argmin(charged, axis=0)
        value = float(charged.min(axis=0).sum() - (prices * table.room[:, None]).sum())
        if value > best_value:
            best, best_value = prices, value
        else:
            pace *= 0.97
        slope = table.loads(homes) - table.room[:, None]
        slope[(slope < 0) & (prices == 0)] = 0
        length = float((slope**2).sum())
        if not length:
            break
        prices = np.maximum(0.0, prices + pace * (1.05 * highest - value) / length * slope)
    return best, _exact_bound(table, best)


def _exact_bound(table: _Table, prices: Floats) -> Fraction:
    """Return what no plan can undercut, in exact arithmetic; prices are rounded to a unit first."""
    scale = lcm(*(arena.cost_per_byte.denominator for arena in table.arenas))
    sizes, traffic = table.problem.sizes, table.traffic.tolist()
    first, last = table.first.tolist(), table.last.tolist()
    least: list[int | None] = [None] * len(sizes)  # what each buffer pays at least, in parts of scale and unit
    paid = 0
    for arena, row in zip(table.arenas, prices.tolist(), strict=True):
        partial = [0, *accumulate(round(price * _PRICE_UNIT) for price in row)]
        paid += partial[-1] * arena.size_bytes
        cost = int(arena.cost_per_byte * scale) * _PRICE_UNIT
        for b, size in enumerate(sizes):
            if size <= arena.size_bytes:
                own = traffic[b] * cost + (partial[last[b]] - partial[first[b]]) * size * scale
                before = least[b]
                if before is None or own < before:
                    least[b] = own
    total = sum(own for own in least if own is not None) - paid * scale
    return _next_possible(table, max(Fraction(total, _PRICE_UNIT * scale), Fraction(0)))


def _next_possible(table: _Table, bound: Fraction) -> Fraction:
    """Return the least cost not below ``bound`` that is a sum of traffics times costs."""
    scale = lcm(*(arena.cost_per_byte.denominator for arena in table.arenas))
    unit = gcd(*(int(t * a.cost_per_byte * scale) for t in set(table.traffic.tolist()) for a in table.arenas))
    return Fraction(-(-bound * scale // unit) * unit, scale) if unit else bound


def _first_places(table: _Table, prices: Floats, meter: Meter, best: list[Place] | None) -> list[Place] | None:
    """Return the cheapest of ``best`` and of the plans in which buffers choose in turn; ``None`` if there is none."""
    with suppress(OutOfBudget):
        for order in _orders(table, prices):
            places = _place_in_turn(table, order, meter)
            if places is not None and (best is None or _cost(table, places) < _cost(table, best)):
                best = places
    return best


def _place_in_time(table: _Table, meter: Meter, homes: Ints) -> list[Place] | None:
    """Return a plan in which each buffer, as it is born, takes the lowest gap at home, else in the cheapest arena.

    ``None`` if that does not fit, or if time runs out.
    """
    with suppress(OutOfBudget):
        return _in_time(table, meter, homes)
    return None


def _in_time(table: _Table, meter: Meter, homes: Ints) -> list[Place] | None:
    problem = table.problem
    columns = columns_of(problem)
    places = [Place(table.cheapest_first[0], 0)] * len(problem.buffers)
    gaps = [LowestGaps() for _ in table.arenas]
    alive: list[tuple[int, int, int, int]] = []  # stop, arena, offset and size of each
    births = np.lexsort((-columns.size, -columns.stop, columns.start))
    sorted_columns = (columns.ids, columns.start, columns.stop, columns.size, homes[columns.ids])
    for b, start, stop, size, home in zip(*(column[births].tolist() for column in sorted_columns), strict=True):
        meter.spend(_STEPS_PER_BIRTH)
        while alive and alive[0][0] <= start:
            _, a, offset, own = heappop(alive)
            gaps[a].give_back(offset, own)
        for a in (home, *table.cheapest_first):
            offset = gaps[a].take(size)
            if offset + size <= table.arenas[a].size_bytes:
                places[b] = Place(a, offset)
                heappush(alive, (stop, a, offset, size))
                break
            gaps[a].give_back(offset, size)
        else:
            return None
    return places


def _orders(table: _Table, prices: Floats) -> Iterator[list[int]]:
    """Yield orders in which buffers choose: what each loses by being sent from the cheapest arena to the dearest."""
    cheap, dear = table.cheapest_first[0], table.cheapest_first[-1]
    saved = table.traffic * (table.costs[dear] - table.costs[cheap])
    width = np.maximum(table.last - table.first, 1)
    size = np.maximum(table.sizes, 1)
    rent = table.rents(prices)[cheap] if table.span_count else np.zeros(len(size))
    for worth in (saved / (size * width), saved / size, saved, saved - rent, table.sizes * width, table.sizes):
        yield np.argsort(-np.asarray(worth, dtype=np.float64), kind="stable").tolist()


def _place_in_turn(table: _Table, order: Sequence[int], meter: Meter) -> list[Place] | None:
    """Return a plan in which each buffer takes the lowest gap of the cheapest arena that has one."""
    columns = columns_of(table.problem)
    position = {b: i for i, b in enumerate(columns.ids.tolist())}
    shelves = [Shelves(columns, meter) for _ in table.arenas]
    places: dict[int, Place] = {}
    for b in order:
        i = position.get(b)
        size = 0 if i is None else shelves[0].size[i]
        for a in table.cheapest_first:
            offset = 0 if i is None else shelves[a].lowest_gap(i)
            if offset + size <= table.arenas[a].size_bytes:
                places[b] = Place(a, offset)
                if i is not None:
                    shelves[a].put(i, offset)
                break
        else:
            return None
    return [places[b] for b in range(len(table.problem.buffers))]


def _improve(table: _Table, places: list[Place], bound: Fraction, meter: Meter) -> list[Place]:
    """Move buffers to cheaper arenas, alone or in exchange for one with less traffic, as long as that is found.

    Offsets of an arena whose buffers change are planned anew.
    """
    is_better = True
    try:
        while is_better and not meter.has_ended and _cost(table, places) > bound:
            is_better = False
            for cheap, dear in _cheaper_pairs(table):
                if table.arenas[cheap].cost_per_byte < table.arenas[dear].cost_per_byte:
                    for new in _moves(table, places, cheap, dear, meter):
                        if meter.has_ended:
                            raise OutOfBudget
                        if new is not None:
                            places, is_better = new, True
                            break
                if is_better:
                    break
    except OutOfBudget:
        pass
    except KeyboardInterrupt:
        meter.end()
    return places


def _moves(table: _Table, places: list[Place], cheap: int, dear: int, meter: Meter) -> Iterator[list[Place] | None]:
    """Yield what each move makes of ``places``, ``None`` for one without room; largest savings first."""
    problem, arenas = table.problem, table.arenas
    traffic = table.traffic.tolist()
    busiest_first = sorted(
        (b for b, place in enumerate(places) if place.arena == dear and traffic[b]), key=lambda b: -traffic[b]
    )
    for b in busiest_first:
        yield _admit(problem, arenas[cheap], cheap, places, b, meter)
    for b in busiest_first:
        meter.spend(1 + len(places) // _PASSED_PER_STEP)
        for other, place in enumerate(places):
            if place.arena == cheap and traffic[other] < traffic[b]:
                if not problem.buffers[b].overlaps(problem.buffers[other]):
                    continue
                away = _admit(problem, arenas[dear], dear, [*places[:b], _NOWHERE, *places[b + 1 :]], other, meter)
                yield None if away is None else _admit(problem, arenas[cheap], cheap, away, b, meter)


def _cheaper_pairs(table: _Table) -> Iterator[tuple[int, int]]:
    """Yield a cheaper and a dearer arena, each pair once."""
    order = table.cheapest_first
    yield from pairwise(order)
    yield from ((order[i], order[j]) for j in range(2, len(order)) for i in range(j - 1))


def _admit(
    problem: AllocationProblem, arena: Arena, index: int, places: list[Place], b: int, meter: Meter
) -> list[Place] | None:
    """Return ``places`` with buffer ``b`` in ``arena``, ``None`` if no room was found for it there."""
    ids = [i for i, place in enumerate(places) if place.arena == index or i == b]
    part = _part(problem, ids)
    if part.load_bytes > arena.size_bytes:
        return None
    attempt = Meter(meter.seconds_left, min(_TRY_STEPS, meter.steps_left), parent=meter)  # Ctrl-C in it ends both
    found = decide_capacity(part, arena.size_bytes, attempt)
    if not found.answer:
        return None
    new = list(places)
    for i, offset in zip(ids, found.plan.offsets, strict=True):
        new[i] = Place(index, offset)
    return new


def _part(problem: AllocationProblem, ids: Sequence[int]) -> AllocationProblem:
    return replace(problem, buffers=tuple(problem.buffers[i] for i in ids))


def _cost(table: _Table, places: Sequence[Place]) -> Fraction:
    costs = (table.arenas[place.arena].cost_per_byte for place in places)
    return sum((int(t) * c for t, c in zip(table.traffic.tolist(), costs, strict=True)), Fraction(0))
