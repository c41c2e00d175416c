"""On a CPU networks train in channels_last: the same numbers, and what that layout must not touch stays out of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

pytest.importorskip("torch")

import torch
from torch import Tensor, nn

from memprof.nas.space.architecture import GROWN_LAYERS, Cell, Combine, Layer, Template
from memprof.nas.train.modules import Network, build_module, lay_out

TEMPLATE = Template(strides=(1, 2), widths=(8, 16), input_shape=(1, 9, 8), classes=4, stem_width=8)


def network(layer: Layer, template: Template = TEMPLATE) -> nn.Module:
    torch.manual_seed(3)
    cells = [
        Cell(input1=0, input2=0, layer1=layer, layer2=Layer.DEPTHWISE_3X3, combine=Combine.CONCAT),
        Cell(input1=1, input2=0, layer1=layer, layer2=Layer.IDENTITY, combine=Combine.SUM),
    ]
    return build_module(template.build(cells)).double()


def gradients(module: nn.Module, images: Tensor) -> list[Tensor]:
    loss = nn.functional.cross_entropy(module(images), torch.arange(len(images)) % 4)
    loss.backward()
    return [loss.detach(), *(p.grad for p in module.parameters() if p.grad is not None)]


@pytest.mark.parametrize("layer", GROWN_LAYERS)
def test_every_layer_computes_and_learns_the_same_in_either_layout(layer: Layer) -> None:
    images = torch.randn(6, 1, 9, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    plain, other = network(layer), network(layer)
    lay_out(other)
    assert isinstance(other, Network)
    assert other.layout is torch.channels_last
    found, expected = gradients(other, images), gradients(plain, images)
    assert len(found) == len(expected)
    assert all(torch.allclose(one, two, atol=1e-9) for one, two in zip(found, expected, strict=True))
    assert all(torch.allclose(one, two, atol=1e-9) for one, two in zip(other.buffers(), plain.buffers(), strict=True))


def test_long_convolutions_see_one_layout_alone() -> None:
    module = network(Layer.FACTORIZED_7)
    lay_out(module)
    seen: list[tuple[bool, bool]] = []
    for part in module.modules():
        if isinstance(part, nn.Conv2d) and part.kernel_size[0] != part.kernel_size[1]:
            part.register_forward_hook(
                lambda part, given, out: seen.append((given[0].is_contiguous(), part.weight.is_contiguous()))
            )
    module(torch.randn(3, 1, 9, 8, dtype=torch.float64))
    assert len(seen) == 8
    assert all(both == (True, True) for both in seen)


def test_a_network_narrower_than_a_register_stays_as_it_is() -> None:
    module = network(Layer.CONV_3X3, replace(TEMPLATE, widths=(4, 16)))
    lay_out(module)
    assert isinstance(module, Network)
    assert module.layout is torch.contiguous_format
    assert all(p.is_contiguous() for p in module.parameters())
