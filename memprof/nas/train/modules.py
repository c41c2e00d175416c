"""From an Architecture to a ``torch.nn.Module``, layer by layer as the authors built them.

    layer                    operations                                                   s = stride
    conv 3x3, dilated 3x3    convolution (s; dilation 2), BN, ReLU
    depthwise kxk            depthwise kxk (s), BN, 1x1, BN, ReLU
    factorized 1x7, 7x1      1x1 (s), BN, ReLU, 1x7, BN, ReLU, 7x1, BN, ReLU
    pool 3x3                 1x1, BN, pool (s)
    identity                 nothing where shape and width stay, else 1x1 (s), BN
    one's own                as it is declared (``memprof.nas.space.own_layers``), or what one's own function makes

A layer that reads the block's input uses the block's stride; every layer writes ``width`` channels. The stem is a
3x3 convolution with BN and ReLU, the head global average pooling and one linear layer: the paper names neither.
``memprof.nas.space.footprint`` describes the same network without torch; a test holds the two together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType

import torch
from torch import Tensor, nn

from memprof.base.errors import UsageError
from memprof.nas.space.architecture import AnyLayer, Architecture, Block, Cell, Combine, Layer
from memprof.nas.space.chains import channels_of
from memprof.nas.space.own_layers import OwnLayer
from memprof.nas.train.fused import can_fuse, normalized

Builder = Callable[[int, int, int], nn.Module]
"""(channels, width, stride) -> module of a layer: it writes ``width`` channels."""

Builders = Mapping[str, Builder]
"""By the name of a layer of one's own what makes its module; one that is not here is made from its operations."""

NO_BUILDERS: Builders = MappingProxyType({})


def build_module(architecture: Architecture, builders: Builders = NO_BUILDERS) -> nn.Module:
    """Return ``architecture`` as a module: images (n, channels, height, width) to logits (n, classes).

    Args:
        architecture: Any architecture.
        builders: What makes the modules of layers of one's own.
    """
    return Network(architecture, builders)


