"""MACs of training steps, against PyTorch's own count of what it ran."""

from __future__ import annotations

from collections.abc import Callable

import pytest

pytest.importorskip("torch")

import torch
from torch import nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

import memprof
from memprof.importers.torch.training import Training

CONVOLUTIONS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "Conv1d": (lambda: nn.Conv1d(3, 8, 3, stride=2, padding=1), (2, 3, 9)),
    "Conv2d": (lambda: nn.Conv2d(4, 6, (3, 1), dilation=2), (2, 4, 9, 7)),
    "Conv3d": (lambda: nn.Conv3d(2, 3, 2), (1, 2, 4, 5, 6)),
    "ConvTranspose1d": (lambda: nn.ConvTranspose1d(3, 8, 3, stride=2), (2, 3, 9)),
    "ConvTranspose2d": (lambda: nn.ConvTranspose2d(4, 6, 3, output_padding=1, stride=2), (2, 4, 5, 7)),
}


class Network(nn.Module):
    """Layers around one that is asked about, so that its input has a gradient or has none."""

    def __init__(self, layer: nn.Module, channels: int, *, is_first: bool) -> None:
        super().__init__()
        self.before = nn.Identity() if is_first else nn.BatchNorm1d(channels)
        self.layer = layer

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(self.before(x.flatten(2)).reshape(x.shape)).relu().mean()


def counted(module: nn.Module, *inputs: torch.Tensor) -> int | None:
    report = memprof.analyze(module, inputs, training=Training("sgd"))
    assert not [unknown for unknown in report.unknown if unknown.kind == "macs"]
    return report.model.macs


def ran(module: nn.Module, *inputs: torch.Tensor) -> int:
    with FlopCounterMode(display=False) as counter:
        module(*inputs).sum().backward()
    return counter.get_total_flops() // 2


@pytest.mark.parametrize("kind", CONVOLUTIONS)
@pytest.mark.parametrize("is_first", [True, False])
def test_a_convolution(kind: str, *, is_first: bool) -> None:
    make, shape = CONVOLUTIONS[kind]
    network = Network(make(), shape[1], is_first=is_first).train()
    x = torch.randn(shape)
    assert counted(network, x) == ran(network, x) > 0


def test_groups_cost_as_much_as_convolutions_of_their_own() -> None:
    x = torch.randn(2, 8, 5, 5)
    for kind in (nn.Conv2d, nn.ConvTranspose2d):
        whole = counted(Network(kind(8, 4, 3, groups=2), 8, is_first=False).train(), x)
        half = counted(Network(kind(4, 2, 3), 4, is_first=False).train(), x[:, :4])
        assert whole == 2 * (half or 0) > 0


class Attention(nn.Module):
    """Queries, keys and values of different lengths that all have gradients."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(3))

    def forward(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return functional.scaled_dot_product_attention(q * self.scale[0], k * self.scale[1], v * self.scale[2])


def test_attention_takes_its_products_and_the_first_one_again() -> None:
    q, k, v = torch.randn(2, 4, 5, 8), torch.randn(2, 4, 7, 8), torch.randn(2, 4, 7, 8)
    with sdpa_kernel(SDPBackend.MATH):
        written_out = ran(Attention(), q, k, v)
    assert counted(Attention(), q, k, v) == written_out + 2 * 4 * 5 * 7 * 8


@pytest.mark.parametrize("is_bidirectional", [True, False])
def test_an_lstm_takes_its_weights_once_forwards_and_twice_backwards(*, is_bidirectional: bool) -> None:
    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(1))
            self.layer = nn.LSTM(4, 6, num_layers=2, bidirectional=is_bidirectional)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.layer(x * self.scale)[0].sum()

    module, x = Recurrent().train(), torch.randn(5, 3, 4)
    weights = sum(each.numel() for each in module.layer.parameters() if each.dim() == 2)
    assert counted(module, x) == 3 * 5 * 3 * weights
