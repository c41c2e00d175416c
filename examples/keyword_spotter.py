"""Write DS-CNN, a keyword spotter for microcontrollers (1x1x49x10, fp32), as an ONNX file.

    python examples/keyword_spotter.py keyword_spotter.onnx

Batch norm is folded into the convolutions. The weights are random numbers from a fixed seed, as in
``mobilenet_v2.py``, whose builder this uses.

Architecture: the small DS-CNN of Zhang et al., "Hello Edge: Keyword Spotting on Microcontrollers", 2017
(arXiv 1711.07128); its stem is 5x5 here, for the builder knows square kernels alone.
"""

from __future__ import annotations

import numpy as np
import onnx
from mobilenet_v2 import Network, write_model

FRAMES, COEFFICIENTS = 49, 10
CHANNELS, BLOCKS, WORDS = 64, 4, 12


def build_keyword_spotter() -> onnx.ModelProto:
    """Return DS-CNN for one second of sound: 49 frames of 10 coefficients."""
    net = Network()
    net.shapes["sound"] = (1, 1, FRAMES, COEFFICIENTS)
    x = net.add_conv("sound", "stem", CHANNELS, kernel=5, stride=2)
    x = net.add_node("Relu", [x], "stem.relu", net.shapes[x])
    for block in range(BLOCKS):
        x = net.add_conv(x, f"block{block}.depthwise", CHANNELS, kernel=3, group=CHANNELS)
        x = net.add_node("Relu", [x], f"block{block}.relu0", net.shapes[x])
        x = net.add_conv(x, f"block{block}.pointwise", CHANNELS)
        x = net.add_node("Relu", [x], f"block{block}.relu1", net.shapes[x])
    x = net.add_node("GlobalAveragePool", [x], "pool", (1, CHANNELS, 1, 1))
    shape = net.add_constant("flatten.shape", np.array([1, CHANNELS], np.int64))
    x = net.add_node("Reshape", [x, shape], "flatten", (1, CHANNELS))
    weight = net.add_weight("classifier", (WORDS, CHANNELS))
    x = net.add_node("Gemm", [x, weight], "classifier", (1, WORDS), transB=1)
    return net.to_model("keyword_spotter", "sound", x)


if __name__ == "__main__":
    write_model(build_keyword_spotter(), "DS-CNN for 1x1x49x10")
