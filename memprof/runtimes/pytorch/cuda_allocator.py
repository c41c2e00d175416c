"""What PyTorch's caching allocator keeps of a GPU for a run: segments, blocks, and what is lost between them.

    a request           rounded up to 512 bytes
    up to 1 MiB         from the small pool, whose segments have 2 MiB
    under 10 MiB        from the large pool, from a segment of 20 MiB
    from 10 MiB on      from the large pool, from a segment of its own size, rounded up to 2 MiB
    which block         the smallest free one of its pool that is large enough, of equal ones the lowest
    the rest of it      becomes a free block where 512 bytes (small pool) or more than 1 MiB (large pool) are left
    released            joined with its free neighbours in the segment; no segment goes back

These are the documented defaults (``expandable_segments:False``, no ``max_split_size_mb``); one stream. Segments get
addresses in the order in which they come: the driver's own may differ, which matters to ties alone. Pure;
O(requests x log blocks).
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence
from dataclasses import dataclass, field

ROUND_BYTES = 512
SMALL_BYTES = 2**20
SMALL_SEGMENT_BYTES = 2 * 2**20
LARGE_SEGMENT_BYTES = 20 * 2**20
OWN_SEGMENT_BYTES = 10 * 2**20
SEGMENT_STEP_BYTES = 2 * 2**20


@dataclass(eq=False, slots=True)
class _Block:
    address: int
    size: int
    is_small: bool
    is_free: bool = False
    before: _Block | None = None
    after: _Block | None = None


@dataclass(slots=True)
class CachingAllocator:
    """The allocator's state: ask with ``allocate`` and ``release``, read the peaks.

    Attributes:
        allocated_bytes: Bytes of the blocks in use, as ``torch.cuda.memory_allocated`` counts them.
        most_allocated_bytes: Their maximum.
        reserved_bytes: Bytes of all segments, as ``torch.cuda.memory_reserved`` counts them; they never shrink here.
    """

    allocated_bytes: int = 0
    most_allocated_bytes: int = 0
    reserved_bytes: int = 0
    _used: dict[int, _Block] = field(default_factory=dict)
    _free: dict[bool, list[tuple[int, int, int]]] = field(default_factory=lambda: {True: [], False: []})
    _blocks: dict[int, _Block] = field(default_factory=dict)

    def allocate(self, key: int, size_bytes: int) -> None:
        """Take a block for ``size_bytes`` and remember it by ``key``; nothing for none."""
        if size_bytes <= 0:
            return
        size = rounded_bytes(size_bytes)
        block = self._best(size) or self._segment(size)
        self._split(block, size)
        block.is_free = False
        assert key not in self._used, "a key stands for one block at a time"
        self._used[key] = block
        self.allocated_bytes += block.size
        self.most_allocated_bytes = max(self.most_allocated_bytes, self.allocated_bytes)

    def release(self, key: int) -> None:
        """Give the block of ``key`` back; nothing if it has none."""
        block = self._used.pop(key, None)
        if block is None:
            return
        self.allocated_bytes -= block.size
        for neighbour in (block.before, block.after):
            if neighbour is not None and neighbour.is_free:
                self._forget(neighbour)
                block = _joined(block, neighbour)
        self._offer(block)

    def _best(self, size: int) -> _Block | None:
        pool = self._free[size <= SMALL_BYTES]
        place = bisect_left(pool, (size, -1, -1))
        if place == len(pool):
            return None
        _, _, name = pool.pop(place)
        return self._blocks.pop(name)

    def _segment(self, size: int) -> _Block:
        is_small = size <= SMALL_BYTES
        if is_small:
            whole = SMALL_SEGMENT_BYTES
        elif size < OWN_SEGMENT_BYTES:
            whole = LARGE_SEGMENT_BYTES
        else:
            whole = -(-size // SEGMENT_STEP_BYTES) * SEGMENT_STEP_BYTES
        block = _Block(self.reserved_bytes, whole, is_small)
        self.reserved_bytes += whole
        return block

    def _split(self, block: _Block, size: int) -> None:
        left = block.size - size
        if left < ROUND_BYTES or (not block.is_small and left <= SMALL_BYTES):
            return
        rest = _Block(block.address + size, left, block.is_small, before=block, after=block.after)
        if block.after is not None:
            block.after.before = rest
        block.after, block.size = rest, size
        self._offer(rest)

    def _offer(self, block: _Block) -> None:
        block.is_free = True
        self._blocks[id(block)] = block
        insort(self._free[block.is_small], (block.size, block.address, id(block)))

    def _forget(self, block: _Block) -> None:
        pool = self._free[block.is_small]
        del pool[bisect_left(pool, (block.size, block.address, id(block)))]
        del self._blocks[id(block)]


def rounded_bytes(size_bytes: int) -> int:
    """Return what a request for ``size_bytes`` is rounded up to.

    >>> rounded_bytes(1), rounded_bytes(513)
    (512, 1024)
    """
    return max(ROUND_BYTES, -(-size_bytes // ROUND_BYTES) * ROUND_BYTES)


def _joined(block: _Block, neighbour: _Block) -> _Block:
    first, second = (neighbour, block) if neighbour is block.before else (block, neighbour)
    first.size += second.size
    first.after = second.after
    if second.after is not None:
        second.after.before = first
    return first


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One storage on the device.

    Attributes:
        key: Its name among the others.
        size_bytes: What was asked for.
        start: Step before which it comes to life.
        stop: Step before which it is given back, ``None`` if it stays.
    """

    key: int
    size_bytes: int
    start: int
    stop: int | None


def replay(allocator: CachingAllocator, requests: Sequence[Request]) -> None:
    """Do what ``requests`` ask for in the order of their steps, releases of a step before its requests."""
    events: list[tuple[int, int, int, int]] = []
    for position, request in enumerate(requests):
        events.append((request.start, 1, position, request.size_bytes))
        if request.stop is not None and request.stop > request.start:
            events.append((request.stop, 0, position, 0))
    keys = [request.key for request in requests]
    for _, is_request, position, size in sorted(events):
        if is_request:
            allocator.allocate(keys[position], size)
        else:
            allocator.release(keys[position])
