"""Orders that cost next to nothing: where the search starts, and where large graphs end.

    least_net       of the operations that are ready, the one that frees most or adds least
    least_peak      Inductor's two rules: of those that stay within the highest point so far the least net; if none
                    does, the one that opens least
    breadth_first   the one whose predecessors ran earliest
    depth_first     from the first operation on, each after what it still waits for, small operands first
    reverse_post    reverse post-order of a depth-first walk from the sources
    leaves_first    what onnxruntime does by default: depth first from the leaves backwards, later operations first

Each of them can be far worse than the given order (least_peak is 1.7 times the optimum on NASNet-A-Large), so never
apply one without comparing. The first two also run on the mirrored piece, from the end. O((n + edges) log n) each;
ties go to the lower number. Each tells a meter of its steps, and raises ``OutOfBudget`` where it runs out.

Sources: least_peak, breadth_first and depth_first follow the descriptions in PyTorch's ``torch/_inductor/memory.py``;
leaves_first the order observed in onnxruntime's CPU sessions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from heapq import heapify, heappop, heappush
from types import MappingProxyType
from typing import Protocol

from memprof.planning.meter import Meter
from memprof.planning.ordering.piece import Piece


class Rule(Protocol):
    """One of the rules."""

    def __call__(self, piece: Piece, meter: Meter | None = None) -> list[int]:
        """Return the order of ``piece`` by this rule."""


class _Progress:
    """What each operation would open and close if it ran next, kept up to date as operations run."""

    def __init__(self, piece: Piece, meter: Meter) -> None:
        meter.spend(len(piece.ops) + len(piece.cells))
        self.piece = piece
        self._meter = meter
        self.waits_for = [len(before) for before in piece.predecessors]
        self.opening = [0] * len(piece.ops)
        self.closing = [0] * len(piece.ops)
        self._is_open = [False] * len(piece.cells)
        self._left = [0] * len(piece.cells)
        self._left_sum = [0] * len(piece.cells)  # with one operation left its number is the sum
        for i, cell in enumerate(piece.cells):
            for op in cell.opens or ():
                self.opening[op] += cell.size_bytes
            if cell.closes is not None:
                self._left[i], self._left_sum[i] = len(cell.closes), sum(cell.closes)
                if self._left[i] == 1:
                    self.closing[cell.closes[0]] += cell.size_bytes

    def run(self, op: int) -> tuple[list[int], list[int]]:
        """Run ``op``; return the operations that became ready, and those whose ``opening`` or ``closing`` changed."""
        cells = self.piece.cells
        changed = []
        self._meter.spend(1 + len(self.piece.successors[op]))
        for i in self.piece.opened_by[op]:
            if not self._is_open[i]:
                self._is_open[i] = True
                for other in cells[i].opens or ():
                    self.opening[other] -= cells[i].size_bytes
                    changed.append(other)
        for i in self.piece.closed_by[op]:
            self._left[i] -= 1
            self._left_sum[i] -= op
            if self._left[i] == 1:
                self.closing[self._left_sum[i]] += cells[i].size_bytes
                changed.append(self._left_sum[i])
        ready = []
        for other in self.piece.successors[op]:
            self.waits_for[other] -= 1
            if not self.waits_for[other]:
                ready.append(other)
        return ready, changed


def least_net(piece: Piece, meter: Meter | None = None) -> list[int]:
    """Return the order that always runs the operation that adds the fewest bytes, on balance."""
    progress = _Progress(piece, meter or Meter())
    opening, closing, waits_for = progress.opening, progress.closing, progress.waits_for
    heap = [(opening[op] - closing[op], op) for op, waits in enumerate(waits_for) if not waits]
    heapify(heap)
    order: list[int] = []
    has_run = [False] * len(piece.ops)
    while heap:
        net, op = heappop(heap)
        if has_run[op] or net != opening[op] - closing[op]:
            continue
        has_run[op] = True
        order.append(op)
        ready, changed = progress.run(op)
        for other in ready:
            heappush(heap, (opening[other] - closing[other], other))
        for other in changed:
            if not waits_for[other] and not has_run[other]:
                heappush(heap, (opening[other] - closing[other], other))
    return order


def least_peak(piece: Piece, meter: Meter | None = None) -> list[int]:
    """Return the order of Inductor's "least peak memory first"."""
    progress = _Progress(piece, meter or Meter())
    queue = _TwoRules(progress)
    for op, waits in enumerate(progress.waits_for):
        if not waits:
            queue.push(op)
    alive = piece.start_bytes
    highest = max(alive, piece.end_bytes)
    order: list[int] = []
    while len(order) < len(piece.ops):
        op = queue.pop(highest - alive)
        order.append(op)
        highest = max(highest, alive + progress.opening[op])
        alive += progress.opening[op] - progress.closing[op]
        ready, changed = progress.run(op)
        for other in ready:
            queue.push(other)
        for other in changed:
            if not progress.waits_for[other]:
                queue.push(other)  # one that has run is sorted out there
    return order


