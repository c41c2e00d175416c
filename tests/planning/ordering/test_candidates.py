"""Every cheap rule returns an order; the rules that say what to pick next pick that."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest

from memprof.ir import GraphBuilder, NewValue, TensorType
from memprof.planning.ordering.candidates import BACKWARD_CANDIDATES, CANDIDATES, least_net, least_peak
from memprof.planning.ordering.kinds import reference_problem
from memprof.planning.ordering.piece import Piece
from memprof.planning.ordering.reduction import reduce_problem
from tests.planning.ordering.exhaustive import piece_bytes, random_problem, wired_graph

F4 = TensorType("float32", (1,))


def pieces(count: int) -> list[Piece]:
    found = []
    for seed in range(count):
        rng = Random(seed)
        size = rng.randint(1, 14)
        problem = random_problem(rng, size) if seed % 2 else reference_problem(wired_graph(rng, size))
        found.append(reduce_problem(problem).piece)
    return found


def is_order(piece: Piece, order: list[int]) -> bool:
    position = {op: i for i, op in enumerate(order)}
    return sorted(order) == list(range(len(piece.ops))) and all(
        position[before] < position[op] for op, found in enumerate(piece.predecessors) for before in found
    )


@pytest.mark.parametrize("rule", CANDIDATES)
def test_a_rule_returns_an_order(rule: str) -> None:
    for piece in pieces(200):
        assert is_order(piece, CANDIDATES[rule](piece))


@pytest.mark.parametrize("rule", BACKWARD_CANDIDATES)
def test_a_backward_rule_returns_an_order_of_the_mirror(rule: Callable[[Piece], list[int]]) -> None:
    for piece in pieces(200):
        assert is_order(piece.mirrored, rule(piece.mirrored))


def opened_and_net(piece: Piece, done: frozenset[int], op: int) -> tuple[int, int]:
    """Return the bytes that ``op`` opens after ``done``, and those it adds on balance."""
    opened = sum(
        piece.cells[i].size_bytes for i in piece.opened_by[op] if done.isdisjoint(piece.cells[i].opens or ())
    )
    return opened, piece_bytes(piece, done | {op}) - piece_bytes(piece, done)


def picked_by_hand(piece: Piece, key: Callable[[int, int, int], object]) -> list[int]:
    """Return the order that always picks the ready operation with the lowest (key, number).

    The key is a function of the bytes opened, the net bytes, and the gap below the highest point so far.
    """
    order: list[int] = []
    highest = max(piece.start_bytes, piece.end_bytes)
    while len(order) < len(piece.ops):
        done = frozenset(order)
        alive = piece_bytes(piece, done)
        ready = [op for op in range(len(piece.ops)) if op not in done and done.issuperset(piece.predecessors[op])]
        order.append(min(ready, key=lambda op: (key(*opened_and_net(piece, done, op), highest - alive), op)))
        highest = max(highest, alive + opened_and_net(piece, done, order[-1])[0])
    return order


def test_least_net_picks_what_adds_least() -> None:
    for piece in pieces(200):
        for form in (piece, piece.mirrored):
            assert least_net(form) == picked_by_hand(form, lambda opened, net, gap: net)


def test_least_peak_follows_its_two_rules() -> None:
    for piece in pieces(200):
        for form in (piece, piece.mirrored):
            expected = picked_by_hand(form, lambda opened, net, gap: (opened if opened > gap else 0, net))
            assert least_peak(form) == expected


def diamond() -> Piece:
    """x -> a -> b -> d and x -> c -> d, numbered a b c d."""
    builder = GraphBuilder()
    x = builder.add_input("x", F4)
    (a,) = builder.add_node("A", [x], [NewValue("a", F4)])
    (b,) = builder.add_node("B", [a], [NewValue("b", F4)])
    (c,) = builder.add_node("C", [x], [NewValue("c", F4)])
    (d,) = builder.add_node("D", [b, c], [NewValue("d", F4)])
    assert d is not None
    return reduce_problem(reference_problem(builder.build([d]))).piece


def test_leaves_first_runs_the_later_operand_first_as_onnxruntime_does() -> None:
    assert CANDIDATES["leaves_first"](diamond()) == [2, 0, 1, 3]


def test_breadth_first_runs_both_sources_first() -> None:
    assert CANDIDATES["breadth_first"](diamond()) == [0, 2, 1, 3]


def test_depth_first_runs_one_branch_to_its_end() -> None:
    assert CANDIDATES["depth_first"](diamond()) == [0, 1, 2, 3]
