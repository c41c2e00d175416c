"""The corners of the definitions, one smallest graph each. The oracle covers their mixtures."""

from __future__ import annotations

import pytest

from memprof import Graph, GraphBuilder, TensorType, analyze
from memprof.base.errors import UsageError
from memprof.ir import NewValue
from memprof.runtimes import RUNTIMES


def u1(count: int) -> TensorType:
    return TensorType("uint8", (count,))


class Tiny:
    """Builds tiny graphs: sizes in bytes, every value named by what it is."""

    def __init__(self) -> None:
        self.builder = GraphBuilder("tiny")

    def given(self, name: str, size: int) -> int:
        return self.builder.add_input(name, u1(size))

    def run(
        self, reads: list[int], name: str, size: int, *, inplace: bool = False, view_of: int | None = None
    ) -> int:
        new = NewValue(name, u1(size), view_of=view_of)
        (made,) = self.builder.add_node("Op", reads, [new], name=f"make {name}", is_elementwise=inplace)
        assert made is not None
        return made

    def done(self, *outputs: int) -> Graph:
        return self.builder.build(outputs)


def timeline(graph: Graph, runtime: str) -> tuple[int, ...]:
    return analyze(graph, runtimes=[runtime]).headline.timeline


def test_reference_holds_an_operations_input_and_output_together() -> None:
    tiny = Tiny()
    a = tiny.run([tiny.given("x", 1)], "a", 10)
    assert timeline(tiny.done(tiny.run([a], "b", 100)), "reference") == (11, 110)


def test_a_graph_input_lives_from_step_0_to_its_last_reader() -> None:
    tiny = Tiny()
    x, late = tiny.given("x", 1), tiny.given("late", 10)
    a = tiny.run([x], "a", 100)
    b = tiny.run([a, late], "b", 1000)
    assert timeline(tiny.done(tiny.run([b], "c", 0)), "reference") == (111, 1110, 1000)


def test_a_graph_input_that_nobody_reads_lives_at_step_0() -> None:
    tiny = Tiny()
    x = tiny.given("x", 1)
    tiny.given("unread", 10)
    a = tiny.run([x], "a", 100)
    assert timeline(tiny.done(tiny.run([a], "b", 1000)), "reference") == (111, 1100)


def test_a_graph_output_lives_to_the_end() -> None:
    tiny = Tiny()
    early = tiny.run([tiny.given("x", 1)], "early", 10)
    other = tiny.run([early], "other", 100)
    assert timeline(tiny.done(early, tiny.run([other], "last", 1000)), "reference") == (11, 110, 1110)


def test_an_output_that_nobody_reads_lives_while_its_node_runs() -> None:
    tiny = Tiny()
    x = tiny.given("x", 1)
    tiny.run([x], "unread", 10)
    assert timeline(tiny.done(tiny.run([x], "y", 100)), "reference") == (11, 101)


def test_a_view_keeps_its_root_alive_and_adds_nothing() -> None:
    tiny = Tiny()
    a = tiny.run([tiny.given("x", 1)], "a", 10)
    view = tiny.run([a], "view", 10, view_of=a)
    b = tiny.run([], "b", 0)
    c = tiny.run([b], "c", 100)
    assert timeline(tiny.done(tiny.run([c, view], "d", 0)), "reference") == (11, 10, 10, 10, 10)


def test_a_graph_without_nodes_has_one_step() -> None:
    tiny = Tiny()
    assert timeline(tiny.done(tiny.given("x", 7)), "reference") == (7,)
    assert timeline(GraphBuilder().build([]), "reference") == (0,)


def test_weights_and_what_is_computed_from_them_are_not_intermediates() -> None:
    builder = GraphBuilder()
    x = builder.add_input("x", u1(1))
    w = builder.add_parameter("w", u1(10))
    (folded,) = builder.add_node("Exp", [w], [NewValue("folded", u1(100))])
    (y,) = builder.add_node("Add", [x, folded], [NewValue("y", u1(1000))])
    assert y is not None
    report = analyze(builder.build([y]))
    assert report.headline.timeline == (1, 1001)
    assert (report.parameter_bytes, report.model.foldable_constant_bytes) == (10, 100)
    assert report.headline.total_bytes == 1001 + 110


def test_random_numbers_are_not_constants() -> None:
    builder = GraphBuilder()
    (noise,) = builder.add_node("RandomNormal", [], [NewValue("noise", u1(8))], is_foldable=False)
    assert noise is not None
    assert timeline(builder.build([noise]), "reference") == (8,)


