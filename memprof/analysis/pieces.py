"""A whole number as a function of a size: polynomials of degree 2 at most, piece by piece, in exact arithmetic. Pure.

The bytes of a tensor are a product of sizes, and a peak is the highest of many sums of such bytes: a polynomial in
each size, until another step is the highest, and so on. Batches make it affine, attention quadratic in the length.

    value   |                     . o     o  evaluated: three to find a piece, its end, two inside it
            |             . o             .  known from the polynomial alone
            |   o o o .
            +------------------ size

Each piece goes through its first three sizes, and ends where a search by halving says that it no longer holds. It is
then held against sizes inside it. One that no further size agrees with is no piece: that size stands alone.
Complexity: about 6 evaluations for one piece, and twice the logarithm of the number of sizes for each more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

MAX_ALONE = 12
"""So many sizes that stand alone, and there is no formula: steps of rounding, say, which are no polynomial."""

_DEFINING = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A polynomial and where it holds.

    Attributes:
        first: The first size.
        last: The last size.
        coefficients: Of the powers 0, 1 and 2 of the size.
        checks: How many sizes it was held against besides those that define it; 0 for a size that stands alone.
    """

    first: int
    last: int
    coefficients: tuple[Fraction, Fraction, Fraction]
    checks: int

    def at(self, size: int) -> int:
        """Return the value at a size, which must be whole."""
        value = self.exactly_at(size)
        assert value.denominator == 1, "a piece is asked at its own sizes alone"
        return int(value)

    def exactly_at(self, size: int) -> Fraction:
        """Return what the polynomial gives at any size."""
        return _at(self.coefficients, size)


def find_pieces(value: Callable[[int], int], sizes: Sequence[int]) -> tuple[Piece, ...] | None:
    """Return ``value`` over ``sizes`` as pieces, in order and without gaps; ``None`` where it is none of few pieces.

    Args:
        value: The function; asked at few of the sizes, some of them more than once.
        sizes: Where it is wanted, ascending.
    """
    pieces: list[Piece] = []
    alone, first = 0, 0
    while first < len(sizes):
        piece, after = _next_piece(value, sizes, first)
        alone += piece.checks == 0
        if alone > MAX_ALONE:
            return None
        pieces.append(piece)
        first = after
    return tuple(pieces)


def _next_piece(value: Callable[[int], int], sizes: Sequence[int], first: int) -> tuple[Piece, int]:
    """Return the piece that begins at an index, and the index behind it."""
    single = (Fraction(value(sizes[first])), Fraction(0), Fraction(0))
    alone = Piece(first=sizes[first], last=sizes[first], coefficients=single, checks=0), first + 1
    least = first + _DEFINING  # the first size that can say no
    if least >= len(sizes):
        return alone
    found = polynomial([(size, value(size)) for size in sizes[first:least]])

    def holds(index: int) -> bool:
        expected = _at(found, sizes[index])
        return expected.denominator == 1 and expected == value(sizes[index])

    if not holds(least):
        return alone
    last = _last_that_holds(holds, least, len(sizes) - 1)
    checked = {least, last}
    while True:
        inside = {least + (last - least) * part // 3 for part in (1, 2)}
        wrong = next((index for index in sorted(inside) if not holds(index)), None)
        if wrong is None:
            break
        last = _last_that_holds(holds, least, wrong)
    checked = {index for index in checked | inside if index <= last}
    piece = Piece(first=sizes[first], last=sizes[last], coefficients=found, checks=len(checked))
    return piece, last + 1


def _last_that_holds(holds: Callable[[int], bool], low: int, high: int) -> int:
    """Return the last index up to ``high`` that holds, if those that hold come first; ``low`` does."""
    if holds(high):
        return high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


def polynomial(points: Sequence[tuple[int, int]]) -> tuple[Fraction, Fraction, Fraction]:
    """Return the polynomial through three points, by Newton's divided differences."""
    (a, at_a), (b, at_b), (c, at_c) = points
    slope = Fraction(at_b - at_a, b - a)
    bend = (Fraction(at_c - at_b, c - b) - slope) / (c - a)
    return at_a - slope * a + bend * a * b, slope - bend * (a + b), bend


def _at(coefficients: tuple[Fraction, Fraction, Fraction], size: int) -> Fraction:
    constant, slope, bend = coefficients
    return constant + size * (slope + size * bend)
