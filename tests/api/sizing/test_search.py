"""The largest size that fits: always the right one, from few evaluations."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memprof.api.sizing.search import MAX_SIZE, find_largest, find_least, formula_around
from memprof.results.fit import Part, Taken

_POLYNOMIALS = st.tuples(st.integers(0, 10**9), st.integers(1, 10**6), st.integers(0, 10**4))


def asking(function: Callable[[int], int], limit: int) -> Callable[[int], Taken]:
    def ask(size: int) -> Taken:
        found = function(size)
        return Taken(size=size, parts=(Part("all", found),), fits=found <= limit, size_bytes=found)

    return ask


@given(
    st.lists(_POLYNOMIALS, min_size=1, max_size=4), st.integers(1, 64), st.integers(0, 10**11), st.integers(1, 300)
)
def test_the_answer_fits_and_the_next_size_does_not(
    polynomials: list[tuple[int, int, int]], step: int, limit: int, least: int
) -> None:
    first = -(-least // step) * step

    def highest(size: int) -> int:
        return max(a + b * size + c * size * size for a, b, c in polynomials)

    found = find_largest(asking(highest, limit), step, limit, least)
    largest, following = found.largest, found.following
    assert (largest is None) == (highest(first) > limit)
    if largest is not None:
        assert highest(largest.size) <= limit
    if following is not None:
        assert highest(following.size) > limit
        assert following.size == (first if largest is None else largest.size + step)
    else:
        assert largest is not None
        assert largest.size > MAX_SIZE - step


@given(st.integers(1, 512), st.integers(1, 64))
def test_the_least_size_that_runs_is_found(least: int, step: int) -> None:
    assert find_least(lambda size: size >= least, step) == -(-least // step) * step


def test_what_never_runs_has_no_least_size() -> None:
    asked: list[int] = []
    assert find_least(lambda size: bool(asked.append(size)), 1) is None
    assert len(asked) == 11


def test_one_polynomial_takes_five_evaluations_and_is_the_formula() -> None:
    found = find_largest(asking(lambda n: 640 * n * n + 64, 10**9), 1, 10**9)
    assert found.largest is not None
    assert found.largest.size == 1249
    assert len(found.taken) == 5
    formula = formula_around(found)
    assert formula is not None
    assert formula.coefficients == (64, 0, 640)


def test_a_flat_beginning_costs_few_more() -> None:
    found = find_largest(
        asking(lambda n: max(159_150_812 + 4000 * n, 137_549_792 + 1_642_400 * n), 8 * 10**9), 1, 8 * 10**9
    )
    assert found.largest is not None
    assert found.largest.size == (8 * 10**9 - 137_549_792) // 1_642_400
    assert len(found.taken) <= 12


def test_stairs_are_no_polynomial_and_are_halved() -> None:
    found = find_largest(asking(lambda n: 2 ** (n.bit_length()) * 1000, 10**7), 1, 10**7)
    assert found.largest is not None
    assert found.largest.size == 2**13 - 1
    assert len(found.taken) <= 2 * 13 + 16 + 3


@pytest.mark.parametrize("unknown_from", [1, 3, 50])
def test_a_size_that_is_not_known_ends_the_search(unknown_from: int) -> None:
    def ask(size: int) -> Taken:
        is_known = size < unknown_from
        return Taken(
            size=size,
            parts=(),
            fits=True if is_known else None,
            size_bytes=size * 10 if is_known else None,
        )

    found = find_largest(ask, 1, 10**6)
    assert found.following is not None
    assert found.following.fits is None
    assert (found.largest is None) == (unknown_from == 1)
