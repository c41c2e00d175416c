"""Makes a piece smaller where it is series-parallel: branches between two operations become one run of segments.

    network    a node per operation, one for the start and one for the end; an edge per precedence, and one per cell
               from the operation that opens it to the one that closes it
    series     an operation with one edge in and one out joins them to a run:   u --run, op, run--> v
    parallel   two edges between the same nodes become the best merge of their runs (``hills``)

Bytes of an edge add to those of everything else, so each step is exact whatever lies around: the smallest peak stays
the same. A series-parallel piece ends as a single edge, and its run is a best order, proven. Otherwise what is left
goes on as a piece of its own, one operation per segment: shorter, and with fewer ways to go wrong.

Not every cell is an edge. One that the last of several independent operations closes depends on all of them; they and
the one that opens it stay nodes. ``relax`` charges such a cell to one of them, as if it died there: never more bytes
than in truth, in any order, so the best order of the relaxed piece has a peak that is a lower bound.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from heapq import heapify, heappop, heappush

from memprof.planning.meter import Meter
from memprof.planning.ordering.hills import Run, Segment, canonical, merge_runs, unwind
from memprof.planning.ordering.piece import Cell, Piece
from memprof.planning.ordering.rewrite import Rewrite, ancestor_masks

_MASKED_OPS = 6000  # ancestors of larger pieces take too much room
_START = -1
_END = -2


def contract(piece: Piece, meter: Meter) -> Rewrite:
    """Return the piece with its series-parallel parts as runs of segments. Forward form only.

    Raises:
        OutOfBudget: The meter ran out.
    """
    masks = ancestor_masks(piece) if len(piece.ops) <= _MASKED_OPS else None
    meter.spend(len(piece.ops) * (1 + (len(piece.ops) // 2000 if masks else 0)))
    network = _Network(piece, masks, meter)
    network.shrink()
    return network.as_rewrite()


def last_closers(piece: Piece, cell: Cell, masks: Sequence[int] | None) -> tuple[int, ...]:
    """Return the operations of which the last to run closes ``cell``: those that no other of them waits for."""
    closes = cell.closes or ()
    if len(closes) < 2:
        return closes
    if masks is not None:
        seen = 0
        for op in closes:
            seen |= masks[op]
        return tuple(op for op in closes if not seen >> op & 1)
    direct = {before for op in closes for before in piece.predecessors[op]}
    return tuple(op for op in closes if op not in direct)


def relax(piece: Piece, order: Sequence[int]) -> Piece:
    """Return the piece in which each cell dies with the one of its closers that comes last in ``order``."""
    position = {op: i for i, op in enumerate(order)}
    cells = (
        cell if cell.closes is None else cell._replace(closes=(max(cell.closes, key=position.__getitem__),))
        for cell in piece.cells
    )
    return replace(piece, cells=tuple(cells))


@dataclass(slots=True)
class _Edge:
    """Bytes that pass from one node to another, and the segments on the way, none canonical yet."""

    start_bytes: int
    segments: deque[Segment]

    @property
    def end_bytes(self) -> int:
        return self.segments[-1].valley_bytes if self.segments else self.start_bytes


class _Network:
    """Nodes that are left, and the edges between them; parallel ones are merged when they are taken."""

    def __init__(self, piece: Piece, masks: Sequence[int] | None, meter: Meter) -> None:
        self._piece = piece
        self._meter = meter
        self._after: dict[int, dict[int, list[_Edge]]] = {op: {} for op in (_START, *range(len(piece.ops)))}
        self._before: dict[int, set[int]] = {op: set() for op in (_END, *range(len(piece.ops)))}
        self._shared: list[Cell] = []  # cells that are no edges
        self._scratch = list(piece.scratch_bytes)
        self._fixed: set[int] = {op for op, scratch in enumerate(piece.scratch_bytes) if scratch < 0}
        self._add_precedences(masks)
        for cell in piece.cells:
            meter.spend(1 + len(cell.closes or ()))
            closers = last_closers(piece, cell, masks)
            if len(closers) > 1:
                self._shared.append(Cell(cell.opens, closers, cell.size_bytes))
                self._fixed.update((*closers, *(cell.opens or ())))
            else:
                source = _START if cell.opens is None else cell.opens[0]
                self._join(source, closers[0] if closers else _END, _Edge(cell.size_bytes, deque()))

    def shrink(self) -> None:
        """Join edges until that is no longer possible. O(n log n) where runs are long on one side only."""
        waiting = [op for op in self._before if op not in self._fixed]
        while waiting:
            self._meter.spend()
            op = waiting.pop()
            if op in (_START, _END) or op not in self._before or op in self._fixed:
                continue
            if len(self._before[op]) != 1 or len(self._after[op]) != 1:
                continue
            (source,) = self._before[op]
            (target,) = self._after[op]
            first, second = self._merged(self._after[source].pop(op)), self._merged(self._after[op].pop(target))
            del self._before[op], self._after[op]
            self._before[target].remove(op)
            self._join(source, target, self._in_series(first, op, second))
            waiting += (source, target)

    def as_rewrite(self) -> Rewrite:
        """Return what is left as a piece: an operation per node and per canonical segment."""
        names: dict[tuple[int, int, int], int] = {}  # (node or source, target, segment) -> raw number
        parts: list[tuple[int, ...]] = []
        for op in self._before:
            if op != _END:
                names[op, op, 0] = len(parts)
                parts.append((op,))
        scratch = [self._scratch[part[0]] for part in parts]
        before: list[set[int]] = [set() for _ in parts]
        cells: list[tuple[int | None, tuple[int, ...] | None, int]] = []
        for source, edges in self._after.items():
            for target, parallel in edges.items():
                edge = self._merged(parallel)
                self._meter.spend(1 + len(edge.segments))
                run = canonical(Run(edge.start_bytes, list(edge.segments)))
                last = None if source == _START else names[source, source, 0]
                level = run.start_bytes
                for hill, valley, rope in run.segments:
                    number = len(parts)
                    parts.append(tuple(unwind(rope)))
                    self._meter.spend(len(parts[-1]))
                    scratch.append(hill - level - valley)
                    before.append(set() if last is None else {last})
                    cells.append((last, (number,), level))
                    last, level = number, valley
                end = None if target == _END else names[target, target, 0]
                if end is not None and last is not None:
                    before[end].add(last)
                cells.append((last, None if end is None else (end,), level))
        for cell in self._shared:
            opener = None if cell.opens is None else names[cell.opens[0], cell.opens[0], 0]
            cells.append((opener, tuple(names[op, op, 0] for op in cell.closes or ()), cell.size_bytes))
        return _renumbered(self._piece, parts, scratch, before, cells, self._meter)

    def _add_precedences(self, masks: Sequence[int] | None) -> None:
        """Add an edge without bytes for each precedence that no other path implies, and to the ends."""
        for op, before in enumerate(self._piece.predecessors):
            self._meter.spend(1 + len(before))
            implied: set[int] = set()
            if masks is None:
                implied.update(other for step in before for other in self._piece.predecessors[step])
            else:
                seen = 0
                for other in before:
                    seen |= masks[other]
                implied.update(other for other in before if seen >> other & 1)
            for other in before:
                if other not in implied:
                    self._join(other, op, _Edge(0, deque()))
            if not before:
                self._join(_START, op, _Edge(0, deque()))
            if not self._piece.successors[op]:
                self._join(op, _END, _Edge(0, deque()))

    def _join(self, source: int, target: int, edge: _Edge) -> None:
        """Add an edge. One from an operation to itself is no more than scratch."""
        if source == target:
            self._scratch[source] += edge.start_bytes
            return
        self._after[source].setdefault(target, []).append(edge)
        self._before[target].add(source)

    def _merged(self, edges: list[_Edge]) -> _Edge:
        """Return the one edge that parallel ones become."""
        constant = sum(edge.start_bytes for edge in edges if not edge.segments)
        runs = [edge for edge in edges if edge.segments]
        if len(runs) == 1 and not constant:
            return runs[0]
        segment_count = sum(len(edge.segments) for edge in runs)
        self._meter.spend(segment_count)
        merged = merge_runs([Run(edge.start_bytes, list(edge.segments)) for edge in runs]) if len(runs) > 1 else None
        start_bytes, segments = (
            (merged.start_bytes, merged.segments)
            if merged
            else (sum(edge.start_bytes for edge in runs), [segment for edge in runs for segment in edge.segments])
        )
        raised = (Segment(hill + constant, valley + constant, ops) for hill, valley, ops in segments)
        return _Edge(start_bytes + constant, deque(raised))

    def _in_series(self, first: _Edge, op: int, second: _Edge) -> _Edge:
        """Return the edge that runs ``first``, ``op``, ``second``; the longer one is used up."""
        hill = first.end_bytes + second.start_bytes + self._scratch[op]
        middle = Segment(hill, second.start_bytes, op)
        if len(first.segments) >= len(second.segments):
            self._meter.spend(1 + len(second.segments))
            first.segments.append(middle)
            first.segments.extend(second.segments)
            return first
        self._meter.spend(1 + len(first.segments))
        second.segments.appendleft(middle)
        second.segments.extendleft(reversed(first.segments))
        return _Edge(first.start_bytes, second.segments)


def _renumbered(
    piece: Piece,
    parts: Sequence[tuple[int, ...]],
    scratch: Sequence[int],
    before: Sequence[set[int]],
    cells: Sequence[tuple[int | None, tuple[int, ...] | None, int]],
    meter: Meter,
) -> Rewrite:
    """Return the piece of these operations, in the order that comes closest to the given one."""
    after: list[list[int]] = [[] for _ in parts]
    waits_for = [len(found) for found in before]
    for op, found in enumerate(before):
        for other in found:
            after[other].append(op)
    heap = [(parts[op][0], op) for op, waits in enumerate(waits_for) if not waits]
    heapify(heap)
    order: list[int] = []
    while heap:
        meter.spend()
        _, op = heappop(heap)
        order.append(op)
        for other in after[op]:
            waits_for[other] -= 1
            if not waits_for[other]:
                heappush(heap, (parts[other][0], other))
    number = {op: i for i, op in enumerate(order)}
    sizes: dict[tuple[tuple[int, ...] | None, tuple[int, ...] | None], int] = {}
    for opener, closers, size_bytes in cells:
        meter.spend()
        opens = None if opener is None else (number[opener],)
        closes = None if closers is None else tuple(sorted(number[op] for op in closers))
        if size_bytes and not (opens is None and closes is None):
            sizes[opens, closes] = sizes.get((opens, closes), 0) + size_bytes
    rewritten = Piece(
        ops=tuple(range(len(order))),
        predecessors=tuple(tuple(sorted(number[other] for other in before[op])) for op in order),
        cells=tuple(Cell(opens, closes, size) for (opens, closes), size in sizes.items()),
        scratch_bytes=tuple(scratch[op] for op in order),
        start_bytes=piece.start_bytes,
    )
    return Rewrite(rewritten, tuple(parts[op] for op in order))
