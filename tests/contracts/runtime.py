"""What every row of ``RUNTIMES`` keeps. Subclass ``RuntimeContract`` for a new one and fill in what it has:

    class TestMine(RuntimeContract):
        row = RUNTIMES["mine"]
        oracle = staticmethod(simulate_mine)     # a brute-force simulation, in tests/oracle.py
        is_measurable_here = True

        def source(self, folder):                # what `verify` runs, written in the folder or a name
            ...

A law that does not apply is skipped by what the row says of itself, never by its name.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any, ClassVar

import pytest

from memprof import Graph, Report, verify
from memprof.analysis import Lifetimes
from memprof.analysis.dependencies import find_predecessors
from memprof.base.errors import IncompleteError, UsageError
from memprof.ir import Role, Value
from memprof.ir.model import Model
from memprof.ir.reorder import reorder
from memprof.planning.offsets.problem import AllocationBuffer, AllocationProblem
from memprof.planning.ordering.problem import OrderProblem
from memprof.planning.plan import PlanOptions, plan_graph
from memprof.planning.rules import PROBLEMS, find_rules
from memprof.planning.validator import find_violation
from memprof.results.building import build_report
from memprof.runtimes import Order, RuntimeModel
from memprof.runtimes.late import find
from tests.oracle import Simulation
from tests.planning.ordering.exhaustive import wired_graph
from tests.random_graphs import random_graph

GRADES = {"exact", "upper bound", "estimate", "measured"}


class RuntimeContract:
    """The laws. A subclass sets ``row``, and what else it has."""

    row: ClassVar[RuntimeModel]
    oracle: ClassVar[Callable[[Graph], Simulation] | None] = None
    is_measurable_here: ClassVar[bool] = False

    def graphs(self) -> Iterator[Graph]:
        """Yield graphs that the row can read: half with every corner, half whose order matters."""
        for seed in range(60):
            yield random_graph(Random(seed)) if seed % 2 else wired_graph(Random(seed), 1 + seed % 6)

    def open_graph(self) -> Graph | None:
        """Return a graph with a size that is not known, ``None`` if sources of the row have none."""
        return with_open_sizes(wired_graph(Random(3), 4))

    def source(self, folder: Path) -> tuple[Any, dict[str, Any]]:
        """Return what ``verify`` is asked about, and the fields of the request; for rows that are measured."""
        raise NotImplementedError

    def test_every_step_is_that_of_the_oracle(self) -> None:
        if self.oracle is None:
            pytest.skip("no oracle: other tests judge the numbers")
        for graph in self.graphs():
            found = self.row.lifetimes(graph)
            assert found.timeline.step_bytes == self.oracle(graph).timeline

    def test_the_schedule_runs_each_node_at_most_once_and_after_what_it_needs(self) -> None:
        for graph in self.graphs():
            found = self.row.lifetimes(graph)
            ran = [node_id for step in found.schedule.steps for node_id in step]
            assert len(ran) == len(set(ran))
            level = {node_id: i for i, step in enumerate(found.schedule.steps) for node_id in step}
            before = find_predecessors(found.graph)
            assert all(level[p] < level[i] for i in ran for p in before[i] if p in level)

    def test_buffers_hold_values_once_and_live_within_the_run(self) -> None:
        for graph in self.graphs():
            found = self.row.lifetimes(graph)
            held = [value_id for buffer in found.buffers for value_id in buffer.values]
            assert len(held) == len(set(held))
            assert all(0 <= b.start < b.stop <= found.schedule.step_count for b in found.buffers)
            assert all(b.size_bytes is None or b.size_bytes >= 0 for b in found.buffers)
            assert all(size >= 0 for size in found.reserved)
            inputs = {i for i in held if found.graph.values[i].role is Role.INPUT}
            assert self.row.counts_inputs or not inputs

    def test_names_mean_nothing(self) -> None:
        for graph in self.graphs():
            assert self.row.lifetimes(renamed(graph)).timeline == self.row.lifetimes(graph).timeline

    def test_the_given_order_is_the_order_left_out(self) -> None:
        if self.row.order is Order.GIVEN:
            pytest.skip("it knows one order alone")
        for graph in self.graphs():
            own = self.row.lifetimes(graph)
            assert self.row.lifetimes(graph, range(len(graph.nodes))).timeline == own.timeline

    def test_an_order_is_the_graph_listed_in_it(self) -> None:
        if self.row.order is Order.GIVEN:
            pytest.skip("it knows one order alone")
        for seed, graph in enumerate(self.graphs()):
            order = random_order(graph, Random(seed))
            found = self.row.lifetimes(graph, order)
            assert found.timeline == self.row.lifetimes(reorder(graph, order)).timeline
            if self.row.order is Order.LISTED:
                ran = ran_names(found)
                assert ran == [graph.nodes[i].name for i in order if graph.nodes[i].name in set(ran)]

    def test_another_order_is_refused_where_it_changes_nothing(self) -> None:
        if self.row.order is not Order.GIVEN:
            pytest.skip("orders are its business")
        graph = wired_graph(Random(0), 3)
        with pytest.raises(AssertionError, match="one order alone"):
            self.row.lifetimes(graph, range(len(graph.nodes)))
        assert self.row.ordering is None

    def test_an_unknown_size_makes_no_number_and_no_promise(self) -> None:
        graph = self.open_graph()
        if graph is None:
            pytest.skip("its sources have no open sizes")
        found = self.row.lifetimes(graph)
        assert not found.is_complete
        assert self.row.promise(found).grade is None
        report = self.report(graph).headline
        assert (report.peak_intermediate_bytes, report.total_bytes, report.grade) == (None, None, None)
        assert report.known_bytes_at_least == found.timeline.peak_bytes

    def test_a_promise_is_one_that_the_definitions_know(self) -> None:
        for graph in self.graphs():
            found = self.row.lifetimes(graph)
            promise = self.row.promise(found)
            if not found.is_complete:
                assert promise.grade is None
            elif promise.lowered_by:
                assert promise.grade == "estimate"
            else:
                assert promise.grade == self.row.best_grade
        assert self.row.best_grade in GRADES

    def test_a_report_goes_to_json_and_comes_back(self) -> None:
        for graph in self.graphs():
            report = self.report(graph)
            document = json.loads(json.dumps(report.to_json(), allow_nan=False))
            back = Report.from_json(document)
            assert list(back.runtimes) == [self.row.name]
            assert back.headline.timeline == report.headline.timeline
            assert (back.headline.grade, back.headline.lowered_by) == (
                report.headline.grade,
                report.headline.lowered_by,
            )

    def test_what_it_reads_stays_as_it_was(self) -> None:
        for graph in self.graphs():
            twin = copy.deepcopy(graph)
            self.row.lifetimes(graph)
            assert graph == twin

    def test_a_plan_is_no_worse_than_the_given_order_and_its_bound_holds_for_every_order(self) -> None:
        if self.row.ordering is None:
            with pytest.raises(UsageError, match=f"no plan for the runtime {self.row.name!r}"):
                find_rules(self.row.name)
            return
        planned = 0
        for graph in self.graphs():
            if len(graph.nodes) > 6:
                continue
            try:
                order = plan_graph(Model.of(graph), PlanOptions(runtime=self.row.name, seconds=1, alignment=1)).order
            except IncompleteError:
                assert not self.row.lifetimes(graph).is_complete
                continue
            assert order is not None
            peaks = [self.row.lifetimes(graph, other).timeline.peak_bytes for other in all_orders(graph)]
            assert order.lower_bound_bytes <= min(peaks) <= order.peak_bytes <= order.before_bytes
            assert order.peak_bytes == self.row.lifetimes(graph, order.node_ids).timeline.peak_bytes
            assert not self.row.ordering.is_exact or order.peak_bytes == min(peaks)
            planned += 1
        assert planned > 15

    def test_its_problems_are_of_its_graphs(self) -> None:
        if self.row.ordering is None:
            pytest.skip("no order is searched for")
        for graph in self.graphs():
            bound = PROBLEMS[self.row.name](graph)
            for name in self.row.ordering.related:
                problem: OrderProblem = find(name)(graph)
                assert problem.op_count == len(graph.nodes)
            found = self.row.lifetimes(graph, random_order(graph, Random(0)))
            ids = {node.name: i for i, node in enumerate(graph.nodes)}
            order = [ids[name] for name in ran_names(found)]  # as it ran, which is not as it was listed for all
            if found.is_complete and len(order) == bound.op_count:
                peak_bytes = found.timeline.peak_bytes
                assert bound.peak_bytes(order) <= peak_bytes
                assert not self.row.ordering.is_exact or bound.peak_bytes(order) == peak_bytes

    def test_its_own_addresses_never_overlap(self) -> None:
        if self.row.placement is None:
            pytest.skip("it has no planner of its own")
        for graph in self.graphs():
            found = self.row.lifetimes(graph)
            placed = self.row.placement(found)
            buffers = [
                AllocationBuffer(name=str(i), start=b.start, stop=b.stop, size_bytes=b.size_bytes or 0)
                for i, b in enumerate(found.buffers)
            ]
            problem = AllocationProblem(buffers=tuple(buffers), alignment=placed.alignment)
            assert find_violation(problem, placed.offsets) is None
            ends = [at + b.size_bytes for at, b in zip(placed.offsets, buffers, strict=True)]
            assert max(ends, default=0) + placed.persistent_bytes <= placed.arena_bytes

    def test_it_is_measured_as_it_says(self, tmp_path: Path) -> None:
        if self.row.measuring is None:
            with pytest.raises(UsageError, match="nothing to verify"):
                verify("torch.nn:ReLU", runtime=self.row.name)
            return
        assert callable(find(self.row.measuring.by))
        if not self.is_measurable_here:
            pytest.skip("its runtime is not installed")
        source, fields = self.source(tmp_path)
        found = verify(source, runtime=self.row.name, **fields)
        assert found.measured_bytes > 0
        assert found.predicted_bytes == found.measured_bytes
        with pytest.raises(UsageError, match=r"does not run|Nothing here runs"):
            verify(tmp_path / "model.pt2", runtime=self.row.name)

    def report(self, graph: Graph) -> Report:
        """Return the report of ``graph`` under the row alone."""
        return build_report(
            Model(path="", format="graph", structure_sha256="", graph=graph), {self.row.name: self.row}
        )


def ran_names(lifetimes: Lifetimes) -> list[str]:
    """Return the names of the nodes in the order in which they ran."""
    return [lifetimes.graph.nodes[node_id].name for step in lifetimes.schedule.steps for node_id in step]


def random_order(graph: Graph, rng: Random) -> list[int]:
    """Return a random topological order."""
    before = find_predecessors(graph)
    order: list[int] = []
    left = set(range(len(graph.nodes)))
    while left:
        order.append(rng.choice([i for i in sorted(left) if left.isdisjoint(before[i])]))
        left.remove(order[-1])
    return order


def all_orders(graph: Graph) -> Iterator[Sequence[int]]:
    """Yield every topological order."""
    before = find_predecessors(graph)
    stack: list[tuple[int, ...]] = [()]
    while stack:
        order = stack.pop()
        if len(order) == len(graph.nodes):
            yield order
        left = set(range(len(graph.nodes))).difference(order)
        stack += [(*order, i) for i in left if left.isdisjoint(before[i])]


def renamed(graph: Graph) -> Graph:
    """Return ``graph`` under other names of values and nodes."""

    def other(value: Value) -> Value:
        return value._replace(name=f"other {value.name}")

    nodes = tuple(
        node._replace(name=f"other {node.name}", bodies=tuple(map(renamed, node.bodies))) for node in graph.nodes
    )
    return replace(graph, values=tuple(map(other, graph.values)), nodes=nodes)


def with_open_sizes(graph: Graph) -> Graph:
    """Return ``graph`` with no shape known of what its nodes write."""

    def opened(value: Value) -> Value:
        return value if value.producer is None else value._replace(type=replace(value.type, shape=None))

    return replace(graph, values=tuple(map(opened, graph.values)))
