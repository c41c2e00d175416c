"""Models of 8 bits and fewer, whose rules are compared with the installed onnxruntime."""

from __future__ import annotations

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, numpy_helper

from tests.onnx_models import integers, model, node, tensor, weight


def quantised_resizes() -> ModelProto:
    """Return two Resizes of 8 bits: one that moves elements and stays so, and one between them, in floats."""

    def pair(name: str) -> list[NodeProto]:
        return [
            node("QuantizeLinear", [name, "scale", "zero"], [f"{name}_q"]),
            node("DequantizeLinear", [f"{name}_q", "scale", "zero"], [f"{name}_d"]),
        ]

    return model(
        [
            *pair("x"),
            node("Resize", ["x_d", "", "twice"], ["a"], mode="nearest"),
            *pair("a"),
            node("Resize", ["a_d", "", "twice"], ["b"], mode="linear"),
            *pair("b"),
            node("Identity", ["b_d"], ["y"]),
        ],
        inputs=[tensor("x", [1, 8, 16, 16])],
        outputs=["y"],
        initializers=[
            number("scale", 0.02),
            numpy_helper.from_array(np.uint8(0), "zero"),
            numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "twice"),
        ],
        opset=18,
    )


def plain_weights() -> ModelProto:
    """Return operations on 8 bits with filters and biases in floats: all but those of the last are quantised."""
    scales = ["scale", "zero"]

    def pair(name: str) -> list[NodeProto]:
        quantised = node("QuantizeLinear", [name, *scales], [f"{name}_q"])
        return [quantised, node("DequantizeLinear", [f"{name}_q", *scales], [f"{name}_d"])]

    restored = [
        node("DequantizeLinear", ["filters", *scales], ["f"]),
        node("DequantizeLinear", ["integers", "small"], ["b"]),
    ]
    return model(
        [
            *pair("x"),
            *restored,
            node("Conv", ["x_d", "k", "bias"], ["c1"], pads=[1] * 4),
            *pair("c1"),
            node("Conv", ["c1_d", "f", "bias"], ["c2"], pads=[1] * 4),
            *pair("c2"),
            node("ConvTranspose", ["c2_d", "k"], ["c3"], pads=[1] * 4),
            *pair("c3"),
            node("Conv", ["c3_d", "k", "b"], ["c4"], pads=[1] * 4),
            *pair("c4"),
            node("Flatten", ["c4_d"], ["flat"]),
            *pair("flat"),
            node("Gemm", ["flat_d", "g"], ["h"]),
            *pair("h"),
            node("Conv", ["x_d", "k"], ["c5"], pads=[1] * 4),
            node("Softsign", ["c5"], ["z"]),
        ],
        inputs=[tensor("x", [1, 8, 6, 6])],
        outputs=["h_d", "z"],
        initializers=[
            number("scale", 0.02),
            number("small", 0.0004),
            numpy_helper.from_array(np.uint8(0), "zero"),
            numpy_helper.from_array(np.ones((8, 8, 3, 3), np.uint8), "filters"),
            numpy_helper.from_array(np.zeros(8, np.int32), "integers"),
            weight("k", 8, 8, 3, 3),
            weight("bias", 8),
            weight("g", 288, 4),
        ],
        opset=17,
    )


def moved_changes() -> ModelProto:
    """Return changes of type that move past pools, transposes and shapes: to the input, and to the result."""
    scales = ["scale", "zero"]
    return model(
        [
            node("MaxPool", ["x"], ["a"], kernel_shape=[3, 3], pads=[1] * 4),
            node("Transpose", ["a"], ["b"], perm=[0, 2, 3, 1]),
            node("QuantizeLinear", ["b", *scales], ["q"]),
            node("DequantizeLinear", ["q", *scales], ["d"]),
            node("Reshape", ["d", "flat"], ["e"]),
            node("Transpose", ["e"], ["y"], perm=[0, 2, 1]),
        ],
        inputs=[tensor("x", [1, 8, 16, 16])],
        outputs=["y"],
        initializers=[
            number("scale", 0.02),
            numpy_helper.from_array(np.uint8(0), "zero"),
            integers("flat", 1, 256, 8),
        ],
        opset=17,
    )


