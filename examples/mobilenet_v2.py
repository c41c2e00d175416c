"""Write MobileNetV2 1.0 (1x3x224x224, fp32) as an ONNX file, with nothing but onnx and numpy.

    python examples/mobilenet_v2.py mobilenet_v2.onnx

The graph is the one ``torch.onnx.export`` makes of torchvision's ``mobilenet_v2(weights=None)`` in evaluation mode:
the same operations in the same order with the same attributes, wiring and shapes, so the same bytes everywhere.
Batch norm is folded into the convolutions, and no convolution has a bias, because a fresh network's are zero and the
exporter drops zeros. Names are those of torchvision's modules.

The weights are random numbers from a fixed seed: good for memory and speed, which do not depend on them, and useless
for recognising pictures.

Architecture: Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", CVPR 2018, table 2.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
"""Expansion factor, output channels, blocks, stride of the first block."""

OPSET = 20
IR_VERSION = 10
SEED = 0

Shape = tuple[int, ...]


class Network:
    """Collects nodes and initialisers, and the shape of every tensor as it grows."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(SEED)
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self.shapes: dict[str, Shape] = {}

    def add_constant(self, name: str, array: npt.NDArray[np.generic]) -> str:
        """Add an initialiser; return its name."""
        self.initializers.append(numpy_helper.from_array(array, name))
        return name

    def add_node(self, op: str, inputs: list[str], name: str, shape: Shape, **attributes: Any) -> str:
        """Add an operation with one output, which bears the operation's name; return that name."""
        self.nodes.append(helper.make_node(op, inputs, [name], name=name, **attributes))
        self.shapes[name] = shape
        return name

    def add_weight(self, module: str, shape: Shape) -> str:
        """Add random weights scaled to their fan-in; return their name."""
        scale = np.sqrt(2 / np.prod(shape[1:]))
        return self.add_constant(f"{module}.weight", (self.rng.standard_normal(shape) * scale).astype(np.float32))

    def add_conv(self, x: str, module: str, channels: int, kernel: int = 1, stride: int = 1, group: int = 1) -> str:
        """Add a convolution whose padding keeps the size (before the stride)."""
        batch, in_channels, height, width = self.shapes[x]
        weight = self.add_weight(module, (channels, in_channels // group, kernel, kernel))
        pad = kernel // 2
        shape = (batch, channels, (height - 1) // stride + 1, (width - 1) // stride + 1)
        return self.add_node(
            "Conv",
            [x, weight],
            module,
            shape,
            auto_pad="NOTSET",
            dilations=[1, 1],
            group=group,
            kernel_shape=[kernel, kernel],
            pads=[pad] * 4,
            strides=[stride, stride],
        )

    def add_relu6(self, x: str, module: str) -> str:
        """Add ReLU6: a clip to 0..6."""
        return self.add_node("Clip", [x, "relu6.min", "relu6.max"], module, self.shapes[x])

    def to_model(self, name: str, source: str, result: str) -> onnx.ModelProto:
        """Return what was collected as a model from ``source`` to ``result``."""
        infos = {
            tensor: helper.make_tensor_value_info(tensor, TensorProto.FLOAT, shape)
            for tensor, shape in self.shapes.items()
        }
        ends = infos.pop(source), infos.pop(result)
        graph = helper.make_graph(
            self.nodes, name, [ends[0]], [ends[1]], self.initializers, value_info=list(infos.values())
        )
        return helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="memprof-examples",
        )


def add_block(net: Network, x: str, module: str, expansion: int, channels: int, stride: int) -> str:
    """Add an inverted residual: expand (1x1), depthwise (3x3), project (1x1), and the input where shapes allow."""
    in_channels = net.shapes[x][1]
    hidden = in_channels * expansion
    y, layer = x, 0
    if expansion != 1:
        y = net.add_relu6(net.add_conv(y, f"{module}.conv.0.0", hidden), f"{module}.conv.0.2")
        layer = 1
    depthwise = net.add_conv(y, f"{module}.conv.{layer}.0", hidden, kernel=3, stride=stride, group=hidden)
    y = net.add_relu6(depthwise, f"{module}.conv.{layer}.2")
    y = net.add_conv(y, f"{module}.conv.{layer + 1}", channels)
    if stride == 1 and in_channels == channels:
        y = net.add_node("Add", [x, y], f"{module}.add", net.shapes[y])
    return y


def build_mobilenet_v2(classes: int = 1000) -> onnx.ModelProto:
    """Return MobileNetV2 1.0 for one image of 224 x 224."""
    net = Network()
    net.shapes["image"] = (1, 3, 224, 224)
    net.add_constant("relu6.min", np.array(0, np.float32))
    net.add_constant("relu6.max", np.array(6, np.float32))
    x = net.add_relu6(net.add_conv("image", "features.0.0", 32, kernel=3, stride=2), "features.0.2")
    block = 1
    for expansion, channels, count, stride in STAGES:
        for i in range(count):
            x = add_block(net, x, f"features.{block}", expansion, channels, stride if i == 0 else 1)
            block += 1
    x = net.add_relu6(net.add_conv(x, f"features.{block}.0", 1280), f"features.{block}.2")
    axes = net.add_constant("pool.axes", np.array([-1, -2], np.int64))
    x = net.add_node("ReduceMean", [x, axes], "pool", (1, 1280, 1, 1), keepdims=1, noop_with_empty_axes=0)
    flat = net.add_constant("flatten.shape", np.array([1, 1280], np.int64))
    x = net.add_node("Reshape", [x, flat], "flatten", (1, 1280), allowzero=1)
    weight = net.add_weight("classifier.1", (classes, 1280))
    x = net.add_node("Gemm", [x, weight], "classifier.1", (1, classes), alpha=1.0, beta=1.0, transA=0, transB=1)
    return net.to_model("mobilenet_v2", "image", x)


def write_model(model: onnx.ModelProto, what: str) -> None:
    """Write a model to the file named on the command line, and say what it is."""
    if len(sys.argv) != 2:
        sys.exit(f"usage: python {sys.argv[0]} FILE.onnx")
    path = Path(sys.argv[1])
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, path)
    print(f"wrote {path}: {what}, {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    write_model(build_mobilenet_v2(), "MobileNetV2 1.0 for 1x3x224x224")
