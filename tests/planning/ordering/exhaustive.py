"""Slow oracles for the ordering tests: every downset, every order, every cut. No line of memprof's searches.

They read the fields of an ``OrderProblem`` or a ``Piece`` and nothing else, and say what the definitions say.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from memprof.ir import Graph, GraphBuilder, NewValue, TensorType
from memprof.planning.ordering.piece import Piece
from memprof.planning.ordering.problem import FROM_START, OrderProblem


def alive_bytes(problem: OrderProblem, done: frozenset[int]) -> int:
    """Return the bytes alive between two steps, after the operations in ``done``."""
    total = 0
    for storage, size in enumerate(problem.storage_bytes):
        touchers = {op for op, found in enumerate(problem.touches) if storage in found}
        is_born = problem.births[storage] == FROM_START or problem.births[storage] in done
        if is_born and (problem.is_kept[storage] or not touchers <= done):
            total += size
    return total


def step_bytes(problem: OrderProblem, done: frozenset[int], op: int) -> int:
    """Return the bytes alive while ``op`` runs after ``done``."""
    born = sum(size for size, birth in zip(problem.storage_bytes, problem.births, strict=True) if birth == op)
    first = problem.first_step_bytes if not done else 0
    return alive_bytes(problem, done) + born + problem.scratch_bytes[op] + first


def smallest_peak(problem: OrderProblem) -> int:
    """Return the smallest peak of all orders, by dynamic programming over every downset."""
    ops = range(problem.op_count)
    best: dict[frozenset[int], int] = {frozenset(): 0}
    for _ in ops:
        following: dict[frozenset[int], int] = {}
        for done, peak in best.items():
            for op in ops:
                if op not in done and done.issuperset(problem.predecessors[op]):
                    reached = done | {op}
                    highest = max(peak, step_bytes(problem, done, op))
                    following[reached] = min(highest, following.get(reached, highest))
        best = following
    ends = [alive_bytes(problem, frozenset()), alive_bytes(problem, frozenset(ops))]
    if not ops:
        ends.append(ends[0] + problem.first_step_bytes)
    return max(*ends, *best.values())


def random_order(problem: OrderProblem, rng: Random) -> list[int]:
    """Return a random order."""
    order: list[int] = []
    while len(order) < problem.op_count:
        ready = [
            op for op in range(problem.op_count) if op not in order and set(problem.predecessors[op]) <= set(order)
        ]
        order.append(rng.choice(ready))
    return order


def all_orders(problem: OrderProblem) -> Iterator[list[int]]:
    """Yield every order."""
    stack: list[list[int]] = [[]]
    while stack:
        order = stack.pop()
        if len(order) == problem.op_count:
            yield order
        stack += [
            [*order, op]
            for op in range(problem.op_count)
            if op not in order and set(problem.predecessors[op]) <= set(order)
        ]


def downsets(piece: Piece) -> list[frozenset[int]]:
    """Return every downset of a piece."""
    found = {frozenset[int]()}
    stack = list(found)
    while stack:
        done = stack.pop()
        for op in range(len(piece.ops)):
            if op not in done and done.issuperset(piece.predecessors[op]):
                reached = done | {op}
                if reached not in found:
                    found.add(reached)
                    stack.append(reached)
    return sorted(found, key=sorted)


def piece_bytes(piece: Piece, done: frozenset[int]) -> int:
    """Return the bytes alive in a piece after ``done``."""
    always = piece.start_bytes - sum(cell.size_bytes for cell in piece.cells if cell.opens is None)
    for cell in piece.cells:
        is_open = cell.opens is None or not done.isdisjoint(cell.opens)
        is_closed = cell.closes is not None and done.issuperset(cell.closes)
        if is_open and not is_closed:
            always += cell.size_bytes
    return always


def wired_graph(rng: Random, nodes: int) -> Graph:
    """Return a random graph without constants, so that its order matters: branches, views, several outputs, in-place.

    Sizes repeat, so that elementwise operations find inputs of their own size.
    """
    builder = GraphBuilder("wired")
    sizes = rng.choice([[1], [1, 2, 3], [2, 2, 2, 5], [1, 10, 100], [0, 1, 4]])

    def type_() -> TensorType:
        return TensorType.of_bytes(rng.choice(sizes))

    types: dict[int, TensorType] = {}
    for i in range(rng.choice([1, 1, 1, 2])):
        given = type_()
        types[builder.add_input(f"x{i}", given)] = given
    reach = rng.choice([2, 4, 100])
    for step in range(nodes):
        reads = rng.sample(sorted(types)[-reach:], k=min(len(types), reach, rng.choice([1, 1, 2, 2, 3])))
        outputs = []
        for k in range(rng.choice([1, 1, 1, 1, 2])):
            is_view = rng.random() < 0.15
            outputs.append(
                NewValue(f"t{step}.{k}", types[reads[0]] if is_view else type_(), reads[0] if is_view else None)
            )
        written = builder.add_node("Op", reads, outputs, is_elementwise=rng.random() < 0.5, is_foldable=False)
        types.update(zip([i for i in written if i is not None], [new.type for new in outputs], strict=True))
    leaving = rng.sample(sorted(types), k=min(len(types), rng.choice([1, 1, 2])))
    return builder.build(leaving)


def random_problem(rng: Random, ops: int) -> OrderProblem:
    """Return a random problem with everything that a problem may hold, scratch of either sign included."""
    predecessors = [tuple(sorted(rng.sample(range(op), k=min(op, rng.choice([0, 1, 1, 2]))))) for op in range(ops)]
    touches: list[list[int]] = [[] for _ in range(ops)]
    sizes: list[int] = []
    births: list[int] = []
    kept: list[bool] = []
    after = {op: {op} for op in range(ops)}
    for op in reversed(range(ops)):
        for before in predecessors[op]:
            after[before] |= after[op]
    for birth in [FROM_START, *range(ops), *range(ops)]:
        readers = sorted(after[birth] - {birth}) if birth != FROM_START else list(range(ops))
        chosen = rng.sample(readers, k=min(len(readers), rng.choice([0, 1, 2, 3])))
        touchers = {birth, *chosen} - {FROM_START}
        if touchers:
            for op in touchers:
                touches[op].append(len(sizes))
            sizes.append(rng.choice([0, 1, 1, 2, 5]))
            births.append(birth)
            kept.append(rng.random() < 0.15)
    born = [0] * ops
    for size, birth in zip(sizes, births, strict=True):
        if birth != FROM_START:
            born[birth] += size
    return OrderProblem(
        predecessors=tuple(predecessors),
        touches=tuple(map(tuple, touches)),
        storage_bytes=tuple(sizes),
        births=tuple(births),
        is_kept=tuple(kept),
        scratch_bytes=tuple(rng.choice([0, 0, 0, 3, -min(1, born[op])]) for op in range(ops)),
        first_step_bytes=rng.choice([0, 0, 0, 4]),
    )