def quantised() -> ModelProto:
    """Return quantised convolutions, one with a Relu, one whose bias has another scale, and a global pool."""

    def pair(name: str, scale: str) -> list[NodeProto]:
        return [
            node("QuantizeLinear", [name, scale, "zero"], [f"{name}_q"]),
            node("DequantizeLinear", [f"{name}_q", scale, "zero"], [f"{name}_d"]),
        ]

    weights = [("w1", (32, 3, 3, 3)), ("w2", (32, 32, 3, 3)), ("w3", (48, 32, 1, 1))]
    return model(
        [
            *(node("DequantizeLinear", [f"{name}_q", "sw", "zero"], [name]) for name, _ in weights),
            *(node("DequantizeLinear", [f"b{i}_q", f"sb{i}", "zero32"], [f"b{i}"]) for i in (1, 2)),
            *pair("x", "sx"),
            node("Conv", ["x_d", "w1", "b1"], ["a"], pads=[1, 1, 1, 1]),
            node("Relu", ["a"], ["r"]),
            *pair("r", "sr"),
            node("Conv", ["r_d", "w2", "b2"], ["c"], pads=[1, 1, 1, 1]),
            *pair("c", "sc"),
            node("Conv", ["c_d", "w3"], ["d"]),
            *pair("d", "sc"),
            node("GlobalAveragePool", ["d_d"], ["p"]),
            *pair("p", "sc"),
            node("Flatten", ["p_d"], ["y"]),
        ],
        inputs=[tensor("x", [1, 3, 32, 32])],
        outputs=["y"],
        initializers=[
            *(weight(f"{name}_q", *shape, dtype=TensorProto.INT8) for name, shape in weights),
            *(weight(f"b{i}_q", 32, dtype=TensorProto.INT32) for i in (1, 2)),
            *(number(name, 0.02) for name in ("sx", "sr", "sc", "sw")),
            number("sb1", 0.0004),
            number("sb2", 0.01),
            numpy_helper.from_array(np.int8(0), "zero"),
            numpy_helper.from_array(np.int32(0), "zero32"),
        ],
        opset=13,
    )


def quantised_halves() -> ModelProto:
    """Return half of the channels of a HardSwish; the Shape of a restored tensor says how many they are."""

    def pair(name: str) -> list[NodeProto]:
        return [
            node("QuantizeLinear", [name, "s", "zero"], [f"{name}_q"]),
            node("DequantizeLinear", [f"{name}_q", "s", "zero"], [f"{name}_d"]),
        ]

    return model(
        [
            node("DequantizeLinear", ["w_q", "s", "zero"], ["w"]),
            *pair("x"),
            node("Shape", ["x_d"], ["shape"]),
            node("Gather", ["shape", "one"], ["half"]),
            node("Conv", ["x_d", "w"], ["a"], strides=[4, 4]),
            *pair("a"),
            node("HardSwish", ["a_d"], ["h"]),
            *pair("h"),
            node("Slice", ["h_d", "nothing", "half", "one"], ["part"]),
            *pair("part"),
            node("HardSwish", ["part_d"], ["y"]),
        ],
        inputs=[tensor("x", [1, 16, 64, 64])],
        outputs=["y"],
        initializers=[
            weight("w_q", 32, 16, 3, 3, dtype=TensorProto.INT8),
            number("s", 0.02),
            numpy_helper.from_array(np.int8(0), "zero"),
            *(numpy_helper.from_array(np.array([i]), name) for i, name in enumerate(("nothing", "one"))),
        ],
        opset=14,
    )


def dynamically_quantised() -> ModelProto:
    """Return products of integers: one whose left side nobody else reads, with a bias, and two that share theirs."""

    def product(name: str, source: str, weights: str) -> list[NodeProto]:
        return [
            node("MatMulInteger", [f"{source}_q", weights, f"{source}_z", "zero"], [f"{name}_i"]),
            node("Cast", [f"{name}_i"], [f"{name}_f"], to=1),
            node("Mul", [f"{source}_s", "scale"], [f"{name}_s"]),
            node("Mul", [f"{name}_f", f"{name}_s"], [name]),
        ]

    def quantised(name: str) -> NodeProto:
        return node("DynamicQuantizeLinear", [name], [f"{name}_q", f"{name}_s", f"{name}_z"])

    return model(
        [
            quantised("x"),
            *product("a", "x", "w1"),
            node("Add", ["row", "a"], ["b"]),
            quantised("b"),
            *product("c", "b", "w2"),
            *product("d", "b", "w2"),
            node("Add", ["d", "row"], ["e"]),
            node("Mul", ["c", "e"], ["y"]),
        ],
        inputs=[tensor("x", [1, 40, 32])],
        outputs=["y"],
        initializers=[
            weight("w1", 32, 48, dtype=TensorProto.INT8),
            weight("w2", 48, 48, dtype=TensorProto.INT8),
            weight("row", 48),
            number("scale", 0.02),
            numpy_helper.from_array(np.int8(0), "zero"),
        ],
    )


