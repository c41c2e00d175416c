"""The caching allocator's documented rules, one by one, and a run replayed through them."""

from __future__ import annotations

import pytest

from memprof.runtimes.pytorch.cuda_allocator import CachingAllocator, Request, replay

KIB, MIB = 2**10, 2**20


@pytest.mark.parametrize(
    ("size", "allocated", "reserved"),
    [
        (1, 512, 2 * MIB),
        (513, 1024, 2 * MIB),
        (MIB, MIB, 2 * MIB),
        (MIB + 1, MIB + 512, 20 * MIB),
        (10 * MIB - 512, 10 * MIB - 512, 20 * MIB),
        (10 * MIB, 10 * MIB, 10 * MIB),
        (11 * MIB, 11 * MIB + MIB, 12 * MIB),  # a rest of 1 MiB is not split off
        (11 * MIB - 512, 11 * MIB - 512, 12 * MIB),
        (19 * MIB, 20 * MIB, 20 * MIB),
    ],
)
def test_a_request_takes_a_block_of_a_segment(size: int, allocated: int, reserved: int) -> None:
    allocator = CachingAllocator()
    allocator.allocate(0, size)
    assert (allocator.allocated_bytes, allocator.reserved_bytes) == (allocated, reserved)


def test_a_released_block_serves_the_next_that_fits_best() -> None:
    allocator = CachingAllocator()
    for key, size in enumerate((12 * MIB, 30 * MIB)):
        allocator.allocate(key, size)
    for key in (0, 1):
        allocator.release(key)
    allocator.allocate(2, 11 * MIB)
    assert (allocator.allocated_bytes, allocator.reserved_bytes) == (12 * MIB, 42 * MIB)


def test_neighbours_join_and_pools_do_not_mix() -> None:
    allocator = CachingAllocator()
    for key in range(4):
        allocator.allocate(key, 512 * KIB)  # one small segment, full
    for key in (1, 3, 2):
        allocator.release(key)
    allocator.allocate(4, MIB)  # fits where 1 and 2 were, joined
    assert allocator.reserved_bytes == 2 * MIB
    allocator.allocate(5, 2 * MIB)
    assert allocator.reserved_bytes == 22 * MIB


def test_releases_of_a_step_come_before_its_requests() -> None:
    allocator = CachingAllocator()
    replay(
        allocator,
        [Request(key=0, size_bytes=MIB, start=0, stop=1), Request(key=1, size_bytes=MIB, start=1, stop=None)],
    )
    assert (allocator.most_allocated_bytes, allocator.reserved_bytes) == (MIB, 2 * MIB)
