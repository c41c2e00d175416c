"""Functions of a size as exact polynomials, piece by piece, from few evaluations."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memprof.analysis.pieces import MAX_ALONE, find_pieces

_POLYNOMIALS = st.tuples(st.integers(0, 10**9), st.integers(0, 10**6), st.integers(0, 10**4))


class Counted:
    """A function that counts at how many sizes it was asked."""

    def __init__(self, function: Callable[[int], int]) -> None:
        self._function = function
        self.asked: set[int] = set()

    def __call__(self, size: int) -> int:
        self.asked.add(size)
        return self._function(size)


@given(st.lists(_POLYNOMIALS, min_size=1, max_size=4), st.integers(4, 300), st.integers(1, 7), st.integers(0, 50))
def test_the_highest_of_some_polynomials_is_found_everywhere(
    polynomials: list[tuple[int, int, int]], count: int, step: int, first: int
) -> None:
    def highest(size: int) -> int:
        return max(a + b * size + c * size * size for a, b, c in polynomials)

    sizes = range(first, first + count * step, step)
    pieces = find_pieces(highest, sizes)
    assert pieces is not None
    assert [p.first for p in pieces[1:]] == [p.last + step for p in pieces[:-1]]
    assert (pieces[0].first, pieces[-1].last) == (sizes[0], sizes[-1])
    for piece in pieces:
        for size in range(piece.first, piece.last + 1, step):
            assert piece.at(size) == highest(size)


def test_one_polynomial_takes_seven_evaluations_however_many_sizes() -> None:
    affine = Counted(lambda size: 640 * size + 64)
    pieces = find_pieces(affine, range(1, 4097))
    assert pieces is not None
    assert [(piece.first, piece.last) for piece in pieces] == [(1, 4096)]
    assert len(affine.asked) == 7
    assert pieces[0].checks == 4


def test_a_break_is_found_at_its_size() -> None:
    broken = Counted(lambda size: max(4000 * size + 159_150_812, 1_642_400 * size + 137_549_792))
    pieces = find_pieces(broken, range(1, 1025))
    assert pieces is not None
    assert [(piece.first, piece.last) for piece in pieces] == [(1, 13), (14, 1024)]
    assert len(broken.asked) < 30


def test_a_jump_in_the_middle_is_found_where_both_ends_lie_on_one_line() -> None:
    pieces = find_pieces(lambda size: 10 * size + (7 if 300 <= size < 700 else 0), range(1, 1001))
    assert pieces is not None
    assert [(piece.first, piece.last) for piece in pieces] == [(1, 299), (300, 699), (700, 1000)]


def test_a_function_of_many_pieces_has_no_formula_and_is_not_asked_everywhere() -> None:
    stairs = Counted(lambda size: -(-size // 2) * 64)
    assert find_pieces(stairs, range(1, 10_001)) is None
    assert len(stairs.asked) < 4 * MAX_ALONE


@pytest.mark.parametrize("count", [1, 2, 3])
def test_few_sizes_stand_alone(count: int) -> None:
    pieces = find_pieces(lambda size: size * size, range(5, 5 + count))
    assert pieces is not None
    assert [(piece.first, piece.checks, piece.at(piece.first)) for piece in pieces] == [
        (size, 0, size * size) for size in range(5, 5 + count)
    ]
