"""The block of a default session: held all along, and told apart from what lives in it."""

from __future__ import annotations

import pytest

from memprof.analysis import Lifetimes
from memprof.ir import Graph, GraphBuilder, NewValue, TensorType
from memprof.results.peak import find_peak
from memprof.runtimes import RUNTIMES


def hill(*sizes: int) -> Graph:
    """Return a chain of matrix products whose results have ``sizes`` elements of four bytes."""
    builder = GraphBuilder("hill")
    last = builder.add_input("x", TensorType("float32", (1,)))
    for i, size in enumerate(sizes):
        (last,) = builder.add_node(
            "MatMul", [last], [NewValue(f"t{i}", TensorType("float32", (size,)))], name=f"n{i}"
        )
    return builder.build([last])


@pytest.fixture
def found() -> Lifetimes:
    # all different: a dead buffer of the same shape would be taken again
    return RUNTIMES["onnxruntime-default"].lifetimes(hill(64, 640, 1280, 128, 32, 1))


def test_the_peak_is_the_step_that_fills_the_block_most(found: Lifetimes) -> None:
    assert found.timeline.peak_step == 5  # where the output comes on top of the block
    assert found.peak_step == 2
    peak = find_peak(found)
    assert [tensor.name for tensor in peak.live] == ["t2", "t1"]
    assert peak.node == "n2"


def test_what_is_held_is_what_nothing_lives_in(found: Lifetimes) -> None:
    alive = [sum(b.size_bytes or 0 for b in found.alive_at(step)) for step in range(6)]
    block = max(found.timeline.step_bytes[:5])
    assert alive == [256, 256 + 2560, 2560 + 5120, 5120 + 512, 512 + 128, 128 + 4]
    assert list(found.held[:5]) == [block - size for size in alive[:5]]
    assert found.timeline_in_use.step_bytes == tuple(alive)


def test_an_output_that_is_a_constant_is_a_copy_from_the_first_step_on() -> None:
    builder = GraphBuilder()
    x, weight = (
        builder.add_input("x", TensorType("float32", (8,))),
        builder.add_parameter("w", TensorType("float32", (25,))),
    )
    (a,) = builder.add_node("MatMul", [x, weight], [NewValue("a", TensorType("float32", (8,)))])
    (b,) = builder.add_node("MatMul", [a], [NewValue("b", TensorType("float32", (8,)))])
    graph = builder.build([b, weight])
    first = RUNTIMES["onnxruntime"].lifetimes(graph)
    assert first.timeline.step_bytes == (132, 164)  # measured in 1.32.0 with Relu and Exp in place of the products
    later = RUNTIMES["onnxruntime-default"].lifetimes(graph)
    assert later.timeline.step_bytes == (356, 388)
