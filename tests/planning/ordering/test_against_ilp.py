"""A second oracle that shares no idea with the first: a time-indexed integer program, solved by HiGHS.

done[v, t]   operation v has run after t steps; exactly t have, predecessors earlier
alive[s, t]  storage s is alive in step t: born by then, and not all that touch it had run before
minimise the largest sum of alive storages and running scratch over all steps
"""

from __future__ import annotations

from random import Random

import pytest

from memprof.ir import Graph, GraphBuilder, NewValue, TensorType
from memprof.planning.ordering.find import find_order
from memprof.planning.ordering.kinds import contracted_problem, reference_problem
from memprof.planning.ordering.problem import FROM_START, OrderProblem


class Program:
    """Rows of ``coefficients . x >= least`` over binary and continuous variables."""

    def __init__(self) -> None:
        self.is_integer: list[int] = []
        self.upper: list[float] = []
        self.rows: list[tuple[dict[int, float], float]] = []

    def variable(self, *, is_integer: bool, upper: float = 1.0) -> int:
        self.is_integer.append(int(is_integer))
        self.upper.append(upper)
        return len(self.is_integer) - 1

    def at_least(self, coefficients: dict[int, float], least: float) -> None:
        self.rows.append((coefficients, least))

    def minimum_of(self, objective: int) -> float:
        import numpy as np
        from scipy.optimize import Bounds, LinearConstraint, milp
        from scipy.sparse import coo_array

        entries = [
            (row, column, value) for row, (found, _) in enumerate(self.rows) for column, value in found.items()
        ]
        rows, columns, values = zip(*entries, strict=True)
        places = (np.array(rows, np.int32), np.array(columns, np.int32))  # the solver takes no other
        matrix = coo_array((values, places), shape=(len(self.rows), len(self.upper))).tocsr()
        cost = np.zeros(len(self.upper))
        cost[objective] = 1
        result = milp(
            cost,
            constraints=LinearConstraint(matrix, lb=[least for _, least in self.rows]),
            integrality=self.is_integer,
            bounds=Bounds(0, self.upper),
        )
        assert result.status == 0, result.message
        return float(result.fun)


def smallest_peak(problem: OrderProblem) -> int:
    count = problem.op_count
    steps = range(1, count + 1)
    program = Program()
    done = {(v, t): program.variable(is_integer=True) for v in range(count) for t in range(count + 1)}
    peak = program.variable(is_integer=False, upper=float("inf"))
    for v in range(count):
        program.at_least({done[v, 0]: -1}, 0)
        program.at_least({done[v, count]: 1}, 1)
        for t in steps:
            program.at_least({done[v, t]: 1, done[v, t - 1]: -1}, 0)
            for before in problem.predecessors[v]:
                program.at_least({done[before, t - 1]: 1, done[v, t]: -1}, 0)
    for t in steps:
        program.at_least({done[v, t]: 1 for v in range(count)}, t)
        program.at_least({done[v, t]: -1 for v in range(count)}, -t)
        row: dict[int, float] = {peak: 1}
        for storage, size in enumerate(problem.storage_bytes):
            alive = program.variable(is_integer=False)
            row[alive] = -size
            birth = problem.births[storage]
            born = {} if birth == FROM_START else {done[birth, t]: -1.0}
            least = 1 if birth == FROM_START else 0
            touchers = [v for v in range(count) if storage in problem.touches[v]]
            if problem.is_kept[storage]:
                program.at_least({alive: 1, **born}, least)
            for v in touchers:
                program.at_least({alive: 1, **born, done[v, t - 1]: 1}, least)
        for v in range(count):
            row[done[v, t]] = row.get(done[v, t], 0) - problem.scratch_bytes[v]
            row[done[v, t - 1]] = row.get(done[v, t - 1], 0) + problem.scratch_bytes[v]
        program.at_least(row, 0)
    return max(round(program.minimum_of(peak)), problem.start_bytes, problem.end_bytes)


def branching_graph(seed: int, nodes: int) -> Graph:
    """Return a graph with a few long branches that meet now and then."""
    rng = Random(seed)
    builder = GraphBuilder("branching")
    types = [TensorType.of_bytes(size) for size in (1, 2, 2, 4)]
    x = builder.add_input("x", rng.choice(types))
    tips = [x, x, x]
    for i in range(nodes):
        branch = rng.randrange(3)
        reads = {tips[branch]} | ({rng.choice(tips)} if rng.random() < 0.4 else set())
        (written,) = builder.add_node(
            "Op", sorted(reads), [NewValue(f"t{i}", rng.choice(types))], is_elementwise=rng.random() < 0.5
        )
        assert written is not None
        tips[branch] = written
    return builder.build(sorted(set(tips)))


@pytest.mark.parametrize("seed", range(10))
def test_the_smallest_peak_is_that_of_the_integer_program(seed: int) -> None:
    graph = branching_graph(seed, 14 + seed % 7)
    for problem in (reference_problem(graph), contracted_problem(graph)):
        result = find_order(problem)
        assert result.is_optimal
        assert result.peak_bytes == smallest_peak(problem)
