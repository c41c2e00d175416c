"""What every order within a level has in common: operations that it has to run in one sequence, not in the other.

    v after w?   the lightest state in which v can run, with w left out of it, is over the level: so w runs before v
    v before w?  the same with w in it: so v runs before w

Each is one more edge in the network of ``bounds.operation_bound``, where flow is already pushed, and few are needed:
a state light enough for v shows for all operations at once that those in it may run before v, and the others after.
What is forced makes states larger and smaller ones impossible, so it forces more, until nothing changes. If some v is
left without a state, no order stays within the level: a lower bound, often far above the highest single minimum cut.
If not, the piece has fewer orders than before, and those within the level are all among them.

Why: let an order stay within the level, and let w run after v in it. Then what has run before v is a downset without
w, and its step is one of those that were asked about. By induction that holds with all that was forced before.

This is what scheduling calls shaving (Martin, Shmoys, IPCO 1996), with a minimum cut for the test. O(n) flows per
sweep in practice, O(n^2) at worst.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from memprof.planning.meter import Meter
from memprof.planning.ordering.bounds import state_network
from memprof.planning.ordering.flow import FIRST_NODE, SINK, SOURCE, FlowNetwork
from memprof.planning.ordering.masks import bits
from memprof.planning.ordering.piece import Cell, Piece
from memprof.planning.ordering.rewrite import Rewrite, ancestor_masks

_BITS_PER_STEP = 2000  # of masks that are handled


class Precedences:
    """What runs before what, in the piece and, after ``keep_within``, in every order within a level.

    Args:
        piece: In its forward form.
        meter: Told of all work.
    """

    def __init__(self, piece: Piece, meter: Meter) -> None:
        count = len(piece.ops)
        meter.spend(_mask_steps(count * count))
        self.piece = piece
        self.before = ancestor_masks(piece)
        self.after = [0] * count
        for op in reversed(range(count)):
            for other in piece.successors[op]:
                self.after[op] |= self.after[other] | 1 << other
        self._meter = meter
        self._everything = (1 << count) - 1
        self._needed = [_latest(mask, self.before) for mask in self.before]
        self._added: list[tuple[int, int]] = []
        # For each operation states in which it can run, and the bytes of its step then.
        self._states: list[list[tuple[int, int]]] = [[] for _ in piece.ops]
        self._seen = [0] * count  # how many of what was added they are known to keep
        self._resting = piece.start_bytes - sum(cell.size_bytes for cell in piece.cells if cell.opens is None)
        self._step = [
            piece.scratch_bytes[op] + sum(piece.cells[i].size_bytes for i in piece.opened_by[op])
            for op in range(count)
        ]
        self._infinite = 1 + piece.cell_bytes

    def copy(self) -> Precedences:
        """Return the same, to be changed on its own."""
        found = object.__new__(Precedences)
        found.__dict__.update(self.__dict__)
        found.before, found.after = list(self.before), list(self.after)
        found._needed, found._added = list(self._needed), list(self._added)
        found._states, found._seen = [list(states) for states in self._states], list(self._seen)
        return found

    def keep_within(self, level: int, meter: Meter) -> bool:
        """Force all that orders within ``level`` have in common; return whether there may be such an order.

        ``level`` may be no higher than before. What was forced when the meter runs out holds as well.

        Raises:
            OutOfBudget: The meter ran out.
        """
        self._meter = meter
        self._states = [[found for found in states if found[1] <= level] for states in self._states]
        count = -1
        while count != len(self._added):
            count = len(self._added)
            if not all(self._probe(op, level) for op in range(len(self._states))):
                return False
        return True

    def rewrite(self) -> Rewrite:
        """Return the piece with what is forced, in which ``parts`` are single operations."""
        piece = self.piece
        numbering = sorted(range(len(piece.ops)), key=lambda op: (self.before[op].bit_count(), op))
        slot = {op: number for number, op in enumerate(numbering)}

        def renumbered(ops: Iterable[int] | None) -> tuple[int, ...] | None:
            return None if ops is None else tuple(sorted(slot[op] for op in ops))

        forced = replace(
            piece,
            ops=tuple(piece.ops[op] for op in numbering),
            predecessors=tuple(renumbered(self._needed[op]) or () for op in numbering),
            cells=tuple(
                Cell(renumbered(cell.opens), renumbered(cell.closes), cell.size_bytes) for cell in piece.cells
            ),
            scratch_bytes=tuple(piece.scratch_bytes[op] for op in numbering),
        )
        return Rewrite(forced, tuple((op,) for op in numbering))

    def _probe(self, op: int, level: int) -> bool:
        """Force all that is forced between ``op`` and others; return whether it can run within ``level``."""
        if not self._open_questions(op):
            return True
        network, nodes, always = self._network(op)
        room = level - always
        if not self._push(network, room):
            return False
        self._keep_state(op, network, nodes, always)
        while asked := self._open_questions(op):
            may_follow, may_precede = asked
            mark = network.mark()
            if may_follow:  # is there a state without it?
                other = max(bits(may_follow), key=lambda w: (self.after[w] & may_follow).bit_count())
                network.add_edge(nodes[other], SINK, self._infinite)
            else:
                other = max(bits(may_precede), key=lambda w: (self.before[w] & may_precede).bit_count())
                network.add_edge(SOURCE, nodes[other], self._infinite)
            is_possible = self._push(network, room)
            if is_possible:
                self._keep_state(op, network, nodes, always)
            network.restore(mark)
            if is_possible:
                continue
            if may_follow:
                self._add(other, op)
                network.add_edge(SOURCE, nodes[other], self._infinite)
            else:
                self._add(op, other)
                network.add_edge(nodes[other], SINK, self._infinite)
            if not self._push(network, room):
                return False
            self._keep_state(op, network, nodes, always)
        return True

    def _open_questions(self, op: int) -> tuple[int, int] | None:
        """Return which operations may follow ``op`` and which may precede it, as far as that is not known yet."""
        self._drop_states(op)
        states = self._states[op]
        free = self._everything & ~self.before[op] & ~self.after[op] & ~(1 << op)
        may_follow = may_precede = free
        for state, _ in states:
            may_follow &= state
            may_precede &= ~state
        self._meter.spend(1 + len(states) // 8)
        return (may_follow, may_precede) if may_follow or may_precede or not states else None

    def _drop_states(self, op: int) -> None:
        """Drop what is no state any more by what was added since."""
        new = self._added[self._seen[op] :]
        self._seen[op] = len(self._added)
        if new:
            self._meter.spend(1 + len(new) * len(self._states[op]) // 8)
        inside, outside = self.before[op], self.after[op] | 1 << op
        self._states[op] = [
            (state, step_bytes)
            for state, step_bytes in self._states[op]
            if inside & ~state == 0
            and not state & outside
            and all(state >> first & 1 or not state >> second & 1 for first, second in new)
        ]

    def _network(self, op: int) -> tuple[FlowNetwork, dict[int, int], int]:
        """Return the network of states in which ``op`` can run, its nodes, and its step's bytes besides the cut."""
        inside = self.before[op]
        free = list(bits(self._everything & ~inside & ~self.after[op] & ~(1 << op)))
        network, constant = state_network(
            self.piece,
            free,
            range(len(self.piece.cells)),
            lambda other: SOURCE if inside >> other & 1 else SINK,
            self._meter,
            self._needed,
        )
        nodes = {other: FIRST_NODE + i for i, other in enumerate(free)}
        return network, nodes, self._resting + self._step[op] + constant

    def _push(self, network: FlowNetwork, room: int) -> bool:
        """Push what flows; return whether that is at most ``room``."""
        network.push(self._meter, room)
        return network.total <= room

    def _keep_state(self, op: int, network: FlowNetwork, nodes: dict[int, int], always: int) -> None:
        outside = network.sink_side()
        self._meter.spend(1 + len(outside) // 8)
        inside = self.before[op]
        for other, node in nodes.items():
            if not outside[node]:
                inside |= 1 << other
        self._states[op].append((inside, always + network.total))

    def _add(self, first: int, second: int) -> None:
        """Let ``first`` run before ``second``, and what follows from that."""
        earlier, later = self.before[first] | 1 << first, self.after[second] | 1 << second
        self._meter.spend(_mask_steps(len(self.before) * (earlier.bit_count() + later.bit_count())))
        for op in bits(later):
            self.before[op] |= earlier
        for op in bits(earlier):
            self.after[op] |= later
        for op in bits(later):
            self._needed[op] = _latest(self.before[op], self.before)
        self._added.append((first, second))


def _latest(ops: int, before: list[int]) -> tuple[int, ...]:
    """Return those of ``ops`` that no other of them waits for."""
    found = ops
    for op in bits(ops):
        found &= ~before[op]
    return tuple(bits(found))


def _mask_steps(count: int) -> int:
    return count // _BITS_PER_STEP