def test_ideal_takes_the_first_dying_input_of_equal_bytes() -> None:
    tiny = Tiny()
    x = tiny.given("x", 4)
    small, living, first, second = (
        tiny.run([x], name, size) for name, size in zip("slab", (3, 4, 4, 4), strict=True)
    )
    total = tiny.run([x, small, living, first, second], "total", 4, inplace=True)
    end = tiny.run([total, living], "end", 0)
    found = analyze(tiny.done(end), runtimes=["ideal"]).headline
    shared = [b.values for b in found.lifetimes.buffers if len(b.values) > 1]
    assert shared == [(first, total)]
    assert found.timeline == (7, 11, 15, 19, 19, 8)


@pytest.mark.parametrize("spoiler", ["graph input", "graph output", "read later", "view read later", "other size"])
def test_ideal_leaves_a_buffer_alone_that_somebody_needs(spoiler: str) -> None:
    tiny = Tiny()
    x = tiny.given("x", 8)
    a = x if spoiler == "graph input" else tiny.run([x], "a", 8)
    view = tiny.run([a], "view", 8, view_of=a)
    b = tiny.run([a], "b", 9 if spoiler == "other size" else 8, inplace=True)
    late = {"read later": [b, a], "view read later": [b, view]}.get(spoiler, [b])
    end = tiny.run(late, "end", 0)
    graph = tiny.done(end, a) if spoiler == "graph output" else tiny.done(end)
    assert timeline(graph, "ideal") == timeline(graph, "reference")


def test_ideal_reuses_through_a_chain_and_its_views() -> None:
    tiny = Tiny()
    a = tiny.run([tiny.given("x", 1)], "a", 8)
    b = tiny.run([a], "b", 8, inplace=True)
    view = tiny.run([b], "view", 8, view_of=b)
    c = tiny.run([view], "c", 8, inplace=True)
    assert timeline(tiny.done(c), "ideal") == (9, 8, 8, 8)


def test_ideal_does_not_match_sizes_it_does_not_know() -> None:
    builder = GraphBuilder()
    open_type = TensorType("uint8", ("n",))
    x = builder.add_input("x", open_type)
    (a,) = builder.add_node("Op", [x], [NewValue("a", open_type)])
    (b,) = builder.add_node("Relu", [a], [NewValue("b", open_type)], is_elementwise=True)
    assert b is not None
    found = analyze(builder.build([b]), runtimes=["ideal"]).headline
    assert len(found.lifetimes.buffers) == 3
    assert found.peak_intermediate_bytes is None


def test_paper_does_not_count_a_tensor_in_the_level_of_its_last_reader() -> None:
    tiny = Tiny()
    a = tiny.run([tiny.given("x", 1)], "a", 10)
    assert timeline(tiny.done(tiny.run([a], "b", 100)), "paper") == (1, 10, 100)


def test_paper_runs_all_that_is_ready_in_one_level_and_names_no_single_node() -> None:
    tiny = Tiny()
    x = tiny.given("x", 1)
    found = analyze(tiny.done(tiny.run([x], "a", 10), tiny.run([x], "b", 100)), runtimes=["paper"]).headline
    assert found.timeline == (1, 110)
    assert found.peak.nodes == ("make a", "make b")
    assert found.peak.node is None


def test_paper_counts_what_nobody_reads_in_its_own_level() -> None:
    tiny = Tiny()
    x = tiny.given("x", 1)
    tiny.given("unread", 10)
    view = tiny.run([x], "view", 1, view_of=x)
    tiny.run([view], "unread result", 100)
    end = tiny.run([tiny.run([tiny.run([x], "a", 0)], "b", 0)], "c", 0)
    assert timeline(tiny.done(end), "paper") == (11, 1, 100, 0)


def test_paper_has_no_level_for_what_computes_constants() -> None:
    builder = GraphBuilder()
    x = builder.add_input("x", u1(1))
    w = builder.add_parameter("w", u1(10))
    (folded,) = builder.add_node("Exp", [w], [NewValue("folded", u1(100))])
    (y,) = builder.add_node("Add", [x, folded], [NewValue("y", u1(1000))])
    assert y is not None
    assert timeline(builder.build([y]), "paper") == (1, 1000)


@pytest.mark.default_session
def test_an_unknown_runtime_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match="no runtime model 'fast'") as caught:
        analyze(GraphBuilder().build([]), runtimes=["fast"])
    assert all(name in caught.value.hint for name in RUNTIMES)
    with pytest.raises(UsageError, match="No runtime model"):
        analyze(GraphBuilder().build([]), runtimes=[])


def test_every_runtime_model_says_what_it_promises() -> None:
    for name, model in RUNTIMES.items():
        assert model.name == name
        assert model.definition
        assert model.best_grade in ("exact", "upper bound", "estimate", "measured")
