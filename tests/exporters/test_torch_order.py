"""Reordered programs answer the same, in-place operations, random numbers and control flow included."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402 - only where torch is installed
from torch.nn import functional  # noqa: E402

from memprof.errors import UsageError  # noqa: E402
from memprof.exporters.torch_order import reorder_module, reorder_program  # noqa: E402
from memprof.importers.torch.export import program_graph  # noqa: E402
from memprof.planning.ordering.find import find_order  # noqa: E402
from memprof.planning.ordering.kinds import reference_problem  # noqa: E402


class Branches(nn.Module):
    """Two branches of which the written order keeps both open."""

    def __init__(self) -> None:
        super().__init__()
        self.wide = nn.Conv2d(4, 32, 3, padding=1)
        self.narrow = nn.Conv2d(32, 4, 3, padding=1)
        self.other = nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        a, b = self.wide(x), self.wide(x + 1)
        return functional.relu(self.narrow(a)) + functional.relu(self.narrow(b)) + self.other(x)


class InPlace(nn.Module):
    """Reads before and after a tensor is overwritten, through a window too."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = x * 2
        before = y.sigmoid()
        window = y[:, 1:]
        y.relu_()
        after = window.exp()
        y[:, 0] = 7
        return before + y + functional.pad(after, (0, 0, 0, 0, 1, 0))


class Drawing(nn.Module):
    """Draws random numbers in two branches."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        a = torch.rand_like(x)
        b = torch.randn_like(x) * 2
        return functional.dropout(a + x, 0.5, training=True) - b.sin()


class Conditional(nn.Module):
    """Control flow and several outputs of one call."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        values, indices = x.topk(2, dim=1)
        chosen = torch.cond(x.sum() > 0, lambda v: v + 1, lambda v: v - 1, (values,))
        return chosen * 2, indices + 1


class NoGrad(nn.Module):
    """A wrapped block, one node of the program that stands for several operations."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(6, 6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first = self.linear(x)
        with torch.no_grad():
            second = self.linear(x).exp().relu()
        return first + second + x.cos()


IMAGE = (1, 4, 6, 6)
CASES: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "branches": (Branches, IMAGE),
    "in place": (InPlace, IMAGE),
    "random": (Drawing, IMAGE),
    "conditional": (Conditional, (3, 5)),
    "no grad": (NoGrad, (2, 6)),
}


def exported(name: str, *, is_decomposed: bool = False) -> torch.export.ExportedProgram:
    make, shape = CASES[name]
    torch.manual_seed(0)
    program = torch.export.export(make().eval(), (torch.randn(shape),), strict=False)
    return program.run_decompositions() if is_decomposed else program


def answers(program: torch.export.ExportedProgram, shape: tuple[int, ...]) -> list[torch.Tensor]:
    torch.manual_seed(1)
    x = torch.randn(shape)
    torch.manual_seed(2)
    found = program.module()(x)
    return list(found) if isinstance(found, tuple) else [found]


def shuffled(predecessors: tuple[tuple[int, ...], ...], rng: Random) -> list[int]:
    order: list[int] = []
    while len(order) < len(predecessors):
        order.append(rng.choice([i for i, p in enumerate(predecessors) if i not in order and set(p) <= set(order)]))
    return order


@pytest.mark.parametrize("is_decomposed", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_any_order_answers_the_same(name: str, is_decomposed: bool) -> None:
    program = exported(name, is_decomposed=is_decomposed)
    shape = CASES[name][1]
    graph = program_graph(program)
    problem = reference_problem(graph)
    expected = answers(program, shape)
    names = [node.name for node in program.graph.nodes]
    seen = set()
    for seed in range(6):
        order = shuffled(problem.predecessors, Random(seed))
        reordered, running = reorder_program(program, graph, order)
        assert problem.is_order(running)
        found = [node.name for node in reordered.graph.nodes]
        assert sorted(found) == sorted(names)
        seen.add(tuple(found))
        for before, after in zip(expected, answers(reordered, shape), strict=True):
            assert torch.equal(before, after)
    assert [node.name for node in program.graph.nodes] == names
    assert len(seen) > 1 or name == "in place"


def test_the_planned_order_is_the_one_that_runs_where_nothing_is_in_place() -> None:
    program = exported("branches")
    graph = program_graph(program)
    problem = reference_problem(graph)
    result = find_order(problem)
    assert result.peak_bytes < result.before_bytes
    reordered, running = reorder_program(program, graph, result.order)
    assert running == list(result.order)
    again = program_graph(reordered)
    assert reference_problem(again).peak_bytes(range(len(again.nodes))) == result.peak_bytes


def test_a_reader_of_what_is_overwritten_later_stays_before() -> None:
    program = exported("in place")
    graph = program_graph(program)
    problem = reference_problem(graph)
    for seed in range(20):
        reordered, _ = reorder_program(program, graph, shuffled(problem.predecessors, Random(seed)))
        names = [node.name for node in reordered.graph.nodes]
        assert names.index("sigmoid") < names.index("relu_") < names.index("exp")


def test_a_reordered_program_can_be_saved(tmp_path: object) -> None:
    import io

    program = exported("branches")
    graph = program_graph(program)
    reordered, _ = reorder_program(program, graph, find_order(reference_problem(graph)).order)
    file = io.BytesIO()
    torch.export.save(reordered, file)
    file.seek(0)
    again = torch.export.load(file)
    assert [n.name for n in again.graph.nodes] == [n.name for n in reordered.graph.nodes]
    assert torch.equal(answers(again, IMAGE)[0], answers(program, IMAGE)[0])


def test_weights_are_shared_not_copied() -> None:
    program = exported("branches")
    graph = program_graph(program)
    reordered, _ = reorder_program(program, graph, range(len(graph.nodes)))
    for name, tensor in program.state_dict.items():
        assert reordered.state_dict[name] is tensor


def test_a_traced_module_is_reordered_by_wishes() -> None:
    from torch.fx.experimental.proxy_tensor import make_fx

    def step(x: torch.Tensor) -> torch.Tensor:
        a, b = x.sin(), x.cos()
        return a.exp() + b.tanh()

    x = torch.randn(3)
    traced = make_fx(step)(x)
    names = [node.name for node in traced.graph.nodes if node.op == "call_function"]
    assert names == ["sin", "cos", "exp", "tanh", "add"]
    reordered = reorder_module(traced, {"cos": 0, "tanh": 1, "sin": 2, "exp": 3, "add": 4})
    assert [n.name for n in reordered.graph.nodes if n.op == "call_function"] == ["cos", "tanh", "sin", "exp", "add"]
    assert torch.equal(reordered(x), traced(x))
    assert [n.name for n in traced.graph.nodes if n.op == "call_function"] == names


def test_calls_that_say_nothing_of_what_they_change_keep_their_order() -> None:
    traced = torch.fx.symbolic_trace(Branches().eval())
    names = [node.name for node in traced.graph.nodes]
    reordered = reorder_module(traced, {name: -i for i, name in enumerate(names)})
    x = torch.randn(IMAGE)
    assert torch.equal(reordered(x), traced(x))


def test_an_order_for_another_program_is_refused() -> None:
    program, other = exported("branches"), exported("in place")
    with pytest.raises(UsageError, match="not made for this program"):
        reorder_program(program, program_graph(other), range(3))
    graph = program_graph(program)
    with pytest.raises(UsageError, match="not made for this program"):
        reorder_program(program, graph, [0] * len(graph.nodes))
