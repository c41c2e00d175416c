"""Allocation problems from seeds, and brute force that decides small ones; no line shared with the planner."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random
from typing import TextIO

from memprof.planning.offsets.problem import AllocationBuffer, AllocationProblem

Triple = tuple[int, int, int]
"""Start, stop, size."""

GAP = ((0, 7, 5), (0, 4, 2), (0, 2, 2), (2, 5, 1), (2, 6, 1), (4, 5, 1), (4, 6, 1), (5, 7, 2), (6, 7, 2))
"""Nine buffers, nine bytes alive at every step, and yet no arena of nine bytes holds them: ten are needed."""


def problem_of(triples: Sequence[Triple], alignment: int = 1) -> AllocationProblem:
    """Return the problem whose buffers are named b0, b1, ..."""
    buffers = [
        AllocationBuffer(name=f"b{i}", start=start, stop=stop, size_bytes=size, traffic_bytes=2 * size)
        for i, (start, stop, size) in enumerate(triples)
    ]
    return AllocationProblem(buffers=tuple(buffers), alignment=alignment)


def write_problem(problem: AllocationProblem, stream: TextIO) -> None:
    """Write ``problem`` as minimalloc's CSV, without offsets."""
    stream.write("id,lower,upper,size\n")
    for buffer in problem.buffers:
        stream.write(f"{buffer.name},{buffer.start},{buffer.stop},{buffer.size_bytes}\n")


def loose_problem(rng: Random, most: int = 7) -> AllocationProblem:
    """Return any small problem: empty lives, no bytes, alignments that matter."""
    triples = []
    for _ in range(rng.randint(0, most)):
        start = rng.randint(0, 6)
        triples.append((start, start + rng.randint(0, 6), rng.randint(0, 7)))
    return problem_of(triples, rng.choice([1, 1, 2, 4]))


def tight_triples(rng: Random, steps: int, load: int) -> list[Triple]:
    """Return buffers that together take ``load`` bytes at every step, so that a plan has no byte to spare."""
    alive = [0] * steps
    triples = []
    while min(alive) < load:
        start = next(step for step in range(steps) if alive[step] < load)
        size = rng.randint(1, load - alive[start])
        stop = start + 1
        while stop < steps and alive[stop] + size <= load and rng.random() < 0.6:
            stop += 1
        for step in range(start, stop):
            alive[step] += size
        triples.append((start, stop, size))
    return triples


def tight_problems(count: int, most: int) -> Iterator[AllocationProblem]:
    """Yield tight problems of at most ``most`` buffers, ``count`` of them."""
    seed = 0
    while count:
        rng = Random(seed)
        seed += 1
        triples = tight_triples(rng, rng.randint(4, 9), rng.randint(4, 10))
        if len(triples) <= most:
            count -= 1
            yield problem_of(triples)


def cut_rectangle(rng: Random, pieces: int, steps: int = 512, size: int = 256) -> AllocationProblem:
    """Return the pieces of a rectangle cut edge to edge, at random: ``size`` bytes hold them, and no fewer."""
    rectangles = [(0, steps, 0, size)]
    while len(rectangles) < pieces:
        left, right, low, high = rectangles.pop(rng.randrange(len(rectangles)))
        if rng.random() < 0.5 and right - left > 1:
            middle = rng.randint(left + 1, right - 1)
            rectangles += [(left, middle, low, high), (middle, right, low, high)]
        elif high - low > 1:
            middle = rng.randint(low + 1, high - 1)
            rectangles += [(left, right, low, middle), (left, right, middle, high)]
        else:
            rectangles.append((left, right, low, high))
    rng.shuffle(rectangles)
    return problem_of([(left, right, high - low) for left, right, low, high in rectangles])


def smallest_arena(problem: AllocationProblem) -> int:
    """Return the smallest arena there is, by trying every aligned offset of every buffer, from the load up."""
    steps = range(max((b.stop for b in problem.buffers), default=0))
    step = problem.alignment
    arena = max(
        (sum(-(-b.size_bytes // step) * step for b in problem.buffers if b.start <= t < b.stop) for t in steps),
        default=0,
    )
    while not fits(problem, arena):
        arena += problem.alignment
    return arena


def fits(problem: AllocationProblem, capacity: int) -> bool:
    """Whether some assignment of offsets keeps all buffers apart below ``capacity``."""
    step = problem.alignment
    blocks = sorted(
        (b.start, b.stop, -(-b.size_bytes // step) * step)
        for b in problem.buffers
        if b.size_bytes and b.start < b.stop
    )
    placed: list[tuple[int, int, int, int]] = []

    def place(i: int) -> bool:
        if i == len(blocks):
            return True
        start, stop, size = blocks[i]
        for offset in range(0, capacity - size + 1, step):
            end = offset + size
            if all(stop <= s or t <= start or end <= low or high <= offset for s, t, low, high in placed):
                placed.append((start, stop, offset, end))
                if place(i + 1):
                    return True
                placed.pop()
        return False

    return place(0)


def breaks_a_rule(problem: AllocationProblem, offsets: Sequence[int]) -> bool:
    """Whether ``offsets`` are no plan: every byte of every step is written down."""
    step = problem.alignment
    taken: set[tuple[int, int]] = set()
    for buffer, offset in zip(problem.buffers, offsets, strict=True):
        if offset < 0 or offset % step:
            return True
        size = -(-buffer.size_bytes // step) * step
        own = {(t, byte) for t in range(buffer.start, buffer.stop) for byte in range(offset, offset + size)}
        if own & taken:
            return True
        taken |= own
    return False
