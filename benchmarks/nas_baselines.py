"""Baselines of MemNAS's tables that no library here has, written from their papers: deployed shapes, no training.

    ShuffleNet V1 (Zhang et al., CVPR 2018)      1x, three groups
    CondenseNet (Huang et al., CVPR 2018)        as it runs after training: the channels that are left are gathered
    DARTS (Liu et al., ICLR 2019)                the second-order cell, 14 of them, 48 channels
    NASNet-A mobile (Zoph et al., CVPR 2018)     4 @ 1056
    FBNet-A (Wu et al., CVPR 2019)               with its shuffled groups
    ProxylessNAS (Cai et al., ICLR 2019)         the network for a phone

A count of parameters beside the printed one tells whether a network is what its paper describes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn


def _conv(before: int, width: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    return nn.Conv2d(before, width, kernel, stride, kernel // 2, groups=groups, bias=False)


class Unit(nn.Module):
    """A unit of ShuffleNet: grouped 1x1, shuffle, depthwise 3x3, grouped 1x1, and a shortcut."""

    def __init__(self, before: int, width: int, stride: int, first_groups: int, groups: int = 3) -> None:
        super().__init__()
        inner, self.groups, self.stride = width // 4, groups, stride
        added = width - before if stride == 2 else width
        self.reduce = nn.Sequential(_conv(before, inner, 1, groups=first_groups), nn.BatchNorm2d(inner), nn.ReLU())
        self.depthwise = nn.Sequential(_conv(inner, inner, 3, stride, inner), nn.BatchNorm2d(inner))
        self.expand = nn.Sequential(_conv(inner, added, 1, groups=groups), nn.BatchNorm2d(added))
        self.pool = nn.AvgPool2d(3, 2, 1)

    def forward(self, image: Tensor) -> Tensor:
        """Return the unit's output."""
        found = self.expand(self.depthwise(shuffled(self.reduce(image), self.groups)))
        joined = torch.cat([self.pool(image), found], 1) if self.stride == 2 else image + found
        return torch.relu(joined)


def shuffled(image: Tensor, groups: int) -> Tensor:
    """Return channels dealt out over groups."""
    count, channels, height, width = image.shape
    dealt = image.reshape(count, groups, channels // groups, height, width).transpose(1, 2)
    return dealt.reshape(count, channels, height, width)


def shufflenet_cifar() -> nn.Module:
    """Return ShuffleNet 1x for 32x32 pixels: no stride before its stages, which the paper of MemNAS leaves open."""
    layers: list[nn.Module] = [_conv(3, 24, 3), nn.BatchNorm2d(24), nn.ReLU()]
    before = 24
    for width, repeats in ((240, 4), (480, 8), (960, 4)):
        for i in range(repeats):
            layers.append(Unit(before, width, 2 if i == 0 else 1, 1 if before == 24 else 3))
            before = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(960, 10))


class Dense(nn.Module):
    """A layer of CondenseNet after training: gathered channels, grouped 1x1, shuffle, grouped 3x3, concatenation."""

    def __init__(self, before: int, growth: int, groups: int = 4) -> None:
        super().__init__()
        self.groups = groups
        kept = before // groups * groups
        self.register_buffer("index", torch.arange(kept))
        self.norm = nn.BatchNorm2d(kept)
        self.narrow = _conv(kept, 4 * growth, 1, groups=groups)
        self.second_norm = nn.BatchNorm2d(4 * growth)
        self.widen = _conv(4 * growth, growth, 3, groups=groups)

    def forward(self, image: Tensor) -> Tensor:
        """Return the input and what the layer adds."""
        index = self.index
        assert isinstance(index, Tensor), "a buffer"
        found = self.narrow(torch.relu(self.norm(torch.index_select(image, 1, index))))
        found = self.widen(torch.relu(shuffled(self.second_norm(found), self.groups)))
        return torch.cat([image, found], 1)


