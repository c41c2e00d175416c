"""What only one of two models holds at its peak is listed largest first."""

from __future__ import annotations

import memprof
from memprof.ir import Graph, GraphBuilder, NewValue, TensorType


def fork(prefix: str) -> Graph:
    """Return a graph at whose peak tensors of 4, 400 and 40 bytes live, named after ``prefix``."""
    builder = GraphBuilder(prefix)
    x = builder.add_input("x", TensorType("float32", (1,)))
    tensors = []
    for size in (1, 100, 10):
        value = NewValue(f"{prefix}{size}", TensorType("float32", (size,)))
        tensors += builder.add_node("MatMul", [x], [value])
    (y,) = builder.add_node("Concat", tensors, [NewValue("y", TensorType("float32", (111,)))])
    return builder.build([y])


def test_gone_and_new_tensors_come_largest_first() -> None:
    found = memprof.compare(fork("a"), fork("b"), runtimes=["reference"])
    assert list(found.gone.items()) == [("a100", 400), ("a10", 40), ("a1", 4)]
    assert list(found.new.items()) == [("b100", 400), ("b10", 40), ("b1", 4)]