def scaled_channels() -> ModelProto:
    """Return blocked images that are multiplied with a number for each channel, and with one number."""
    return model(
        [
            node("Conv", ["x", "w1"], ["a"]),
            node("Mul", ["each", "a"], ["b"]),
            node("Add", ["a", "b"], ["c"]),
            node("AveragePool", ["c"], ["p"], kernel_shape=[2, 2]),
            node("Mul", ["p", "row"], ["d"]),
            node("Relu", ["d"], ["e"]),
            node("Mul", ["e", "one"], ["f"]),
            node("Conv", ["f", "w2"], ["y"]),
        ],
        inputs=[tensor("x", [1, 16, 24, 24])],
        outputs=["y"],
        initializers=[
            weight("w1", 40, 16, 1, 1),
            weight("w2", 16, 40, 1, 1),
            weight("each", 1, 40, 1, 1),
            weight("row", 40, 1, 1),
            number("one", 2.0),
        ],
    )


def few_bits() -> ModelProto:
    """Return products with weights of 4 bits, each with a row: behind one lies a Gelu, behind the other nothing."""

    def product(name: str, source: str, k: int, n: int) -> NodeProto:
        reads = [source, f"{name}_q", f"{name}_s"]
        settings = {"K": k, "N": n, "bits": 4, "block_size": 32}
        return node("MatMulNBits", reads, [name], domain="com.microsoft", **settings)

    made = model(
        [
            product("a", "x", 32, 64),
            node("Add", ["a", "r64"], ["b"]),
            node("Div", ["b", "root"], ["c"]),
            node("Erf", ["c"], ["d"]),
            node("Add", ["d", "one"], ["e"]),
            node("Mul", ["b", "e"], ["f"]),
            node("Mul", ["f", "half"], ["g"]),
            product("h", "g", 64, 32),
            node("Add", ["r32", "h"], ["i"]),
            node("Add", ["i", "x"], ["y"]),
        ],
        inputs=[tensor("x", [1, 20, 32])],
        outputs=["y"],
        initializers=[
            weight("a_q", 64, 1, 16, dtype=TensorProto.UINT8),
            weight("h_q", 32, 2, 16, dtype=TensorProto.UINT8),
            *(weight(name, size) for name, size in (("a_s", 64), ("h_s", 64), ("r64", 64), ("r32", 32))),
            *(number(name, value) for name, value in (("root", 2**0.5), ("one", 1.0), ("half", 0.5))),
        ],
    )
    made.opset_import.add(domain="com.microsoft", version=1)
    return made


def number(name: str, value: float) -> TensorProto:
    """Return a constant of one element."""

    return numpy_helper.from_array(np.float32(value), name)


def halves_of_gelus() -> ModelProto:
    """Return two Gelus of 16 bits: their constants are shared, and the root of two is rounded too far."""
    half = TensorProto.FLOAT16

    def gelu(k: int, source: str) -> list[NodeProto]:
        return [
            node("MatMul", [source, f"w{k}"], [f"a{k}"]),
            node("Div", [f"a{k}", f"root{k}"], [f"b{k}"]),
            node("Erf", [f"b{k}"], [f"c{k}"]),
            node("Add", [f"c{k}", f"one{k}"], [f"d{k}"]),
            node("Mul", [f"a{k}", f"d{k}"], [f"e{k}"]),
            node("Mul", [f"e{k}", f"half{k}"], [f"f{k}"]),
        ]

    numbers = (("root", 2**0.5), ("one", 1.0), ("half", 0.5))
    return model(
        [
            node("Cast", ["x"], ["h"], to=half),
            *gelu(0, "h"),
            *gelu(1, "f0"),
            node("Cast", ["f1"], ["y"], to=TensorProto.FLOAT),
        ],
        inputs=[tensor("x", [1, 20, 32])],
        outputs=["y"],
        initializers=[
            *(weight(f"w{k}", 32, 32, dtype=half) for k in (0, 1)),
            *(numpy_helper.from_array(np.float16(value), f"{name}{k}") for name, value in numbers for k in (0, 1)),
        ],
    )
