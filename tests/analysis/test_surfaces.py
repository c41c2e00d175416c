"""Functions of two sizes: rows of pieces that agree are one surface, and what does not agree is none."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from memprof.analysis.pieces import find_pieces
from memprof.analysis.surfaces import Row, find_surfaces

SIZES = range(1, 13)
_FACTORS = st.lists(st.integers(0, 1000), min_size=9, max_size=9)


def rows_of(value: Callable[[int, int], int], others: range) -> list[Row]:
    rows = []
    for other in others:
        pieces = find_pieces(lambda size, other=other: value(size, other), SIZES)  # type: ignore[misc]
        rows.append((other, pieces or ()))
    return rows


@given(_FACTORS)
def test_a_polynomial_in_two_sizes_is_one_surface(factors: list[int]) -> None:
    def value(size: int, other: int) -> int:
        return sum(factors[3 * i + j] * size**i * other**j for i in range(3) for j in range(3))

    (surface,) = find_surfaces(rows_of(value, range(2, 9)))
    assert (surface.first, surface.last, surface.checks) == ((1, 2), (12, 8), 4)
    assert all(surface.at(size, other) == value(size, other) for size in SIZES for other in range(2, 9))


@given(_FACTORS, st.integers(0, 40))
def test_what_a_surface_says_is_true_wherever_it_holds(factors: list[int], bump: int) -> None:
    def value(size: int, other: int) -> int:
        return max(factors[0] + factors[1] * size * other, factors[2] * other**2 + bump * size) + (other == 5) * bump

    for surface in find_surfaces(rows_of(value, range(1, 10))):
        for size in range(surface.first[0], surface.last[0] + 1):
            for other in range(surface.first[1], surface.last[1] + 1):
                assert surface.at(size, other) == value(size, other)


def test_a_row_that_differs_ends_a_surface_and_begins_the_next() -> None:
    def value(size: int, other: int) -> int:
        return 10 * size * other if other < 6 else 7 * size + other

    found = find_surfaces(rows_of(value, range(1, 12)))
    assert [(surface.first[1], surface.last[1]) for surface in found] == [(1, 5), (6, 11)]


def test_three_rows_prove_nothing() -> None:
    assert find_surfaces(rows_of(lambda size, other: size * other, range(1, 4))) == ()
    assert find_surfaces([(1, ()), (2, ()), (3, ()), (4, ())]) == ()
