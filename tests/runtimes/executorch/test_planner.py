"""ExecuTorch's planner by hand: the largest first, the later of equals first, objects that tensors share."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st

from memprof.runtimes.executorch.planner import Block, place


def test_the_later_of_equals_is_placed_first() -> None:
    assert place([Block(16, 0, 2), Block(16, 1, 3)]) == ((16, 0), 32)


def test_tensors_that_never_meet_share_an_object() -> None:
    assert place([Block(64, 0, 1), Block(32, 1, 2), Block(16, 2, 3)]) == ((0, 0, 0), 64)


def test_a_tensor_lies_behind_the_highest_that_lives_with_it() -> None:
    # the second meets the first alone; the third meets the second, and not the first
    blocks = [Block(64, 0, 1), Block(16, 2, 4), Block(32, 3, 5)]
    assert place(blocks) == ((0, 32, 0), 64)


def test_a_tensor_that_fits_nowhere_makes_an_object() -> None:
    assert place([Block(64, 0, 9), Block(32, 0, 9), Block(16, 0, 1), Block(16, 5, 6)]) == ((0, 64, 96, 96), 112)


def test_nothing_takes_nothing() -> None:
    assert place([]) == ((), 0)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 12), st.integers(1, 6)), max_size=12))
def test_no_two_that_live_together_overlap(drawn: list[tuple[int, int, int]]) -> None:
    blocks = [Block(16 * size, start, start + length) for size, start, length in drawn]
    offsets, arena = place(blocks)
    for (at, one), (there, other) in combinations(zip(offsets, blocks, strict=True), 2):
        apart = at + one.size_bytes <= there or there + other.size_bytes <= at
        assert apart or not one.overlaps(other)
    assert all(at + block.size_bytes <= arena for at, block in zip(offsets, blocks, strict=True))
