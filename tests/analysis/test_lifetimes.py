"""Buffers to timeline to peak: half-open ranges, the first maximum, and lower bounds where sizes are open."""

from __future__ import annotations

from memprof.analysis import Buffer, Lifetimes, Schedule, Timeline
from memprof.ir import Graph, GraphBuilder, NewValue, TensorType


def graph_of(count: int) -> Graph:
    """Return a graph of ``count`` nodes, each with one output (ids 1 and up) made from the graph input (id 0)."""
    type_ = TensorType("uint8", (1,))
    builder = GraphBuilder()
    x = builder.add_input("x", type_)
    for i in range(count):
        builder.add_node("Op", [x], [NewValue(f"t{i}", type_)])
    return builder.build([count] if count else [])


def lifetimes(*buffers: Buffer, steps: int = 3, reserved: tuple[int, ...] = ()) -> Lifetimes:
    return Lifetimes(
        graph=graph_of(steps), schedule=Schedule.sequential(range(steps)), buffers=buffers, reserved=reserved
    )


def test_a_buffer_counts_from_its_start_up_to_but_not_at_its_stop() -> None:
    assert lifetimes(Buffer((1,), 5, 1, 2)).timeline.step_bytes == (0, 5, 0)
    assert lifetimes(Buffer((1,), 5, 0, 3)).timeline.step_bytes == (5, 5, 5)
    assert lifetimes(Buffer((1,), 5, 2, 2)).timeline.step_bytes == (0, 0, 0)


def test_buffers_add_up_with_what_steps_reserve() -> None:
    found = lifetimes(Buffer((1,), 5, 0, 2), Buffer((2,), 7, 1, 3), reserved=(100, 0, 1000))
    assert found.timeline.step_bytes == (105, 12, 1007)


def test_open_sizes_count_nothing() -> None:
    assert lifetimes(Buffer((1,), None, 0, 3), Buffer((2,), 1, 0, 1)).timeline.step_bytes == (1, 0, 0)


def test_without_inputs_and_outputs_a_buffer_that_holds_either_is_left_out() -> None:
    found = lifetimes(
        Buffer((0,), 1, 0, 3),  # the graph input
        Buffer((1,), 10, 0, 3),
        Buffer((2, 3), 100, 1, 3),  # value 3 is the graph output
        reserved=(0, 1000, 0),
    )
    assert found.timeline.step_bytes == (11, 1111, 111)
    assert found.timeline_without_io.step_bytes == (10, 1010, 10)


def test_the_peak_is_the_first_maximum() -> None:
    timeline = Timeline((1, 9, 3, 9))
    assert (timeline.peak_step, timeline.peak_bytes) == (1, 9)
    assert (Timeline(()).peak_step, Timeline(()).peak_bytes) == (0, 0)


def test_alive_lists_the_largest_first_then_by_birth() -> None:
    small, late, early, open_, gone = (
        Buffer((1,), 1, 0, 3),
        Buffer((2,), 5, 1, 3),
        Buffer((3,), 5, 0, 2),
        Buffer((0,), None, 0, 3),
        Buffer((3,), 9, 0, 1),
    )
    assert lifetimes(small, late, early, open_, gone).alive_at(1) == (early, late, small, open_)


def test_a_sequential_schedule_runs_one_node_a_step() -> None:
    assert Schedule.sequential([2, 0, 1]).steps == ((2,), (0,), (1,))
    assert Schedule.sequential([2, 0, 1]).step_count == 3


def test_a_schedule_has_at_least_one_step() -> None:
    assert Schedule(()).step_count == 1
    assert lifetimes(Buffer((0,), 7, 0, 1), steps=0).timeline.step_bytes == (7,)
