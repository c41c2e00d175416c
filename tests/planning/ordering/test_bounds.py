"""Minimum cuts against enumeration of every downset, forwards and mirrored."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise, product
from random import Random

from memprof.planning.meter import Meter, OutOfBudget
from memprof.planning.ordering.bounds import (
    lightest_between,
    lightest_state,
    operation_bound,
    trivial_bound,
)
from memprof.planning.ordering.flow import FIRST_NODE, SINK, SOURCE, FlowNetwork
from memprof.planning.ordering.kinds import reference_problem
from memprof.planning.ordering.piece import Piece
from memprof.planning.ordering.reduction import reduce_problem
from tests.planning.ordering.exhaustive import downsets, piece_bytes, random_problem, wired_graph


def pieces(count: int) -> list[Piece]:
    found = []
    for seed in range(count):
        rng = Random(seed)
        size = rng.randint(1, 9)
        problem = random_problem(rng, size) if seed % 2 else reference_problem(wired_graph(rng, size))
        found.append(reduce_problem(problem).piece)
    return found


def as_mask(ops: frozenset[int]) -> int:
    return sum(1 << op for op in ops)


def smallest_step(piece: Piece, op: int) -> int:
    """Return the fewest bytes with which ``op`` can run, whatever ran before."""
    opened = sum(piece.cells[i].size_bytes for i in piece.opened_by[op])
    return min(
        piece_bytes(piece, done) + opened + piece.scratch_bytes[op]
        for done in downsets(piece)
        if op not in done and done.issuperset(piece.predecessors[op])
    )


def test_the_bound_of_an_operation_is_the_lightest_step_it_can_have() -> None:
    for piece in pieces(400):
        for op in range(len(piece.ops)):
            bound, before = operation_bound(piece, op, Meter())
            assert before is not None
            assert as_mask(frozenset(before)) in {as_mask(done) for done in downsets(piece)}
            opened = sum(piece.cells[i].size_bytes for i in piece.opened_by[op])
            met = piece_bytes(piece, frozenset(before)) + opened + piece.scratch_bytes[op]
            assert bound == smallest_step(piece, op) == met


def steps_of(work: Callable[[Meter], object]) -> int:
    meter = Meter()
    work(meter)
    return meter.spent


def test_a_flow_that_runs_out_of_its_budget_is_still_a_lower_bound() -> None:
    is_short = False
    for piece in pieces(100):
        for op in range(len(piece.ops)):
            smallest = smallest_step(piece, op)
            for effort in range(steps_of(lambda meter: operation_bound(piece, op, meter))):  # noqa: B023 - called at once
                try:
                    bound, before = operation_bound(piece, op, Meter(effort=effort))
                except OutOfBudget:
                    continue
                assert bound <= smallest
                assert before is None or bound == smallest
                is_short |= bound < smallest
    assert is_short


def test_the_trivial_bound_is_below_the_lightest_step_of_some_operation_or_an_end() -> None:
    for piece in pieces(300):
        steps = [smallest_step(piece, op) for op in range(len(piece.ops))]
        assert trivial_bound(piece) <= max([piece.start_bytes, piece.end_bytes, *steps])


def test_the_lightest_state_is_the_largest_of_the_lightest_downsets() -> None:
    for piece in pieces(300):
        states = downsets(piece)
        lightest = min(piece_bytes(piece, done) for done in states)
        union = frozenset().union(*(done for done in states if piece_bytes(piece, done) == lightest))
        assert lightest_state(piece, Meter()) == sorted(union)


def test_the_lightest_state_is_not_guessed_when_the_budget_ends() -> None:
    answers = []
    for piece in pieces(30):
        whole = lightest_state(piece, Meter())
        for effort in range(steps_of(lambda meter: lightest_state(piece, meter))):  # noqa: B023 - called at once
            with suppress(OutOfBudget):
                answers.append(lightest_state(piece, Meter(effort=effort)))
                assert answers[-1] in (None, whole)
    assert None in answers


def test_the_lightest_state_between_two_holds_for_both_directions() -> None:
    for piece in pieces(200):
        for form in (piece, piece.mirrored):
            rng = Random(len(form.ops))
            states = downsets(form)
            for _ in range(10):
                root, top = rng.choice(states), rng.choice(states)
                if not root <= top:
                    continue
                between = [done for done in states if root <= done <= top]
                lightest = min(piece_bytes(form, done) for done in between)
                union = frozenset().union(*(done for done in between if piece_bytes(form, done) == lightest))
                assert lightest_between(form, as_mask(root), as_mask(top), Meter()) == as_mask(union)


def test_the_maximum_flow_is_the_minimum_cut() -> None:
    for seed in range(200):
        rng = Random(seed)
        inner = rng.randint(0, 5)
        network = FlowNetwork()
        nodes = [SOURCE, SINK, *(network.add_node() for _ in range(inner))]
        assert nodes[2:] == list(range(FIRST_NODE, FIRST_NODE + inner))
        edges = []
        for _ in range(rng.randint(0, 14)):
            edge = (rng.choice(nodes), rng.choice(nodes), rng.choice([0, 1, 2, 7, 10**20]))
            if edge[0] != edge[1]:
                edges.append(edge)
                network.add_edge(*edge)
        cuts = []
        for sides in product([True, False], repeat=inner):
            side = dict(zip(nodes, [True, False, *sides], strict=True))
            cuts.append(sum(size for a, b, size in edges if side[a] and not side[b]))
        assert network.push_maximum(Meter()) == (min(cuts), True)
        sink_side = network.sink_side()
        assert sum(size for a, b, size in edges if not sink_side[a] and sink_side[b]) == min(cuts)
        assert sink_side[SINK] and not sink_side[SOURCE]


def test_a_network_that_is_restored_has_the_flow_that_it_had() -> None:
    changed = 0
    for seed in range(200):
        rng = Random(seed)
        network, same = FlowNetwork(), FlowNetwork()
        nodes = [SOURCE, SINK, *(network.add_node() for _ in range(4))]
        assert nodes[2:] == [same.add_node() for _ in range(4)]

        def add(count: int, *networks: FlowNetwork) -> None:
            for _ in range(count):
                source, target = rng.sample(nodes, k=2)  # noqa: B023 - called at once
                capacity = rng.randint(0, 9)  # noqa: B023 - called at once
                for each in networks:
                    each.add_edge(source, target, capacity)

        add(8, network, same)
        network.push(Meter())
        mark = network.mark()
        for _ in range(2):
            add(4, network)
            network.push(Meter())
            changed += network.total != mark[1]
            network.restore(mark)
        add(4, network, same)
        network.push(Meter())
        same.push(Meter())
        assert network.total == same.total
        assert network.sink_side() == same.sink_side()
    assert changed


def test_a_push_ends_once_more_than_its_limit_flows() -> None:
    for limit in range(12):
        network = FlowNetwork()
        for length in range(1, 11):  # paths of one unit each, the shortest first
            nodes = [SOURCE, *(network.add_node() for _ in range(length)), SINK]
            for source, target in pairwise(nodes):
                network.add_edge(source, target, 1)
        network.push(Meter(), limit)
        assert network.total == min(limit + 1, 10)
