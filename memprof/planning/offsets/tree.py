"""The columns of the kernel for one layout and one engine: attempts begin, go on for a moment, and learn."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import numpy.typing as npt

from memprof.planning.offsets.engine import Engine, interrupted_compiling
from memprof.planning.offsets.kernel import BY_NOTHING, BY_REST, BY_WEIGHT, CAPACITY, DYNAMIC, Kernel
from memprof.planning.offsets.layout import Layout, loads, make_kernel

_LOOK_SECONDS = 0.05  # between two looks at the clock

_WIDTH_THEN_AREA, _AREA_THEN_WIDTH = 0, 1
RANKINGS = (
    (_WIDTH_THEN_AREA, BY_NOTHING),
    (_AREA_THEN_WIDTH, BY_WEIGHT),
    (_AREA_THEN_WIDTH, BY_REST),
    (_WIDTH_THEN_AREA, BY_WEIGHT),
    (_WIDTH_THEN_AREA, BY_REST),
)
"""Which buffer goes first: the fixed order, and what comes before it. One attempt per row and round."""

LEARNT_RANKINGS = tuple(ranking for ranking in RANKINGS if ranking[1] == BY_WEIGHT)
"""Those that learn from failure: they come closest where the bound is out of reach."""


class Tree:
    """The kernel's columns for one layout and one engine, and what is learnt from one attempt to the next."""

    def __init__(self, layout: Layout, engine: Engine, weights: list[int] | None = None) -> None:
        self.layout = layout
        self.engine = engine
        self.placements = 0
        self._pace = max(1, min(64, 50_000 // max(1, layout.count)))  # placements between two looks at the clock
        self._kernel: Kernel = make_kernel(layout, engine.make_column)
        area = layout.size.astype(np.float64) * layout.width
        self._fixed = (_positions(area, layout.width), _positions(layout.width, area))
        self._rest, self._crossing = (column.tolist() for column in loads(layout))
        self._set("weight", weights or [0] * layout.section_count)

    def begin(self, capacity_bytes: int, ranking: tuple[int, int]) -> int:
        """Start an attempt; return the kernel's state."""
        layout, k = self.layout, self._kernel
        fixed, dynamic = ranking
        self._set("fixed", self._fixed[fixed])
        self._set("rest", self._rest)
        self._set("crossing", self._crossing)
        self._set("pool", list(range(layout.count)))
        self._set("rank", [0] * layout.count)
        self._set("witness", layout.member[layout.member_start[:-1]].tolist())
        k.control[CAPACITY] = capacity_bytes // layout.granule_bytes
        k.control[DYNAMIC] = dynamic
        with interrupted_compiling():
            return self.engine.begin(k)

    def advance(self, placements: int) -> tuple[int, int]:
        """Go on for a moment, by at most ``placements``; return the kernel's state and how many were tried."""
        placements = min(placements, self._pace)
        started = time.monotonic()
        with interrupted_compiling():
            state = self.engine.advance(self._kernel, placements)
        self.placements += placements
        spent = time.monotonic() - started
        if placements == self._pace and spent < _LOOK_SECONDS / 2:
            self._pace *= 2
        elif spent > _LOOK_SECONDS:
            self._pace = max(1, self._pace // 2)
        return state, placements

    def offsets(self) -> list[int]:
        """Return the plan that the attempt found, in bytes."""
        return [int(offset) * self.layout.granule_bytes for offset in self._kernel.offset]

    def weights(self) -> list[int]:
        """Return how often each section gave a node up."""
        return [int(weight) for weight in self._kernel.weight]

    def _set(self, column: str, values: list[int]) -> None:
        getattr(self._kernel, column)[: len(values)] = values


def _positions(*keys: npt.NDArray[Any]) -> list[int]:
    """Return each buffer's position in the order by the last key, then the one before, each descending."""
    order = np.lexsort(tuple(-key for key in keys))
    positions = np.empty(len(order), dtype=np.int64)
    positions[order] = np.arange(len(order))
    found: list[int] = positions.tolist()
    return found
