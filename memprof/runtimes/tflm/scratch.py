"""What kernels of TensorFlow Lite Micro take from the arena while they run, by operator and kind of kernels.

    table         who runs it                                            proven
    REFERENCE     the portable kernels (every port without others)       against the runtime itself
    CMSIS_NN      Cortex-M with the DSP extension (M4, M7, M33)           from the sources, not run here
    CMSIS_NN_MVE  Cortex-M with Helium (M55, M85)                         from the sources, not run here

A kernel's ``Prepare`` asks for so many bytes, once or several times; each piece becomes a buffer of its own that
lives while the operator runs, the subgraphs it calls included. An operator in none of the tables asks for nothing as
far as its sources go; ``SILENT`` lists those of which this is known, so that an unknown one can be named.

Sources: tensorflow/lite/micro/kernels and signal/micro/kernels of tflite-micro (2026-08); CMSIS-NN (2026-07),
``*_get_buffer_sizes*``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from types import MappingProxyType

from memprof.ir.program import ProgramOperator, ProgramTensor, Subgraph

Shape = tuple[int, ...]
Pieces = tuple[int, ...]

_SAME_PADDING = 0
_REVERSE_THRESHOLD = 16  # REVERSE_TCOL_EFFICIENT_THRESHOLD
_DEPTHWISE_BLOCK = 124  # CH_IN_BLOCK_MVE
_MANY_OUTPUTS = 1  # CONVERT_DW_CONV_WITH_ONE_INPUT_CH_AND_OUTPUT_CH_ABOVE_THRESHOLD: 8 with some compilers


class UnknownScratchError(Exception):
    """A kernel's scratch follows from something that is not known; the message says from what."""


class Call:
    """One occurrence of an operator, as a rule may look at it.

    Args:
        subgraph: Where it is.
        operator: The operator.
    """

    def __init__(self, subgraph: Subgraph, operator: ProgramOperator) -> None:
        self._tensors = subgraph.tensors
        self.operator = operator

    def has(self, position: int) -> bool:
        """Tell whether an optional input is there."""
        return position < len(self.operator.inputs) and self.operator.inputs[position] >= 0

    def input(self, position: int) -> ProgramTensor:
        """Return an input.

        Raises:
            UnknownScratchError: There is none.
        """
        if not self.has(position):
            raise UnknownScratchError(f"its input {position} is missing")
        return self._tensors[self.operator.inputs[position]]

    def output(self) -> ProgramTensor:
        """Return the first output; raises as ``input`` does."""
        if not self.operator.outputs:
            raise UnknownScratchError("it writes nothing")
        return self._tensors[self.operator.outputs[0]]

    def option(self, name: str) -> int:
        """Return a number among its options."""
        return self.operator.options[name]


Rule = Callable[[Call], Pieces]


def shape_of(tensor: ProgramTensor, rank: int = 0) -> Shape:
    """Return a shape of ``rank`` axes, or of any number if it is 0.

    Raises:
        UnknownScratchError: It is open, or has another number of axes.
    """
    found = tuple([size for size in tensor.type.shape or () if isinstance(size, int)])
    if len(found) != len(tensor.type.shape or ()):
        raise UnknownScratchError(f"the shape of {tensor.name} is open")
    if rank and len(found) != rank:
        raise UnknownScratchError(f"{tensor.name} has {len(found)} axes, not {rank}")
    return found


def _unpacked_filter(call: Call) -> Pieces:
    """A filter of 4-bit numbers is unpacked, one byte each."""
    filters = call.input(1)
    return (prod(shape_of(filters)),) if filters.dtype == "INT4" else ()


def _svdf(call: Call) -> Pieces:
    data, features = call.input(0), shape_of(call.input(1), 2)
    batch = shape_of(data, 2)[0]
    if data.dtype == "FLOAT32":
        return (batch * features[0] * 4,)
    return batch * features[0] * 4, batch * shape_of(call.output(), 2)[1] * 4


def _lstm(call: Call, count: int = 4) -> Pieces:
    """One buffer per gate, as large as the hidden state of a batch, in the type of the cell state."""
    cell = call.input(19)
    size = prod(shape_of(call.input(18), 2)) * {"FLOAT32": 4, "INT16": 2}.get(cell.dtype, 0)
    if not size:
        raise UnknownScratchError(f"its cell state is {cell.dtype}")
    return (size,) * count


