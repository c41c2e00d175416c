"""The MACs of TensorFlow Lite's operators, by the conventions of ``formulas`` and ``free``.

Layouts differ from ONNX's: activations are NHWC, filters OHWI (depthwise 1HWO), fully connected weights (out, in). A
control flow operator costs what ``formulas`` says of ONNX's: branches that cost the same, or a body that costs
none.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from types import MappingProxyType

from memprof.analysis.macs.formulas import Formula, branches, rounds
from memprof.analysis.macs.operation import Operation

_PREFIX = "tfl."


def _convolution(op: Operation) -> int:
    """Each output element sums over one filter: (filters, height, width, channels of a group)."""
    return prod(op.output()) * prod(op.input(1, rank=2)[1:])


def _depthwise(op: Operation) -> int:
    """Filter: (1, height, width, outputs)."""
    return prod(op.output()) * prod(op.input(1, rank=4)[1:3])


def _convolution_3d(op: Operation) -> int:
    """Filter: (depth, height, width, inputs, outputs)."""
    return prod(op.output()) * prod(op.input(1, rank=5)[:4])


def _transposed(op: Operation) -> int:
    """Each element of input 2 is spread by one filter: (outputs, height, width, inputs)."""
    return prod(op.input(2)) * prod(op.input(1, rank=4)[:3])


def _transposed_3d(op: Operation) -> int:
    """Filter: (depth, height, width, outputs, inputs)."""
    return prod(op.input(2)) * prod(op.input(1, rank=5)[:4])


def _fully_connected(op: Operation) -> int:
    return prod(op.output()) * op.input(1, rank=2)[-1]


def _batch_matmul(op: Operation) -> int:
    return prod(op.output()) * op.input(0, rank=2)[-2 if op.integer("adj_x") else -1]


def _svdf(op: Operation) -> int:
    """Each row meets the feature filter once and the time filter over the whole memory."""
    rows = prod(op.input(0, rank=1)[:-1])
    return rows * (prod(op.input(1, rank=2)) + prod(op.input(2, rank=2)))


def _recurrent(op: Operation) -> int:
    """Each weight matrix meets each element of the sequence once; states and biases are no weight matrices."""
    states = _STATES[op.node.op]
    rest = [op.input(i) for i in range(1, len(op.node.inputs)) if i not in states and op.has_input(i)]
    matrices = [prod(shape) for shape in rest if len(shape) == 2]
    return prod(op.input(0, rank=2)[:-1]) * sum(matrices)


_STATES: Mapping[str, tuple[int, ...]] = {
    "tfl.LSTM": (18, 19),
    "tfl.UNIDIRECTIONAL_SEQUENCE_LSTM": (18, 19),
    "tfl.RNN": (4,),
    "tfl.UNIDIRECTIONAL_SEQUENCE_RNN": (4,),
}
"""Inputs that hold a state between steps."""

TFLITE_FORMULAS: Mapping[str, Formula] = MappingProxyType(
    {
        _PREFIX + name: formula
        for name, formula in {
            "BATCH_MATMUL": _batch_matmul,
            "CONV_2D": _convolution,
            "CONV_3D": _convolution_3d,
            "CONV_3D_TRANSPOSE": _transposed_3d,
            "DEPTHWISE_CONV_2D": _depthwise,
            "FULLY_CONNECTED": _fully_connected,
            "IF": branches,
            "LSTM": _recurrent,
            "RNN": _recurrent,
            "SVDF": _svdf,
            "TRANSPOSE_CONV": _transposed,
            "UNIDIRECTIONAL_SEQUENCE_LSTM": _recurrent,
            "UNIDIRECTIONAL_SEQUENCE_RNN": _recurrent,
            "WHILE": rounds,
        }.items()
    }
)
"""Kind of operation -> its formula."""

_FREE = """
    ABS ADD ADD_N ARG_MAX ARG_MIN ASSIGN_VARIABLE ATAN2 AVERAGE_POOL_2D BATCH_TO_SPACE_ND BITCAST BITWISE_XOR
    BROADCAST_ARGS BROADCAST_TO BUCKETIZE CALL_ONCE CAST CEIL COMPLEX_ABS CONCATENATION CONCAT_EMBEDDINGS COS CUMSUM
    DENSIFY DEPTH_TO_SPACE DEQUANTIZE DILATE DIV DYNAMIC_UPDATE_SLICE ELU EMBEDDING_LOOKUP EQUAL EXP EXPAND_DIMS
    FAKE_QUANT FILL FLOOR FLOOR_DIV FLOOR_MOD GATHER GATHER_ND GELU GREATER GREATER_EQUAL HARD_SWISH HASHTABLE
    HASHTABLE_FIND HASHTABLE_IMPORT HASHTABLE_LOOKUP HASHTABLE_SIZE IMAG L2_NORMALIZATION L2_POOL_2D LEAKY_RELU LESS
    LESS_EQUAL LOCAL_RESPONSE_NORMALIZATION LOG LOGICAL_AND LOGICAL_NOT LOGICAL_OR LOGISTIC LOG_SOFTMAX MATRIX_DIAG
    MATRIX_SET_DIAG MAXIMUM MAX_POOL_2D MEAN MINIMUM MIRROR_PAD MUL MULTINOMIAL NEG NON_MAX_SUPPRESSION_V4
    NON_MAX_SUPPRESSION_V5 NOT_EQUAL ONE_HOT PACK PAD PADV2 POW PRELU QUANTIZE RANDOM_STANDARD_NORMAL RANDOM_UNIFORM
    RANGE RANK READ_VARIABLE REAL REDUCE_ALL REDUCE_ANY REDUCE_MAX REDUCE_MIN REDUCE_PROD RELU RELU6 RELU_0_TO_1
    RELU_N1_TO_1 RESHAPE RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR REVERSE_SEQUENCE REVERSE_V2 RIGHT_SHIFT ROUND RSQRT
    SCATTER_ND SEGMENT_SUM SELECT SELECT_V2 SHAPE SIGN SIN SLICE SOFTMAX SPACE_TO_BATCH_ND SPACE_TO_DEPTH
    SPARSE_TO_DENSE SPLIT SPLIT_V SQRT SQUARE SQUARED_DIFFERENCE SQUEEZE STRIDED_SLICE SUB SUM TANH TILE TOPK_V2
    TRANSPOSE UNIQUE UNPACK UNSORTED_SEGMENT_MAX UNSORTED_SEGMENT_MIN UNSORTED_SEGMENT_PROD UNSORTED_SEGMENT_SUM
    VAR_HANDLE WHERE ZEROS_LIKE
"""

TFLITE_FREE: frozenset[str] = frozenset([_PREFIX + name for name in _FREE.split()])
"""Operators that cost nothing by convention. CALL_ONCE is not part of every run."""
