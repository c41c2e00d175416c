"""Nothing is scanned before the meter is told: with no steps left, each part of the solver ends before its scan.

A long scan that nobody is told of would run past the deadline; so here a scan is an error, and the end comes first.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from random import Random
from typing import Any, NoReturn

import pytest

from memprof.ir import GraphBuilder, NewValue, TensorType
from memprof.planning.meter import Meter, OutOfBudget
from memprof.planning.ordering import series_parallel
from memprof.planning.ordering import solver as solver_module
from memprof.planning.ordering.hills import Segment
from memprof.planning.ordering.kinds import reference_problem
from memprof.planning.ordering.piece import Piece
from memprof.planning.ordering.problem import OrderProblem
from memprof.planning.ordering.reduction import reduce_problem
from memprof.planning.ordering.series_parallel import contract
from memprof.planning.ordering.solver import Solver
from tests.planning.test_meter import tangle

SCANS = ("relax", "windows", "must_pass_cuts", "trivial_bound", "operation_bound")
EMPTY = Meter(effort=0)


def a_scan(*_: object, **__: object) -> NoReturn:
    raise AssertionError("a scan began although no steps are left")


@pytest.fixture(name="solver")
def solver_with_one_task() -> Any:
    """Return a solver that has cut a tangle into tasks and done nothing else."""
    found: Any = Solver(reduce_problem(tangle(60)).piece, None, Meter(), lambda _: None)
    next(found.work())
    return found


@pytest.fixture(name="task")
def highest_task(solver: Any) -> Any:
    return max(solver._plan[1], key=lambda task: len(task.order))


@pytest.fixture
def scans_fail(solver: Any, task: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave no steps, and make every scan an error."""
    solver._meter = EMPTY
    for name in SCANS:
        monkeypatch.setattr(solver_module, name, a_scan)
    monkeypatch.setattr(Piece, "steps", a_scan)


STEPS: dict[str, Callable[[Any, Any], object]] = {
    "relax": lambda solver, task: solver._relax(task),
    "windows": lambda solver, task: next(solver._improve_windows(task, (20,))),
    "flow": lambda solver, task: solver._bound_by_flow(task, 2),
    "split": lambda solver, task: solver._split(0, task.piece, EMPTY),
}


@pytest.mark.usefixtures("scans_fail")
@pytest.mark.parametrize("name", STEPS)
def test_a_scan_is_told_before_it_begins(name: str, solver: Any, task: Any) -> None:
    with pytest.raises(OutOfBudget):
        STEPS[name](solver, task)


@pytest.mark.parametrize(("scans", "last"), [(1, "must_pass_cuts"), (2, "trivial_bound")])
def test_each_scan_of_a_split_is_told(
    scans: int, last: str, solver: Any, task: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(solver_module, last, a_scan)
    steps = len(task.piece.ops) + len(task.piece.cells)
    with pytest.raises(OutOfBudget):
        solver._split(0, task.piece, Meter(effort=scans * steps))


def test_a_split_at_the_lightest_state_is_told(solver: Any, task: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(solver_module, "lightest_state", lambda *_: task.order[: len(task.order) // 2])
    monkeypatch.setattr(solver_module, "windows", a_scan)
    solver._meter = EMPTY
    with pytest.raises(OutOfBudget):
        solver._split_at_lightest_state(task)


def test_an_order_is_told_before_it_is_costed(solver: Any, task: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(solver, "_bound_by_flow", lambda *_: None)
    monkeypatch.setattr(solver_module, "_rewritten", lambda *_: None)
    monkeypatch.setattr(solver_module, "_cheap_orders", lambda *_: iter([task.order]))
    monkeypatch.setattr(type(task), "offer", a_scan)
    solver._meter = EMPTY
    work = solver._improve(task)
    next(work)
    with pytest.raises(OutOfBudget):
        next(work)


def test_an_order_from_the_end_is_told_before_the_piece_is_mirrored(
    task: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(solver_module, "CANDIDATES", {})
    monkeypatch.setattr(solver_module, "BACKWARD_CANDIDATES", (a_scan,))
    with pytest.raises(OutOfBudget):
        next(solver_module._cheap_orders(task.piece, EMPTY))


def test_a_turn_of_the_solver_is_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every task may be done in no step of its own: it is their turns that count then."""
    solver: Any = Solver(reduce_problem(tangle(60)).piece, None, Meter(), lambda _: None)

    def endless(*_: object) -> Iterator[None]:
        while True:
            yield

    monkeypatch.setattr(solver, "_improve", endless)
    solver._is_settled = lambda _: False
    solver._meter = Meter(effort=20)
    turns = 0
    with pytest.raises(OutOfBudget):
        for _ in solver.work():
            turns += 1
            assert turns <= 20
    assert turns == 20


def chains(count: int, length: int) -> OrderProblem:
    """Return chains of values of random sizes that start from one value and are joined."""
    rng = Random(count)
    builder = GraphBuilder("chains")
    x = builder.add_input("x", TensorType.of_bytes(30))
    ends = []
    for i in range(count):
        value: int | None = x
        for k in range(length):
            new = NewValue(f"t{i}.{k}", TensorType.of_bytes(rng.randint(1, 1000)))
            (value,) = builder.add_node("Op", [value], [new], is_foldable=False)
        ends.append(value)
    (y,) = builder.add_node("Join", ends, [NewValue("y", TensorType.of_bytes(64))], is_foldable=False)
    assert y is not None
    return reference_problem(builder.build([y]))


class _Told(Meter):
    """A meter that keeps what it is told, and never ends."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[int] = []

    def spend(self, steps: int = 1) -> None:
        self.told.append(steps)


def test_reading_a_piece_is_told_by_operation_and_by_cell() -> None:
    piece = reduce_problem(tangle(60)).piece
    meter = _Told()
    series_parallel._Network(piece, None, meter)
    by_operation = [1 + len(before) for before in piece.predecessors]
    by_cell = [1 + len(cell.closes or ()) for cell in piece.cells]
    assert meter.told == by_operation + by_cell


def test_joining_and_writing_out_are_told_by_node_and_by_operation() -> None:
    piece = reduce_problem(chains(8, 12)).piece
    meter = _Told()
    network = series_parallel._Network(piece, None, meter)
    meter.told.clear()
    network.shrink()
    assert meter.told.count(1) >= len(piece.ops)  # each node is looked at
    assert sum(meter.told) > 3 * len(piece.ops)  # and what is merged costs its segments
    meter.told.clear()
    rewrite = network.as_rewrite()
    assert sum(meter.told) >= sum(len(part) for part in rewrite.parts if len(part) > 1) > 0


def test_the_masks_of_a_piece_are_told() -> None:
    piece = reduce_problem(tangle(60)).piece
    meter = _Told()
    contract(piece, meter)
    assert meter.told[0] == len(piece.ops)


def _edge(segments: int) -> series_parallel._Edge:
    """Return an edge whose run has hills that fall, so that none joins the next."""
    hills = (Segment(100 - i, 10 - i, i) for i in range(segments))
    return series_parallel._Edge(50, deque(hills))


def test_edges_are_told_by_the_segments_that_are_handled() -> None:
    piece = reduce_problem(tangle(60)).piece
    meter = _Told()
    network = series_parallel._Network(piece, None, meter)
    meter.told.clear()
    network._merged([_edge(4), _edge(3)])
    assert meter.told == [7]  # side by side, all of them
    for first, second in ((5, 2), (2, 5)):
        meter.told.clear()
        network._in_series(_edge(first), 0, _edge(second))
        assert meter.told == [1 + 2]  # one behind the other, those of the shorter run and what is between
