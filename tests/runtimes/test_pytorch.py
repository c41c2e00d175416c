from __future__ import annotations

from memprof.ir import Graph, GraphBuilder, NewValue, TensorType
from memprof.ir.trace import Category, Phase, StorageLife, Trace
from memprof.runtimes import RUNTIMES
from memprof.runtimes.pytorch import held_lifetimes, trace_lifetimes, traced

UNIT = TensorType.of_bytes(1)


class Program:
    """Builds a graph line by line: ``name = op(reads)`` in a module; every tensor has one byte."""

    def __init__(self) -> None:
        self.builder = GraphBuilder("program")
        self.ids = {"x": self.builder.add_input("x", UNIT)}

    def run(self, name: str, op: str, *reads: str, module: str = "", view_of: str | None = None) -> Program:
        (self.ids[name],) = self.builder.add_node(  # type: ignore[assignment]
            op,
            [self.ids[read] for read in reads],
            [NewValue(name, UNIT, None if view_of is None else self.ids[view_of])],
            module=module,
        )
        return self

    def build(self, *outputs: str) -> Graph:
        return self.builder.build(self.ids[name] for name in outputs)


def lives(graph: Graph) -> dict[str, tuple[int, int]]:
    return {graph.values[b.values[0]].name: (b.start, b.stop) for b in held_lifetimes(graph).buffers}


def test_the_callers_input_does_not_count_and_an_output_lives_to_the_end() -> None:
    graph = Program().run("a", "aten.relu", "x").run("b", "aten.relu", "a").run("c", "aten.relu", "b").build("a", "c")
    assert lives(graph) == {"a": (0, 3), "b": (1, 3), "c": (2, 3)}


def test_an_argument_lives_until_the_modules_call_returns() -> None:
    program = Program().run("a", "aten.conv2d", "x", module="stem")
    program.run("b", "aten.conv2d", "a", module="block.conv1").run("c", "aten.relu", "b", module="block.relu")
    program.run("d", "aten.conv2d", "c", module="block.conv2").run("e", "aten.mean", "d", module="head")
    assert lives(program.build("e")) == {"a": (0, 4), "b": (1, 3), "c": (2, 4), "d": (3, 5), "e": (4, 5)}


def test_what_a_module_makes_itself_is_no_argument_of_its_call() -> None:
    program = Program().run("a", "aten.exp", "x", module="block").run("b", "aten.exp", "a", module="block")
    program.run("c", "aten.exp", "b", module="block")
    assert lives(program.build("c")) == {"a": (0, 2), "b": (1, 3), "c": (2, 3)}


def test_a_second_call_of_the_same_module_is_a_call_of_its_own() -> None:
    program = Program().run("a", "aten.exp", "x", module="f").run("b", "aten.exp", "a", module="g")
    program.run("c", "aten.exp", "b", module="f").run("d", "aten.exp", "c", module="g")
    assert lives(program.build("d")) == {"a": (0, 2), "b": (1, 3), "c": (2, 4), "d": (3, 4)}


def test_an_in_place_operation_adds_no_bytes() -> None:
    graph = Program().run("a", "aten.conv2d", "x").run("b", "aten.relu_", "a").run("c", "aten.exp", "b").build("c")
    assert lives(graph) == {"a": (0, 3), "c": (2, 3)}
    assert held_lifetimes(graph).timeline.step_bytes == (1, 1, 2)


def test_an_operator_method_is_not_in_place() -> None:
    graph = Program().run("a", "aten.exp", "x").run("b", "aten.__and__", "a").build("b")
    assert held_lifetimes(graph).timeline.step_bytes == (1, 2)


def test_views_share_storage_and_keep_it_alive() -> None:
    program = Program().run("a", "aten.exp", "x").run("v", "aten.view", "a", view_of="a").run("b", "aten.exp", "x")
    program.run("c", "aten.exp", "v")
    assert lives(program.build("c"))["a"] == (0, 4)


def test_a_constant_is_made_anew_in_every_run() -> None:
    graph = Program().run("mask", "aten.ones").run("a", "aten.add", "x", "mask").build("a")
    assert lives(graph) == {"mask": (0, 2), "a": (1, 2)}


def test_an_open_size_makes_the_answer_incomplete() -> None:
    builder = GraphBuilder()
    x = builder.add_input("x", TensorType("float32", ("batch",)))
    (y,) = builder.add_node("aten.relu", [x], [NewValue("y", TensorType("float32", ("batch",)))])
    assert not held_lifetimes(builder.build([y])).is_complete  # type: ignore[list-item]


def make_trace(tensors: str = "fake", caveat: str = "") -> Trace:
    graph = Program().run("a", "aten.exp", "x").run("b", "aten.exp", "a").build("b")
    lives_ = [(0, 0, 2, Category.INPUT, "cpu"), (1, 0, 1, Category.OTHER, "cpu"), (2, 1, 2, Category.GRADIENT, "cpu")]
    lives_ += [(2, 0, 2, Category.OTHER, "cuda")]
    return Trace(
        graph=graph,
        storages=tuple(
            StorageLife(value=v, size_bytes=10, start=a, stop=b, category=c, device=d) for v, a, b, c, d in lives_
        ),
        phases=(Phase("forward", 0, 2),),
        device="cpu",
        tensors=tensors,
        caveat=caveat,
    )


def test_a_trace_is_taken_as_it_is_without_inputs_and_other_devices() -> None:
    lifetimes = trace_lifetimes(make_trace())
    assert [(b.start, b.stop, b.size_bytes) for b in lifetimes.buffers] == [(0, 1, 10), (1, 2, 10)]
    assert lifetimes.timeline.step_bytes == (10, 10)


def test_a_traced_model_is_exact_unless_the_run_had_a_caveat() -> None:
    other = Program().build("x")
    exact, doubtful = traced(make_trace()), traced(make_trace("meta", "fake tensors failed"))
    assert (exact.best_grade, doubtful.best_grade, RUNTIMES["pytorch"].best_grade) == (
        "exact",
        "estimate",
        "estimate",
    )
    assert "fake tensors failed" in doubtful.definition
    assert exact.lifetimes(other).timeline.peak_bytes == 10
