"""First fit again and again, for many buffers: in orders that suit the load, then in orders that learn.

    load ^      ▄▄              outward    classes of size, largest first; of one class those at the fullest
         |  ▄▄ ████▄  ▄▄                   step first, then what lies next to it, to either side
         | ████████████████     by load    size, life and the load around a buffer together: what lives where little
         └──────────────────> steps        is alive waits, since it finds room anyhow

Outward is as if time ran away from the fullest step: each class lies on what is larger without holes, and of those
that hold that step the ones that end soon lie on those that end late, so that what they free is one piece.

Whatever ends too high has its turn earlier the next time, and so on: a wheel that turns as long as time is left
(squeaky wheel optimisation, Joslin and Clements, JAIR 10, 1999). A plan at the bound ends it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from memprof.planning.meter import Meter
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
from memprof.planning.offsets.shelving import CONTROL_SIZE, NEXT, TOP, Shelving

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
_FEW_TURNS_BUFFERS = 20_000  # with more, each turn takes a second or so, and the first must be good
_SLOW_BUFFERS = 50_000  # with more, a turn that is not compiled takes seconds
_CROWDED = 200  # alive at once: holes are many then, and the load around a buffer changes slowly
_AIM = 0.7  # of the gap to the bound: what lies above it moves forward
_MOVES = 0.7  # of those, chosen at random
_PATIENCE = 50  # turns without a better plan
_ITEMS_PER_STEP = 5  # looked at, over one step of the meter
_AT_ONCE = {PLAIN.name: 50_000, "compiled": 2_000_000}  # items between two words to the meter: a few milliseconds
_PLAIN_BUFFERS, _PLAIN_SECONDS = 5_000, 1.0  # so few, for so long, before compiled code is worth its start
_LOAD_SECONDS, _COMPILE_SECONDS = 1.0, 6.0  # that must be left to begin with it, compiled before or not

Offer = Callable[[list[int], str], None]


@dataclass(frozen=True, slots=True)
class _Turns:
    """An order that has been tried.

    Attributes:
        name: What it goes by.
        first: What has its turn first: the largest.
    """

    name: str
    first: Floats


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
        self._mean_alive = columns.mean_alive
        self._bound_bytes = bound_bytes
        self._offer = offer
        self._meter = meter
        self._chosen = engine
        self._engine: Engine | None = None
        self._shelving: Shelving | None = None
        self._orders = self._all_orders()
        self._next: _Turns | None = None
        self._top = 0
        self._offset = np.zeros(0, dtype=np.int64)
        self.best_bytes = int(self._size.sum()) + 1
        self._distance, self._reach = self._from_fullest_step()

    def turn(self, meter: Meter) -> bool:
        """Make one more plan; return whether the bound is not met yet.

        Raises:
            OutOfBudget: The meter ran out; nothing came of the plan.
        """
        self._meter = meter
        if self._next is None:
            self._next = next(self._orders)
        self._place(self._next.first)
        if self._top < self.best_bytes:
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

    def _from_fullest_step(self) -> tuple[Ints, Ints]:
        """Return the steps from each life to the fullest step, and how long those that hold it do to both sides."""
        fullest = self._load == self._load.max()
        # A birth, and all that are alive there have not died before.
        step = int(self._start[fullest & (self._start < self._stop[fullest].min())].max())
        away = np.maximum(self._start - step, step - self._stop + 1)
        return np.maximum(away, 0), np.minimum(self._stop - step, step - self._start + 1)

    def _portfolio(self) -> Iterator[_Turns]:
        doublings = np.log2(self._size.astype(np.float64))
        lives = np.log2((self._stop - self._start).astype(np.float64))
        load = self._load / max(1, self._bound_bytes)
        outward = [
            _Turns("first fit, outward", np.floor(doublings * per_doubling + shift))
            for shift in _SHIFTS
            for per_doubling in _CLASSES
        ]
        loaded = [
            _Turns(_LOADED_NAME, np.floor((doublings + life * lives + weight * load) * per_doubling))
            for per_doubling, weight, life in _LOADED
        ]
        by_load = _Turns("first fit, by load", doublings + _LOAD_WEIGHT * load)
        plain = (outward[0], by_load, *outward[1:])
        is_loaded_first = self._mean_alive >= _CROWDED and len(self._size) > _FEW_TURNS_BUFFERS
        yield from (*loaded, *plain) if is_loaded_first else (*plain, *loaded)

    def _all_orders(self) -> Iterator[_Turns]:
        """Yield those of the portfolio, then without end what the best of them become."""
        tried: list[tuple[int, int, _Turns]] = []
        for number, turns in enumerate(self._portfolio()):
            yield turns
            if turns.name != _LOADED_NAME:  # better at once, worse to learn from
                tried.append((self._top, number, turns))
        tried.sort(key=lambda one: one[:2])
        rng = np.random.default_rng(0)
        while True:
            for _, _, turns in tried:
                yield from self._wheel(turns, rng)

    def _wheel(self, turns: _Turns, rng: np.random.Generator) -> Iterator[_Turns]:
        """Yield an order again and again, each time with some of what ended too high moved forward."""
        first = turns.first.copy()
        best, since = self.best_bytes, 0
        while since < _PATIENCE:
            yield _Turns(f"{turns.name}; learnt", first)
            since = 0 if self._top < best else since + 1
            best = min(best, self._top)
            aim = self._bound_bytes + int(_AIM * (self.best_bytes - self._bound_bytes))
            late = np.flatnonzero(self._offset + self._size > aim)
            first[late] += rng.random(len(late)) < _MOVES

    def _place(self, first: Floats) -> None:
        """Place all in an order."""
        v, engine = self._ready()
        order = np.lexsort((-self._reach, self._distance, -first))
        v.order[:] = order if engine is not PLAIN else order.tolist()
        with interrupted_compiling():
            engine.clear(v)
            while v.control[NEXT] < len(v.order):
                self._meter.spend(engine.place(v, _AT_ONCE[engine.name]) // _ITEMS_PER_STEP)
        self._offset = np.array(v.offset, dtype=np.int64)
        self._top = int(v.control[TOP])

    def _ready(self) -> tuple[Shelving, Engine]:
        engine = self._best_engine()
        if self._shelving is None or engine is not self._engine:
            self._engine, self._shelving = engine, self._put_up(engine.make_column)
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
        per_shelf = _shelf_length(self._stop - self._start)
        low = self._start.min(initial=0)
        first, last = (self._start - low) // per_shelf, (self._stop - 1 - low) // per_shelf + 1
        shelves = int(last.max(initial=0))
        change = np.bincount(first, minlength=shelves + 1) - np.bincount(last, minlength=shelves + 1)
        begins = np.concatenate(([0], np.cumsum(np.cumsum(change[:-1]))))
        lengths = {"ends": shelves, "cursor": shelves, "owner": int(begins[-1]), "order": count, "offset": count}
        columns = {
            "start": self._start,
            "stop": self._stop,
            "size": self._size,
            "first": first,
            "last": last,
            "begins": begins[:-1],
            "control": np.zeros(CONTROL_SIZE, dtype=np.int64),
            **{name: np.zeros(length, dtype=np.int64) for name, length in lengths.items()},
        }
        self._meter.spend(count // _ITEMS_PER_STEP)
        return Shelving(**{name: make_column(column.astype(np.int64)) for name, column in columns.items()})


def _shelf_length(width: Ints) -> int:
    """Return the usual life, and half of the average one if a few are very long: a life touches few shelves."""
    if not len(width):
        return 1
    return max(1, int(np.median(width)), int(width.mean()) // 2)
