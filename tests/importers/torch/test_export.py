from __future__ import annotations

import pytest

pytest.importorskip("torch")

import torch
from torch import nn
from torch.nn import functional

from memprof.importers.request import Request
from memprof.importers.torch.calls import Call
from memprof.importers.torch.export import record_program
from memprof.importers.torch.graphs import build_graph
from memprof.importers.torch.loading import read_module, read_program
from memprof.ir import Graph, Role
from tests.importers.torch.networks import Attention, Convolutional, Dense

IMAGE = (torch.zeros(2, 3, 16, 16),)


def graph_of(module: nn.Module, *inputs: torch.Tensor) -> Graph:
    return build_graph(record_program(torch.export.export(module.eval(), inputs, strict=False)))


def names_in_storage(graph: Graph, name: str) -> set[str]:
    ids = {value.name: i for i, value in enumerate(graph.values)}
    return {graph.values[i].name for i in graph.storage_members[graph.storage[ids[name]]]}


def test_operations_carry_their_names_attributes_and_modules() -> None:
    graph = graph_of(Convolutional(), *IMAGE)
    first = graph.nodes[0]
    assert (first.op, first.module) == ("aten.conv2d", "stem.0")
    assert first.attributes["padding"] == (1, 1)
    assert [node.module for node in graph.nodes][:6] == ["stem.0", "stem.1", "stem.2", "body.0", "body.1", "body.2"]


def test_views_share_storage_and_copies_do_not() -> None:
    class Views(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = x * 2
            a = y.view(6, 4).t()[1:]
            return a.reshape(-1) + y.permute(1, 0).contiguous().flatten()[:18]

    graph = graph_of(Views(), torch.zeros(4, 6))
    assert names_in_storage(graph, "mul") == {"mul", "view", "t", "slice_1", "permute"}
    assert names_in_storage(graph, "contiguous") == {"contiguous", "flatten", "slice_2"}
    assert names_in_storage(graph, "reshape") == {"reshape"}
    assert graph.values[graph.outputs[0]].view_of is None


def test_an_in_place_activation_is_a_value_that_may_overwrite() -> None:
    graph = graph_of(Convolutional(), *IMAGE)
    relu = next(node for node in graph.nodes if node.op == "aten.relu_")
    assert relu.is_elementwise
    assert graph.values[relu.outputs[0]].view_of is None  # type: ignore[index]


def test_a_sum_of_two_windows_onto_one_storage_overwrites_neither() -> None:
    class Symmetric(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = x * 2
            return y + y.t()

    *_, add = graph_of(Symmetric(), torch.zeros(5, 5)).nodes
    assert add.op == "aten.add"
    assert not add.is_elementwise


def test_tied_parameters_count_once() -> None:
    module = Attention()
    once = {id(p): p.nbytes for p in module.parameters()}
    graph = graph_of(module, torch.zeros(2, 7, dtype=torch.int64))
    assert graph.parameter_bytes == sum(once.values())


def test_parameters_are_those_of_the_module_buffers_included() -> None:
    module = Convolutional()
    graph = graph_of(module, *IMAGE)
    assert graph.parameter_bytes == sum(t.nbytes for t in module.state_dict().values())
    owner = next(value for value in graph.values if value.name == "body.1.running_mean")
    assert (owner.role, owner.module) == (Role.PARAMETER, "body.1")


def test_a_block_without_gradient_is_inlined() -> None:
    class Frozen(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.backbone = nn.Linear(8, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            with torch.no_grad():
                features = self.backbone(x).relu()
            return features * 2

    graph = graph_of(Frozen(), torch.zeros(3, 8))
    assert [node.op for node in graph.nodes] == ["aten.linear", "aten.relu", "aten.mul"]
    assert graph.nodes[2].inputs == graph.nodes[1].outputs


def test_branches_are_bodies_of_their_node() -> None:
    class Branching(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.cond(x.sum() > 0, lambda a: (a * 2).exp(), lambda a: a - 1, (x,))

    graph = graph_of(Branching(), torch.zeros(10))
    cond = graph.nodes[-1]
    assert [[node.op for node in body.nodes] for body in cond.bodies] == [["aten.mul", "aten.exp"], ["aten.sub"]]
    assert cond.captures


def test_open_sizes_are_symbols_that_flags_bind() -> None:
    program = torch.export.export(
        Dense().eval(), (torch.zeros(2, 4, 8, 8),), dynamic_shapes=({0: torch.export.Dim("batch")},)
    )
    open_model = read_program(program, Request(source=program))
    (symbol,) = [unknown.name for unknown in open_model.graph.unknown]
    assert open_model.graph.values[open_model.graph.inputs[0]].type.shape == (symbol, 4, 8, 8)
    for bound in (
        read_program(program, Request(source="net.pt2", dims={symbol: 3})),
        read_program(program, Request(source="net.pt2", inputs={"": (3, 4, 8, 8)})),
    ):
        assert bound.graph.unknown == ()
        assert bound.graph.value_bytes[bound.graph.outputs[0]] == 3 * 20 * 64 * 4


@pytest.mark.parametrize("make", [Convolutional, Dense])
def test_a_model_has_a_graph_a_trace_and_no_memory(make: type[nn.Module]) -> None:
    with torch.device("meta"):
        module = make()
        inputs = (torch.zeros(2, 3 if make is Convolutional else 4, 16, 16),)
    model = read_module(module, Call(inputs), Request(source="net"))
    assert (model.format, model.path) == ("torch.export", "net")
    assert model.trace is not None
    assert len(model.structure_sha256) == 64


def test_what_export_cannot_read_is_taken_from_the_run() -> None:
    class Stateful(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.calls: list[int] = []

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if torch.compiler.is_exporting():
                raise RuntimeError("not for export")
            return functional.relu(x * 2)

    model = read_module(Stateful(), Call((torch.zeros(4),)), Request(source="net"))
    assert model.format == "torch.run"
    assert [node.op for node in model.graph.nodes] == ["aten.mul", "aten.relu"]


def test_the_digest_tells_structures_apart_and_not_weights() -> None:
    first, second = (read_module(Convolutional(), Call(IMAGE), Request(source="net")) for _ in range(2))
    larger = read_module(Convolutional(), Call((torch.zeros(3, 3, 16, 16),)), Request(source="net"))
    assert first.structure_sha256 == second.structure_sha256 != larger.structure_sha256
