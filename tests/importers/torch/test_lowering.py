"""Modules lowered as ExecuTorch's exporter does it: every address equal to what ExecuTorch 1.5.1 planned."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs PyTorch")

import memprof  # noqa: E402
from memprof.base.errors import UsageError  # noqa: E402
from memprof.importers.torch.calls import Call  # noqa: E402
from memprof.importers.torch.lowering import lower_module  # noqa: E402
from memprof.runtimes.executorch.plan import find_plan  # noqa: E402

nn, functional = torch.nn, torch.nn.functional


class Pooled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.head = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.Linear(2048, 10)

    def forward(self, x):
        x = torch.relu(self.norm(self.conv(x)))
        return self.head(functional.max_pool2d(x, 2).flatten(1))


class Counter(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("kept", torch.zeros(4, 8))
        self.linear = nn.Linear(8, 8)

    def forward(self, x):
        self.kept.add_(x)
        return self.linear(self.kept) * 2, x + 1


class Cache(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("keys", torch.zeros(1, 8, 4))
        self.register_buffer("count", torch.zeros(1, dtype=torch.int64))

    def forward(self, x):
        self.keys[:, 2:3] = x
        self.count += 1
        return (self.keys @ self.keys.transpose(1, 2)).sum(-1)


class Parts(nn.Module):
    def forward(self, x):
        first, second = torch.split(x, 4, 1)
        values, indices = torch.topk(first, 2)
        return values, indices, torch.softmax(second, -1)


class Views(nn.Module):
    def forward(self, x):
        return x.reshape(4, 8).t().contiguous().view(2, 16), x.view(-1)


class WritesItsInput(nn.Module):
    def forward(self, x, y):
        y.add_(x)
        return y * 2.0


class Mixed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed, self.norm = nn.Embedding(10, 8), nn.LayerNorm(8)
        self.register_buffer("mask", torch.ones(4, 4).tril())

    def forward(self, i, x):
        h = self.norm(self.embed(i) + x.mean(0, keepdim=True)) * i.unsqueeze(-1) / 3
        a = (h @ h.transpose(-1, -2)).masked_fill(self.mask == 0, -1e9).softmax(-1)
        return a @ h, h[:, -1], h.max(dim=-1)[1], i // 2


PLANNED = (
    (Pooled(), [(1, 3, 32, 32)], 114688, (0, 81920, 32768, 65536, 65536, 0, 98304, 81920, 0, 106496)),
    (Counter(), [(4, 8)], 896, (768, 640, 512, 0, 384, 0, 256, 384, 128)),
    (Cache(), [(1, 1, 4)], 800, (640, 784, 384, 256, 0, 512, 768, 384, 0, 256, 0, 256)),
    (Parts(), [(2, 8)], 144, (0, 96, 64, 128, 32, 0)),
    (Views(), [(2, 16)], 384, (256, 128, 0, 128, 0)),
    (WritesItsInput(), [(4, 8), (4, 8)], 384, (128, 256, 0, 128)),
)
"""Module, shapes of its inputs, bytes of its arena and the addresses in it, as ExecuTorch 1.5.1 planned them."""


@pytest.mark.parametrize(("module", "shapes", "arena", "addresses"), PLANNED, ids=lambda x: type(x).__name__)
def test_every_address_is_that_of_the_exporter(
    module: nn.Module, shapes: Sequence[tuple[int, ...]], arena: int, addresses: Sequence[int]
) -> None:
    graph = lower_module(module, Call(tuple(map(torch.zeros, shapes))), "module")
    plan = find_plan(graph, range(len(graph.nodes)))

    assert plan.planned_bytes == arena
    assert tuple([placed.offset for placed in plan.placed]) == tuple(addresses)


def test_types_that_differ_are_cast_and_unread_outputs_take_memory() -> None:
    inputs = (torch.zeros(2, 4, dtype=torch.int64), torch.zeros(3, 4, 8))
    graph = lower_module(Mixed(), Call(inputs), "mixed")

    assert find_plan(graph, range(len(graph.nodes))).planned_bytes == 1216


def test_a_branch_is_not_predicted() -> None:
    class Branch(nn.Module):
        def forward(self, x):
            return torch.cond(x.sum() > 0, lambda x: x * 2.0, lambda x: x.cos(), (x,))

    report = memprof.analyze(Branch(), torch.zeros(4, 8), runtimes=["executorch"])

    assert report.headline.peak_intermediate_bytes is None
    assert any("not predicted" in unknown.reason for unknown in report.unknown)


def test_a_report_has_what_is_planned_beside_other_runtimes() -> None:
    report = memprof.analyze(Parts(), torch.zeros(2, 8), runtimes=["executorch", "reference"])

    assert list(report.runtimes) == ["executorch", "reference"]
    assert [(each.name, each.size_bytes) for each in report.headline.figures] == [("planned_bytes", 144)]


def test_a_saved_program_is_lowered_with_trust_alone(tmp_path: Path) -> None:
    path = tmp_path / "parts.pt2"
    torch.export.save(torch.export.export(Parts(), (torch.zeros(2, 8),)), path)

    with pytest.raises(UsageError, match="own loader"):
        memprof.analyze(path, runtimes=["executorch"])
    found = memprof.analyze(path, runtimes=["executorch"], trust=True)
    assert found.headline.figures[0].size_bytes == 144


def test_an_onnx_file_is_not_lowered(tmp_path: Path) -> None:
    import onnx

    from tests import onnx_models

    path = tmp_path / "m.onnx"
    proto = onnx_models.model(
        [onnx_models.node("Relu", ["x"], ["y"])], inputs=[onnx_models.tensor("x", (1,))], outputs=["y"]
    )
    onnx.save(proto, str(path))

    with pytest.raises(UsageError, match="does not apply here"):
        memprof.analyze(path, runtimes=["executorch"])


@pytest.mark.slow
def has_executorch() -> bool:
    """Whether the extra is there; a folder of tests goes by its name too."""
    found = find_spec("executorch")
    return found is not None and find_spec("executorch.exir") is not None


@pytest.mark.skipif(not has_executorch(), reason="the extra executorch is not installed")
@pytest.mark.parametrize(
    "name",
    ["mobilenet_v2", "resnet18", "squeezenet1_0", "shufflenet_v2_x0_5", "mnasnet0_5", "googlenet", "densenet121"],
)
def test_models_of_torchvision_are_planned_as_predicted(name: str) -> None:
    found = memprof.verify(f"torchvision:{name}", runtime="executorch", inputs={"": (1, 3, 64, 64)})

    assert found.is_exact
    assert all(step.is_equal for step in found.steps)
