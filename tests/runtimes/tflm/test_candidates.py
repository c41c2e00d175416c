"""The arena of a network that nobody converted: fused activations, copies, padding."""

from __future__ import annotations

import pytest

import memprof
from memprof.base.errors import UsageError
from memprof.ir import GraphBuilder, NewValue, TensorType
from memprof.runtimes.tflm.candidates import program_of


def f4(*shape: int) -> TensorType:
    return TensorType("float32", shape)


def network(stride: int = 1) -> memprof.Graph:
    """Convolution, activation, pool over the image, classifier: images of 8 x 8."""
    builder = GraphBuilder("candidate")
    x = builder.add_input("x", f4(1, 3, 8, 8))
    w = builder.add_parameter("w", f4(16, 3, 3, 3))
    out = 8 // stride
    attributes = {"pads": (1, 1, 1, 1), "strides": (stride, stride), "dilations": (1, 1), "group": 1}
    (a,) = builder.add_node("Conv", [x, w], [NewValue("a", f4(1, 16, out, out))], attributes=attributes)
    (b,) = builder.add_node("Relu", [a], [NewValue("b", f4(1, 16, out, out))], is_elementwise=True)
    (c,) = builder.add_node("GlobalAveragePool", [b], [NewValue("c", f4(1, 16, 1, 1))])
    (d,) = builder.add_node("Flatten", [c], [NewValue("d", f4(1, 16), c)])
    v = builder.add_parameter("v", f4(10, 16))
    (y,) = builder.add_node("Gemm", [d, v], [NewValue("y", f4(1, 10))])
    assert y is not None
    return builder.build([y])


def test_activations_are_fused_and_a_mean_drops_its_axes() -> None:
    program = program_of(network())

    assert [op.op for op in program.subgraphs[0].operators] == ["CONV_2D", "MEAN", "FULLY_CONNECTED"]


def test_the_arena_is_that_of_the_converted_network() -> None:
    # the convolution holds 192 + 1024 bytes; the mean 1024 + 16, and 64 + 16 + 16 of scratch
    assert memprof.tflm_arena(network()).head_bytes == 1024 + 192
    assert memprof.tflm_arena(network(), "float32").head_bytes == 4 * (1024 + 192)


def test_padding_that_tensorflow_has_no_word_for_is_an_operator() -> None:
    program = program_of(network(stride=2))

    assert [op.op for op in program.subgraphs[0].operators][:2] == ["PAD", "CONV_2D"]
    assert memprof.tflm_arena(network(stride=2)).head_bytes == 304 + 256  # 3 x 10 x 10 bytes, rounded up


def test_there_is_no_conversion_to_any_type() -> None:
    with pytest.raises(UsageError, match="no conversion"):
        memprof.tflm_arena(network(), "int4")


def test_a_convolution_of_other_rank_has_no_options_that_nobody_knows() -> None:
    builder = GraphBuilder("row")
    x, w = builder.add_input("x", f4(1, 3, 8)), builder.add_parameter("w", f4(4, 3, 3))
    (y,) = builder.add_node("Conv", [x, w], [NewValue("y", f4(1, 4, 6))], attributes={"strides": (1,)})
    assert y is not None

    assert memprof.tflm_arena(builder.build([y]), "int8", "cmsis-nn").unproven
