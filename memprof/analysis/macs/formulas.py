"""The MACs of single operations: a read-only table from kind of operation to a formula over its shapes.

A formula is a function from an ``Operation`` to an int. It reads shapes and attributes only, and raises where it
cannot say: ``ReportedElsewhereError`` if a fact is missing whose absence is already reported (an open dimension), or
``NoFormulaError`` if this occurrence is outside of what it covers. What belongs here multiplies and adds along an
axis, in a number that follows from the shapes alone and on which published tools agree.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from math import prod
from types import MappingProxyType

from memprof.analysis.macs.attention import (
    aten_attention,
    grouped_attention,
    headed_attention,
    projected_attention,
    standard_attention,
)
from memprof.analysis.macs.operation import NoFormulaError, Operation, ReportedElsewhereError

Formula = Callable[[Operation], int]


def _convolution(op: Operation, weight: int = 1) -> int:
    """Each output element sums over one filter; weight: (filters, channels / groups, *kernel)."""
    return prod(op.output()) * prod(op.input(weight, rank=2)[1:])


def _transposed_convolution(op: Operation) -> int:
    """Each input element is spread by one filter; weight: (channels, filters / groups, *kernel)."""
    return prod(op.input(0)) * prod(op.input(1, rank=2)[1:])


def _aten_convolution(op: Operation) -> int:
    return _transposed_convolution(op) if op.integer("transposed") else _convolution(op)


def _product(op: Operation, left: int = 0) -> int:
    """Each output element is a row of the left factor times a column of the right one."""
    return prod(op.output()) * op.input(left, rank=1)[-1]


def _grouped_product(op: Operation) -> int:
    """Rows (S, K) by the weights (G, K, N) of the group that each belongs to."""
    left, right = op.input(0, rank=2), op.input(1, rank=3)
    if len(left) != 2 or len(right) != 3:
        raise NoFormulaError("of other factors than rows and weights of groups has no formula here")
    return prod(left) * right[2]


def _gemm(op: Operation) -> int:
    rows, columns = op.input(0, rank=2)[:2]
    return prod(op.output()) * (rows if op.integer("transA") else columns)


def _fused_matmul(op: Operation) -> int:
    """``transBatchA`` moves the first axis of the left factor behind its batch axes, then ``transA`` swaps two."""
    if not op.integer("transA"):
        return _product(op)
    shape = op.input(0, rank=2)
    return prod(op.output()) * shape[0 if op.integer("transBatchA") else -2]


def _recurrent(op: Operation) -> int:
    """X: (length, batch, inputs), W: (directions, gates x hidden, inputs), R: (.., .., hidden)."""
    return prod(op.input(0, rank=3)[:2]) * (prod(op.input(1, rank=3)) + prod(op.input(2, rank=3)))


def _aten_recurrent(op: Operation) -> int:
    """Each weight matrix of each layer meets each element of the sequence once; states and biases are no matrices."""
    rest = [op.input(i) for i in range(1, len(op.node.inputs)) if op.has_input(i)]
    return prod(op.input(0, rank=2)[:-1]) * sum(prod(shape) for shape in rest if len(shape) == 2)


def _aten_cell(op: Operation, weight: int) -> int:
    return prod(op.input(0, rank=1)[:-1]) * (prod(op.input(weight, rank=2)) + prod(op.input(weight + 1, rank=2)))


def _einsum(op: Operation) -> int:
    """One contraction of two operands runs through all combinations of its labels.

    A single operand is only moved and added up, and two without a summed label are a broadcast product: both cost
    nothing, as ReduceSum and Mul do.
    """
    equation = op.node.attributes.get("equation")
    if not isinstance(equation, str):
        raise NoFormulaError("has no equation")
    left, arrow, right = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) == 1:
        return 0
    if len(terms) > 2:
        raise NoFormulaError(f"multiplies {len(terms)} operands, in an order that is not fixed")
    operands = [_sizes_by_label(term, op.input(i)) for i, term in enumerate(terms)]
    sizes = {label: max(own.get(label, 1) for own in operands) for label in {**operands[0], **operands[1]}}
    if arrow:
        summed = {label for label in sizes if ("..." if label.isdigit() else label) not in right}
    else:  # what is named once is kept, in alphabetical order
        summed = {label for label in sizes if not label.isdigit() and left.count(label) > 1}
    if any(summed - own.keys() for own in operands):
        raise NoFormulaError("sums over an axis that only one operand has, so it is more than one contraction")
    return prod(sizes.values()) if summed else 0


def _sizes_by_label(term: str, shape: tuple[int, ...]) -> dict[str, int]:
    """Return the size of each label of one operand; the axes under an ellipsis are numbered from the right."""
    before, dots, after = term.partition("...")
    hidden = len(shape) - len(before) - len(after)
    if hidden < 0 or (hidden > 0 and not dots):
        raise NoFormulaError(f"has an operand {term!r} of {len(shape)} axes")
    labels = [*before, *(str(i) for i in range(hidden, 0, -1)), *after]
    return dict(zip(labels, shape, strict=True))


def branches(op: Operation) -> int:
    """Return what each of several branches costs, if they agree."""
    counts = _known_bodies(op)
    if len(set(counts)) != 1:
        raise NoFormulaError(f"runs one of its branches, which take {' or '.join(f'{n:,}' for n in counts)} MACs")
    return counts[0]


def rounds(op: Operation) -> int:
    """Return what bodies cost that run an unknown number of times: nothing, or no formula."""
    counts = _known_bodies(op)
    if any(counts):
        raise NoFormulaError(f"runs a body of {sum(counts):,} MACs, how often shows only while it runs")
    return 0


def _scan(op: Operation) -> int:
    """The body runs once per slice of the scanned inputs, which come last."""
    counts, scanned = _known_bodies(op), op.integer("num_scan_inputs")
    has_batch_axis = len(op.node.inputs) != len(op.node.bodies[0].inputs)  # opset 8: also an input of lengths
    if not any(counts) or scanned < 1 or has_batch_axis:
        return rounds(op)
    axes = op.node.attributes.get("scan_input_axes")
    axis = axes[0] if isinstance(axes, tuple) and axes and isinstance(axes[0], int) else 0
    shape = op.input(len(op.node.inputs) - scanned, rank=1)
    if not -len(shape) <= axis < len(shape):
        raise NoFormulaError(f"scans along axis {axis} of {len(shape)}")
    return sum(counts) * shape[axis]


def _known_bodies(op: Operation) -> list[int]:
    known = [count for count in op.body_macs if count is not None]
    if len(known) < len(op.body_macs):
        raise ReportedElsewhereError
    if not known:
        raise NoFormulaError("has no body")
    return known


_MICROSOFT = "com.microsoft."
"""ONNX Runtime's own operations; here those that differ from ONNX's by a fused bias, activation, scale or layout."""

FORMULAS: Mapping[str, Formula] = MappingProxyType(
    {
        "AffineGrid": _product,  # theta times a grid of homogeneous coordinates
        "Attention": standard_attention,
        "CausalConvWithState": _convolution,
        "Conv": _convolution,
        "ConvInteger": _convolution,
        "ConvTranspose": _transposed_convolution,
        "DeformConv": _convolution,  # interpolating its samples costs nothing, as in Resize
        "Einsum": _einsum,
        "GRU": _recurrent,
        "Gemm": _gemm,
        "If": branches,
        "LSTM": _recurrent,
        "Loop": rounds,
        "MatMul": _product,
        "MatMulInteger": _product,
        "QLinearConv": partial(_convolution, weight=3),
        "QLinearMatMul": _product,
        "RNN": _recurrent,
        "Scan": _scan,
        "SequenceMap": rounds,
        "ai.onnx.ml.LinearRegressor": _product,
        _MICROSOFT + "ConvTransposeWithDynamicPads": _transposed_convolution,
        _MICROSOFT + "DynamicQuantizeLSTM": _recurrent,
        _MICROSOFT + "DynamicQuantizeMatMul": _product,
        _MICROSOFT + "FusedConv": _convolution,
        _MICROSOFT + "FusedGemm": _gemm,
        _MICROSOFT + "FusedMatMul": _fused_matmul,
        _MICROSOFT + "MatMulInteger16": _product,
        _MICROSOFT + "Attention": projected_attention,
        _MICROSOFT + "GroupQueryAttention": grouped_attention,
        _MICROSOFT + "MultiHeadAttention": headed_attention,
        _MICROSOFT + "MatMulIntegerToFloat": _product,
        _MICROSOFT + "MatMulNBits": _product,
        _MICROSOFT + "NhwcConv": _convolution,
        _MICROSOFT + "NhwcFusedConv": _convolution,
        _MICROSOFT + "QGemm": _gemm,
        _MICROSOFT + "QLinearConv": partial(_convolution, weight=3),
        "aten._convolution": _aten_convolution,
        "aten._grouped_mm": _grouped_product,
        "aten._int_mm": _product,
        "aten._scaled_dot_product_cudnn_attention": aten_attention,
        "aten._scaled_dot_product_efficient_attention": aten_attention,
        "aten._scaled_dot_product_flash_attention": aten_attention,
        "aten._scaled_dot_product_flash_attention_for_cpu": aten_attention,
        "aten._scaled_mm": _product,
        "aten.addbmm": lambda op: prod(op.input(1, rank=3)) * op.input(2, rank=3)[-1],
        "aten.addmm": partial(_product, left=1),
        "aten.addmv": partial(_product, left=1),
        "aten.affine_grid_generator": _product,
        "aten.baddbmm": partial(_product, left=1),
        "aten.bmm": _product,
        "aten.conv1d": _convolution,
        "aten.conv2d": _convolution,
        "aten.conv3d": _convolution,
        "aten.conv_transpose1d": _transposed_convolution,
        "aten.conv_transpose2d": _transposed_convolution,
        "aten.conv_transpose3d": _transposed_convolution,
        "aten.convolution": _aten_convolution,
        "aten.dot": _product,
        "aten.einsum": _einsum,
        "aten.gru": _aten_recurrent,
        "aten.gru_cell": partial(_aten_cell, weight=2),
        "aten.inner": _product,
        "aten.linear": _product,
        "aten.lstm": _aten_recurrent,
        "aten.lstm_cell": partial(_aten_cell, weight=3),
        "aten.matmul": _product,
        "aten.mm": _product,
        "aten.mv": _product,
        "aten.rnn_relu": _aten_recurrent,
        "aten.rnn_relu_cell": partial(_aten_cell, weight=2),
        "aten.rnn_tanh": _aten_recurrent,
        "aten.rnn_tanh_cell": partial(_aten_cell, weight=2),
        "aten.scaled_dot_product_attention": aten_attention,
        "aten.vdot": _product,
    }
)
"""Kind of operation -> its formula."""
