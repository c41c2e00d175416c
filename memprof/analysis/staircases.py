"""A whole number as a staircase of a size: what rounding up to blocks makes of a straight line. Pure.

    value  |            +--      value(size + period) = value(size) + growth, for every size from ``first`` on
           |        +---
           |    +--+             a period has steps of its own, which come again in each
           |+--+
           +---------------- size

Rounding n times a few bytes up to blocks repeats itself after as many sizes as make whole blocks, a power of two
where blocks are one. It is found from values at all sizes, and holds at each of them.
Complexity: O(values times the longest period).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

MAX_PERIOD = 64
"""In sizes; blocks of 256 bytes repeat themselves after so many elements of four bytes."""

_PERIODS = 3  # so many must be seen


@dataclass(frozen=True, slots=True, kw_only=True)
class Staircase:
    """A staircase and where it holds.

    Attributes:
        first: The first size.
        last: The last size.
        period: After how much of the size the steps come again.
        growth: By how much the value is larger then.
        steps: Of the first period the sizes at which the value changes, and the value from there on.
    """

    first: int
    last: int
    period: int
    growth: int
    steps: tuple[tuple[int, int], ...]


def find_staircase(sizes: Sequence[int], values: Sequence[int]) -> Staircase | None:
    """Return the staircase that most of the last sizes lie on, that with the shortest period where several do.

    Args:
        sizes: Equally far from each other, ascending.
        values: At each of them.

    Returns:
        The staircase; ``None`` where none holds for three periods and for half of the sizes.
    """
    if len({after - size for size, after in pairwise(sizes)}) != 1:
        return None
    found = [(_first(values, length), length) for length in range(1, min(MAX_PERIOD, len(sizes) // _PERIODS) + 1)]
    first, length = min(found, default=(len(sizes), 1))
    if first > len(sizes) // 2 or len(sizes) - first < _PERIODS * length:
        return None
    period = range(first, first + length)
    return Staircase(
        first=sizes[first],
        last=sizes[-1],
        period=length * (sizes[1] - sizes[0]),
        growth=values[first + length] - values[first],
        steps=tuple((sizes[i], values[i]) for i in period if i == first or values[i] != values[i - 1]),
    )


def _first(values: Sequence[int], length: int) -> int:
    """Return the index from which on each value is one amount above that of a period before."""
    rises = [after - value for value, after in zip(values, values[length:], strict=False)]
    return next((i + 1 for i in range(len(rises) - 1, -1, -1) if rises[i] != rises[-1]), 0)
