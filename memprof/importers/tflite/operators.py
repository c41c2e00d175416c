"""The operators and element types that the schema of .tflite files numbers, by number.

Source: schema.fbs of TensorFlow Lite, enumerations ``BuiltinOperator`` and ``TensorType``. A number beyond them
belongs to a newer schema: the operator is named by its number, the size of the tensor stays unknown.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

_OPERATORS = """
    ADD AVERAGE_POOL_2D CONCATENATION CONV_2D DEPTHWISE_CONV_2D DEPTH_TO_SPACE DEQUANTIZE EMBEDDING_LOOKUP FLOOR
    FULLY_CONNECTED HASHTABLE_LOOKUP L2_NORMALIZATION L2_POOL_2D LOCAL_RESPONSE_NORMALIZATION LOGISTIC
    LSH_PROJECTION LSTM MAX_POOL_2D MUL RELU RELU_N1_TO_1 RELU6 RESHAPE RESIZE_BILINEAR RNN SOFTMAX SPACE_TO_DEPTH
    SVDF TANH CONCAT_EMBEDDINGS SKIP_GRAM CALL CUSTOM EMBEDDING_LOOKUP_SPARSE PAD UNIDIRECTIONAL_SEQUENCE_RNN
    GATHER BATCH_TO_SPACE_ND SPACE_TO_BATCH_ND TRANSPOSE MEAN SUB DIV SQUEEZE UNIDIRECTIONAL_SEQUENCE_LSTM
    STRIDED_SLICE BIDIRECTIONAL_SEQUENCE_RNN EXP TOPK_V2 SPLIT LOG_SOFTMAX DELEGATE BIDIRECTIONAL_SEQUENCE_LSTM
    CAST PRELU MAXIMUM ARG_MAX MINIMUM LESS NEG PADV2 GREATER GREATER_EQUAL LESS_EQUAL SELECT SLICE SIN
    TRANSPOSE_CONV SPARSE_TO_DENSE TILE EXPAND_DIMS EQUAL NOT_EQUAL LOG SUM SQRT RSQRT SHAPE POW ARG_MIN
    FAKE_QUANT REDUCE_PROD REDUCE_MAX PACK LOGICAL_OR ONE_HOT LOGICAL_AND LOGICAL_NOT UNPACK REDUCE_MIN FLOOR_DIV
    REDUCE_ANY SQUARE ZEROS_LIKE FILL FLOOR_MOD RANGE RESIZE_NEAREST_NEIGHBOR LEAKY_RELU SQUARED_DIFFERENCE
    MIRROR_PAD ABS SPLIT_V UNIQUE CEIL REVERSE_V2 ADD_N GATHER_ND COS WHERE RANK ELU REVERSE_SEQUENCE MATRIX_DIAG
    QUANTIZE MATRIX_SET_DIAG ROUND HARD_SWISH IF WHILE NON_MAX_SUPPRESSION_V4 NON_MAX_SUPPRESSION_V5 SCATTER_ND
    SELECT_V2 DENSIFY SEGMENT_SUM BATCH_MATMUL PLACEHOLDER_FOR_GREATER_OP_CODES CUMSUM CALL_ONCE BROADCAST_TO
    RFFT2D CONV_3D IMAG REAL COMPLEX_ABS HASHTABLE HASHTABLE_FIND HASHTABLE_IMPORT HASHTABLE_SIZE REDUCE_ALL
    CONV_3D_TRANSPOSE VAR_HANDLE READ_VARIABLE ASSIGN_VARIABLE BROADCAST_ARGS RANDOM_STANDARD_NORMAL BUCKETIZE
    RANDOM_UNIFORM MULTINOMIAL GELU DYNAMIC_UPDATE_SLICE RELU_0_TO_1 UNSORTED_SEGMENT_PROD UNSORTED_SEGMENT_MAX
    UNSORTED_SEGMENT_SUM ATAN2 UNSORTED_SEGMENT_MIN SIGN BITCAST BITWISE_XOR RIGHT_SHIFT STABLEHLO_LOGISTIC
    STABLEHLO_ADD STABLEHLO_DIVIDE STABLEHLO_MULTIPLY STABLEHLO_MAXIMUM STABLEHLO_RESHAPE STABLEHLO_CLAMP
    STABLEHLO_CONCATENATE STABLEHLO_BROADCAST_IN_DIM STABLEHLO_CONVOLUTION STABLEHLO_SLICE STABLEHLO_CUSTOM_CALL
    STABLEHLO_REDUCE STABLEHLO_ABS STABLEHLO_AND STABLEHLO_COSINE STABLEHLO_EXPONENTIAL STABLEHLO_FLOOR
    STABLEHLO_LOG STABLEHLO_MINIMUM STABLEHLO_NEGATE STABLEHLO_OR STABLEHLO_POWER STABLEHLO_REMAINDER
    STABLEHLO_RSQRT STABLEHLO_SELECT STABLEHLO_SUBTRACT STABLEHLO_TANH STABLEHLO_SCATTER STABLEHLO_COMPARE
    STABLEHLO_CONVERT STABLEHLO_DYNAMIC_SLICE STABLEHLO_DYNAMIC_UPDATE_SLICE STABLEHLO_PAD STABLEHLO_IOTA
    STABLEHLO_DOT_GENERAL STABLEHLO_REDUCE_WINDOW STABLEHLO_SORT STABLEHLO_WHILE STABLEHLO_GATHER
    STABLEHLO_TRANSPOSE DILATE STABLEHLO_RNG_BIT_GENERATOR REDUCE_WINDOW STABLEHLO_COMPOSITE STABLEHLO_SHIFT_LEFT
    STABLEHLO_CBRT STABLEHLO_CASE