def _transposed(call: Call) -> Pieces:
    data = call.input(2)
    width = {"INT8": 4, "INT16": 8}.get(data.dtype, 0)
    pieces: Pieces = (prod(shape_of(call.output())) * width,) if width else ()
    if data.dtype == "INT16" and call.has(3) and call.input(3).dtype == "INT16":
        pieces += (prod(shape_of(call.input(3))) * 8,)
    return pieces


def _mean(call: Call) -> Pieces:
    data = call.input(0)
    sums = (prod(shape_of(call.output())) * 4,) if data.dtype in ("INT8", "INT16") else ()
    return (*sums, *_reduced(call))


def _reduced(call: Call) -> Pieces:
    """A counter per axis of the input, and the axes that are reduced."""
    return len(shape_of(call.input(0))) * 4, prod(shape_of(call.input(1))) * 4


def _mirror_pad(call: Call) -> Pieces:
    return (len(shape_of(call.input(0))) * 4,) * 2


def _add_n(call: Call) -> Pieces:
    """A pointer per input, of the eight bytes of the build that the table is proven against; a board's have four."""
    return (len(call.operator.inputs) * 8,)


def _options_unread(call: Call) -> Pieces:
    raise UnknownScratchError("its own options are not read")


REFERENCE: Mapping[str, Rule] = MappingProxyType(
    {
        "ADD_N": _add_n,
        "CONV_2D": _unpacked_filter,
        "DECODE": _options_unread,
        "DEPTHWISE_CONV_2D": _unpacked_filter,
        "FULLY_CONNECTED": _unpacked_filter,
        "MEAN": _mean,
        "MIRROR_PAD": _mirror_pad,
        "REDUCE_ALL": _reduced,
        "REDUCE_MAX": _reduced,
        "REDUCE_MIN": _reduced,
        "SUM": _mean,
        "SVDF": _svdf,
        "TRANSPOSE_CONV": _transposed,
        "UNIDIRECTIONAL_SEQUENCE_LSTM": _lstm,
    }
)
"""Operator -> what its portable kernel asks for."""


def _padding(call: Call, axis: int, stride: str, dilation: str) -> int:
    """Return the padding before the first element, as the runtime works it out."""
    if call.option("padding") != _SAME_PADDING:
        return 0
    data, filters, output = (shape_of(t, 4) for t in (call.input(0), call.input(1), call.output()))
    reach = (filters[axis] - 1) * call.option(dilation) + 1
    return max(0, (output[axis] - 1) * call.option(stride) + reach - data[axis]) // 2


def _is_plain(call: Call) -> bool:
    return call.option("dilation_h") == call.option("dilation_w") == 1


def _im2col_dsp(columns: int) -> int:
    return 2 * (columns + -columns % 4) * 2


def _im2col_mve(columns: int) -> int:
    return 4 * (columns + -columns % 16)


def _convolution_dsp(call: Call) -> Pieces:
    return _convolution(call, _im2col_dsp, lambda data, filters, output: _im2col_dsp(prod(filters[1:3]) * data[3]))


def _convolution_mve(call: Call) -> Pieces:
    def row(data: Shape, filters: Shape, output: Shape) -> int:
        return _one_row_mve(call, data, filters, output)

    return _convolution(call, _im2col_mve, row)


def _convolution(call: Call, im2col: Callable[[int], int], row: Callable[[Shape, Shape, Shape], int]) -> Pieces:
    """1x1 without padding: none; one row high: ``row``; else two (or four) columns of the unfolded input."""
    if call.input(0).dtype != "INT8":
        return _sixteen_bits(call)
    data, filters, output = (shape_of(t, 4) for t in (call.input(0), call.input(1), call.output()))
    pads = _padding(call, 1, "stride_h", "dilation_h"), _padding(call, 2, "stride_w", "dilation_w")
    is_grouped = data[3] != filters[3]
    is_aligned = call.option("stride_w") * data[3] % 4 == 0
    is_row = data[1] == filters[1] == call.option("dilation_w") == 1 and is_aligned
    if filters[1:3] == (1, 1) and pads == (0, 0) and _is_plain(call) and not is_grouped:
        size = 0
    elif is_row and not is_grouped:
        size = row(data, filters, output)
    else:
        size = im2col(prod(filters[1:3]) * data[3])
    return (size,) if size else ()