def condensenet(layers_of_stage: int) -> nn.Module:
    """Return CondenseNet for 32x32 pixels: three stages, growth 8, 16, 32, a quarter of the weights left."""
    channels = 16
    layers: list[nn.Module] = [_conv(3, channels, 3)]
    for growth in (8, 16, 32):
        for _ in range(layers_of_stage):
            layers.append(Dense(channels, growth))
            channels += growth
        layers.append(nn.AvgPool2d(2) if growth < 32 else nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU()))
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 10))


def relu_conv(before: int, width: int, stride: int = 1) -> nn.Module:
    """Return ReLU, 1x1 convolution and batch norm."""
    return nn.Sequential(nn.ReLU(), _conv(before, width, 1, stride), nn.BatchNorm2d(width))


def separable(kernel: int, width: int, stride: int, before: int | None = None) -> nn.Module:
    """Return a depthwise and a pointwise convolution, twice, each pair after a ReLU."""
    first = before or width
    return nn.Sequential(
        nn.ReLU(),
        _conv(first, first, kernel, stride, first),
        _conv(first, width, 1),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        _conv(width, width, kernel, 1, width),
        _conv(width, width, 1),
        nn.BatchNorm2d(width),
    )


class Halving(nn.Module):
    """Halves height and width by two shifted 1x1 convolutions side by side (DARTS and NASNet call it factorised)."""

    def __init__(self, before: int, width: int) -> None:
        super().__init__()
        self.even = _conv(before, width // 2, 1, 2)
        self.odd = _conv(before, width - width // 2, 1, 2)
        self.norm = nn.BatchNorm2d(width)

    def forward(self, image: Tensor) -> Tensor:
        """Return half of the height and width."""
        image = torch.relu(image)
        moved = nn.functional.pad(image, (0, 1, 0, 1))[:, :, 1:, 1:]
        halved: Tensor = self.norm(torch.cat([self.even(image), self.odd(moved)], 1))
        return halved


Make = Callable[[int, int], nn.Module]
"""From width and stride to a layer."""


def _skip(width: int, stride: int) -> nn.Module:
    return nn.Identity() if stride == 1 else Halving(width, width)


def _dilated(width: int, stride: int) -> nn.Module:
    depthwise = nn.Conv2d(width, width, 3, stride, 2, dilation=2, groups=width, bias=False)
    return nn.Sequential(nn.ReLU(), depthwise, _conv(width, width, 1), nn.BatchNorm2d(width))


LAYERS: dict[str, Make] = {
    "separable 3": partial(separable, 3),
    "separable 5": partial(separable, 5),
    "separable 7": partial(separable, 7),
    "dilated 3": _dilated,
    "skip": _skip,
    "max": lambda width, stride: nn.MaxPool2d(3, stride, 1),
    "average": lambda width, stride: nn.AvgPool2d(3, stride, 1, count_include_pad=False),
}

Node = tuple[tuple[str, int], tuple[str, int]]
"""Two (layer, state) that are added; states 0 and 1 are the outputs of the cell before the last and of the last."""

DARTS_NORMAL: tuple[Node, ...] = (
    (("separable 3", 0), ("separable 3", 1)),
    (("separable 3", 0), ("separable 3", 1)),
    (("separable 3", 1), ("skip", 0)),
    (("skip", 0), ("dilated 3", 2)),
)
DARTS_REDUCTION: tuple[Node, ...] = (
    (("max", 0), ("max", 1)),
    (("skip", 2), ("max", 1)),
    (("max", 0), ("skip", 2)),
    (("skip", 2), ("max", 1)),
)
NASNET_NORMAL: tuple[Node, ...] = (
    (("separable 5", 1), ("separable 3", 0)),
    (("separable 5", 0), ("separable 3", 0)),
    (("average", 1), ("skip", 0)),
    (("average", 0), ("average", 0)),
    (("separable 3", 1), ("skip", 1)),
)


class SearchedCell(nn.Module):
    """Nodes that add two layers each; the output joins the states that are named."""

    def __init__(
        self,
        nodes: Sequence[Node],
        joined: Sequence[int],
        channels: tuple[int, int],
        width: int,
        *,
        halves: bool,
        is_older_larger: bool,
    ) -> None:
        super().__init__()
        older, last = channels
        self.older = Halving(older, width) if is_older_larger else relu_conv(older, width)
        self.last = relu_conv(last, width)
        self.wiring = [[state for _, state in node] for node in nodes]
        self.joined = tuple(joined)
        self.layers = nn.ModuleList(
            nn.ModuleList(LAYERS[name](width, 2 if halves and state < 2 else 1) for name, state in node)
            for node in nodes
        )

    def forward(self, older: Tensor, last: Tensor) -> Tensor:
        """Return the joined states."""
        states = [self.older(older), self.last(last)]
        for layers, wiring in zip(self.layers, self.wiring, strict=True):
            assert isinstance(layers, nn.ModuleList), "a node's layers"
            first, second = (layer(states[state]) for layer, state in zip(layers, wiring, strict=True))
            states.append(first + second)
        return torch.cat([states[i] for i in self.joined], 1)


class Darts(nn.Module):
    """DARTS for 224x224 pixels: two strided stems, 14 cells, reductions at a third and two thirds."""

    def __init__(self, width: int = 48, cells: int = 14) -> None:
        super().__init__()
        half = width // 2
        self.stem = nn.Sequential(
            _conv(3, half, 3, 2), nn.BatchNorm2d(half), nn.ReLU(), _conv(half, width, 3, 2), nn.BatchNorm2d(width)
        )
        self.second_stem = nn.Sequential(nn.ReLU(), _conv(width, width, 3, 2), nn.BatchNorm2d(width))
        channels, is_older_larger = (width, width), True
        self.cells = nn.ModuleList()
        for i in range(cells):
            halves = i in {cells // 3, 2 * cells // 3}
            width = 2 * width if halves else width
            nodes = DARTS_REDUCTION if halves else DARTS_NORMAL
            self.cells.append(
                SearchedCell(nodes, (2, 3, 4, 5), channels, width, halves=halves, is_older_larger=is_older_larger)
            )
            channels, is_older_larger = (channels[1], 4 * width), halves
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(channels[1], 1000)

    def forward(self, image: Tensor) -> Tensor:
        """Return logits."""
        older = self.stem(image)
        last = self.second_stem(older)
        for cell in self.cells:
            older, last = last, cell(older, last)
        logits: Tensor = self.classifier(torch.flatten(self.pool(last), 1))
        return logits


NASNET_REDUCTION: tuple[Node, ...] = (
    (("separable 5", 1), ("separable 7", 0)),
    (("max", 1), ("separable 7", 0)),
    (("average", 1), ("separable 5", 0)),
    (("average", 2), ("skip", 3)),
    (("separable 3", 2), ("max", 1)),
)


class Nasnet(nn.Module):
    """NASNet-A mobile: a strided convolution, two reductions, and three times four normal cells."""

    def __init__(self, width: int = 44, repeats: int = 4) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 32, 3, 2, bias=False), nn.BatchNorm2d(32))
        plan = [(width // 4, True), (width // 2, True), *[(width, False)] * repeats]
        for factor in (2, 4):
            plan += [(factor * width, True), *[(factor * width, False)] * repeats]
        channels, is_older_larger = (32, 32), False
        self.cells = nn.ModuleList()
        for wide, halves in plan:
            nodes, joined = (NASNET_REDUCTION, (3, 4, 5, 6)) if halves else (NASNET_NORMAL, (0, 2, 3, 4, 5, 6))
            self.cells.append(
                SearchedCell(nodes, joined, channels, wide, halves=halves, is_older_larger=is_older_larger)
            )
            channels, is_older_larger = (channels[1], len(joined) * wide), halves
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(channels[1], 1000)

    def forward(self, image: Tensor) -> Tensor:
        """Return logits."""
        older = last = self.stem(image)
        for cell in self.cells:
            older, last = last, cell(older, last)
        logits: Tensor = self.classifier(torch.flatten(self.pool(torch.relu(last)), 1))
        return logits


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What sets an inverted residual block apart."""

    kernel: int
    expansion: int
    groups: int
    act: str

    @classmethod
    def parse(cls, text: str, act: str) -> Kind:
        """Return what ``5e1g2`` stands for: kernel, expansion and, if more than one, groups."""
        kernel, _, rest = text.partition("e")
        expansion, _, groups = rest.partition("g")
        return cls(kernel=int(kernel), expansion=int(expansion), groups=int(groups or 1), act=act)


class Inverted(nn.Module):
    """An inverted residual block: 1x1, shuffle if grouped, depthwise, 1x1, and a shortcut where shapes stay."""

    def __init__(self, before: int, width: int, stride: int, kind: Kind) -> None:
        super().__init__()
        inner = before * kind.expansion
        self.groups = kind.groups
        self.expand = _with_norm(_conv(before, inner, 1, groups=kind.groups), kind.act)
        self.depthwise = _with_norm(_conv(inner, inner, kind.kernel, stride, inner), kind.act)
        self.project = _with_norm(_conv(inner, width, 1, groups=kind.groups), "")
        self.adds = stride == 1 and before == width

    def forward(self, image: Tensor) -> Tensor:
        """Return the block's output."""
        found = self.expand(image)
        projected: Tensor = self.project(self.depthwise(shuffled(found, self.groups) if self.groups > 1 else found))
        return image + projected if self.adds else projected


_ACTIVATIONS: Mapping[str, Callable[[], nn.Module]] = {"relu": nn.ReLU, "relu6": nn.ReLU6, "": nn.Identity}


def _with_norm(convolution: nn.Conv2d, act: str) -> nn.Sequential:
    return nn.Sequential(convolution, nn.BatchNorm2d(convolution.out_channels), _ACTIVATIONS[act]())


def inverted(stem: nn.Module, before: int, stages: Sequence[str], last: int, act: str) -> nn.Module:
    """Return a stem, inverted residual blocks and a head for 1,000 classes.

    Args:
        stem: What comes first.
        before: Channels that it writes.
        stages: For each width, in words: width, stride of its first block, then kernel and expansion of each block,
            and its groups if it has more than one: ``64 2 5e6 5e3 5e1g2``.
        last: Channels of the 1x1 convolution before the head.
        act: Which activation.
    """
    blocks: list[nn.Module] = [stem]
    for stage in stages:
        width, stride, *kinds = stage.split()
        for i, kind in enumerate(kinds):
            taken = int(stride) if i == 0 else 1
            blocks.append(Inverted(before, int(width), taken, Kind.parse(kind, act)))
            before = int(width)
    head = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(last, 1000))
    return nn.Sequential(*blocks, _with_norm(_conv(before, last, 1), act), *head)


def fbnet_a() -> nn.Module:
    """Return FBNet-A; its blocks that only skip are left out."""
    stages = (
        "24 2 3e3 3e1",
        "32 2 5e6 3e3 5e1 3e3",
        "64 2 5e6 5e3 5e1g2 5e6",
        "112 1 3e6 5e1g2 5e3 3e1g2",
        "184 2 5e6 5e6 5e3 5e6",
        "352 1 5e6",
    )
    return inverted(_with_norm(_conv(3, 16, 3, 2), "relu"), 16, stages, 1504, "relu")


def proxyless_mobile() -> nn.Module:
    """Return the network that ProxylessNAS found for a phone."""
    first = nn.Sequential(
        _with_norm(_conv(3, 32, 3, 2), "relu6"),
        _with_norm(_conv(32, 32, 3, 1, 32), "relu6"),
        _with_norm(_conv(32, 16, 1), ""),
    )
    stages = (
        "32 2 5e3 3e3",
        "40 2 7e3 3e3 5e3 5e3",
        "80 2 7e6 5e3 5e3 5e3",
        "96 1 5e6 5e3 5e3 5e3",
        "192 2 7e6 7e6 7e3 7e3",
        "320 1 7e6",
    )
    return inverted(first, 16, stages, 1280, "relu6")
