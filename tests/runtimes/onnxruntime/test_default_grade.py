"""What keeps the number of a default session from being exact."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from memprof.analysis import Lifetimes, Schedule
from memprof.ir import Graph, GraphBuilder, NewValue, TensorType
from memprof.ir.model import Model
from memprof.runtimes.onnxruntime.arranging import Arranged, Owner, as_listed
from memprof.runtimes.onnxruntime.default import default_lifetimes, default_lowered_by
from memprof.runtimes.onnxruntime.frame import run_frame

LEAVING = "com.microsoft.nchwc.ReorderOutput"


def left(times: int) -> Lifetimes:
    """Return lifetimes of a graph that leaves the blocked layout so often."""
    builder = GraphBuilder()
    x = builder.add_input("x", TensorType("float32", (1, 16, 4, 4)))
    outputs = []
    for i in range(times):
        (y,) = builder.add_node(LEAVING, [x], [NewValue(f"y{i}", TensorType("float32", (1, 16, 4, 4)))])
        assert y is not None
        outputs.append(y)
    graph = builder.build(outputs)
    return Lifetimes(graph=graph, schedule=Schedule.sequential(range(times)), buffers=(), is_complete=True)


@pytest.mark.parametrize(("times", "is_lowered"), [(0, False), (1, False), (2, True), (5, True)])
def test_several_ways_out_of_the_blocked_layout_may_run_in_another_order(times: int, is_lowered: bool) -> None:
    assert (LEAVING in default_lowered_by(left(times))) is is_lowered


def joined(*, is_held: bool) -> Graph:
    """Return a graph that leaves the layout twice, before a node that waits for both.

    What leaves first is held, or not needed, while the branch of the other one takes more than all else.
    """
    builder = GraphBuilder()

    def add(op: str, reads: list[int], size: int) -> int:
        of = TensorType("float32", (1, size))
        (value_id,) = builder.add_node(op, list(reads), [NewValue(f"v{len(names)}", of)])
        assert value_id is not None
        names.append(value_id)
        return value_id

    names: list[int] = []
    x = add("MatMul", [builder.add_input("x", TensorType("float32", (1, 4)))], 64)
    a = add(LEAVING, [x], 640)
    b = add(LEAVING, [add("MatMul", [add("MatMul", [x], 6400)], 3200) if is_held else x], 320)
    return builder.build([add("MatMul", [add("Concat", [a, b], 960)], 4)])


@pytest.mark.parametrize("is_held", [False, True])
def test_only_orders_that_take_something_else_lower_the_grade(is_held: bool) -> None:
    graph = joined(is_held=is_held)
    frame = run_frame(graph, None, as_listed)
    lifetimes = default_lifetimes(Model.of(graph), frame)
    lifetimes = replace(lifetimes, without=())
    found = [reason for reason in default_lowered_by(lifetimes, lambda: frame) if reason.startswith(LEAVING)]
    if not is_held:
        assert found == []
        return
    low, high = peaks = [_peak(graph, order) for order in ((0, 2, 3, 4, 1, 5, 6), (0, 1, 2, 3, 4, 5, 6))]
    assert low < high
    assert found == [f"{LEAVING}: {low:,} to {high:,} bytes, by the order of a session"]
    assert lifetimes.timeline.peak_bytes in peaks


def _peak(graph: Graph, order: Sequence[int]) -> int:
    def arrange(graph: Graph, ahead: Graph | None, owner: Owner) -> Arranged:
        return Arranged(graph=graph, planned=graph, order=order)

    return max(run_frame(graph, None, arrange).later_pass(graph.outputs))