def _one_row_mve(call: Call, data: Shape, filters: Shape, output: Shape) -> int:
    pad, stride = _padding(call, 2, "stride_w", "dilation_w"), call.option("stride_w")
    odd = ((output[2] - 1) * stride + filters[2] - data[2]) % 2
    right = max(1, (pad + odd + stride - 1) // stride) if pad + odd else 0
    left = max(1, (pad + stride - 1) // stride) if pad else 0
    if right + max(output[2] - right - left, 0) + left != output[2]:
        return _im2col_mve(prod(filters[1:3]) * data[3])
    around = pad * data[3]
    after = right * data[3] if odd else around
    return max(filters[2] * data[3] + around, (filters[2] - 1) * data[3] + after)


def _sixteen_bits(call: Call) -> Pieces:
    if call.input(0).dtype == "FLOAT32":
        return ()
    raise UnknownScratchError(f"its input is {call.input(0).dtype}")


def _depthwise_dsp(call: Call) -> Pieces:
    return _depthwise(call, lambda filters: prod(filters[1:]) * 2, has_3x3=True)


def _depthwise_mve(call: Call) -> Pieces:
    data, output = shape_of(call.input(0), 4), shape_of(call.output(), 4)
    if call.input(0).dtype == "INT8" and data[3] == 1 and output[3] > _MANY_OUTPUTS:
        raise UnknownScratchError("it may run as a convolution, as the compiler decides")
    return _depthwise(call, lambda filters: 4 * _DEPTHWISE_BLOCK * prod(filters[1:3]), has_3x3=False)


def _depthwise(call: Call, size_of: Callable[[Shape], int], *, has_3x3: bool) -> Pieces:
    if call.input(0).dtype != "INT8":
        return ()
    if call.input(1).dtype != "INT8":
        raise UnknownScratchError(f"its filter is {call.input(1).dtype}")
    data, filters, output = (shape_of(t, 4) for t in (call.input(0), call.input(1), call.output()))
    if data[3] != output[3] or data[0] != 1 or not _is_plain(call):
        return ()
    pads = _padding(call, 1, "stride_h", "dilation_h"), _padding(call, 2, "stride_w", "dilation_w")
    if has_3x3 and filters[1:3] == (3, 3) and max(pads) <= 1:
        return ()
    return (size_of(filters),)


def _fully_connected_dsp(call: Call) -> Pieces:
    return _fully_connected(call, sums=0)


def _fully_connected_mve(call: Call) -> Pieces:
    return _fully_connected(call, sums=4)


def _fully_connected(call: Call, sums: int) -> Pieces:
    """Over three axes and more it runs as a 1x1 convolution, for which a single scale is spread over the channels."""
    if call.input(0).dtype != "INT8" or call.input(1).dtype == "INT4":
        return ()
    filters, output = shape_of(call.input(1)), shape_of(call.output())
    if len(output) > 2 and filters and filters[-1] % 4 == 0:
        return (output[-1] * 8,) if call.input(1).scales <= 1 else ()
    return (output[-1] * sums,) if sums and output else ()


def _average_dsp(call: Call) -> Pieces:
    return (shape_of(call.input(0), 4)[3] * 4,) if call.input(0).dtype in ("INT8", "INT16") else ()


def _lstm_cmsis(call: Call) -> Pieces:
    return _lstm(call, 3 if call.input(0).dtype in ("INT8", "INT16") else 4)


def _svdf_mve(call: Call) -> Pieces:
    pieces = _svdf(call)
    return pieces if len(pieces) < 2 else (*pieces, shape_of(call.input(1), 2)[0] * 4)


def _transposed_dsp(call: Call) -> Pieces:
    return _transposed_cmsis(call, _im2col_dsp)


def _transposed_mve(call: Call) -> Pieces:
    return _transposed_cmsis(call, _im2col_mve)


def _transposed_cmsis(call: Call, im2col: Callable[[int], int]) -> Pieces:
    if call.input(2).dtype != "INT8":
        return _transposed(call)
    data, filters, output = (shape_of(t, 4) for t in (call.input(2), call.input(1), call.output()))
    high, wide = call.option("stride_h"), call.option("stride_w")
    if high <= 2 and wide <= 2 and data[3] > _REVERSE_THRESHOLD:
        return im2col(prod(filters[1:3]) * data[3]), prod(filters)
    columns = ((data[2] - 1) * wide + max(filters[2], high)) * output[3]
    return columns * max(filters[1], high) * 4, 0


CMSIS_NN: Mapping[str, Rule] = MappingProxyType(
    {
        **REFERENCE,
        "AVERAGE_POOL_2D": _average_dsp,
        "CONV_2D": _convolution_dsp,
        "DEPTHWISE_CONV_2D": _depthwise_dsp,
        "FULLY_CONNECTED": _fully_connected_dsp,
        "TRANSPOSE_CONV": _transposed_dsp,
        "UNIDIRECTIONAL_SEQUENCE_LSTM": _lstm_cmsis,
    }
)
"""Operator -> what CMSIS-NN's kernel asks for on a core with the DSP extension."""

CMSIS_NN_MVE: Mapping[str, Rule] = MappingProxyType(
    {
        **REFERENCE,
        "CONV_2D": _convolution_mve,
        "DEPTHWISE_CONV_2D": _depthwise_mve,
        "FULLY_CONNECTED": _fully_connected_mve,
        "SVDF": _svdf_mve,
        "TRANSPOSE_CONV": _transposed_mve,
        "UNIDIRECTIONAL_SEQUENCE_LSTM": _lstm_cmsis,
    }
)
"""Operator -> what CMSIS-NN's kernel asks for on a core with Helium."""

_SILENT = """
    ABS ADD ARG_MAX ARG_MIN ASSIGN_VARIABLE AVERAGE_POOL_2D BATCH_MATMUL BATCH_TO_SPACE_ND BROADCAST_ARGS
    BROADCAST_TO CALL_ONCE CAST CEIL CONCATENATION COS CUMSUM DEPTH_TO_SPACE DEQUANTIZE DIV DYNAMIC_UPDATE_SLICE
    ELU EMBEDDING_LOOKUP EQUAL EXP EXPAND_DIMS FILL FLOOR FLOOR_DIV FLOOR_MOD GATHER GATHER_ND GREATER
    GREATER_EQUAL HARD_SWISH IF L2_NORMALIZATION L2_POOL_2D LEAKY_RELU LESS LESS_EQUAL LOG LOGICAL_AND LOGICAL_NOT
    LOGICAL_OR LOGISTIC LOG_SOFTMAX MAXIMUM MAX_POOL_2D MINIMUM MUL NEG NOT_EQUAL PACK PAD PADV2 PRELU QUANTIZE
    READ_VARIABLE RELU RELU6 RESHAPE RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR REVERSE_V2 ROUND RSQRT SELECT_V2
    SHAPE SIN SLICE SOFTMAX SPACE_TO_BATCH_ND SPACE_TO_DEPTH SPLIT SPLIT_V SQRT SQUARE SQUARED_DIFFERENCE SQUEEZE
    STRIDED_SLICE SUB TANH TRANSPOSE UNPACK VAR_HANDLE WHILE ZEROS_LIKE custom.SignalDelay custom.SignalEnergy
    custom.SignalFftAutoScale custom.SignalFilterBank custom.SignalFilterBankLog
    custom.SignalFilterBankSpectralSubtraction custom.SignalFilterBankSquareRoot custom.SignalFramer
    custom.SignalOverlapAdd custom.SignalPCAN custom.SignalStacker custom.SignalWindow
"""

SILENT: frozenset[str] = frozenset(_SILENT.split())
"""Operators that the runtime has a kernel for, which asks for no scratch."""

_NOT_COMPUTED_WITH = frozenset(("FLOAT16", "BFLOAT16", "FLOAT64", "COMPLEX64", "COMPLEX128"))
"""Element types that no kernel computes with or changes into others: programs with weights of 16 bits do not run."""

_COPIES = frozenset(("CALL_ONCE", "EXPAND_DIMS", "IF", "RESHAPE", "SQUEEZE", "WHILE"))
"""Operators that copy what they read, whatever it is."""


def scratch_of(subgraph: Subgraph, operator: ProgramOperator, rules: Mapping[str, Rule]) -> Pieces:
    """Return the bytes of each piece of scratch that an operator's kernel asks for.

    Raises:
        UnknownScratchError: It follows from something that is not known, or the runtime has no such kernel.
    """
    read = {subgraph.tensors[i].dtype for i in operator.inputs if i >= 0}
    if operator.op not in _COPIES and (found := read & _NOT_COMPUTED_WITH):
        raise UnknownScratchError(f"the runtime has no kernel that reads {min(found)}")
    rule = rules.get(operator.op)
    if rule is not None:
        return rule(Call(subgraph, operator))
    if operator.op not in SILENT:
        raise UnknownScratchError("the runtime has no kernel for it that memprof knows")
    return ()
