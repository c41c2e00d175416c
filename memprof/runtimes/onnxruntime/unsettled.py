"""The block of a default session in every order that sessions of one model may take: the same, or a range.

For each stretch that may run otherwise (``windows``) each of its orders is planned and laid out from what lies before
it. Where all decide alike - the same buffers shared, the same left to take, the same gaps - what comes after it is
the same, whatever the other stretches did: then the block has one size, proven without trying all combinations.
Stretches whose orders leave something else behind are combined, up to a limit, and the others tried in each
combination.

Complexity: one more plan and layout, and each stretch once per order.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod

from memprof.runtimes.onnxruntime.frame import Frame
from memprof.runtimes.onnxruntime.pattern import Block, rounded
from memprof.runtimes.onnxruntime.plan import ReusePlan
from memprof.runtimes.onnxruntime.windows import Window, find_windows

_MAX_STEPS = 6_000
"""Steps of all combinations together that are tried."""


def block_sizes(frame: Frame) -> frozenset[int] | None:
    """Return the bytes that the block may have, by the order which a session takes; ``None`` if nobody can say.

    Args:
        frame: A main graph, all sizes known.
    """
    windows = find_windows(frame.graph, frame.plan.order)
    if windows is None:
        return None
    if not windows:
        return frozenset((frame.pattern_bytes,))
    combined: tuple[Window, ...] = ()
    while True:
        if prod(len(window.orders) for window in combined) * len(frame.plan.order) > _MAX_STEPS:
            return None
        apart = [window for window in windows if window not in combined]
        found = [_survey(frame, order, apart) for order in _orders(frame.plan.order, combined)]
        more = {window for survey in found for window in survey.open}
        if not more:
            return frozenset(survey.size_bytes for survey in found)
        combined = tuple(window for window in windows if window in combined or window in more)


def _orders(order: Sequence[int], windows: Sequence[Window]) -> Iterator[list[int]]:
    """Yield ``order`` with the nodes of each of ``windows`` in each order that they may have."""
    for chosen in product(*(window.orders for window in windows)):
        other = list(order)
        for window, ids in zip(windows, chosen, strict=True):
            other[window.start : window.stop] = ids
        yield other


@dataclass(frozen=True, slots=True)
class _Survey:
    """The block of one order, and the stretches whose other orders leave something else behind."""

    size_bytes: int
    open: tuple[Window, ...]


def _survey(frame: Frame, order: Sequence[int], windows: Sequence[Window]) -> _Survey:
    planning, open_windows = frame.planning(order), set()
    step = 0
    for window in windows:
        planning.run(order[step : window.start], step)
        before = planning.fork()
        planning.run(order[window.start : window.stop], window.start)
        for other in window.orders[1:]:
            tried = before.fork()
            tried.run(other, window.start)
            if not planning.decides_like(tried):
                open_windows.add(window)
        step = window.stop
    planning.run(order[step:], step)
    layout = _Layout(frame, planning.plan(order))
    for window in windows:
        if window not in open_windows and not layout.is_alike(window):
            open_windows.add(window)
    layout.advance(len(order))
    return _Survey(layout.block.size_bytes, tuple(window for window in windows if window in open_windows))


class _Layout:
    """A block that is laid out step by step."""

    def __init__(self, frame: Frame, plan: ReusePlan) -> None:
        self.block = Block()
        self._frame, self._plan, self._step = frame, plan, 0
        self._births: defaultdict[int, list[int]] = defaultdict(list)  # by node
        self._deaths: defaultdict[int, list[int]] = defaultdict(list)  # by step
        self._offset: dict[int, int] = {}
        sizes, apart = frame.graph.value_bytes, frame.apart
        self._size = {i: rounded(size) for i in plan.owned if i not in apart and (size := sizes[i])}
        for value_id in self._size:
            self._births[plan.order[plan.start[value_id]]].append(value_id)
            self._deaths[plan.stop[value_id]].append(value_id)

    def advance(self, stop: int) -> None:
        """Lay out what is written before the step ``stop``, and give back what is free at it."""
        for step in range(self._step, stop):
            self._write(self.block, self._offset, self._plan.order[step])
            self._free(self.block, self._offset, self._deaths[step + 1])
        self._step = max(self._step, stop)

    def is_alike(self, window: Window) -> bool:
        """Lay out up to the end of ``window``; return whether each of its orders ends with the same block."""
        self.advance(window.start)
        block, offset = self.block.fork(), self._offset.copy()
        self.advance(window.stop)
        return all(self._ends_alike(window, ids, block.fork(), offset.copy()) for ids in window.orders[1:])

    def _ends_alike(self, window: Window, ids: Sequence[int], block: Block, offset: dict[int, int]) -> bool:
        graph, home = self._frame.graph, self._plan.home
        ending = {i for step in range(window.start, window.stop) for i in self._deaths[step + 1]}
        last = {home[i]: step for step, node_id in enumerate(ids) for i in graph.reads[node_id]}
        for step, node_id in enumerate(ids):
            self._write(block, offset, node_id)
            touched = {home[i] for i in graph.reads[node_id]}
            self._free(block, offset, [i for i in touched if i in ending and last[i] == step])
        return block == self.block and offset == self._offset

    def _write(self, block: Block, offset: dict[int, int], node_id: int) -> None:
        for value_id in self._births[node_id]:
            offset[value_id] = block.take(self._size[value_id])

    def _free(self, block: Block, offset: dict[int, int], value_ids: Sequence[int]) -> None:
        for value_id in value_ids:
            block.give(offset.pop(value_id), self._size[value_id])
