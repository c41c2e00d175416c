"""Lower bounds on the peak of every order, and the states that best orders may be made to pass.

f, the bytes alive after a downset of operations has run, is submodular, so its minimum over all downsets between two
given ones is a minimum cut:

    source --size--> the operation that opens a cell ... an operation that closes it --infinite--> sink
    a cell is cut, and pays, if it is open on the source's side and not all that close it are there too
    an operation --infinite--> each predecessor: the source's side is a downset

* ``operation_bound``: when v runs, some downset has run that holds all v's ancestors and not v. The smallest f of
  those, plus what v opens and its scratch, bounds the peak from below. Only an operation at the peak of the best
  known order can prove that order optimal, so one to three such cuts usually decide. One that does not shows a way
  down: v may run right after that downset, see ``Solver``.
* ``lightest_state``: let X minimise f over all downsets. Any order may be rearranged to run X first, its operations
  in their old order, then the rest in theirs, and no step grows: with Q the state of a step,
  f(Q & X) <= f(Q) + f(X) - f(Q | X) <= f(Q) and f(Q | X) <= f(Q). So the problem falls into two at X.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from memprof.planning.meter import Meter, OutOfBudget
from memprof.planning.ordering.flow import FIRST_NODE, SINK, SOURCE, FlowNetwork
from memprof.planning.ordering.masks import bits
from memprof.planning.ordering.piece import Piece


def operation_bound(piece: Piece, op: int, meter: Meter) -> tuple[int, set[int] | None]:
    """Return a lower bound on the bytes alive while ``op`` runs, whatever the order. Forward form only.

    Returns:
        The bound, a valid one even where the meter runs out; and what has run before ``op`` where it is met, the
        largest such set, ``None`` where the meter ran out.
    """
    meter.spend(_network_steps(piece))
    before = _reach(piece.predecessors, [op])
    after = _reach(piece.successors, [op])
    before.discard(op)
    free = [other for other in range(len(piece.ops)) if other not in before and other not in after]
    side = dict.fromkeys(before, SOURCE) | dict.fromkeys(after, SINK)
    network, constant = state_network(piece, free, range(len(piece.cells)), side.__getitem__, meter)
    flow, is_maximum = network.push_maximum(meter)
    resting = piece.start_bytes - sum(cell.size_bytes for cell in piece.cells if cell.opens is None)
    opened = sum(piece.cells[i].size_bytes for i in piece.opened_by[op])
    bound = resting + constant + flow + opened + piece.scratch_bytes[op]
    if not is_maximum:
        return bound, None
    outside = network.sink_side()
    return bound, before.union([other for i, other in enumerate(free) if not outside[FIRST_NODE + i]])


def lightest_state(piece: Piece, meter: Meter) -> list[int] | None:
    """Return the operations of a downset with the fewest bytes alive, ascending, or ``None`` if the meter ran out.

    Of several the largest.
    """
    meter.spend(_network_steps(piece))
    free = range(len(piece.ops))
    network, _ = state_network(piece, free, range(len(piece.cells)), free.__getitem__, meter)
    _, is_maximum = network.push_maximum(meter)
    if not is_maximum:
        return None
    outside = network.sink_side()
    return [op for op in free if not outside[FIRST_NODE + op]]


def lightest_between(piece: Piece, root: int, state: int, meter: Meter) -> int:
    """Return the lightest downset that holds ``root`` and lies in ``state`` (one bit per operation).

    Of several the largest. O(what the operations between the two touch), before the flow.

    Raises:
        OutOfBudget: The meter ran out.
    """
    free = list(bits(state & ~root))
    cells = sorted({i for op in free for i in (*piece.opened_by[op], *piece.closed_by[op])})
    network, _ = state_network(piece, free, cells, lambda op: SOURCE if root >> op & 1 else SINK, meter)
    meter.spend(len(free) + len(cells))
    if not network.push_maximum(meter)[1]:
        raise OutOfBudget
    outside = network.sink_side()
    return root | sum(1 << op for i, op in enumerate(free) if not outside[FIRST_NODE + i])


def trivial_bound(piece: Piece) -> int:
    """Return a bound that costs one scan: the two ends, and what each operation touches or cannot have freed."""
    resting = piece.start_bytes - sum(
        cell.size_bytes for cell in piece.cells if cell.opens is None and cell.closes is not None
    )
    bounds = [piece.start_bytes, piece.end_bytes]
    for op in range(len(piece.ops)):
        touched = {*piece.opened_by[op], *piece.closed_by[op]}
        bounds.append(resting + sum(piece.cells[i].size_bytes for i in touched) + piece.scratch_bytes[op])
    return max(bounds)


def _network_steps(piece: Piece) -> int:
    return 2 * (len(piece.ops) + len(piece.cells))


def _reach(neighbours: Sequence[Sequence[int]], start: Iterable[int]) -> set[int]:
    """Return ``start`` and all that can be reached from it."""
    stack = list(start)
    reached = set(stack)
    while stack:
        for other in neighbours[stack.pop()]:
            if other not in reached:
                reached.add(other)
                stack.append(other)
    return reached


def state_network(
    piece: Piece,
    free: Sequence[int],
    cells: Iterable[int],
    side: Callable[[int], int],
    meter: Meter,
    predecessors: Sequence[Sequence[int]] | None = None,
) -> tuple[FlowNetwork, int]:
    """Return a network whose cuts are downsets, by the bytes of ``cells`` alive after them, less a constant.

    Args:
        piece: The piece, in any form.
        free: Operations that may have run or not, ascending; the i-th is node ``FIRST_NODE + i``.
        cells: Cells that count.
        side: For each other operation ``SOURCE`` if it has run, ``SINK`` if not.
        meter: Told of each operation and cell.
        predecessors: For each operation those that must run before it, ``None`` for the piece's.

    Returns:
        The network, and the bytes of ``cells`` that are alive in every such downset.
    """
    network = FlowNetwork()
    nodes = {op: network.add_node() for op in free}
    infinite = 1 + piece.cell_bytes
    before = piece.predecessors if predecessors is None else predecessors
    for op, node in nodes.items():
        meter.spend()
        for other in before[op]:
            if other in nodes:
                network.add_edge(node, nodes[other], infinite)
    always = 0
    for i in cells:
        meter.spend()
        opens, closes, size_bytes = piece.cells[i]
        opener, closer = SOURCE, SINK
        if opens is not None:
            opener = _join(network, {nodes[op] if op in nodes else side(op) for op in opens}, SINK, infinite)
        if closes is not None:
            closer = _join(network, {nodes[op] if op in nodes else side(op) for op in closes}, SOURCE, infinite)
        if opener == SOURCE and closer == SINK:
            always += size_bytes
        elif opener not in (closer, SINK) and closer != SOURCE:
            network.add_edge(opener, closer, size_bytes)
    return network, always


def _join(network: FlowNetwork, nodes: set[int], idle: int, infinite: int) -> int:
    """Return the node that is on the other side than ``idle`` as soon as one of ``nodes`` is.

    ``idle`` is ``SINK`` for operations that open a cell (one that has run is enough) and ``SOURCE`` for those that
    close it (one that has not run is enough).
    """
    decisive = SOURCE + SINK - idle
    if decisive in nodes:
        return decisive
    free = nodes - {idle}
    if len(free) < 2:
        return free.pop() if free else idle
    node = network.add_node()
    for other in sorted(free):
        if idle == SINK:
            network.add_edge(other, node, infinite)
        else:
            network.add_edge(node, other, infinite)
    return node
