"""A piece from its two ends, for searches that know one direction of time, and the way back to its orders."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from memprof.planning.meter import Meter
from memprof.planning.ordering.forced import Precedences
from memprof.planning.ordering.masks import Masks
from memprof.planning.ordering.piece import Piece

Side = tuple[Masks, Callable[[Sequence[int]], list[int]]]
"""A piece as seen from one of its ends, and how an order found there reads from the start."""


def sides_of(piece: Piece, restore: Callable[[Sequence[int]], list[int]], meter: Meter) -> list[Side]:
    """Return ``piece`` from its end and from its start; ``restore`` says how its orders read where they are used."""
    return [
        (Masks(piece.mirrored, meter), lambda order: restore(from_end(order))),
        (Masks(piece, meter), restore),
    ]


def forced_sides(common: Precedences, meter: Meter) -> list[Side]:
    """Return the sides of the piece of ``common`` with what is forced; orders read as those of the piece without."""
    rewrite = common.rewrite()
    return sides_of(rewrite.piece, rewrite.expand, meter)


def from_end(order: Sequence[int]) -> list[int]:
    """Return the order of a piece that ``order`` of the mirrored one stands for."""
    last = len(order) - 1
    return [last - op for op in reversed(order)]


def state_bytes(piece: Piece) -> int:
    """Return about how many bytes the search keeps per state: masks, tuples, entries in a heap and two dicts."""
    return 600 + len(piece.ops) // 2
