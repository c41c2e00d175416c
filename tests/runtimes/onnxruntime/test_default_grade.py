"""What keeps the number of a default session from being exact."""

from __future__ import annotations

import pytest

from memprof.analysis import Lifetimes, Schedule
from memprof.ir import GraphBuilder, NewValue, TensorType
from memprof.runtimes.onnxruntime.default import default_lowered_by

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
