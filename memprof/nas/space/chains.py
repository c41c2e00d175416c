"""What each layer does, operation by operation: the one table behind a network's graph and its short way.

    layer -> chain of steps, each reads what the one before wrote: a convolution (with its batch norm), a ReLU, a pool

``memprof.nas.train.modules`` builds the same network in torch; a test holds the two together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from memprof.nas.space.architecture import AnyLayer, Architecture, Cell, Combine, Layer
from memprof.nas.space.own_layers import ACTIVATIONS, POOLS, Operation, OwnLayer


@dataclass(frozen=True, slots=True, kw_only=True)
class ElementTypes:
    """Element types of the network on its device.

    Attributes:
        tensors: Of weights and intermediates.
        biases: Of biases: int32 beside int8, as integer kernels accumulate.
    """

    tensors: str
    biases: str


DTYPES: dict[str, ElementTypes] = {
    "float32": ElementTypes(tensors="float32", biases="float32"),
    "float16": ElementTypes(tensors="float16", biases="float16"),
    "int8": ElementTypes(tensors="int8", biases="int32"),
}


class Shape(NamedTuple):
    """Channels, height and width of one image's feature map. (A tuple, for millions of them are made and hashed.)"""

    channels: int
    height: int
    width: int

    @property
    def elements(self) -> int:
        return self.channels * self.height * self.width

    def strided(self, channels: int, stride: int) -> Shape:
        """Return the map that a padded operation of odd kernel and this stride writes."""
        return Shape(channels, -(-self.height // stride), -(-self.width // stride))


_POOLS = frozenset({"AveragePool", "MaxPool"})


@dataclass(frozen=True, slots=True)
class Step:
    """One operation of a chain: a convolution (with its batch norm), an activation or a pool."""

    op: str
    output: Shape
    weight: tuple[int, int, int, int] | None = None  # of a convolution: out, in / groups, height, width
    stride: int = 1
    groups: int = 1
    dilation: int = 1
    window: tuple[int, int] = (3, 3)  # of a pool

    @property
    def attributes(self) -> Mapping[str, int | tuple[int, ...]]:
        """Attributes of an ONNX convolution or pool: scratch of kernels and a converter's padding depend on them."""
        if self.op in _POOLS:
            pads = (self.window[0] // 2, self.window[1] // 2)
            return {"kernel_shape": self.window, "strides": (self.stride, self.stride), "pads": pads * 2}
        if self.weight is None:
            return {}
        row_pad, column_pad = (self.dilation * (side // 2) for side in self.weight[2:])
        return {
            "group": self.groups,
            "strides": (self.stride, self.stride),
            "dilations": (self.dilation, self.dilation),
            "pads": (row_pad, column_pad, row_pad, column_pad),
        }


def _convolution(
    shape: Shape, width: int, kernel: tuple[int, int], *, stride: int = 1, groups: int = 1, dilation: int = 1
) -> Step:
    weight = (width, shape.channels // groups, *kernel)
    return Step("Conv", shape.strided(width, stride), weight, stride, groups, dilation)


@lru_cache(maxsize=100_000)
def chain(layer: AnyLayer, shape: Shape, width: int, stride: int) -> tuple[Step, ...]:
    """Return the operations of one layer, as ``memprof.nas.train.modules`` builds it; none for a plain identity."""
    match layer:
        case OwnLayer():
            return _own_chain(layer, shape, width, stride)
        case Layer.CONV_3X3 | Layer.DILATED_3X3:
            dilation = 2 if layer is Layer.DILATED_3X3 else 1
            return _with_relu(_convolution(shape, width, (3, 3), stride=stride, dilation=dilation))
        case Layer.DEPTHWISE_3X3 | Layer.DEPTHWISE_5X5:
            kernel = (3, 3) if layer is Layer.DEPTHWISE_3X3 else (5, 5)
            depthwise = _convolution(shape, shape.channels, kernel, stride=stride, groups=shape.channels)
            return (depthwise, *_with_relu(_convolution(depthwise.output, width, (1, 1))))
        case Layer.FACTORIZED_7:
            reduce = _convolution(shape, width, (1, 1), stride=stride)
            rows = _convolution(reduce.output, width, (1, 7))
            columns = _convolution(rows.output, width, (7, 1))
            return (*_with_relu(reduce), *_with_relu(rows), *_with_relu(columns))
        case Layer.AVG_POOL_3X3 | Layer.MAX_POOL_3X3:
            project = _convolution(shape, width, (1, 1))
            pool = "AveragePool" if layer is Layer.AVG_POOL_3X3 else "MaxPool"
            return (project, Step(pool, project.output.strided(width, stride), stride=stride))
        case Layer.IDENTITY:
            is_plain = shape.channels == width and stride == 1
            return () if is_plain else (_convolution(shape, width, (1, 1), stride=stride),)


def _own_chain(layer: OwnLayer, shape: Shape, width: int, stride: int) -> tuple[Step, ...]:
    steps: list[Step] = []
    source = shape
    for operation in layer.operations:
        steps.append(_own_step(operation, source, channels_of(operation, shape.channels, width), stride))
        source = steps[-1].output
    return tuple(steps)


def channels_of(operation: Operation, channels: int, width: int) -> int:
    """Return how many channels a convolution of an own layer writes.

    Args:
        operation: A convolution.
        channels: What its layer reads.
        width: Of the block.
    """
    return operation.times * (width if operation.of == "width" else channels)


def _own_step(operation: Operation, shape: Shape, channels: int, stride: int) -> Step:
    stride = stride if operation.strided else 1
    match operation.kind:
        case "activation":
            return Step(ACTIVATIONS[operation.op], shape)
        case "pool":
            return Step(
                POOLS[operation.op], shape.strided(shape.channels, stride), stride=stride, window=operation.kernel
            )
        case "depthwise":
            groups, written = shape.channels, shape.channels
        case _:
            groups, written = operation.groups, channels
    return _convolution(shape, written, operation.kernel, stride=stride, groups=groups, dilation=operation.dilation)


def _with_relu(step: Step) -> tuple[Step, Step]:
    return step, Step("Relu", step.output)


def stem(architecture: Architecture) -> tuple[Step, ...]:
    image = Shape(*architecture.input_shape)
    return _with_relu(_convolution(image, architecture.stem_width, (3, 3), stride=architecture.stem_stride))


def cell_shape(cell: Cell, shapes: Mapping[int, Shape] | tuple[Shape, ...], stride: int, width: int) -> Shape:
    channels = 2 * width if cell.combine is Combine.CONCAT else width
    return shapes[cell.input1].strided(channels, stride if cell.input1 == 0 else 1)