class Network(nn.Module):
    """Stem, blocks and head."""

    def __init__(self, architecture: Architecture, builders: Builders = NO_BUILDERS) -> None:
        super().__init__()
        channels = architecture.input_shape[0]
        self.stem = _convolution(channels, architecture.stem_width, 3, stride=architecture.stem_stride)
        width = architecture.stem_width
        self.blocks = nn.ModuleList()
        for block in architecture.blocks:
            self.blocks.append(CellBlock(block, width, builders))
            width = block_channels(block, width)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.layout = torch.contiguous_format
        self.classifier = nn.Linear(width, architecture.classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (n, classes)."""
        x = self.stem(images)
        if self.layout is torch.channels_last:  # of grey images it may be either
            x = x.contiguous(memory_format=torch.channels_last)
        for block in self.blocks:
            x = block(x)
        logits: Tensor = self.classifier(torch.flatten(self.pool(x), 1))
        return logits


_NARROWEST = 8
"""Channels of a vector register of single numbers."""


def lay_out(module: nn.Module) -> None:
    """Let a network keep its tensors in channels_last on a CPU: pools take a fifth of the time, all else less.

    The backward pass of long convolutions (1x7) over four channels in that layout has ended in a corrupted heap
    (torch 2.14.1, x86-64). So long ones stay out of it, and so does every network narrower than a vector register.
    """
    convolutions = [found for found in module.modules() if isinstance(found, nn.Conv2d)]
    written = [found.out_channels for found in convolutions]
    if not isinstance(module, Network) or min(written, default=0) < _NARROWEST:
        return
    module.layout = torch.channels_last
    for found in convolutions:
        if not _is_long(found):
            found.to(memory_format=torch.channels_last)


def _is_long(convolution: nn.Module) -> bool:
    return isinstance(convolution, nn.Conv2d) and convolution.kernel_size[0] != convolution.kernel_size[1]


def _is_product(convolution: nn.Module) -> bool:
    return (
        isinstance(convolution, nn.Conv2d)
        and convolution.kernel_size == (1, 1)
        and convolution.groups == 1
        and convolution.padding == (0, 0)
        and convolution.bias is None
    )


def _product(x: Tensor, convolution: nn.Module) -> Tensor:
    """Return a 1x1 convolution of ``x``, both in channels_last."""
    assert isinstance(convolution, nn.Conv2d), "it was asked"
    down, right = convolution.stride
    pixels = x[:, :, ::down, ::right].permute(0, 2, 3, 1)
    return nn.functional.linear(pixels, convolution.weight.flatten(1)).permute(0, 3, 1, 2)


class CellBlock(nn.Module):
    """The cells of one block and the concatenation of those that feed its output."""

    def __init__(self, block: Block, channels: int, builders: Builders = NO_BUILDERS) -> None:
        super().__init__()
        self.cells = nn.ModuleDict()
        self.wiring = block.existing
        self.output_slots = block.output_slots
        widths = {0: channels}
        for slot, cell in block.existing:
            self.cells[str(slot)] = CellModule(cell, widths, block, builders)
            widths[slot] = cell_channels(cell, block.width)

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output, (n, sum of its output cells' channels, height / stride, width / stride)."""
        results = {0: x}
        for slot, cell in self.wiring:
            results[slot] = self.cells[str(slot)](results[cell.input1], results[cell.input2])
        outputs = [results[slot] for slot in self.output_slots] or [x]  # without cells the input passes through
        return outputs[0] if len(outputs) == 1 else torch.cat(outputs, 1)


class CellModule(nn.Module):
    """Two layers side by side, summed or concatenated."""

    def __init__(self, cell: Cell, widths: dict[int, int], block: Block, builders: Builders = NO_BUILDERS) -> None:
        super().__init__()
        strides = [block.stride if i == 0 else 1 for i in cell.inputs]
        self.layer1 = _builder(cell.layer1, builders)(widths[cell.input1], block.width, strides[0])
        self.layer2 = _builder(cell.layer2, builders)(widths[cell.input2], block.width, strides[1])
        self.concatenates = cell.combine is Combine.CONCAT

    def forward(self, input1: Tensor, input2: Tensor) -> Tensor:
        """Return the sum or the concatenation of both layers' results."""
        first, second = self.layer1(input1), self.layer2(input2)
        return torch.cat([first, second], 1) if self.concatenates else first + second


def cell_channels(cell: Cell, width: int) -> int:
    """Return the channels that a cell writes."""
    return 2 * width if cell.combine is Combine.CONCAT else width


def block_channels(block: Block, channels: int) -> int:
    """Return the channels that a block writes; a block without cells passes its input on."""
    if not block.cells:
        return channels
    return sum(cell_channels(cell, block.width) for _, cell in block.existing if cell.feeds_output)


class Convolution(nn.Sequential):
    """A convolution, its batch norm and perhaps a ReLU; in training on a GPU the last two are one operation, and in
    channels_last on a CPU one of 1x1 is a product of matrices, which takes half the time."""

    def forward(self, x: Tensor) -> Tensor:
        """Return what the parts give one after the other."""
        convolution, norm, *rest = self
        is_laid_out = not x.is_cuda and not x.is_contiguous()
        is_apart = is_laid_out and _is_long(convolution)
        if is_laid_out and _is_product(convolution):
            x = _product(x, convolution)
        else:
            x = convolution(x.contiguous() if is_apart else x)
        if isinstance(norm, nn.BatchNorm2d) and can_fuse(x, norm):
            return normalized(x, norm, clips=bool(rest))
        x = norm(x)
        x = rest[0](x) if rest else x
        return x.contiguous(memory_format=torch.channels_last) if is_apart else x


def _convolution(  # noqa: PLR0913 - the parameters of a convolution
    channels: int,
    width: int,
    kernel: int | tuple[int, int],
    *,
    stride: int = 1,
    dilation: int = 1,
    groups: int = 1,
    activation: bool = True,
) -> nn.Sequential:
    height, breadth = (kernel, kernel) if isinstance(kernel, int) else kernel
    padding = (dilation * (height // 2), dilation * (breadth // 2))
    layers: list[nn.Module] = [
        nn.Conv2d(channels, width, kernel, stride, padding, dilation, groups, bias=False),
        nn.BatchNorm2d(width),
    ]
    return Convolution(*layers, nn.ReLU(inplace=True)) if activation else Convolution(*layers)


def _depthwise(kernel: int) -> Callable[[int, int, int], nn.Module]:
    def build(channels: int, width: int, stride: int) -> nn.Module:
        return nn.Sequential(
            _convolution(channels, channels, kernel, stride=stride, groups=channels, activation=False),
            _convolution(channels, width, 1),
        )

    return build


def _factorized(channels: int, width: int, stride: int) -> nn.Module:
    return nn.Sequential(
        _convolution(channels, width, 1, stride=stride),
        _convolution(width, width, (1, 7)),
        _convolution(width, width, (7, 1)),
    )


def _pool(pool: Callable[[int], nn.Module]) -> Callable[[int, int, int], nn.Module]:
    return lambda channels, width, stride: nn.Sequential(
        _convolution(channels, width, 1, activation=False), pool(stride)
    )


def _identity(channels: int, width: int, stride: int) -> nn.Module:
    if channels == width and stride == 1:
        return nn.Identity()
    return _convolution(channels, width, 1, stride=stride, activation=False)


def _builder(layer: AnyLayer, builders: Builders) -> Builder:
    """Return what makes a layer's module."""
    if isinstance(layer, Layer):
        return LAYER_MODULES[layer]
    if layer.module and layer.name not in builders:
        raise UsageError(
            f"Layer {layer.name} is made by code of yours, {layer.module}, which is not at hand.",
            "Name its space file again and say that its code may run: --space FILE --trust.",
        )
    return builders.get(layer.name) or partial(_own_module, layer)


def _own_module(layer: OwnLayer, channels: int, width: int, stride: int) -> nn.Module:
    parts: list[nn.Module] = []
    written = channels
    for operation in layer.operations:
        taken = stride if operation.strided else 1
        if operation.kind == "pool":
            padding = (operation.kernel[0] // 2, operation.kernel[1] // 2)
            parts.append(_POOLS[operation.op](operation.kernel, taken, padding=padding))
        elif operation.kind == "activation":
            parts.append(_ACTIVATIONS[operation.op]())
        else:
            is_depthwise = operation.kind == "depthwise"
            before, groups = written, written if is_depthwise else operation.groups
            written = written if is_depthwise else channels_of(operation, channels, width)
            parts.append(
                _convolution(
                    before,
                    written,
                    operation.kernel,
                    stride=taken,
                    dilation=operation.dilation,
                    groups=groups,
                    activation=False,
                )
            )
    return nn.Sequential(*parts)


_ACTIVATIONS: Mapping[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "hard_swish": nn.Hardswish,
    "hard_sigmoid": nn.Hardsigmoid,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
}
_POOLS: Mapping[str, Callable[..., nn.Module]] = {"avg_pool": nn.AvgPool2d, "max_pool": nn.MaxPool2d}


LAYER_MODULES: dict[Layer, Callable[[int, int, int], nn.Module]] = {
    Layer.CONV_3X3: lambda channels, width, stride: _convolution(channels, width, 3, stride=stride),
    Layer.DEPTHWISE_3X3: _depthwise(3),
    Layer.DEPTHWISE_5X5: _depthwise(5),
    Layer.FACTORIZED_7: _factorized,
    Layer.AVG_POOL_3X3: _pool(lambda stride: nn.AvgPool2d(3, stride, padding=1)),
    Layer.MAX_POOL_3X3: _pool(lambda stride: nn.MaxPool2d(3, stride, padding=1)),
    Layer.DILATED_3X3: lambda channels, width, stride: _convolution(channels, width, 3, stride=stride, dilation=2),
    Layer.IDENTITY: _identity,
}
"""Layer -> (channels, width, stride) -> module."""
