"""Every MAC formula by hand on small shapes, two networks with published counts, and the tables' coverage of ONNX."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod

import onnx.defs
import pytest

from memprof.analysis.macs.backward import BACKWARD, BACKWARD_FREE
from memprof.analysis.macs.counting import count_macs, operation_kind
from memprof.analysis.macs.formulas import FORMULAS
from memprof.analysis.macs.free import MAC_FREE
from memprof.ir import Attribute, Dim, Graph, GraphBuilder, NewValue, TensorType

Shape = tuple[Dim, ...] | None

ONNX_WITHOUT_MACS_HERE = {
    # number of products depends on the algorithm
    "DFT",
    "STFT",
    "Det",
    # recurrences and scores that a chunked kernel or user-given function decides
    "LinearAttention",
    "ai.onnx.preview.FlexAttention",
    # number of support vectors or classes is in attributes that importers leave out
    "ai.onnx.ml.LinearClassifier",
    "ai.onnx.ml.SVMClassifier",
    "ai.onnx.ml.SVMRegressor",
    # no inference
    "ImageDecoder",
    "ai.onnx.preview.training.Adagrad",
    "ai.onnx.preview.training.Adam",
    "ai.onnx.preview.training.Gradient",
    "ai.onnx.preview.training.Momentum",
}


def one_node(
    op: str,
    inputs: Sequence[Shape],
    output: Shape,
    attributes: Mapping[str, Attribute] | None = None,
    bodies: Sequence[Graph] = (),
) -> Graph:
    """Return a graph of one operation; an input of ``None`` is left out."""
    builder = GraphBuilder()
    ids = [
        None if shape is None else builder.add_input(f"x{i}", TensorType("float32", shape))
        for i, shape in enumerate(inputs)
    ]
    (y,) = builder.add_node(
        op, ids, [NewValue("y", TensorType("float32", output))], attributes=attributes or {}, bodies=bodies, name="it"
    )
    assert y is not None
    return builder.build([y])


GROUPED: tuple[list[Shape], Shape] = ([(1, 5, 32), (1, 5, 16), (1, 5, 16)], (1, 5, 32))
"""Queries of four heads of 8, keys and values of two."""

BY_HAND: list[tuple[str, list[Shape], tuple[int, ...], dict[str, Attribute], int]] = [
    # 3 filters over 2 channels of 3x3, at 4x4 places of 2 images
    ("Conv", [(2, 2, 6, 6), (3, 2, 3, 3), (3,)], (2, 3, 4, 4), {}, 2 * 3 * 16 * 2 * 9),
    ("Conv", [(1, 6, 5, 5), (6, 1, 3, 3)], (1, 6, 5, 5), {"group": 6}, 6 * 25 * 9),
    ("Conv", [(1, 2, 8), (4, 2, 3)], (1, 4, 6), {}, 4 * 6 * 2 * 3),
    ("ConvInteger", [(1, 2, 6, 6), (3, 2, 3, 3)], (1, 3, 4, 4), {}, 3 * 16 * 2 * 9),
    ("QLinearConv", [(1, 2, 6, 6), (), (), (3, 2, 3, 3)], (1, 3, 4, 4), {}, 3 * 16 * 2 * 9),
    ("com.microsoft.FusedConv", [(1, 2, 6, 6), (3, 2, 3, 3)], (1, 3, 4, 4), {"activation": "Relu"}, 3 * 16 * 2 * 9),
    ("com.microsoft.NhwcConv", [(1, 6, 6, 2), (3, 3, 3, 2)], (1, 4, 4, 3), {}, 3 * 16 * 2 * 9),
    ("DeformConv", [(1, 2, 6, 6), (3, 2, 3, 3), (1, 18, 4, 4)], (1, 3, 4, 4), {}, 3 * 16 * 2 * 9),
    ("CausalConvWithState", [(1, 4, 10), (4, 1, 3)], (1, 4, 10), {}, 4 * 10 * 3),
    # each of 2x3x3 inputs is spread over 4 filters of 2x2
    ("ConvTranspose", [(1, 2, 3, 3), (2, 4, 2, 2)], (1, 4, 6, 6), {"strides": (2, 2)}, 2 * 9 * 4 * 4),
    ("Gemm", [(2, 3), (3, 4), (4,)], (2, 4), {}, 2 * 4 * 3),
    ("Gemm", [(3, 2), (3, 4)], (2, 4), {"transA": 1}, 2 * 4 * 3),
    ("Gemm", [(2, 3), (4, 3)], (2, 4), {"transB": 1}, 2 * 4 * 3),
    ("com.microsoft.FusedGemm", [(3, 2), (3, 4)], (2, 4), {"transA": 1}, 2 * 4 * 3),
    ("com.microsoft.QGemm", [(2, 3), (), (), (3, 4)], (2, 4), {}, 2 * 4 * 3),
    ("MatMul", [(5, 2, 3), (3, 4)], (5, 2, 4), {}, 5 * 2 * 4 * 3),
    ("MatMul", [(2, 3), (5, 3, 4)], (5, 2, 4), {}, 5 * 2 * 4 * 3),
    ("MatMul", [(3,), (3, 4)], (4,), {}, 4 * 3),
    ("MatMul", [(3,), (3,)], (), {}, 3),
    ("MatMulInteger", [(2, 3), (3, 4)], (2, 4), {}, 2 * 4 * 3),
    ("QLinearMatMul", [(2, 3), (), (), (3, 4)], (2, 4), {}, 2 * 4 * 3),
    ("com.microsoft.MatMulNBits", [(2, 32), (4, 1, 16)], (2, 4), {"K": 32, "N": 4, "bits": 4}, 2 * 4 * 32),
    ("com.microsoft.FusedMatMul", [(5, 2, 3), (5, 3, 4)], (5, 2, 4), {}, 5 * 2 * 4 * 3),
    ("com.microsoft.FusedMatMul", [(5, 3, 2), (5, 3, 4)], (5, 2, 4), {"transA": 1}, 5 * 2 * 4 * 3),
    ("com.microsoft.FusedMatMul", [(2, 5, 3), (5, 3, 4)], (5, 2, 4), {"transBatchA": 1}, 5 * 2 * 4 * 3),
    ("com.microsoft.FusedMatMul", [(3, 5, 2), (5, 3, 4)], (5, 2, 4), {"transA": 1, "transBatchA": 1}, 120),
    ("AffineGrid", [(2, 2, 3), (4,)], (2, 4, 5, 2), {}, 2 * 20 * 2 * 3),
    ("ai.onnx.ml.LinearRegressor", [(7, 3)], (7, 2), {"targets": 2}, 7 * 2 * 3),
    ("Einsum", [(2, 3), (3, 4)], (2, 4), {"equation": "ij,jk->ik"}, 2 * 3 * 4),
    ("Einsum", [(2, 3), (3, 4)], (2, 4), {"equation": "ij , jk"}, 2 * 3 * 4),
    ("Einsum", [(5, 2, 3), (5, 4, 3)], (5, 2, 4), {"equation": "bij,bkj->bik"}, 5 * 2 * 3 * 4),
    ("Einsum", [(7, 1, 2, 3), (5, 3, 4)], (7, 5, 2, 4), {"equation": "...ij,...jk->...ik"}, 7 * 5 * 2 * 3 * 4),
    ("Einsum", [(2, 3), (2, 3)], (), {"equation": "ij,ij->"}, 6),
    ("Einsum", [(2,), (3,)], (2, 3), {"equation": "i,j->ij"}, 0),
    ("Einsum", [(2, 3), (2, 3)], (2, 3), {"equation": "ij,ij->ij"}, 0),
    ("Einsum", [(2, 3)], (3, 2), {"equation": "ij->ji"}, 0),
    # per element of the sequence of 7 x 2: four gates of 5, from 3 inputs and 5 states; two directions
    ("LSTM", [(7, 2, 3), (1, 20, 3), (1, 20, 5)], (7, 1, 2, 5), {"hidden_size": 5}, 14 * 20 * (3 + 5)),
    ("LSTM", [(7, 2, 3), (2, 20, 3), (2, 20, 5)], (7, 2, 2, 5), {"hidden_size": 5}, 2 * 14 * 20 * (3 + 5)),
    ("GRU", [(7, 2, 3), (1, 15, 3), (1, 15, 5)], (7, 1, 2, 5), {"hidden_size": 5}, 14 * 15 * (3 + 5)),
    ("RNN", [(7, 2, 3), (1, 5, 3), (1, 5, 5)], (7, 1, 2, 5), {"hidden_size": 5}, 14 * 5 * (3 + 5)),
    # 2 x 4 heads, 5 queries of 8 against 6 keys, then 6 weights on values of 9
    ("Attention", [(2, 4, 5, 8), (2, 4, 6, 8), (2, 4, 6, 9)], (2, 4, 5, 9), {}, 2 * 4 * 5 * 6 * (8 + 9)),
    ("Attention", [(2, 4, 5, 8), (2, 2, 6, 8), (2, 2, 6, 9)], (2, 4, 5, 9), {}, 2 * 4 * 5 * 6 * (8 + 9)),
    (
        "Attention",
        [(2, 5, 32), (2, 6, 16), (2, 6, 18)],
        (2, 5, 36),
        {"q_num_heads": 4, "kv_num_heads": 2},
        2 * 4 * 5 * 6 * (8 + 9),
    ),
    (
        "Attention",
        [(2, 4, 5, 8), (2, 4, 6, 8), (2, 4, 6, 9), None, (2, 4, 3, 8), (2, 4, 3, 9)],
        (2, 4, 5, 9),
        {},
        2 * 4 * 5 * (6 + 3) * (8 + 9),
    ),
    # 2 batches of 5 queries of 32 in 4 heads, 3 keys in the past and 6 new ones, values of 36
    (
        "com.microsoft.MultiHeadAttention",
        [(2, 5, 32), (2, 6, 32), (2, 6, 36), None, None, None, (2, 4, 3, 8), (2, 4, 3, 9)],
        (2, 5, 36),
        {"num_heads": 4},
        2 * 5 * (6 + 3) * (32 + 36),
    ),
    (
        "com.microsoft.MultiHeadAttention",
        [(2, 5, 32), (2, 4, 6, 8), (2, 4, 6, 9)],
        (2, 5, 36),
        {"num_heads": 4},
        2 * 5 * 6 * (32 + 36),
    ),
    ("com.microsoft.MultiHeadAttention", [(2, 5, 4, 3, 8)], (2, 5, 32), {"num_heads": 4}, 2 * 5 * 5 * (32 + 32)),
    (
        "com.microsoft.MultiHeadAttention",
        [(2, 5, 32), (2, 6, 4, 2, 8)],
        (2, 5, 32),
        {"num_heads": 4},
        2 * 5 * 6 * (32 + 32),
    ),
    # the projection of 2 x 5 rows of 16 to 96, then 5 queries against 5 + 3 keys
    (
        "com.microsoft.Attention",
        [(2, 5, 16), (16, 96), (96,), None, (2, 2, 4, 3, 8)],
        (2, 5, 32),
        {"num_heads": 4},
        2 * 5 * 16 * 96 + 2 * 5 * 8 * (32 + 32),
    ),
    (
        "com.microsoft.Attention",
        [(2, 5, 16), (16, 80)],
        (2, 5, 16),
        {"num_heads": 4, "qkv_hidden_sizes": (32, 32, 16)},
        2 * 5 * 16 * 80 + 2 * 5 * 5 * (32 + 16),
    ),
    ("com.microsoft.GroupQueryAttention", *GROUPED, {"num_heads": 4, "kv_num_heads": 2}, 5 * 5 * 2 * 32),
    (
        "com.microsoft.GroupQueryAttention",
        *GROUPED,
        {"num_heads": 4, "kv_num_heads": 2, "local_window_size": 3},
        5 * 3 * 2 * 32,
    ),
    (
        "com.microsoft.GroupQueryAttention",
        [(1, 5, 64)],
        (1, 5, 32),
        {"num_heads": 4, "kv_num_heads": 2},
        5 * 5 * 2 * 32,
    ),
    ("aten._grouped_mm", [(10, 8), (3, 8, 16), (3,)], (10, 16), {}, 10 * 8 * 16),
    ("aten.conv1d.default", [(1, 2, 8), (4, 2, 3)], (1, 4, 6), {}, 4 * 6 * 2 * 3),
    ("aten.conv2d.default", [(1, 2, 6, 6), (3, 2, 3, 3)], (1, 3, 4, 4), {}, 3 * 16 * 2 * 9),
    ("aten.conv3d", [(1, 2, 4, 4, 4), (3, 2, 3, 3, 3)], (1, 3, 2, 2, 2), {}, 3 * 8 * 2 * 27),
    ("aten.conv_transpose2d.input", [(1, 2, 3, 3), (2, 4, 2, 2)], (1, 4, 6, 6), {}, 2 * 9 * 4 * 4),
    ("aten.convolution.default", [(1, 2, 6, 6), (3, 2, 3, 3)], (1, 3, 4, 4), {"transposed": False}, 3 * 16 * 2 * 9),
    ("aten.convolution", [(1, 2, 3, 3), (2, 4, 2, 2)], (1, 4, 6, 6), {"transposed": True}, 2 * 9 * 4 * 4),
    ("aten.linear", [(5, 2, 3), (4, 3), (4,)], (5, 2, 4), {}, 5 * 2 * 4 * 3),
    ("aten.mm", [(2, 3), (3, 4)], (2, 4), {}, 2 * 4 * 3),
    ("aten.bmm", [(5, 2, 3), (5, 3, 4)], (5, 2, 4), {}, 5 * 2 * 4 * 3),
    ("aten.addmm", [(4,), (2, 3), (3, 4)], (2, 4), {}, 2 * 4 * 3),
    ("aten.addmm_", [(2, 4), (2, 3), (3, 4)], (2, 4), {}, 2 * 4 * 3),
    ("aten.baddbmm", [(5, 2, 4), (5, 2, 3), (5, 3, 4)], (5, 2, 4), {}, 5 * 2 * 4 * 3),
    ("aten.addbmm", [(2, 4), (5, 2, 3), (5, 3, 4)], (2, 4), {}, 5 * 2 * 4 * 3),
    ("aten.addmv", [(2,), (2, 3), (3,)], (2,), {}, 2 * 3),
    ("aten.mv", [(2, 3), (3,)], (2,), {}, 2 * 3),
    ("aten.dot", [(3,), (3,)], (), {}, 3),
    ("aten.matmul", [(2, 3), (3,)], (2,), {}, 2 * 3),
    ("aten.einsum", [(2, 3), (3, 4)], (2, 4), {"equation": "ij,jk->ik"}, 2 * 3 * 4),
    ("aten.scaled_dot_product_attention", [(2, 4, 5, 8), (2, 4, 6, 8), (2, 4, 6, 9)], (2, 4, 5, 9), {}, 4080),
    # two layers, batch first: weights (20, 3), (20, 5) and (20, 5), (20, 5), each with two biases
    (
        "aten.lstm.input",
        [(2, 7, 3), (2, 2, 5), (2, 2, 5), (20, 3), (20, 5), (20,), (20,), (20, 5), (20, 5), (20,), (20,)],
        (2, 7, 5),
        {"num_layers": 2},
        14 * 20 * (3 + 5 + 5 + 5),
    ),
    ("aten.gru.input", [(7, 2, 3), (1, 2, 5), (15, 3), (15, 5), (15,), (15,)], (7, 2, 5), {}, 14 * 15 * (3 + 5)),
    ("aten.lstm_cell", [(2, 3), (2, 5), (2, 5), (20, 3), (20, 5), (20,), (20,)], (2, 5), {}, 2 * 20 * (3 + 5)),
    ("aten.gru_cell", [(2, 3), (2, 5), (15, 3), (15, 5), (15,), (15,)], (2, 5), {}, 2 * 15 * (3 + 5)),
    ("Relu", [(2, 3)], (2, 3), {}, 0),
    ("MaxPool", [(1, 3, 4, 4)], (1, 3, 2, 2), {}, 0),
    ("com.microsoft.QuickGelu", [(2, 3)], (2, 3), {}, 0),
    ("aten.relu_.default", [(2, 3)], (2, 3), {}, 0),
    ("aten.add.Tensor", [(2, 3), (2, 3)], (2, 3), {}, 0),
]


@pytest.mark.parametrize(("op", "inputs", "output", "attributes", "expected"), BY_HAND)
def test_formula_gives_what_a_hand_count_gives(
    op: str, inputs: list[Shape], output: Shape, attributes: dict[str, Attribute], expected: int
) -> None:
    graph = one_node(op, inputs, output, attributes)
    assert count_macs(graph) == (expected, ())


class Network:
    """A chain of convolutions and linear layers, with the shapes written down as the papers give them."""

    def __init__(self) -> None:
        self.builder = GraphBuilder()
        self.image = self.builder.add_input("image", TensorType("float32", (1, 3, 224, 224)))
        self.count = 0

    def add(self, op: str, weight: tuple[int, ...], output: tuple[int, ...]) -> None:
        self.count += 1
        kernel = self.builder.add_parameter(f"w{self.count}", TensorType("float32", weight))
        # only the weight's and the output's shape enter the count, so that the image may feed every layer
        inputs = [self.image, kernel]
        if op == "Gemm":
            inputs[0] = self.builder.add_input(f"x{self.count}", TensorType("float32", (1, weight[1])))
        self.builder.add_node(op, inputs, [NewValue(f"y{self.count}", TensorType("float32", output))])

    def conv(self, channels: int, filters: int, kernel: int, side: int, groups: int = 1) -> None:
        self.add("Conv", (filters, channels // groups, kernel, kernel), (1, filters, side, side))

    def macs(self) -> int | None:
        return count_macs(self.builder.build([]))[0]


def test_mobilenet_v2_takes_the_published_300_million_macs() -> None:
    net = Network()
    net.conv(3, 32, 3, 112)
    channels, side = 32, 112
    for expansion, filters, repeats, first_stride in (
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    ):
        for repeat in range(repeats):
            hidden = channels * expansion
            if expansion > 1:
                net.conv(channels, hidden, 1, side)
            side //= first_stride if repeat == 0 else 1
            net.conv(hidden, hidden, 3, side, groups=hidden)
            net.conv(hidden, filters, 1, side)
            channels = filters
    net.conv(320, 1280, 1, 7)
    net.add("Gemm", (1000, 1280), (1, 1000))
    assert net.macs() == 300_774_272


def test_resnet_50_takes_the_published_4_billion_macs() -> None:
    net = Network()
    net.conv(3, 64, 7, 112)
    channels, side = 64, 56
    for width, repeats, first_stride in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
        for repeat in range(repeats):
            net.conv(channels, width, 1, side)
            side //= first_stride if repeat == 0 else 1
            net.conv(width, width, 3, side)
            net.conv(width, 4 * width, 1, side)
            if repeat == 0:
                net.conv(channels, 4 * width, 1, side)
            channels = 4 * width
    net.add("Gemm", (1000, 2048), (1, 1000))
    assert net.macs() == 4_089_184_256


def test_every_standard_onnx_operation_has_a_formula_or_is_free_or_is_left_out_on_purpose() -> None:
    schemas = onnx.defs.get_all_schemas()
    names = {f"{schema.domain}.{schema.name}".removeprefix(".") for schema in schemas}
    assert names - MAC_FREE - FORMULAS.keys() == ONNX_WITHOUT_MACS_HERE & names


def test_no_operation_is_both_free_and_not() -> None:
    assert (MAC_FREE | BACKWARD_FREE) & (FORMULAS.keys() | BACKWARD.keys()) == set()
    assert MAC_FREE.isdisjoint(BACKWARD_FREE)
    assert FORMULAS.keys().isdisjoint(BACKWARD)


def test_every_core_pointwise_and_reducing_aten_operation_of_inference_is_in_a_table() -> None:
    torch = pytest.importorskip("torch", reason="the list of ATen operations is torch's")
    wanted = {torch.Tag.core, torch.Tag.pointwise, torch.Tag.reduction}
    registered = {
        name.split("::")[1].split(".")[0] for name in torch._C._dispatch_get_all_op_names() if name[:6] == "aten::"
    }
    packets = {name: getattr(torch.ops.aten, name, None) for name in registered}
    tagged = {
        operation_kind(f"aten.{name}")
        for name, packet in packets.items()
        if hasattr(packet, "overloads")
        for overload in packet.overloads()
        if wanted & set(getattr(packet, overload).tags)
    }
    missing = {
        kind
        for kind in tagged - MAC_FREE - FORMULAS.keys() - BACKWARD_FREE - BACKWARD.keys()
        if not kind.endswith(("_backward", "_grad"))
    }
    assert missing == {"aten._cdist_forward", "aten._fft_c2r", "aten._fft_r2c", "aten._pdist_forward"}


def test_an_operation_in_no_table_is_unknown_once_and_makes_the_total_none() -> None:
    builder = GraphBuilder()
    x = builder.add_input("x", TensorType("float32", (8,)))
    for i in range(3):
        builder.add_node("DFT", [x], [NewValue(f"y{i}", TensorType("float32", (8,)))], name=f"spectrum{i}")
    builder.add_node("Relu", [x], [NewValue("z", TensorType("float32", (8,)))])
    graph = builder.build([])
    total, unknown = count_macs(graph)
    assert total is None
    assert [(u.kind, u.name) for u in unknown] == [("macs", "DFT")]
    assert "'spectrum0'" in unknown[0].reason
    assert unknown[0].hint


@pytest.mark.parametrize("shape", [None, (1, 2, "height", 6), (None, 2, 6, 6)])
def test_an_open_shape_makes_the_total_none_without_an_unknown_of_its_own(shape: Shape) -> None:
    graph = one_node("Conv", [(1, 2, 6, 6), (3, 2, 3, 3)], shape)
    assert count_macs(graph) == (None, ())


def test_a_node_whose_outputs_are_constant_costs_nothing_whatever_it_is() -> None:
    builder = GraphBuilder()
    weight = builder.add_parameter("w", TensorType("float32", (3, 3)))
    for op in ("MatMul", "DFT"):
        builder.add_node(op, [weight, weight], [NewValue(op, TensorType("float32", (3, 3)))])
    assert count_macs(builder.build([])) == (0, ())


@pytest.mark.parametrize(
    ("op", "inputs", "attributes"),
    [
        ("Conv", [(1, 2, 6, 6)], {}),
        ("Conv", [(1, 2, 6, 6), (3,)], {}),
        ("Conv", [(1, 2, 6, 6), None], {}),
        ("Gemm", [(3,), (3, 4)], {}),
        ("MatMul", [(), (3, 4)], {}),
        ("LSTM", [(7, 3), (1, 20, 3), (1, 20, 5)], {}),
        ("Attention", [(2, 5, 32), (2, 6, 16), (2, 6, 18)], {}),
        ("Attention", [(2, 5, 32), (2, 6, 16), (2, 6, 18)], {"q_num_heads": 4, "kv_num_heads": 0}),
        ("com.microsoft.Attention", [(2, 5, 16), (16, 96)], {"past_present_share_buffer": 1}),
        ("com.microsoft.Attention", [(2, 5, 16), (16, 96)], {"qkv_hidden_sizes": (32,)}),
        ("com.microsoft.MultiHeadAttention", [(2, 5, 32), (2, 5, 32), (2, 5, 32), *[None] * 5, ()], {}),
        ("com.microsoft.GroupQueryAttention", [(1, 5, 32), (1, 5, 16), (1, 5, 16)], {"num_heads": 4}),
        ("aten._grouped_mm", [(3, 10, 8), (3, 8, 16)], {}),
        ("Einsum", [(2, 3), (3, 4)], {}),
        ("Einsum", [(2, 3), (3, 4)], {"equation": "i,j->ij"}),
        ("Einsum", [(2,), (3, 4)], {"equation": "ij,jk->ik"}),
        ("Einsum", [(2, 3), (3, 4), (4, 5)], {"equation": "ij,jk,kl->il"}),
        ("Einsum", [(2, 3), (4,)], {"equation": "ij,k->k"}),
        ("If", [()], {}),
        ("Loop", [(), ()], {}),
        ("aten.tensordot", [(2, 3), (3, 4)], {}),
    ],
)
def test_what_a_formula_does_not_cover_is_unknown_and_never_a_crash(
    op: str, inputs: list[Shape], attributes: dict[str, Attribute]
) -> None:
    total, unknown = count_macs(one_node(op, inputs, (2, 4), attributes))
    assert total is None
    assert [(u.kind, u.name) for u in unknown] == [("macs", op)]


def body(op: str = "MatMul", rows: Dim = 2, inputs: int = 2) -> Graph:
    """Return a body of one product of (rows, 3) and (3, 4), with further inputs that nobody reads."""
    builder = GraphBuilder("body")
    shapes: list[tuple[Dim, ...]] = [(rows, 3), (3, 4), *[()] * (inputs - 2)]
    ids = [builder.add_input(f"i{i}", TensorType("float32", shape)) for i, shape in enumerate(shapes)]
    (y,) = builder.add_node(op, ids[:2], [NewValue("y", TensorType("float32", (rows, 4)))])
    assert y is not None
    return builder.build([y])


def test_branches_that_agree_give_their_count() -> None:
    assert count_macs(one_node("If", [()], (2, 4), bodies=[body(), body()])) == (24, ())


def test_branches_that_differ_are_unknown_and_named_with_both_counts() -> None:
    total, (unknown,) = count_macs(one_node("If", [()], (2, 4), bodies=[body(), body(rows=5)]))
    assert total is None
    assert "24 or 60" in unknown.reason


def test_an_operation_without_formula_inside_a_body_is_reported_itself_and_not_its_owner() -> None:
    total, unknown = count_macs(one_node("If", [()], (2, 4), bodies=[body(), body("DFT")]))
    assert total is None
    assert [u.name for u in unknown] == ["DFT"]


def test_an_open_shape_inside_a_body_adds_no_unknown() -> None:
    assert count_macs(one_node("Loop", [(), ()], (2, 4), bodies=[body(rows="n")])) == (None, ())


@pytest.mark.parametrize("op", ["Loop", "SequenceMap"])
def test_a_loop_is_known_only_if_its_body_costs_nothing(op: str) -> None:
    assert count_macs(one_node(op, [(), ()], (2, 4), bodies=[body("Add")])) == (0, ())
    total, (unknown,) = count_macs(one_node(op, [(), ()], (2, 4), bodies=[body()]))
    assert total is None
    assert unknown.name == op


@pytest.mark.parametrize(
    ("attributes", "rounds"),
    [
        ({"num_scan_inputs": 1}, 7),
        ({"num_scan_inputs": 1, "scan_input_axes": (1,)}, 3),
        ({"num_scan_inputs": 1, "scan_input_axes": (-1,)}, 4),
    ],
)
def test_a_scan_runs_its_body_once_per_slice(attributes: dict[str, Attribute], rounds: int) -> None:
    graph = one_node("Scan", [(2, 3), (7, 3, 4)], (2, 4), attributes, bodies=[body()])
    assert count_macs(graph) == (24 * rounds, ())


@pytest.mark.parametrize(
    ("inputs", "attributes"),
    [
        ([(2, 3), (7, 3, 4)], {}),
        ([(2, 3), (7, 3, 4)], {"num_scan_inputs": 1, "scan_input_axes": (3,)}),
        ([None, (1, 2, 3), (1, 7, 3, 4)], {"num_scan_inputs": 1}),  # opset 8: lengths first, a batch axis
    ],
)
def test_a_scan_whose_slices_cannot_be_counted_is_unknown(
    inputs: list[Shape], attributes: dict[str, Attribute]
) -> None:
    total, unknown = count_macs(one_node("Scan", inputs, (2, 4), attributes, bodies=[body()]))
    assert total is None
    assert [u.name for u in unknown] == ["Scan"]


def test_two_branches_of_a_known_cost_count_once_per_owner() -> None:
    graph = one_node("If", [()], (2, 4), bodies=[one_node("If", [()], (2, 4), bodies=[body(), body()])] * 2)
    assert count_macs(graph) == (prod((2, 3, 4)), ())


def test_attention_of_several_heads_is_two_products() -> None:
    builder = GraphBuilder()
    query = builder.add_input("q", TensorType("float32", (1, 8, 64)))
    others = [builder.add_input(name, TensorType("float32", (1, 10, 64))) for name in "kv"]
    output = NewValue("y", TensorType("float32", (1, 8, 64)))
    (written,) = builder.add_node("com.microsoft.MultiHeadAttention", [query, *others], [output])
    assert written is not None
    assert count_macs(builder.build([written])) == (2 * 8 * 10 * 64, ())


def test_grouped_queries_meet_as_many_keys_as_the_cache_that_is_returned_holds() -> None:
    builder = GraphBuilder()
    shapes = [(1, 1, 32), (1, 1, 16), (1, 1, 16), (1, 2, 9, 8), (1, 2, 9, 8)]
    given = [builder.add_input(f"x{i}", TensorType("float32", shape)) for i, shape in enumerate(shapes)]
    outputs = [
        NewValue(name, TensorType("float32", shape)) for name, shape in (("y", (1, 1, 32)), ("k", (1, 2, 10, 8)))
    ]
    attributes = {"num_heads": 4, "kv_num_heads": 2}
    written = builder.add_node("com.microsoft.GroupQueryAttention", given, outputs, attributes=attributes)
    found = builder.build([i for i in written if i is not None])
    assert count_macs(found) == (10 * 2 * 32, ())
