"""A piece made smaller or more regular, and the way back: each operation stands for a run of operations before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from memprof.planning.ordering.piece import Piece


@dataclass(frozen=True, slots=True)
class Rewrite:
    """A piece that took the place of another one.

    Attributes:
        piece: The new piece.
        parts: For each of its operations those of the old one that run in its place, in running order.
    """

    piece: Piece
    parts: tuple[tuple[int, ...], ...]

    def expand(self, order: Sequence[int]) -> list[int]:
        """Return the order of the old piece that an order of the new one stands for."""
        return [op for part in order for op in self.parts[part]]


def ancestor_masks(piece: Piece) -> list[int]:
    """Return for each operation those that run before it in every order, one bit each. O(n * edges / 64)."""
    masks: list[int] = []
    for before in piece.predecessors:
        mask = 0
        for other in before:
            mask |= masks[other] | 1 << other
        masks.append(mask)
    return masks