class _TwoRules:
    """The operations that are ready, by net bytes if they fit into the gap below the highest point, else by bytes."""

    def __init__(self, progress: _Progress) -> None:
        self._opening, self._closing = progress.opening, progress.closing
        self._has_run = [False] * len(progress.opening)
        self._by_net: list[tuple[int, int]] = []  # (net, operation): fitted into the gap when it came here
        self._by_opening: list[tuple[int, int, int]] = []  # (opened, net, operation): the others

    def push(self, op: int) -> None:
        """Enter an operation, or enter it again because its bytes have changed."""
        heappush(self._by_opening, (self._opening[op], self._opening[op] - self._closing[op], op))

    def pop(self, gap: int) -> int:
        """Take the next operation out."""
        while self._by_opening and self._by_opening[0][0] <= gap:
            _, net, op = heappop(self._by_opening)
            if self._is_valid(net, op):
                heappush(self._by_net, (net, op))
        while self._by_net:
            net, op = heappop(self._by_net)
            if self._is_valid(net, op) and self._opening[op] <= gap:
                self._has_run[op] = True
                return op
            if self._is_valid(net, op):
                self.push(op)
        while True:
            opened, net, op = heappop(self._by_opening)
            if self._is_valid(net, op) and opened == self._opening[op]:
                self._has_run[op] = True
                return op

    def _is_valid(self, net: int, op: int) -> bool:
        return not self._has_run[op] and net == self._opening[op] - self._closing[op]


def breadth_first(piece: Piece, meter: Meter | None = None) -> list[int]:
    """Return the order of Inductor's breadth-first rule: whose predecessors ran earliest, compared latest last."""
    meter = meter or Meter()
    meter.spend(len(piece.ops))
    waits_for = [len(before) for before in piece.predecessors]
    step_of = [0] * len(piece.ops)
    heap: list[tuple[list[int], int]] = [([], op) for op, waits in enumerate(waits_for) if not waits]
    order: list[int] = []
    while heap:
        _, op = heappop(heap)
        step_of[op] = len(order)
        order.append(op)
        meter.spend(1 + len(piece.successors[op]))
        for other in piece.successors[op]:
            waits_for[other] -= 1
            if not waits_for[other]:
                heappush(heap, (sorted(step_of[before] for before in piece.predecessors[other]), other))
    return order


def depth_first(piece: Piece, meter: Meter | None = None) -> list[int]:
    """Return the order of Inductor's depth-first rule: what touches few bytes first, each after its needs."""
    meter = meter or Meter()
    meter.spend(2 * (len(piece.ops) + len(piece.cells)))
    touched = [
        sum(piece.cells[i].size_bytes for i in {*piece.opened_by[op], *piece.closed_by[op]})
        for op in range(len(piece.ops))
    ]
    by_bytes = sorted(range(len(piece.ops)), key=lambda op: (touched[op], op))
    rank = [0] * len(by_bytes)
    for i, op in enumerate(by_bytes):
        rank[op] = i
    return _post_order(by_bytes, [sorted(before, key=rank.__getitem__) for before in piece.predecessors], meter)


def reverse_post(piece: Piece, meter: Meter | None = None) -> list[int]:
    """Return the reverse post-order of a depth-first walk from the sources along the data."""
    return _post_order(range(len(piece.ops)), piece.successors, meter or Meter())[::-1]


def leaves_first(piece: Piece, meter: Meter | None = None) -> list[int]:
    """Return onnxruntime's default order: backwards from the leaves, the last leaf and the last operand first."""
    leaves = [op for op, after in enumerate(piece.successors) if not after]
    backwards = [sorted(before, reverse=True) for before in piece.predecessors]
    return _post_order(leaves[::-1], backwards, meter or Meter())


def _post_order(roots: Sequence[int], neighbours: Sequence[Sequence[int]], meter: Meter) -> list[int]:
    """Return all operations reached from ``roots``, each after its neighbours, which are visited as listed."""
    meter.spend(len(neighbours))
    order: list[int] = []
    is_seen = [False] * len(neighbours)
    next_neighbour = [0] * len(neighbours)
    for root in roots:
        if is_seen[root]:
            continue
        is_seen[root] = True
        stack = [root]
        while stack:
            meter.spend()
            op = stack[-1]
            if next_neighbour[op] == len(neighbours[op]):
                order.append(stack.pop())
                continue
            other = neighbours[op][next_neighbour[op]]
            next_neighbour[op] += 1
            if not is_seen[other]:
                is_seen[other] = True
                stack.append(other)
    return order


CANDIDATES: Mapping[str, Rule] = MappingProxyType(
    {
        "least_net": least_net,
        "least_peak": least_peak,
        "breadth_first": breadth_first,
        "depth_first": depth_first,
        "reverse_post": reverse_post,
        "leaves_first": leaves_first,
    }
)
"""Every rule by name."""

BACKWARD_CANDIDATES = (least_net, least_peak)
"""Rules that know bytes from time alone, and so work from the end as well."""
