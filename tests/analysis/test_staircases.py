"""Staircases: found with their shortest period, true at every size, and none where there is none."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from memprof.analysis.staircases import find_staircase


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.sampled_from([32, 64, 256]), st.integers(1, 12))
def test_rounding_up_to_blocks_is_one_and_true_at_every_size(elements: int, block: int, first: int) -> None:
    def rounded(size: int) -> int:
        return -(-size * elements * 4 // block) * block

    sizes = range(first, first + 200)
    found = find_staircase(sizes, [rounded(size) for size in sizes])
    assert found is not None
    assert found.first == first
    assert block % (4 * elements * found.period) == 0 or (4 * elements * found.period) % block == 0
    steps = dict(found.steps)
    for size in sizes:
        periods, rest = divmod(size - found.first, found.period)
        below = max(at for at in steps if at <= found.first + rest)
        assert steps[below] + periods * found.growth == rounded(size)


def test_another_beginning_is_left_out() -> None:
    values = [90, 70, 50, 10, *(64 * (size // 4) for size in range(5, 41))]
    found = find_staircase(range(1, 41), values)
    assert found is not None
    assert (found.first, found.period, found.growth) == (5, 4, 64)
    assert found.steps == ((5, 64), (8, 128))


def test_no_staircase() -> None:
    assert find_staircase(range(1, 30), [size * size for size in range(1, 30)]) is None
    assert find_staircase([1, 2, 4], [1, 2, 4]) is None
    assert find_staircase([], []) is None
