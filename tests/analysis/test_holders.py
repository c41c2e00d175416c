"""Who writes a buffer, who reads it last, and when."""

from __future__ import annotations

from memprof.analysis import Holder, Holders
from memprof.ir import Graph, GraphBuilder, NewValue, TensorType
from memprof.runtimes import RUNTIMES

F4 = TensorType("float32", (1,))


def example() -> Graph:
    """Return: x -> a; a -> v (a view); a -> b; v, b -> c; a parameter view of w; unread d; outputs c, b."""
    builder = GraphBuilder()
    x = builder.add_input("x", F4)

    def add(name: str, *reads: int, view_of: int | None = None) -> int:
        (made,) = builder.add_node("Op", reads, [NewValue(name, F4, view_of=view_of)], name=f"make {name}")
        assert made is not None
        return made

    a = add("a", x)
    v = add("v", a, view_of=a)
    b = add("b", a)
    c = add("c", v, b)
    add("d", x)
    return builder.build([c, b])


def found(runtime: str) -> dict[str, Holder]:
    graph = example()
    lifetimes = RUNTIMES[runtime].lifetimes(graph)
    holders = Holders(lifetimes)
    return {graph.values[buffer.values[0]].name: holders.find(buffer) for buffer in lifetimes.buffers}


def test_the_last_reader_of_any_value_in_the_buffer_holds_it() -> None:
    assert found("reference") == {
        "x": Holder(producer=None, last_reader=4, last_read_step=4, is_output=False),
        "a": Holder(producer=0, last_reader=3, last_read_step=3, is_output=False),
        "b": Holder(producer=2, last_reader=3, last_read_step=3, is_output=True),
        "c": Holder(producer=3, last_reader=None, last_read_step=None, is_output=True),
        "d": Holder(producer=4, last_reader=None, last_read_step=None, is_output=False),
    }


def test_in_levels_the_step_is_the_level() -> None:
    assert found("paper")["a"] == Holder(producer=0, last_reader=3, last_read_step=3, is_output=False)
    assert found("paper")["x"] == Holder(producer=None, last_reader=0, last_read_step=1, is_output=False)
