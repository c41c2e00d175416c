"""First fit again and again, for many buffers: in orders that suit the load, then in orders that learn.

    load ^      ▄▄              outward    classes of size, largest first; of one class those at the fullest
         |  ▄▄ ████▄  ▄▄                   step first, then what lies next to it, to either side
         | ████████████████     by load    size, life and the load around a buffer together: what lives where little
         └──────────────────> steps        is alive waits, since it finds room anyhow

Outward is as if time ran away from the fullest step: each class lies on what is larger without holes, and of those
that hold that step the ones that end soon lie on those that end late, so that what they free is one piece.

Whatever ends too high has its turn earlier the next time, and so on: a wheel that turns as long as time is left
(squeaky wheel optimisation, Joslin and Clements, JAIR 10, 1999). A plan at the bound ends it.

Where hundreds are alive at once, the first of each order, which make most of the load, are laid close to each other
in time (``abutting``), the rest around them by first fit; and the wheel turns with the first three tenths of an order
alone (``rehearsal``): in a tenth of the time they tell how high all of them will end. Where there are too many to be
laid often, a few orders go outward from each of the fullest peaks.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from memprof.planning.meter import Meter
from memprof.planning.offsets import abutting
from memprof.planning.offsets.abutting import Abutting
from memprof.planning.offsets.columns import Columns
from memprof.planning.offsets.engine import (
    PLAIN,
    Engine,
    compiled_engine,
    has_compiler,
    interrupted_compiling,
    is_compiled_before,
)
from memprof.planning.offsets.problem import Ints
from memprof.planning.offsets.rehearsal import Rehearsal, rehearsal_of
from memprof.planning.offsets.shelving import BLOCK, CONTROL_SIZE, COUNT, GIVEN, NEXT, Shelving

Floats = npt.NDArray[np.float64]

_CLASSES = (1.0, 0.7, 0.5, 0.33)  # per doubling of the size
_SHIFTS = (0.0, 0.5, 0.25, 0.75)  # where classes begin, in parts of one
_LOADED = (
    (1.5, 30.0, 0.5),
    (1.0, 40.0, 0.5),
    (1.0, 40.0, 0.75),
    (1.0, 30.0, 0.0),
    (1.0, 20.0, 0.5),
    (0.7, 30.0, 0.5),
    (0.7, 20.0, 0.0),
    (1.0, 10.0, 0.0),
)
"""Classes per doubling, and how many doublings of the size the full load, and one of the life, are worth there."""
_LOADED_NAME = "first fit, outward by load"
_LOAD_WEIGHT = 10.0  # the same where each load is a class of its own
_LAID_SELDOM = ((1.0, 30.0, 0.25), (1.0, 40.0, 0.5), (1.5, 30.0, 0.5))
"""Those of them that begin where few turns fit."""
_CENTRES = 3  # peaks of the load from which orders go outward
_PROMINENCE = 0.02  # of the bound, by which the load falls between two peaks
_LEARNT = ((0.95, 60), (0.85, 140))
"""What counts as full while it learns, as a part of the bound, and rehearsals so; where few turns fit, the first."""
_FEW_TURNS_BUFFERS = 20_000  # with more, each compiled turn takes a second or so, and the first must be good
_SLOW_BUFFERS = 50_000  # with more, a turn that is not compiled takes seconds
_CROWDED = 100  # alive at once: holes are many then, and the load around a buffer changes slowly
_AIM = 0.7  # of the gap to the bound: what lies above it moves forward
_MOVES = 0.7  # of those, chosen at random
_PATIENCE, _REHEARSED_PATIENCE = 50, 20  # turns without a better plan; the same after rehearsals
_LAST_TURNS = 2.2  # time for so many more: then what was learnt is laid
_ITEMS_PER_STEP = 5  # looked at, over one step of the meter
_AT_ONCE = {PLAIN.name: 50_000, "compiled": 2_000_000}  # items between two words to the meter: a few milliseconds
_ABUTTING, _MORE_ABUTTING = 0.2, 0.4  # of the buffers, first in an order; the second in four times the time
_MOST_ABUTTING = {PLAIN.name: 2_000, "compiled": 40_000}  # that takes half a second, and one and a half
_REACH = 0.2  # of a mean life: neighbours that are farther off in time do not count
_PLAIN_BUFFERS, _PLAIN_SECONDS = 5_000, 1.0  # so few, for so long, before compiled code is worth its start
_MOST_SHORT = 2**31  # what 32 bits hold
_LOAD_SECONDS, _COMPILE_SECONDS = 0.6, 4.0  # that must be left to begin with it, compiled before or not

Offer = Callable[[list[int], str], None]


@dataclass(frozen=True, slots=True)
class _Turns:
    """An order that has been tried.

    Attributes:
        name: What it goes by.
        first: What has its turn first: the largest.
        centre: Which of the peaks it goes outward from.
        rehearsal: What is laid, if not all: that makes no plan.
        abutting: How many come first and are laid close to each other in time, as a part of all.
    """

    name: str
    first: Floats
    centre: int = 0
    rehearsal: Rehearsal | None = None
    abutting: float = _ABUTTING


class FirstFits:
    """Plans by first fit of one problem.

    Args:
        columns: The buffers.
        bound_bytes: No plan is lower, or needs to be.
        offer: Called with every plan that is lower than those before.
        meter: Told of all work.
        engine: How to run it; by default plainly, and compiled where that pays.
    """

    def __init__(
        self, columns: Columns, bound_bytes: int, offer: Offer, meter: Meter, engine: Engine | None = None
    ) -> None:
        self._by_birth = np.lexsort((columns.stop, columns.start))  # what meets in time is close in memory
        self._start, self._stop = columns.start[self._by_birth], columns.stop[self._by_birth]
        self._size, self._load = columns.size[self._by_birth], columns.load[self._by_birth]
        self._granule = int(np.gcd.reduce(self._size, initial=0)) or 1
        self._mean_alive = columns.mean_alive
        self._bound_bytes = bound_bytes
        self._offer = offer
        self._meter = meter
        self._chosen = engine
        self._engine: Engine | None = None
        self._shelving: Shelving | None = None
        self._abutting: Abutting | None = None
        self._uncounted = 0  # items that make no step yet
        self._orders = self._all_orders()
        self._next: _Turns | None = None
        self._top = 0
        self._offset = self._ends = np.zeros(0, dtype=np.int64)
        self._cost = 0, 0.0  # of a turn with all: steps and seconds
        self._is_laid_seldom = False
        self.best_bytes = int(self._size.sum()) + 1
        self._profile = columns.profile
        self._centres = [self._from_step(self._fullest_step())]

    def turn(self, meter: Meter) -> bool:
        """Make one more plan; return whether the bound is not met yet.

        Raises:
            OutOfBudget: The meter ran out; nothing came of the plan.
        """
        self._meter = meter
        if self._next is None:
            self._next = next(self._orders)
        self._place(self._next)
        if self._top < self.best_bytes and self._next.rehearsal is None:
            self.best_bytes = self._top
            offsets = np.empty_like(self._offset)
            offsets[self._by_birth] = self._offset
            self._offer(offsets.tolist(), self._next.name)
        self._next = None
        return self.best_bytes > self._bound_bytes

    @property
    def is_slow(self) -> bool:
        """Whether the next turn runs plainly, and that takes long."""
        return len(self._size) > _SLOW_BUFFERS and self._best_engine() is PLAIN

    def _fullest_step(self) -> int:
        fullest = self._load == self._load.max()
        # A birth, and all that are alive there have not died before.
        return int(self._start[fullest & (self._start < self._stop[fullest].min())].max())

    def _from_step(self, step: int) -> tuple[Ints, Ints]:
        """Return the steps from each life to a step, and how long those that hold it do to both sides."""
        away = np.maximum(self._start - step, step - self._stop + 1)
        return np.maximum(away, 0), np.minimum(self._stop - step, step - self._start + 1)

    @property
    def _is_crowded(self) -> bool:
        return self._mean_alive >= _CROWDED

    def _portfolio(self) -> Iterator[_Turns]:
        doublings = np.log2(self._size.astype(np.float64))
        outward = [
            _Turns("first fit, outward", np.floor(doublings * per_doubling + shift))
            for shift in _SHIFTS
            for per_doubling in _CLASSES
        ]
        load = self._load / max(1, self._bound_bytes)
        by_load = _Turns("first fit, by load", doublings + _LOAD_WEIGHT * load)
        yield from (outward[0], by_load, *outward[1:], *map(self._loaded, _LOADED))

    def _loaded(self, row: tuple[float, float, float]) -> _Turns:
        per_doubling, weight, life = row
        doublings = np.log2(self._size.astype(np.float64))
        lives = np.log2((self._stop - self._start).astype(np.float64))
        load = self._load / max(1, self._bound_bytes)
        return _Turns(_LOADED_NAME, np.floor((doublings + life * lives + weight * load) * per_doubling))

    def _all_orders(self) -> Iterator[_Turns]:
        """Yield those of the portfolio, then without end what the best of them become."""
        tried: list[tuple[int, int, _Turns]] = []
        often = _PLAIN_BUFFERS if self._best_engine() is PLAIN else _FEW_TURNS_BUFFERS
        self._is_laid_seldom = self._is_crowded and len(self._size) > often
        if self._is_laid_seldom:
            yield self._loaded(_LAID_SELDOM[0])
            self._centres += map(self._from_step, _peaks(*self._profile)[1:_CENTRES])
            for row, centre in product(_LAID_SELDOM, range(len(self._centres))):
                turns = replace(self._loaded(row), centre=centre, abutting=_MORE_ABUTTING)
                yield turns
                tried.append((self._top, len(tried), turns))
        else:
            for number, turns in enumerate(self._portfolio()):
                yield turns
                if self._is_crowded or turns.name != _LOADED_NAME:  # better at once, worse to learn from
                    tried.append((self._top, number, turns))
        tried.sort(key=lambda one: one[:2])
        rng = np.random.default_rng(0)
        while True:
            for _, _, turns in tried:
                learnt = turns
                if self._is_crowded:
                    learnt = yield from self._learn(turns, rng)
                yield from self._wheel(learnt, rng)

    def _learn(self, turns: _Turns, rng: np.random.Generator) -> Generator[_Turns, None, _Turns]:
        """Yield rehearsals of an order, some of what will end too high moved forward; return the best."""
        for full, most in _LEARNT[:1] if self._is_laid_seldom else _LEARNT:
            rehearsed = self._rehearsed(turns, full)
            assert rehearsed.rehearsal is not None
            members = rehearsed.rehearsal.members
            first, best_bytes = turns.first.copy(), 0
            for _ in range(most):
                if self._has_last_turns:
                    break
                yield replace(rehearsed, first=first)
                if not best_bytes or self._top < best_bytes:
                    best_bytes, turns = self._top, replace(turns, first=first.copy())
                if best_bytes <= self._bound_bytes:
                    break
                self._move(first, members, best_bytes, rng)
        return turns

    def _wheel(self, turns: _Turns, rng: np.random.Generator) -> Iterator[_Turns]:
        """Yield an order again and again, each time with some of what ended too high moved forward."""
        everyone = np.arange(len(self._size))
        first = turns.first.copy()
        best, since = self.best_bytes, 0
        patience = 1 if self._is_laid_seldom else _REHEARSED_PATIENCE if self._is_crowded else _PATIENCE
        while since < patience:
            yield replace(turns, name=f"{turns.name}; learnt", first=first)
            since = 0 if self._top < best else since + 1
            best = min(best, self._top)
            self._move(first, everyone, self.best_bytes, rng)

    def _move(self, first: Floats, members: Ints, best_bytes: int, rng: np.random.Generator) -> None:
        """Move some of those that were laid and ended too high forward."""
        aim = self._bound_bytes + int(_AIM * (best_bytes - self._bound_bytes))
        late = members[self._ends > aim]
        first[late] += rng.random(len(late)) < _MOVES

    def _rehearsed(self, turns: _Turns, full: float) -> _Turns:
        """Return a rehearsal of an order: what waits counts where the load is ``full`` of the bound, or more."""
        full_bytes = int(full * self._bound_bytes)
        rehearsal = rehearsal_of(
            self._in_turn(turns), self._start, self._stop, self._size, self._profile, full_bytes=full_bytes
        )
        return replace(turns, rehearsal=rehearsal)

    @property
    def _has_last_turns(self) -> bool:
        """Whether the time, or the steps, that are left are just enough to lay all once or twice more."""
        steps, seconds = self._cost
        return _LAST_TURNS * steps > self._meter.steps_left or _LAST_TURNS * seconds > self._meter.seconds_left

    def _in_turn(self, turns: _Turns) -> Ints:
        distance, reach = self._centres[turns.centre]
        if turns.rehearsal is None:
            return np.lexsort((-reach, distance, -turns.first))
        few = turns.rehearsal.members
        return few[np.lexsort((-reach[few], distance[few], -turns.first[few]))]

    def _place(self, turns: _Turns) -> None:
        """Place all in an order, or those of a rehearsal."""
        v, engine = self._ready()
        before = self._meter.spent, self._meter.seconds
        order = self._in_turn(turns)
        v.order[: len(order)] = order if engine is not PLAIN else order.tolist()
        with interrupted_compiling():
            engine.clear(v)
            v.control[COUNT] = len(order)
            v.control[GIVEN] = (
                self._abut(v, engine, min(len(order), int(turns.abutting * len(self._size))))
                if self._is_crowded
                else 0
            )
            while v.control[NEXT] < len(order):
                self._count(engine.place(v, self._at_once(engine)))
        self._offset = np.array(v.offset, dtype=np.int64) * self._granule
        if turns.rehearsal is None:
            self._cost = self._meter.spent - before[0], self._meter.seconds - before[1]
            self._ends = self._offset + self._size
        else:
            few = turns.rehearsal.members
            self._ends = self._offset[few] + self._size[few] + turns.rehearsal.waiting
        self._top = int(self._ends.max(initial=0))

    def _abut(self, v: Shelving, engine: Engine, most: int) -> int:
        """Place the first buffers of the order of ``v`` close to each other; return how many."""
        a = self._abutting
        assert a is not None
        count = a.control[abutting.COUNT] = min(len(a.near), most)
        a.control[abutting.NEXT] = 0
        while a.control[abutting.NEXT] < count:
            self._count(engine.abut(a, self._at_once(engine)))
        return count

    def _at_once(self, engine: Engine) -> int:
        """Return how many items to look at before the meter is told: where its steps end, every engine ends at once.

        Which one runs may be the clock's affair; what is left for others must not be.
        """
        return min(_AT_ONCE[engine.name], _ITEMS_PER_STEP * (self._meter.steps_left + 1) - self._uncounted)

    def _count(self, items: int) -> None:
        """Tell the meter of items that were looked at, however many at once."""
        steps, self._uncounted = divmod(self._uncounted + items, _ITEMS_PER_STEP)
        self._meter.spend(steps)

    def _ready(self) -> tuple[Shelving, Engine]:
        engine = self._best_engine()
        if self._shelving is None or engine is not self._engine:
            self._engine, self._shelving = engine, self._put_up(engine.make_column)
            with interrupted_compiling():  # compiles, so that no turn has to
                engine.clear(self._shelving)
                engine.place(self._shelving, 0)
            if self._is_crowded:
                self._abutting = self._room_to_abut(self._shelving, engine)
                with interrupted_compiling():
                    engine.abut(self._abutting, 0)
        return self._shelving, engine

    def _best_engine(self) -> Engine:
        if self._chosen is not None or self._engine not in (None, PLAIN) or not has_compiler():
            return self._chosen or self._engine or PLAIN
        is_short = len(self._size) <= _PLAIN_BUFFERS and self._meter.seconds < _PLAIN_SECONDS
        if is_short or self._meter.seconds_left < _LOAD_SECONDS:
            return PLAIN
        engine = compiled_engine()
        needed = _LOAD_SECONDS if is_compiled_before(engine.place) else _COMPILE_SECONDS
        return engine if self._meter.seconds_left >= needed else PLAIN

    def _put_up(self, make_column: Callable[[Ints], Any]) -> Shelving:
        """Return empty shelves."""
        count = len(self._size)
        moments = np.unique(np.concatenate((self._start, self._stop)))  # however far apart: shelves are few
        start, stop = np.searchsorted(moments, self._start), np.searchsorted(moments, self._stop)
        per_shelf = _shelf_length(stop - start, len(moments))
        first, last = start // per_shelf, (stop - 1) // per_shelf + 1
        shelves = int(last.max(initial=0))
        blocks = shelves + 2 * int((last - first).sum()) // BLOCK
        lengths = {
            **dict.fromkeys(("block", "climbed"), shelves),
            **dict.fromkeys(("before", "after", "used"), blocks),
            **dict.fromkeys(("starts", "stops", "bottoms", "tops"), blocks * BLOCK),
            **dict.fromkeys(("order", "offset"), count),
            "control": CONTROL_SIZE,
        }
        columns = {
            "start": start,
            "stop": stop,
            "size": self._size // self._granule,
            "first": first,
            "last": last,
            **{name: np.zeros(length, dtype=np.int64) for name, length in lengths.items()},
        }
        # Half the memory is passed over in less time.
        kind = np.int32 if int(columns["size"].sum()) < _MOST_SHORT else np.int64
        if self._shelving is None:  # once, whether the clock calls for another engine or not
            self._meter.spend(count // _ITEMS_PER_STEP)
        return Shelving(**{name: make_column(column.astype(kind)) for name, column in columns.items()})

    def _room_to_abut(self, v: Shelving, engine: Engine) -> Abutting:
        """Return the columns for the first buffers of an order; the order and the offsets are those of ``v``."""
        count = min(int(_MORE_ABUTTING * len(self._size)), _MOST_ABUTTING[engine.name])
        reach = max(1, int(_REACH * float(np.mean(np.array(v.stop) - np.array(v.start)))))
        control = np.zeros(abutting.CONTROL_SIZE, dtype=np.int64)
        control[abutting.REACH], control[abutting.SCALE] = reach, max(1, self._bound_bytes // self._granule)
        names = ("starts", "stops", "bottoms", "tops", "near", "highest")
        kind = np.array(v.size).dtype
        return Abutting(
            start=v.start,
            stop=v.stop,
            size=v.size,
            order=v.order,
            offset=v.offset,
            control=engine.make_column(control),
            **{name: engine.make_column(np.zeros(count, dtype=kind)) for name in names},
        )


def _peaks(steps: Ints, loads: Ints) -> list[int]:
    """Return the steps of the highest loads between which it falls markedly, highest first."""
    fall = int(_PROMINENCE * int(loads.max(initial=0)))
    found: list[tuple[int, int]] = []
    best, at, lowest = -1, 0, 0
    is_rising = True
    for step, load in zip(steps.tolist(), loads.tolist(), strict=True):
        if is_rising and load > best:
            best, at = load, step
        elif is_rising and load < best - fall:
            found.append((-best, at))
            is_rising, lowest = False, load
        elif not is_rising:
            lowest = min(lowest, load)
            if load > lowest + fall:
                is_rising, best, at = True, load, step
    return [step for _, step in sorted(found)]


def _shelf_length(lives: Ints, moments: int) -> int:
    """Return the usual life, and half of the average one if a few are very long: a life touches few shelves.

    Never so short that less than half a block begins on a shelf.
    """
    if not len(lives):
        return 1
    return max(1, int(np.median(lives)), int(lives.mean()) // 2, moments * BLOCK // (2 * len(lives)))
