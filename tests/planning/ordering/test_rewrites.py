"""Runs of segments, twins, relaxation: each against every downset or every interleaving of a small problem."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from random import Random

from memprof.ir import GraphBuilder, NewValue, TensorType
from memprof.planning.meter import Meter
from memprof.planning.ordering.find import find_order
from memprof.planning.ordering.hills import Run, Segment, canonical, merge_runs, unwind
from memprof.planning.ordering.kinds import contracted_problem, reference_problem
from memprof.planning.ordering.piece import Piece, must_pass_cuts
from memprof.planning.ordering.problem import FROM_START, OrderProblem
from memprof.planning.ordering.reduction import reduce_problem
from memprof.planning.ordering.rewrite import Rewrite
from memprof.planning.ordering.series_parallel import contract, relax
from memprof.planning.ordering.twins import order_twins
from tests.planning.ordering.exhaustive import piece_bytes, random_problem, smallest_peak, wired_graph


def smallest_piece_peak(piece: Piece) -> int:
    """Return the smallest peak of a piece by dynamic programming over every downset."""
    ops = range(len(piece.ops))
    best: dict[frozenset[int], int] = {frozenset(): 0}
    for _ in ops:
        following: dict[frozenset[int], int] = {}
        for done, peak in best.items():
            alive = piece_bytes(piece, done)
            for op in ops:
                if op not in done and done.issuperset(piece.predecessors[op]):
                    cells = (piece.cells[i] for i in piece.opened_by[op])
                    opened = sum(cell.size_bytes for cell in cells if done.isdisjoint(cell.opens or ()))
                    reached = done | {op}
                    highest = max(peak, alive + opened + piece.scratch_bytes[op])
                    following[reached] = min(highest, following.get(reached, highest))
        best = following
    return max(piece.start_bytes, piece.end_bytes, *best.values())


def check_rewrite(piece: Piece, rewrite: Rewrite) -> None:
    """Check that the rewritten piece has the smallest peak of the piece, and that orders expand at their price."""
    assert smallest_piece_peak(rewrite.piece) == smallest_piece_peak(piece)
    assert all(before < op for op, found in enumerate(rewrite.piece.predecessors) for before in found)
    order = rewrite.expand(range(len(rewrite.parts)))
    position = {op: i for i, op in enumerate(order)}
    assert sorted(order) == list(range(len(piece.ops)))
    assert all(position[a] < position[op] for op, found in enumerate(piece.predecessors) for a in found)
    assert piece.peak_bytes(order) == rewrite.piece.peak_bytes(range(len(rewrite.parts)))


def random_run(rng: Random, first: int, length: int) -> Run:
    valleys = [rng.randint(0, 9) for _ in range(length + 1)]
    segments = [Segment(max(a, b) + rng.randint(0, 9), b, first + i) for i, (a, b) in enumerate(pairwise(valleys))]
    return Run(valleys[0], segments)


def peak_of(run: Run) -> int:
    return max(run.start_bytes, *(segment.hill_bytes for segment in run.segments))


def smallest_merge(runs: list[Run]) -> int:
    """Return the smallest peak of all interleavings of ``runs``."""
    best = {(0,) * len(runs): sum(run.start_bytes for run in runs)}
    for _ in range(sum(len(run.segments) for run in runs)):
        following: dict[tuple[int, ...], int] = {}
        for at, peak in best.items():
            levels = [
                [run.start_bytes, *(s.valley_bytes for s in run.segments)][i] for run, i in zip(runs, at, strict=True)
            ]
            for k, run in enumerate(runs):
                if at[k] < len(run.segments):
                    reached = (*at[:k], at[k] + 1, *at[k + 1 :])
                    highest = max(peak, sum(levels) - levels[k] + run.segments[at[k]].hill_bytes)
                    following[reached] = min(highest, following.get(reached, highest))
        best = following
    return next(iter(best.values()))


def test_merged_runs_have_the_smallest_peak_of_all_interleavings() -> None:
    for seed in range(1500):
        rng = Random(seed)
        runs = [random_run(rng, 10 * k, rng.randint(1, 5)) for k in range(rng.randint(2, 3))]
        merged = merge_runs(runs)
        assert peak_of(merged) == smallest_merge(runs)
        ops = [op for segment in merged.segments for op in unwind(segment.ops)]
        assert sorted(ops) == sorted(s.ops for run in runs for s in run.segments)
        for run in runs:
            own = [s.ops for s in run.segments]
            assert [op for op in ops if op in own] == own


def test_canonical_segments_fall_towards_both_ends_and_keep_the_peak() -> None:
    for seed in range(500):
        run = random_run(Random(seed), 0, 12)
        short = canonical(run)
        assert peak_of(short) == peak_of(run)
        assert (short.start_bytes, short.end_bytes) == (run.start_bytes, run.end_bytes)
        valleys = [short.start_bytes, *(s.valley_bytes for s in short.segments)]
        lowest = valleys.index(min(valleys))
        assert valleys[:lowest] == sorted(valleys[:lowest], reverse=True)
        assert valleys[lowest:] == sorted(valleys[lowest:])
        hills = [s.hill_bytes for s in short.segments]
        assert hills[:lowest] == sorted(hills[:lowest])
        assert hills[lowest:] == sorted(hills[lowest:], reverse=True)


def problems(count: int, ops: int) -> list[OrderProblem]:
    found = []
    for seed in range(count):
        rng = Random(seed)
        size = rng.randint(1, ops)
        graph = wired_graph(rng, size)
        found.append(
            [lambda: random_problem(rng, size), lambda: reference_problem(graph), lambda: contracted_problem(graph)][  # noqa: B023
                seed % 3
            ]()
        )
    return found


def test_operations_that_write_over_what_they_read_stay_apart() -> None:
    """There a state may hold more bytes than any step counts, so that hills would lie below valleys."""
    has_shrunk = 0
    for seed in range(300):
        rng = Random(seed)
        problem = random_problem(rng, rng.randint(3, 8))
        born = [0] * problem.op_count
        for size, birth in zip(problem.storage_bytes, problem.births, strict=True):
            if birth >= 0:
                born[birth] += size
        problem = replace(problem, scratch_bytes=tuple(rng.choice([0, -size]) for size in born))
        piece = reduce_problem(problem).piece
        rewrite = contract(piece, Meter())
        check_rewrite(piece, rewrite)
        assert all(len(part) == 1 for part in rewrite.parts if min(piece.scratch_bytes[op] for op in part) < 0)
        has_shrunk += len(rewrite.parts) < len(piece.ops)
    assert has_shrunk


def test_a_contracted_piece_has_the_same_smallest_peak() -> None:
    has_shrunk = 0
    for problem in problems(900, ops=8):
        piece = reduce_problem(problem).piece
        rewrite = contract(piece, Meter())
        check_rewrite(piece, rewrite)
        has_shrunk += len(rewrite.parts) < len(piece.ops)
    assert has_shrunk > 200


def series_parallel_problem(rng: Random, ops: int) -> OrderProblem:
    """Return a problem whose values have one reader each: nested forks and joins."""
    edges = [(0, 1)]
    count = 2
    while count < ops:
        k = rng.randrange(len(edges))
        source, target = edges[k]
        if rng.random() < 0.5:
            edges.append((source, target))
        else:
            edges[k] = (source, count)
            edges.append((count, target))
            count += 1
    after: dict[int, list[int]] = {node: [b for a, b in edges if a == node] for node in range(count)}
    waits = {node: sum(b == node for _, b in edges) for node in range(count)}
    ready, order = [0], []
    while ready:
        node = ready.pop(rng.randrange(len(ready)))
        order.append(node)
        for other in after[node]:
            waits[other] -= 1
            if not waits[other]:
                ready.append(other)
    number = {node: i for i, node in enumerate(order)}
    touches: list[list[int]] = [[] for _ in order]
    for storage, (a, b) in enumerate(edges):
        touches[number[a]].append(storage)
        touches[number[b]].append(storage)
    return OrderProblem(
        predecessors=tuple(tuple(sorted({number[a] for a, b in edges if b == node})) for node in order),
        touches=tuple(map(tuple, touches)),
        storage_bytes=tuple(rng.randint(0, 9) for _ in edges),
        births=tuple(number[a] for a, _ in edges),
        is_kept=(False,) * len(edges),
        scratch_bytes=tuple(rng.choice([0, 0, 3]) for _ in order),
    )


def test_a_series_parallel_piece_becomes_a_single_run_with_the_smallest_peak() -> None:
    for seed in range(600):
        problem = series_parallel_problem(Random(seed), 4 + seed % 7)
        piece = reduce_problem(problem).piece
        rewrite = contract(piece, Meter())
        assert must_pass_cuts(rewrite.piece) == list(range(len(rewrite.parts) + 1))
        order = rewrite.expand(range(len(rewrite.parts)))
        assert piece.peak_bytes(order) == smallest_peak(problem)


def hilly_chains(rng: Random, count: int, hills: int) -> OrderProblem:
    """Return chains whose valleys rise to the middle and fall again, between a small value and its join."""
    builder = GraphBuilder("chains")
    source = builder.add_input("x", TensorType.of_bytes(1))
    ends = []
    for i in range(count):
        value = source
        for j in range(2 * hills):
            valley = 1 + int(400 * (1 - abs(j / hills - 1))) + rng.randint(0, 100)
            size = TensorType.of_bytes(rng.randint(200, 1000) if j % 2 == 0 else valley)
            (written,) = builder.add_node("Op", [value], [NewValue(f"t{i}.{j}", size)], is_foldable=False)
            assert written is not None
            value = written
        ends.append(value)
    builder.add_node("Join", ends, [NewValue("y", TensorType.of_bytes(1))], is_foldable=False)
    return reference_problem(builder.build([ends[0]]))


def test_hundreds_of_hilly_chains_are_merged_and_proven_without_a_search() -> None:
    for seed in range(3):
        problem = hilly_chains(Random(seed), 60, 20)
        result = find_order(problem, Meter(effort=80 * problem.op_count))
        assert (result.is_optimal, result.proof) == (True, "series-parallel")
        assert result.peak_bytes < result.before_bytes


def test_a_relaxed_piece_costs_no_more_than_the_piece_in_any_order() -> None:
    is_cheaper = False
    for problem in problems(600, ops=7):
        piece = reduce_problem(problem).piece
        relaxed = relax(piece, range(len(piece.ops)))
        smallest, below = smallest_piece_peak(piece), smallest_piece_peak(relaxed)
        assert below <= smallest
        is_cheaper |= below < smallest
    assert is_cheaper


def branches(rng: Random, count: int, kinds: int, depth: int) -> OrderProblem:
    """Return branches of a few kinds that read one value and are joined; the kinds come in any order."""
    builder = GraphBuilder("branches")
    shape = [[rng.randint(1, 9) for _ in range(rng.randint(1, depth))] for _ in range(kinds)]
    source = builder.add_input("x", TensorType.of_bytes(rng.randint(1, 9)))
    open_: list[tuple[int, list[int]]] = [(source, list(rng.choice(shape))) for _ in range(count)]
    ends = []
    step = 0
    while open_:  # branches advance in any order, so that twins are not in turn
        k = rng.randrange(len(open_))
        value, left = open_[k]
        (written,) = builder.add_node(
            "Op", [value], [NewValue(f"t{step}", TensorType.of_bytes(left[0]))], is_foldable=False
        )
        assert written is not None
        step += 1
        if len(left) > 1:
            open_[k] = (written, left[1:])
        else:
            ends.append(written)
            del open_[k]
    builder.add_node("Join", ends, [NewValue("y", TensorType.of_bytes(rng.randint(1, 9)))], is_foldable=False)
    return reference_problem(builder.build([*ends[: rng.choice([0, 0, 2])]]))


def test_twins_in_turn_have_the_same_smallest_peak() -> None:
    found = 0
    for seed in range(400):
        rng = Random(seed)
        piece = reduce_problem(branches(rng, rng.randint(2, 4), rng.randint(1, 2), 3)).piece
        rewrite = order_twins(piece, Meter())
        if rewrite is not None:
            found += 1
            check_rewrite(piece, rewrite)
    assert found > 200


def test_problems_of_any_kind_keep_their_smallest_peak_when_twins_are_ordered() -> None:
    found = 0
    for problem in problems(1500, ops=7):
        piece = reduce_problem(problem).piece
        rewrite = order_twins(piece, Meter())
        if rewrite is not None:
            found += 1
            check_rewrite(piece, rewrite)
    assert found > 50


def test_chains_that_touch_one_storage_at_different_places_are_no_twins() -> None:
    """``a2`` frees what ``b1`` still reads, or the other way round: which one goes first matters."""
    problem = OrderProblem(
        predecessors=((), (0,), (0,), (1,), (2,), (3, 4)),  # a fork, a1, b1, a2, b2, a join
        touches=((0,), (1, 2), (1, 3, 0), (2, 4, 0), (3, 5), (4, 5)),
        storage_bytes=(50, 1, 9, 9, 2, 2),
        births=(0, FROM_START, 1, 2, 3, 4),
        is_kept=(False,) * 6,
        scratch_bytes=(0,) * 6,
    )
    piece = reduce_problem(problem).piece
    assert order_twins(piece, Meter()) is None


def test_two_thousand_equal_branches_cost_no_more_than_a_few_scans() -> None:
    builder = GraphBuilder("fan")
    source = builder.add_input("x", TensorType.of_bytes(300))
    ends = []
    for i in range(2000):
        value = source
        for k, size in enumerate((1000, 10)):
            new = NewValue(f"t{i}.{k}", TensorType.of_bytes(size))
            (written,) = builder.add_node("Op", [value], [new], is_foldable=False)
            assert written is not None
            value = written
        ends.append(value)
    builder.add_node("Join", ends, [NewValue("y", TensorType.of_bytes(10))], is_foldable=False)
    problem = reference_problem(builder.build([ends[0]]))
    result = find_order(problem, Meter(effort=300 * problem.op_count))
    assert result.is_optimal
