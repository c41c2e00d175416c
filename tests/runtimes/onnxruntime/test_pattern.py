"""The block of later runs against a plain walk over what is alive, on random lives."""

from __future__ import annotations

import random

import pytest

from memprof.runtimes.onnxruntime.pattern import ALIGNMENT, pattern_bytes
from memprof.runtimes.onnxruntime.plan import ReusePlan


def block_by_walking(lives: list[tuple[int, int, int]]) -> int:
    """Return the bytes of the block for (start, stop, bytes) in order of birth: each gap looked at, one by one."""
    alive: list[tuple[int, int, int]] = []  # (offset, bytes, stop), by offset
    block_bytes = 0
    for start, stop, size in lives:
        alive = [found for found in alive if found[2] > start]
        padded = -(-size // ALIGNMENT) * ALIGNMENT
        gaps, position = [], 0
        for offset, taken, _ in [*alive, (block_bytes, 0, 0)]:
            if offset - position >= padded:
                gaps.append((offset - position, position))
            position = offset + taken
        place = min(gaps)[1] if gaps else max((offset + taken for offset, taken, _ in alive), default=0)
        alive = sorted([*alive, (place, padded, stop)])
        block_bytes = max(block_bytes, place + padded)
    return block_bytes


@pytest.mark.parametrize("seed", range(200))
def test_the_block_is_what_a_walk_over_all_gaps_gives(seed: int) -> None:
    rng = random.Random(seed)
    count, reach = rng.randint(0, 60), rng.choice((2, 8, 60))
    lives = [(i, i + rng.randint(1, reach), rng.choice((1, 200, 256, 257, 700, 4000))) for i in range(count)]

    found = pattern_bytes(
        ReusePlan(
            order=tuple(range(count)),
            home=tuple(range(count)),
            start=tuple(start for start, _, _ in lives),
            stop=tuple(stop for _, stop, _ in lives),
            owned=tuple(range(count)),
        ),
        [size for _, _, size in lives],
        frozenset(),
    )

    assert found == block_by_walking(lives)
