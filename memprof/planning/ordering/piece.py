"""A stretch of an ordering problem that can be solved alone, forwards or backwards in time.

    whole problem --reduction--> one piece --window--> pieces between states that every order (or a best one) passes

Operations are local numbers in a topological order. A cell is a storage, or several with the same life: closed at
first, open (its bytes are alive) once one of ``opens`` has run, closed for good once all of ``closes`` have.
``opens=None`` is open from the start, ``closes=None`` never closes. That form is its own mirror image: undoing
operations from the end, a storage comes back with the first of its touchers undone and goes with its birth, so
``mirrored`` only swaps the two. One search therefore runs in both directions, and so do the greedy orders.

    running v in state S costs   f(S) + sum of cells that v opens + scratch(v), and leads to f(S + v)

The cost of undoing v is the same number as that of running it, since f(S) + opened = f(S + v) + closed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import gcd
from typing import NamedTuple

from memprof.planning.meter import Meter


class Cell(NamedTuple):
    """Bytes with a life: see the module's docstring.

    Attributes:
        opens: Operations of which the first to run opens it, ``None`` if it is open from the start.
        closes: Operations of which the last to run closes it, ``None`` if it stays open.
        size_bytes: Its bytes, more than zero.
    """

    opens: tuple[int, ...] | None
    closes: tuple[int, ...] | None
    size_bytes: int


@dataclass(frozen=True, kw_only=True)
class Piece:
    """Operations 0 to n-1 in a topological order, and the bytes they open and close.

    Attributes:
        ops: What each operation is called outside.
        predecessors: For each operation those of the piece that must run before it.
        cells: All storages whose life the piece changes.
        scratch_bytes: Bytes of each operation while it runs, besides the cells.
        start_bytes: Bytes alive before the first operation, what only passes through included.
    """

    ops: tuple[int, ...]
    predecessors: tuple[tuple[int, ...], ...]
    cells: tuple[Cell, ...]
    scratch_bytes: tuple[int, ...]
    start_bytes: int

    @cached_property
    def successors(self) -> tuple[tuple[int, ...], ...]:
        """For each operation those of the piece that must run after it."""
        found: list[list[int]] = [[] for _ in self.ops]
        for op, before in enumerate(self.predecessors):
            for other in before:
                found[other].append(op)
        return tuple(map(tuple, found))

    @cached_property
    def opened_by(self) -> tuple[tuple[int, ...], ...]:
        """For each operation the cells it may open."""
        found: list[list[int]] = [[] for _ in self.ops]
        for i, cell in enumerate(self.cells):
            for op in cell.opens or ():
                found[op].append(i)
        return tuple(map(tuple, found))

    @cached_property
    def closed_by(self) -> tuple[tuple[int, ...], ...]:
        """For each operation the cells it may close."""
        found: list[list[int]] = [[] for _ in self.ops]
        for i, cell in enumerate(self.cells):
            for op in cell.closes or ():
                found[op].append(i)
        return tuple(map(tuple, found))

    @cached_property
    def cell_bytes(self) -> int:
        """Bytes of all cells together."""
        return sum(cell.size_bytes for cell in self.cells)

    @cached_property
    def grain_bytes(self) -> int:
        """Bytes of which every peak is a multiple."""
        return gcd(self.start_bytes, *(cell.size_bytes for cell in self.cells), *self.scratch_bytes) or 1

    @cached_property
    def end_bytes(self) -> int:
        """Bytes alive after the last operation."""
        opened = sum(cell.size_bytes for cell in self.cells if cell.opens is not None)
        return self.start_bytes + opened - sum(cell.size_bytes for cell in self.cells if cell.closes is not None)

    @cached_property
    def mirrored(self) -> Piece:
        """The same problem with time running backwards; an order of one, reversed, is an order of the other."""
        last = len(self.ops) - 1
        flip = [last - op for op in range(last + 1)]
        return Piece(
            ops=self.ops[::-1],
            predecessors=tuple(tuple(flip[op] for op in found) for found in reversed(self.successors)),
            cells=tuple(
                Cell(
                    None if cell.closes is None else tuple(flip[op] for op in cell.closes),
                    None if cell.opens is None else tuple(flip[op] for op in cell.opens),
                    cell.size_bytes,
                )
                for cell in self.cells
            ),
            scratch_bytes=self.scratch_bytes[::-1],
            start_bytes=self.end_bytes,
        )

    def steps(self, order: Sequence[int]) -> tuple[list[int], list[int]]:
        """Return for each step of ``order`` the bytes while it runs, and the bytes alive after it."""
        cells = self.cells
        left = [len(cell.closes or ()) for cell in cells]
        is_open = [cell.opens is None for cell in cells]
        during, after = [], []
        alive = self.start_bytes
        for op in order:
            for i in self.opened_by[op]:
                if not is_open[i]:
                    is_open[i] = True
                    alive += cells[i].size_bytes
            during.append(alive + self.scratch_bytes[op])
            for i in self.closed_by[op]:
                left[i] -= 1
                if not left[i]:
                    alive -= cells[i].size_bytes
            after.append(alive)
        return during, after

    def peak_bytes(self, order: Sequence[int]) -> int:
        """Return the most bytes alive in ``order``, its two ends included."""
        return max(self.start_bytes, self.end_bytes, *self.steps(order)[0])


def must_pass_cuts(piece: Piece) -> list[int]:
    """Return positions 0 = c0 < c1 < ... = n such that every order runs ``range(c[i], c[i+1])`` without a break.

    An operation that is comparable with all others runs at the same place in every order, between the same two
    states. Operation i is one if, of those before it, each has a successor no later than i (then a path of such
    successors ends in i), and of those after it, each has a predecessor no earlier than i. O(n + edges), and no sets
    of ancestors.
    """
    n = len(piece.ops)
    latest_first_successor = -1
    follows_all = []
    for op in range(n):
        follows_all.append(latest_first_successor <= op)
        latest_first_successor = max(latest_first_successor, min(piece.successors[op], default=n))
    earliest_last_predecessor = n
    cuts = {0, n}
    for op in reversed(range(n)):
        if follows_all[op] and earliest_last_predecessor >= op:
            cuts.update((op, op + 1))
        earliest_last_predecessor = min(earliest_last_predecessor, max(piece.predecessors[op], default=-1))
    return sorted(cuts)


def windows(
    piece: Piece, order: Sequence[int], ranges: Sequence[tuple[int, int]], meter: Meter | None = None
) -> list[Piece]:
    """Return the pieces that the disjoint, ascending ``ranges`` of steps of ``order`` are.

    Each takes the order as its numbering. Only for a piece in its forward form: one operation opens a cell. O(n +
    edges + touches).

    Raises:
        OutOfBudget: The meter ran out.
    """
    meter = meter or Meter()
    after = [piece.start_bytes, *piece.steps(order)[1]]
    position = [0] * len(order)
    for step, op in enumerate(order):
        position[op] = step
    window_of = [_OUTSIDE] * len(order)
    for window, (start, stop) in enumerate(ranges):
        window_of[start:stop] = [window] * (stop - start)
    cells: list[dict[tuple[tuple[int, ...] | None, tuple[int, ...] | None], int]] = [{} for _ in ranges]
    for cell in piece.cells:
        meter.spend()
        for window, opens, closes in _split_cell(cell, position, window_of):
            start = ranges[window][0]
            key = (
                None if opens is None else tuple(p - start for p in opens),
                None if closes is None else tuple(p - start for p in closes),
            )
            cells[window][key] = cells[window].get(key, 0) + cell.size_bytes
    pieces = []
    for (start, stop), found in zip(ranges, cells, strict=True):
        inside = order[start:stop]
        meter.spend(len(inside))
        pieces.append(
            Piece(
                ops=tuple(piece.ops[op] for op in inside),
                predecessors=tuple(
                    tuple(position[p] - start for p in piece.predecessors[op] if position[p] >= start)
                    for op in inside
                ),
                cells=tuple(Cell(opens, closes, size) for (opens, closes), size in found.items()),
                scratch_bytes=tuple(piece.scratch_bytes[op] for op in inside),
                start_bytes=after[start],
            )
        )
    return pieces


_OUTSIDE = -1


def _split_cell(
    cell: Cell, position: Sequence[int], window_of: Sequence[int]
) -> Iterable[tuple[int, tuple[int, ...] | None, tuple[int, ...] | None]]:
    """Yield (window, opens, closes) in steps for each window in which the cell opens or closes."""
    opens = None if cell.opens is None else (position[cell.opens[0]],)
    closes = None if cell.closes is None else tuple(sorted(position[op] for op in cell.closes))
    first = _OUTSIDE if opens is None else window_of[opens[0]]
    last = _OUTSIDE if closes is None else window_of[closes[-1]]
    if first == last != _OUTSIDE:
        yield first, opens, closes
        return
    if first != _OUTSIDE:
        yield first, opens, None
    if last != _OUTSIDE:
        yield last, None, tuple(p for p in closes or () if window_of[p] == last)
