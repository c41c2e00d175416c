"""What orders within a level have in common, against every order."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import pytest

from memprof.ir import GraphBuilder, NewValue, TensorType
from memprof.planning.meter import Meter, OutOfBudget
from memprof.planning.ordering import solver as solver_module
from memprof.planning.ordering.bounds import operation_bound, trivial_bound
from memprof.planning.ordering.find import decide_order, find_order
from memprof.planning.ordering.forced import Precedences
from memprof.planning.ordering.kinds import reference_problem
from memprof.planning.ordering.masks import bits
from memprof.planning.ordering.piece import Piece
from memprof.planning.ordering.problem import OrderProblem
from memprof.planning.ordering.reduction import reduce_problem
from memprof.planning.ordering.solver import Solver
from tests.planning.ordering.exhaustive import random_problem, smallest_peak, wired_graph


def tangle(rng: Random, nodes: int) -> OrderProblem:
    """Return operations that each read one or two of the last eight values, sizes much alike."""
    builder = GraphBuilder("tangle")
    values = [builder.add_input("x", TensorType.of_bytes(1))]
    for i in range(nodes):
        reads = sorted({rng.choice(values[-8:]) for _ in range(2)})
        new = NewValue(f"t{i}", TensorType.of_bytes(rng.choice([1, 1, 2])))
        (written,) = builder.add_node("Op", reads, [new], is_foldable=False)
        assert written is not None
        values.append(written)
    return reference_problem(builder.build(values[-1:]))


def problems(count: int, ops: int, tangled_ops: int) -> Iterator[OrderProblem]:
    """Yield random problems of up to ``ops`` operations, and tangles."""
    for seed in range(count):
        rng = Random(f"forced {seed}")
        if seed % 5 == 4:
            yield tangle(rng, tangled_ops)
            continue
        size = rng.randint(2, ops)
        problem = random_problem(rng, size) if seed % 2 else reference_problem(wired_graph(rng, size))
        if not problem.first_step_bytes:
            yield problem


def cases(count: int, ops: int = 8) -> Iterator[tuple[Piece, list[tuple[int, tuple[int, ...]]]]]:
    """Yield pieces with two operations or more, and all their orders with their peaks."""
    for problem in problems(count, ops, ops + 1):
        piece = reduce_problem(problem).piece
        if len(piece.ops) > 1:
            yield piece, [(piece.peak_bytes(order), order) for order in orders_of(piece)]


def orders_of(piece: Piece) -> list[tuple[int, ...]]:
    found: list[tuple[int, ...]] = [()]
    for _ in piece.ops:
        found = [
            (*order, op)
            for order in found
            for op in range(len(piece.ops))
            if op not in order and set(piece.predecessors[op]) <= set(order)
        ]
    return found


def keeps(order: tuple[int, ...], precedences: Precedences) -> bool:
    place = {op: step for step, op in enumerate(order)}
    return all(place[first] < place[op] for op in order for first in bits(precedences.before[op]))


def levels(peaks: set[int]) -> list[int]:
    return sorted(peaks | {peak - 1 for peak in peaks}, reverse=True)


def test_every_order_within_a_level_keeps_what_is_forced_at_it() -> None:
    forced = refuted = 0
    for piece, orders in cases(250):
        natural = Precedences(piece, Meter())
        for level in levels({peak for peak, _ in orders}):
            precedences = Precedences(piece, Meter())
            may_exist = precedences.keep_within(level, Meter())
            within = [order for peak, order in orders if peak <= level]
            assert may_exist or not within
            assert all(keeps(order, precedences) for order in within)
            forced += may_exist and precedences.before != natural.before
            refuted += not may_exist and level >= trivial_bound(piece)
    assert min(forced, refuted) > 50


def test_what_is_forced_is_what_the_lightest_states_of_an_operation_leave() -> None:
    """A level that no single minimum cut refutes is refuted by what follows from several."""
    refuted = 0
    for piece, orders in cases(250):
        highest_cut = max(operation_bound(piece, op, Meter())[0] for op in range(len(piece.ops)))
        smallest = min(peak for peak, _ in orders)
        for level in range(highest_cut, smallest):
            refuted += not Precedences(piece, Meter()).keep_within(level, Meter())
    assert refuted


def test_asked_on_top_of_a_higher_level_the_same_is_forced() -> None:
    for piece, orders in cases(120):
        precedences = Precedences(piece, Meter())
        smallest = min(peak for peak, _ in orders)
        for level in levels({peak for peak, _ in orders}):
            before = list(precedences.before)
            lower = precedences.copy()
            alone = Precedences(piece, Meter())
            may_exist = lower.keep_within(level, Meter())
            assert alone.keep_within(level, Meter()) == may_exist
            if not may_exist:
                assert level < smallest
                break
            assert lower.before == alone.before
            assert precedences.before == before
            assert all(keeps(order, lower) for peak, order in orders if peak <= level)
            precedences = lower


def test_the_piece_with_what_is_forced_has_the_same_orders_within_the_level() -> None:
    for piece, orders in cases(120, ops=7):
        for level in levels({peak for peak, _ in orders}):
            precedences = Precedences(piece, Meter())
            if precedences.keep_within(level, Meter()):
                rewrite = precedences.rewrite()
                found = {tuple(rewrite.expand(order)) for order in orders_of(rewrite.piece)}
                assert found <= {order for _, order in orders}
                assert found >= {order for peak, order in orders if peak <= level}
                for order in orders_of(rewrite.piece):
                    assert rewrite.piece.peak_bytes(order) == piece.peak_bytes(rewrite.expand(order))


def test_what_is_forced_when_the_budget_ends_holds() -> None:
    has_ended = False
    for piece, orders in cases(25, ops=6):
        level = min(peak for peak, _ in orders)
        for effort in range(400):
            precedences = Precedences(piece, Meter())
            try:
                precedences.keep_within(level, Meter(effort=effort))
                break
            except OutOfBudget:
                has_ended = True
                assert all(keeps(order, precedences) for peak, order in orders if peak <= level)
    assert has_ended


@pytest.fixture(name="searched_late")
def search_among_what_is_forced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave to the search among what is forced what the means before it would settle."""
    monkeypatch.setattr(solver_module, "_FORCING_STEPS", 0)
    monkeypatch.setattr(Solver, "_advance", lambda *_: False)
    monkeypatch.setattr(Solver, "_split_at_lightest_state", lambda *_: False)
    monkeypatch.setattr(solver_module, "_FLOWS_PER_ROUND", {})
    monkeypatch.setattr(solver_module, "_FLOWS_PER_ORDER", 0)
    monkeypatch.setattr(solver_module, "_RELAXATIONS", 0)
    monkeypatch.setattr(solver_module, "CANDIDATES", {})
    monkeypatch.setattr(solver_module, "BACKWARD_CANDIDATES", ())
    monkeypatch.setattr(solver_module, "_rewritten", lambda *_: None)


