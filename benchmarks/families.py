"""Families of problems from a seed, and the rivals that are at their best on them.

forked_chains      chains of random tensors that start from one value and are joined: hills and valleys to merge
branches           many branches of two operations, equal or not
buffers            uniform (starts anywhere), bursts (starts in a hundred moments), dense (hundreds alive at once)

merge_chains       the hill-valley merge (Liu 1987): each chain is cut at its highest point and the lowest after it,
                   again and again; all segments run by falling hill minus valley
place_by_size      largest first, each in the lowest gap; who is near is found by buckets of time
place_by_cp_sat    Google's CP-SAT (ortools), one worker, as non-overlapping rectangles; ``None`` without it; its
                   seconds are of the processor, too
order_by_cp_sat    the same solver for orders: steps that differ, lives of storages under a common height
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from random import Random
from threading import Event, Thread

from memprof.ir import Graph, GraphBuilder, NewValue, TensorType
from memprof.planning.offsets.problem import AllocationBuffer, AllocationProblem
from memprof.planning.ordering.problem import FROM_START, OrderProblem

_BUCKET = 256


def forked_chains(count: int, length: int, seed: int) -> Graph:
    """Return ``count`` chains of ``length`` operations between one value and a join."""
    rng = Random(seed)
    return _between(count, [[rng.randint(1, 1000) for _ in range(length)] for _ in range(count)])


def branches(count: int, seed: int | None) -> Graph:
    """Return branches of a large and a small tensor: all equal without a seed."""
    rng = Random(seed)
    sizes = [[1000, 10] if seed is None else [rng.randint(500, 1000), rng.randint(1, 10)] for _ in range(count)]
    return _between(count, sizes)


def _between(count: int, sizes: Sequence[Sequence[int]]) -> Graph:
    builder = GraphBuilder("fork")
    x = builder.add_input("x", TensorType.of_bytes(100))
    ends: list[int | None] = []
    for i in range(count):
        value: int | None = x
        for k, size in enumerate(sizes[i]):
            new = NewValue(f"t{i}.{k}", TensorType.of_bytes(size))
            (value,) = builder.add_node("Op", [value], [new], is_foldable=False)
        ends.append(value)
    (y,) = builder.add_node("Join", ends, [NewValue("y", TensorType.of_bytes(100))], is_foldable=False)
    assert y is not None
    return builder.build([y])


def merge_chains(graph: Graph) -> list[int] | None:
    """Return the order of the hill-valley merge, ``None`` for a graph that is no fork of chains."""
    chains: dict[int, list[int]] = {}  # by the node that ends a chain so far
    for node_id, node in enumerate(graph.nodes[:-1]):
        producer = graph.values[node.reads[0]].producer if len(node.reads) == 1 else node_id
        if producer is None:
            chains[node_id] = [node_id]
        elif producer in chains:
            chains[node_id] = [*chains.pop(producer), node_id]
        else:
            return None
    segments = []
    for number, chain in enumerate(chains.values()):
        sizes = [graph.value_bytes[graph.writes[node][0]] or 0 for node in chain]
        hills = [size + before for before, size in zip([0, *sizes], sizes, strict=False)]
        start = 0
        while start < len(chain):
            highest = max(range(start, len(chain)), key=hills.__getitem__)
            lowest = min(range(highest, len(chain)), key=lambda k: (sizes[k], -k))
            segments.append((sizes[lowest] - hills[highest], number, start, chain[start : lowest + 1]))
            start = lowest + 1
    order = [node for *_, part in sorted(segments, key=lambda s: (s[0], s[1], s[2])) for node in part]
    return [*order, len(graph.nodes) - 1] if len(order) == len(graph.nodes) - 1 else None


def buffers(kind: str, count: int, seed: int) -> AllocationProblem:
    """Return a problem of one of the kinds: sizes are log-uniform multiples of 64 bytes, up to 1 MiB."""
    rng = Random(f"{kind} {seed}")
    steps = count
    moments = [rng.randrange(steps) for _ in range(100)]
    longest = {"uniform": 100, "bursts": 100, "dense": max(1, steps // 10)}[kind]
    found = []
    for i in range(count):
        start = rng.choice(moments) + rng.randrange(10) if kind == "bursts" else rng.randrange(steps)
        size = 64 * int(2 ** rng.uniform(0, 14))
        found.append(
            AllocationBuffer(name=str(i), start=start, stop=start + rng.randint(1, longest), size_bytes=size)
        )
    return AllocationProblem(buffers=tuple(found))


def place_by_size(problem: AllocationProblem) -> list[int]:
    """Return offsets: largest first, each in the lowest gap."""
    shelves: dict[int, list[int]] = {}
    offsets = [0] * len(problem.buffers)
    for b in sorted(range(len(offsets)), key=lambda b: -problem.sizes[b]):
        own = problem.buffers[b]
        on = range(own.start // _BUCKET, (own.stop - 1) // _BUCKET + 1)
        near = {other for shelf in on for other in shelves.get(shelf, ()) if own.overlaps(problem.buffers[other])}
        bottom = 0
        for other in sorted(near, key=offsets.__getitem__):
            if offsets[other] - bottom >= problem.sizes[b]:
                break
            bottom = max(bottom, offsets[other] + problem.sizes[other])
        offsets[b] = bottom
        for shelf in on:
            shelves.setdefault(shelf, []).append(b)
    return offsets


def bucket_pairs(problem: AllocationProblem) -> int:
    """Return how many pairs of buffers share a bucket: what ``place_by_size`` looks at, a pair once for each."""
    counts = Counter(
        shelf for own in problem.buffers for shelf in range(own.start // _BUCKET, (own.stop - 1) // _BUCKET + 1)
    )
    return sum(count * (count - 1) // 2 for count in counts.values())


@contextmanager
def _stopped_after(seconds: float, stop: Callable[[], None]) -> Iterator[None]:
    """Call ``stop`` again and again once so many seconds of the processor have passed inside the block."""
    deadline = time.process_time() + seconds
    is_over = Event()

    def watch() -> None:
        while not is_over.wait(0.05):
            if time.process_time() > deadline:
                stop()

    watcher = Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        is_over.set()
        watcher.join()


def place_by_cp_sat(problem: AllocationProblem, seconds: float) -> int | None:
    """Return the arena that CP-SAT finds, ``None`` if it is not installed or finds none."""
    if find_spec("ortools") is None:
        return None
    from ortools.sat.python import cp_model

    model = cp_model.CpModel()
    most = sum(problem.sizes)
    top = model.new_int_var(problem.load_bytes, most, "top")
    times, places = [], []
    for i, (buffer, size) in enumerate(zip(problem.buffers, problem.sizes, strict=True)):
        offset = model.new_int_var(0, most - size, f"o{i}")
        times.append(model.new_fixed_size_interval_var(buffer.start, buffer.stop - buffer.start, f"t{i}"))
        places.append(model.new_fixed_size_interval_var(offset, size, f"p{i}"))
        model.add(top >= offset + size)
    model.add_no_overlap_2d(times, places)
    model.minimize(top)
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    with _stopped_after(seconds, solver.stop_search):
        status = solver.solve(model)
    return int(solver.objective_value) if status in (cp_model.OPTIMAL, cp_model.FEASIBLE) else None


def order_by_cp_sat(problem: OrderProblem, seconds: float) -> tuple[list[int], int] | None:
    """Return the order that CP-SAT finds and its bound, ``None`` if it is not installed or finds none.

    It starts from the given order, whose peak is its first answer.
    """
    if find_spec("ortools") is None:
        return None
    from ortools.sat.python import cp_model

    count = problem.op_count
    model = cp_model.CpModel()
    steps = [model.new_int_var(0, count - 1, f"s{op}") for op in range(count)]
    model.add_all_different(steps)
    for op, before in enumerate(problem.predecessors):
        model.add_hint(steps[op], op)
        for other in before:
            model.add(steps[other] < steps[op])
    touchers: list[list[int]] = [[] for _ in problem.storage_bytes]
    for op, found in enumerate(problem.touches):
        for storage in found:
            touchers[storage].append(op)
    lives, demands = [], []
    for storage, size in enumerate(problem.storage_bytes):
        birth = problem.births[storage]
        start = 0 if birth == FROM_START else steps[birth]
        stop = model.new_int_var(0, count, f"e{storage}")
        length = model.new_int_var(0, count, f"l{storage}")
        last = count if problem.is_kept[storage] else max(touchers[storage]) + 1
        model.add_hint(stop, last)
        model.add_hint(length, last - max(0, problem.births[storage]))
        if problem.is_kept[storage]:
            model.add(stop == count)
        for op in touchers[storage]:
            model.add(stop >= steps[op] + 1)
        lives.append(model.new_interval_var(start, length, stop, f"b{storage}"))
        demands.append(size)
    for op, size in enumerate(problem.scratch_bytes):
        if size:
            lives.append(model.new_fixed_size_interval_var(steps[op], 1, f"w{op}"))
            demands.append(size)
    highest = problem.peak_bytes(range(count))
    peak = model.new_int_var(max(problem.start_bytes, problem.end_bytes), highest, "peak")
    model.add_hint(peak, highest)
    model.add_cumulative(lives, demands, peak)
    model.minimize(peak)
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    with _stopped_after(seconds, solver.stop_search):
        status = solver.solve(model)
    if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return None
    return sorted(range(count), key=lambda op: solver.value(steps[op])), round(solver.best_objective_bound)
