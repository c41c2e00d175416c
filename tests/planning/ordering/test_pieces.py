"""Reduction, must-pass operations, windows, the mirror: each keeps the cost of every order."""

from __future__ import annotations

from itertools import pairwise
from random import Random

from memprof.planning.ordering.kinds import reference_problem
from memprof.planning.ordering.piece import Piece, must_pass_cuts, windows
from memprof.planning.ordering.problem import FROM_START, OrderProblem
from memprof.planning.ordering.reduction import reduce_problem
from tests.planning.ordering.exhaustive import (
    alive_bytes,
    downsets,
    piece_bytes,
    random_order,
    random_problem,
    smallest_peak,
    wired_graph,
)


def problems(count: int, ops: int = 9) -> list[tuple[OrderProblem, Random]]:
    found = []
    for seed in range(count):
        rng = Random(seed)
        size = rng.randint(1, ops)
        found.append((random_problem(rng, size) if seed % 2 else reference_problem(wired_graph(rng, size)), rng))
    return found


def piece_order(piece: Piece, rng: Random) -> list[int]:
    order: list[int] = []
    while len(order) < len(piece.ops):
        order.append(
            rng.choice(
                [op for op in range(len(piece.ops)) if op not in order and set(piece.predecessors[op]) <= set(order)]
            )
        )
    return order


def without_first_step(problem: OrderProblem, order: list[int]) -> int:
    steps = problem.step_bytes(order)
    if steps:
        steps[0] -= problem.first_step_bytes
    return max([problem.start_bytes, problem.end_bytes, *steps])


def test_an_order_of_the_reduced_problem_costs_what_the_order_it_stands_for_costs() -> None:
    has_shrunk = False
    for problem, rng in problems(400):
        reduction = reduce_problem(problem)
        has_shrunk |= len(reduction.piece.ops) < problem.op_count
        for _ in range(3):
            order = piece_order(reduction.piece, rng)
            full = reduction.expand(order)
            assert problem.is_order(full)
            assert reduction.piece.peak_bytes(order) == without_first_step(problem, full)
    assert has_shrunk


def test_the_reduced_problem_has_the_same_smallest_peak() -> None:
    for problem, _ in problems(300, ops=7):
        if problem.first_step_bytes:
            continue
        piece = reduce_problem(problem).piece
        best = {frozenset[int](): 0}
        for done in sorted(downsets(piece), key=len):
            for op in range(len(piece.ops)):
                if op in done or not done.issuperset(piece.predecessors[op]):
                    continue
                opened = sum(
                    piece.cells[i].size_bytes
                    for i in piece.opened_by[op]
                    if done.isdisjoint(piece.cells[i].opens or ())
                )
                step = max(best[done], piece_bytes(piece, done) + opened + piece.scratch_bytes[op])
                reached = done | {op}
                best[reached] = min(step, best.get(reached, step))
        found = max(piece.start_bytes, piece.end_bytes, best[frozenset(range(len(piece.ops)))])
        assert found == smallest_peak(problem)


def test_a_view_stays_apart_from_an_operation_that_writes_over_what_it_reads() -> None:
    """There the bytes after the operation may be more than those that its step counts."""
    problem = OrderProblem(
        predecessors=((), (0,)),
        touches=((0, 1), (0, 1)),
        storage_bytes=(4, 4),
        births=(FROM_START, 0),
        is_kept=(False, False),
        scratch_bytes=(-4, 0),
    )
    piece = reduce_problem(problem).piece
    assert len(piece.ops) == 2
    assert piece.peak_bytes([0, 1]) == problem.peak_bytes([0, 1]) == 8


def test_bytes_alive_after_each_step_are_those_of_the_definition() -> None:
    for problem, rng in problems(200):
        order = random_order(problem, rng)
        piece = reduce_problem(problem).piece
        if len(piece.ops) < problem.op_count:
            continue
        _, after = piece.steps(order)
        assert after == [alive_bytes(problem, frozenset(order[: i + 1])) for i in range(len(order))]


def test_a_mirrored_order_costs_the_same() -> None:
    for problem, rng in problems(300):
        piece = reduce_problem(problem).piece
        order = piece_order(piece, rng)
        last = len(order) - 1
        backwards = [last - op for op in reversed(order)]
        assert piece.mirrored.peak_bytes(backwards) == piece.peak_bytes(order)
        assert piece.mirrored.steps(backwards)[0] == piece.steps(order)[0][::-1]
        assert piece.mirrored.mirrored.steps(order) == piece.steps(order)


def test_must_pass_operations_are_those_comparable_with_all_others() -> None:
    found_inside = False
    for problem, _ in problems(400):
        piece = reduce_problem(problem).piece
        count = len(piece.ops)
        before: list[set[int]] = []
        for op in range(count):
            before.append(set(piece.predecessors[op]).union(*(before[p] for p in piece.predecessors[op])))
        comparable = {
            op for op in range(count) if all(op == o or o in before[op] or op in before[o] for o in range(count))
        }
        expected = {0, count} | comparable | {op + 1 for op in comparable}
        assert must_pass_cuts(piece) == sorted(expected)
        found_inside |= 0 < len(comparable) < count
    assert found_inside


def test_windows_cost_what_their_stretch_of_the_whole_costs() -> None:
    for problem, rng in problems(400):
        piece = reduce_problem(problem).piece
        order = piece_order(piece, rng)
        cuts = sorted({0, len(order), *rng.sample(range(len(order) + 1), k=min(2, len(order)))})
        ranges = [pair for pair in pairwise(cuts) if rng.random() < 0.8]
        during, after = piece.steps(order)
        for (start, stop), window in zip(ranges, windows(piece, order, ranges), strict=True):
            assert window.ops == tuple(piece.ops[op] for op in order[start:stop])
            assert window.start_bytes == ([piece.start_bytes, *after])[start]
            assert window.steps(range(stop - start)) == (during[start:stop], after[start:stop])
            other = piece_order(window, rng)
            full = [*order[:start], *(order[start + op] for op in other), *order[stop:]]
            assert window.steps(other)[0] == piece.steps(full)[0][start:stop]


def test_the_mirror_of_a_window_counts_the_same_bytes() -> None:
    for problem, _ in problems(100):
        piece = reduce_problem(problem).piece
        everything = frozenset(range(len(piece.ops)))
        last = len(piece.ops) - 1
        for done in downsets(piece):
            undone = frozenset(last - op for op in everything - done)
            assert piece_bytes(piece.mirrored, undone) == piece_bytes(piece, done)