@pytest.mark.usefixtures("searched_late")
@pytest.mark.parametrize("widths", [(), (1,), (10, 100)])
def test_the_search_among_what_is_forced_finds_the_smallest_peak(
    widths: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(solver_module, "_FORCED_BEAM_WIDTHS", widths)
    proofs = set()
    for problem in problems(300, 10, 16):
        smallest = smallest_peak(problem)
        found = find_order(problem, Meter())
        assert (found.peak_bytes, found.lower_bound_bytes) == (smallest, smallest)
        assert problem.peak_bytes(found.order) == smallest
        proofs.add(found.proof)
    assert proofs >= {"forced precedences", "exhaustive search"}


@pytest.mark.usefixtures("searched_late")
def test_the_search_among_what_is_forced_decides_about_budgets() -> None:
    for problem in problems(200, 9, 16):
        smallest = smallest_peak(problem)
        for budget in (smallest - 1, smallest, smallest + 1):
            assert decide_order(problem, budget, Meter()).answer is (budget >= smallest)


@pytest.mark.usefixtures("searched_late")
def test_wherever_the_search_among_what_is_forced_ends_order_and_bound_hold() -> None:
    for problem in problems(20, 8, 14):
        smallest = smallest_peak(problem)
        meter = Meter()
        find_order(problem, meter)
        for effort in range(0, meter.spent, 37):
            found = find_order(problem, Meter(effort=effort))
            assert found.lower_bound_bytes <= smallest <= found.peak_bytes == problem.peak_bytes(found.order)
