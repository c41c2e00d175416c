"""The block that MemNAS published, read so that its networks have about as many parameters as the paper prints.

A reading, not the authors' words: factorised layers are depthwise, 1x7 and 7x1, with one pointwise convolution; pools
are plain; the outputs of a block's cells are added, so that all of a block is one width. Where a block changes its
width a pool projects first, for it must. All of the paper's two networks for ImageNet that is printed is their
parameters, so one number, a factor on all widths of this project's template, is fitted to each.
"""

from __future__ import annotations

from dataclasses import replace
from functools import reduce
from itertools import pairwise

from torch import Tensor, nn

from memprof import nas
from memprof.nas.space.architecture import MEMNAS_CELLS, Cell, Layer

_KERNELS = {
    Layer.DEPTHWISE_3X3: ((3, 3),),
    Layer.DEPTHWISE_5X5: ((5, 5),),
    Layer.FACTORIZED_7: ((1, 7), (7, 1)),
}
_POOLS = {Layer.AVG_POOL_3X3: nn.AvgPool2d, Layer.MAX_POOL_3X3: nn.MaxPool2d}


def _layer(layer: Layer, before: int, width: int, stride: int) -> nn.Module:
    parts: list[nn.Module] = []
    if layer in _POOLS:
        if before != width:
            parts += [nn.Conv2d(before, width, 1, bias=False), nn.BatchNorm2d(width)]
        return nn.Sequential(*parts, _POOLS[layer](3, stride, 1))
    for i, kernel in enumerate(_KERNELS[layer]):
        padding = (kernel[0] // 2, kernel[1] // 2)
        taken = stride if i == 0 else 1
        parts += [
            nn.Conv2d(before, before, kernel, taken, padding, groups=before, bias=False),
            nn.BatchNorm2d(before),
        ]
    return nn.Sequential(*parts, nn.Conv2d(before, width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU())


class _Cell(nn.Module):
    """Two layers, added."""

    def __init__(self, cell: Cell, before: int, width: int, stride: int) -> None:
        super().__init__()
        self.inputs = cell.inputs
        self.sides = nn.ModuleList(
            _layer(Layer(layer), width if source else before, width, 1 if source else stride)
            for source, layer in cell.layers
        )

    def forward(self, results: dict[int, Tensor]) -> Tensor:
        """Return what the cell makes of those before it."""
        first, second = (side(results[source]) for side, source in zip(self.sides, self.inputs, strict=True))
        found: Tensor = first + second
        return found


class _Block(nn.Module):
    """The published cells; what feeds the output is added."""

    def __init__(self, before: int, width: int, stride: int) -> None:
        super().__init__()
        self.cells = nn.ModuleList(_Cell(cell, before, width, stride) for cell in MEMNAS_CELLS)

    def forward(self, image: Tensor) -> Tensor:
        """Return the block's output."""
        results = {0: image}
        for slot, cell in enumerate(self.cells, start=1):
            results[slot] = cell(results)
        feeding = [results[slot] for slot, cell in enumerate(MEMNAS_CELLS, start=1) if cell.feeds_output]
        return reduce(Tensor.__add__, feeding)


def lean_network(template: nas.Template) -> nn.Module:
    """Return the published block, read so, in a template."""
    stem = [
        nn.Conv2d(3, template.stem_width, 3, template.stem_stride, 1, bias=False),
        nn.BatchNorm2d(template.stem_width),
        nn.ReLU(),
    ]
    widths = (template.stem_width, *template.widths)
    blocks = [_Block(*pair, stride) for pair, stride in zip(pairwise(widths), template.strides, strict=True)]
    return nn.Sequential(
        *stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(template.widths[-1], template.classes)
    )


def lean_bytes(template: nas.Template) -> int:
    """Return the bytes of such a network's weights, batch norms and biases left out."""
    total = 27 * template.stem_width + template.widths[-1] * template.classes
    for before, width in pairwise((template.stem_width, *template.widths)):
        for source, layer in (side for cell in MEMNAS_CELLS for side in cell.layers):
            channels = width if source else before
            kernels = _KERNELS.get(Layer(layer))
            if kernels is not None:
                total += channels * (width + sum(height * breadth for height, breadth in kernels))
            elif channels != width:
                total += channels * width
    return 4 * total


def scaled(factor: float) -> nas.Template:
    """Return this project's template for ImageNet with all widths so much wider."""
    widths = tuple(round(width * factor) for width in nas.IMAGENET.widths)
    return replace(nas.IMAGENET, widths=widths, stem_width=round(nas.IMAGENET.stem_width * factor))


def fitted_factor(megabytes: float) -> float:
    """Return by how much all widths of the template change until the weights are so much, in hundredths."""
    hundredths = min(range(50, 200), key=lambda each: abs(lean_bytes(scaled(each / 100)) / 1e6 - megabytes))
    return hundredths / 100