"""

OPERATORS: tuple[str, ...] = tuple(_OPERATORS.split())
"""Builtin operators by number."""

CUSTOM = OPERATORS.index("CUSTOM")

DTYPES: tuple[tuple[str, str], ...] = (
    ("FLOAT32", "float32"),
    ("FLOAT16", "float16"),
    ("INT32", "int32"),
    ("UINT8", "uint8"),
    ("INT64", "int64"),
    ("STRING", "packed string"),
    ("BOOL", "bool"),
    ("INT16", "int16"),
    ("COMPLEX64", "complex64"),
    ("INT8", "int8"),
    ("FLOAT64", "float64"),
    ("COMPLEX128", "complex128"),
    ("UINT64", "uint64"),
    ("RESOURCE", "int32"),  # a handle: the number of a variable
    ("VARIANT", "variant"),
    ("UINT32", "uint32"),
    ("UINT16", "uint16"),
    ("INT4", "int4"),
    ("BFLOAT16", "bfloat16"),
    ("INT2", "int2"),
    ("UINT4", "uint4"),
    ("FLOAT8_E4M3FN", "float8e4m3fn"),
    ("FLOAT8_E5M2", "float8e5m2"),
)
"""Element types by number: as the schema names them, and as ``TensorType`` does."""

CALLS: Mapping[str, tuple[int, ...]] = MappingProxyType(
    {
        "IF": (0, 1),  # then, else
        "WHILE": (0, 1),  # condition, body
        "CALL_ONCE": (0,),
        "CALL": (0,),
        "STABLEHLO_WHILE": (0, 1),
        "STABLEHLO_COMPOSITE": (1,),
    }
)
"""Fields of an operator's options that hold the number of a subgraph it runs."""

OPTIONS: Mapping[str, tuple[tuple[str, int, int, int], ...]] = MappingProxyType(
    {
        "CONV_2D": (
            ("padding", 0, 1, 0),
            ("stride_w", 1, 4, 0),
            ("stride_h", 2, 4, 0),
            ("dilation_w", 4, 4, 1),
            ("dilation_h", 5, 4, 1),
        ),
        "DEPTHWISE_CONV_2D": (
            ("padding", 0, 1, 0),
            ("stride_w", 1, 4, 0),
            ("stride_h", 2, 4, 0),
            ("dilation_w", 5, 4, 1),
            ("dilation_h", 6, 4, 1),
        ),
        "TRANSPOSE_CONV": (("padding", 0, 1, 0), ("stride_w", 1, 4, 0), ("stride_h", 2, 4, 0)),
        "AVERAGE_POOL_2D": (
            ("padding", 0, 1, 0),
            ("stride_w", 1, 4, 0),
            ("stride_h", 2, 4, 0),
            ("filter_w", 3, 4, 0),
            ("filter_h", 4, 4, 0),
        ),
        "MAX_POOL_2D": (
            ("padding", 0, 1, 0),
            ("stride_w", 1, 4, 0),
            ("stride_h", 2, 4, 0),
            ("filter_w", 3, 4, 0),
            ("filter_h", 4, 4, 0),
        ),
        "FULLY_CONNECTED": (("weights_format", 1, 1, 0),),
        "BATCH_MATMUL": (("adj_x", 0, 1, 0), ("adj_y", 1, 1, 0)),
        "UNIDIRECTIONAL_SEQUENCE_LSTM": (("time_major", 3, 1, 0),),
    }
)
"""Options that rules ask for: name, number of the field, its bytes (1 or 4) and its default."""

VIEWS: frozenset[str] = frozenset({"RESHAPE", "SQUEEZE", "EXPAND_DIMS"})
"""Operators whose output is their first input under another shape."""

_ELEMENTWISE = """
    ABS ADD CEIL COS DIV ELU EXP FLOOR GELU HARD_SWISH LEAKY_RELU LOG LOGICAL_NOT LOGISTIC MAXIMUM MINIMUM MUL NEG
    POW PRELU RELU RELU6 RELU_0_TO_1 RELU_N1_TO_1 ROUND RSQRT SIGN SIN SQRT SQUARE SQUARED_DIFFERENCE SUB TANH
"""

ELEMENTWISE: frozenset[str] = frozenset(_ELEMENTWISE.split())
"""Operators whose output may take the place of an equally large input."""

_UNFOLDABLE = """
    CALL CALL_ONCE CUSTOM HASHTABLE IF MULTINOMIAL RANDOM_STANDARD_NORMAL RANDOM_UNIFORM READ_VARIABLE
    STABLEHLO_RNG_BIT_GENERATOR STABLEHLO_WHILE VAR_HANDLE WHILE
"""

UNFOLDABLE: frozenset[str] = frozenset(_UNFOLDABLE.split())
"""Operators whose outputs may differ from run to run although all that they read is fixed."""
