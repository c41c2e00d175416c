"""A whole number as a function of two sizes: pieces over one that change with the other as polynomials. Pure.

    rows      for each size of the second dimension, the pieces along the first (``pieces``)
    a block   rows one after the other whose pieces begin and end alike
    surface   one piece of a block: each of its coefficients is a polynomial of degree 2 in the second size, through
              the first three rows, and every further row of the block has said yes, one at least

A row that does not agree begins the next block. Pieces whose borders move from row to row have no surface.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from memprof.analysis.pieces import Piece, polynomial

_DEFINING = 3

Row = tuple[int, tuple[Piece, ...]]
"""A size of the second dimension, and the pieces along the first one there."""

Coefficients = tuple[Fraction, Fraction, Fraction]


@dataclass(frozen=True, slots=True, kw_only=True)
class Surface:
    """A polynomial in two sizes, and the rectangle where it holds.

    Attributes:
        first: The first size of each dimension.
        last: The last size of each.
        coefficients: Of the powers 0, 1 and 2 of the first size: each those of the powers 0, 1 and 2 of the second.
        checks: How many rows it was held against besides the three that define it.
    """

    first: tuple[int, int]
    last: tuple[int, int]
    coefficients: tuple[Coefficients, Coefficients, Coefficients]
    checks: int

    def turned(self) -> Surface:
        """Return the same with the two dimensions in the other order."""
        a, b, c = self.coefficients
        return Surface(
            first=(self.first[1], self.first[0]),
            last=(self.last[1], self.last[0]),
            coefficients=((a[0], b[0], c[0]), (a[1], b[1], c[1]), (a[2], b[2], c[2])),
            checks=self.checks,
        )

    def at(self, size: int, other: int) -> Fraction:
        """Return what the polynomial gives at two sizes."""
        values = [constant + other * (slope + other * bend) for constant, slope, bend in self.coefficients]
        return values[0] + size * (values[1] + size * values[2])


def find_surfaces(rows: Sequence[Row]) -> tuple[Surface, ...]:
    """Return the surfaces of rows, in their order; none where no four rows one after the other agree.

    Args:
        rows: By their sizes, ascending.
    """
    found: list[Surface] = []
    start = 0
    while start < len(rows):
        block = _alike(rows[start:])
        surfaces = list(_surfaces(block))
        found += surfaces
        last = max((surface.last[1] for surface in surfaces), default=rows[start][0])
        start = next((i for i, (size, _) in enumerate(rows) if size > last), len(rows))
    return tuple(found)


def _alike(rows: Sequence[Row]) -> Sequence[Row]:
    """Return the first rows whose pieces begin and end alike."""
    borders = [[(piece.first, piece.last) for piece in pieces] for _, pieces in rows]
    count = next((i for i, each in enumerate(borders) if each != borders[0]), len(rows))
    return rows[:count]


def _surfaces(block: Sequence[Row]) -> Iterator[Surface]:
    if len(block) <= _DEFINING:
        return
    sizes = [size for size, _ in block]
    for k, piece in enumerate(block[0][1]):
        if not piece.checks:
            continue
        columns = [[pieces[k].coefficients[power] for _, pieces in block] for power in range(3)]
        fitted = [_fit(sizes, column) for column in columns]
        holds = min(_rows_that_hold(sizes, column, of) for column, of in zip(columns, fitted, strict=True))
        if holds > _DEFINING:
            yield Surface(
                first=(piece.first, sizes[0]),
                last=(piece.last, sizes[holds - 1]),
                coefficients=(fitted[0], fitted[1], fitted[2]),
                checks=holds - _DEFINING,
            )


def _fit(sizes: Sequence[int], column: Sequence[Fraction]) -> Coefficients:
    common = 1
    for value in column[:_DEFINING]:
        common = common * value.denominator
    whole = [(size, int(value * common)) for size, value in zip(sizes[:_DEFINING], column[:_DEFINING], strict=True)]
    constant, slope, bend = polynomial(whole)
    return constant / common, slope / common, bend / common


def _rows_that_hold(sizes: Sequence[int], column: Sequence[Fraction], of: Coefficients) -> int:
    constant, slope, bend = of
    expected = [constant + size * (slope + size * bend) for size in sizes]
    return next((i for i, (a, b) in enumerate(zip(expected, column, strict=True)) if a != b), len(sizes))
