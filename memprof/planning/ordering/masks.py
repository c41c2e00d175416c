"""A piece as tables of Python ints, one bit per operation: what the searches read millions of times.

n operations take n^2 / 8 bytes of masks, so pieces beyond some thousand operations do not come here.
"""

from __future__ import annotations

from collections.abc import Iterator

from memprof.planning.meter import Meter
from memprof.planning.ordering.piece import Piece

_LOOKS_PER_SPEND = 100
_BITS_PER_STEP = 2000  # of masks that are built


def bits(mask: int) -> Iterator[int]:
    """Yield the numbers of the set bits of ``mask``, ascending."""
    while mask:
        lowest = mask & -mask
        yield lowest.bit_length() - 1
        mask ^= lowest


class Masks:
    """Tables of one piece; see the attributes.

    Attributes:
        piece: The piece.
        meter: Told of each operation that a search looks at.
        everything: The state in which all operations have run.
        sources: Operations that wait for nothing.
        successors: For each operation its (successor's bit, mask of all that the successor waits for).
        always_opens: For each operation the bytes that it opens in every state, scratch not included.
        may_open: For each operation (mask of all that open the cell, bytes) of the other cells.
        always_closes: For each operation the bytes that it closes in every state.
        may_close: For each operation (mask of the others that close the cell, bytes) of the other cells.
        neighbours: For each operation the mask of those whose bytes opened or closed change when it runs.
    """

    def __init__(self, piece: Piece, meter: Meter | None = None) -> None:
        self.meter = meter or Meter()
        count = len(piece.ops)
        self.meter.spend(count**2 // _BITS_PER_STEP)
        self.piece = piece
        self.everything = (1 << count) - 1
        needed = [sum(1 << other for other in before) for before in piece.predecessors]
        self.sources = sum(1 << op for op in range(count) if not needed[op])
        self.successors = tuple(tuple((1 << other, needed[other]) for other in found) for found in piece.successors)
        self.scratch = piece.scratch_bytes
        self.always_opens = [0] * count
        self.always_closes = [0] * count
        self.neighbours = [0] * count
        may_open: list[list[tuple[int, int]]] = [[] for _ in piece.ops]
        may_close: list[list[tuple[int, int]]] = [[] for _ in piece.ops]
        for opens, closes, size_bytes in piece.cells:
            self._enter(opens, size_bytes, self.always_opens, may_open)
            self._enter(closes, size_bytes, self.always_closes, may_close)
        for op, found in enumerate(may_close):
            may_close[op] = [(mask & ~(1 << op), size_bytes) for mask, size_bytes in found]
        self.may_open = tuple(map(tuple, may_open))
        self.may_close = tuple(map(tuple, may_close))

    def _enter(
        self, ops: tuple[int, ...] | None, size_bytes: int, always: list[int], may: list[list[tuple[int, int]]]
    ) -> None:
        if ops is None:
            return
        if len(ops) == 1:
            always[ops[0]] += size_bytes
            return
        mask = sum(1 << op for op in ops)
        for op in ops:
            may[op].append((mask, size_bytes))
            self.neighbours[op] |= mask & ~(1 << op)

    def opened(self, state: int, op: int) -> int:
        """Return the bytes that ``op`` opens in ``state``."""
        total = self.always_opens[op]
        for mask, size_bytes in self.may_open[op]:
            if not mask & state:
                total += size_bytes
        return total

    def closed(self, state: int, op: int) -> int:
        """Return the bytes that ``op`` closes in ``state``."""
        total = self.always_closes[op]
        for others, size_bytes in self.may_close[op]:
            if others & state == others:
                total += size_bytes
        return total

    def readied(self, state: int, op: int) -> int:
        """Return the operations that become ready when ``op`` has run and led to ``state``."""
        ready = 0
        for bit, needed in self.successors[op]:
            if needed & state == needed:
                ready |= bit
        return ready

    def close(
        self, level: int, state: int, ready: int, alive: int, *, suspects: int, lightest: int
    ) -> tuple[int, int, int, list[int]]:
        """Make all free moves: run what is ready, stays within the level and adds nothing, until nothing does.

        Args:
            level: Bytes that no step may exceed.
            state: Where to start.
            ready: What can run there.
            alive: Its bytes.
            suspects: Those of ``ready`` that may be free; the others are known not to be at ``lightest`` bytes.
            lightest: An operation that is no free move at so many bytes for want of room is none at more.

        Returns:
            State, ready and alive after the moves, and the moves.
        """
        always_opens, may_open, scratch = self.always_opens, self.may_open, self.scratch
        always_closes, may_close = self.always_closes, self.may_close
        steps = []
        looked_at = 0
        while suspects:
            looked_at += 1
            if looked_at == _LOOKS_PER_SPEND:
                self.meter.spend(looked_at)
                looked_at = 0
            bit = suspects & -suspects
            suspects ^= bit
            op = bit.bit_length() - 1
            opened, closed = always_opens[op], always_closes[op]  # ``opened`` and ``closed``, without calls
            for mask, size_bytes in may_open[op]:
                if not mask & state:
                    opened += size_bytes
            if alive + opened + scratch[op] > level:
                continue
            for mask, size_bytes in may_close[op]:
                if mask & state == mask:
                    closed += size_bytes
            if opened > closed:
                continue
            steps.append(op)
            state |= bit
            alive += opened - closed
            readied = self.readied(state, op)
            ready = ready & ~bit | readied
            suspects |= readied | ready & self.neighbours[op]
            if alive < lightest:
                lightest = alive
                suspects = ready
        self.meter.spend(looked_at)
        return state, ready, alive, steps
