"""What kernels of LiteRT take from the arena beside their tensors, and where that is not known.

Sources: tflite/kernels (2026), and the addresses that ai-edge-litert 2.3.0 hands out for one operator at a time, of
floats, 8 and 16 bits: see docs/boards.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod

from memprof.ir.program import Content, ProgramOperator, ProgramTensor, Subgraph

_DENSE = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"})
_PLAIN_TYPES = frozenset(
    {
        ("FLOAT32", "FLOAT32"),
        ("FLOAT32", "FLOAT16"),
        ("INT8", "INT8"),
        ("INT8", "INT4"),
        ("INT8", "INT2"),
        ("INT16", "INT8"),
        ("INT16", "INT4"),
        ("UINT8", "UINT8"),
    }
)

_PROVEN = """
    ABS ADD ADD_N ARG_MAX ARG_MIN ASSIGN_VARIABLE AVERAGE_POOL_2D BATCH_MATMUL BATCH_TO_SPACE_ND BROADCAST_ARGS
    BROADCAST_TO CALL_ONCE CAST CEIL CONCATENATION CONV_2D COS CUMSUM DENSIFY DEPTHWISE_CONV_2D DEPTH_TO_SPACE
    DEQUANTIZE DIV DYNAMIC_UPDATE_SLICE ELU EMBEDDING_LOOKUP EQUAL EXP EXPAND_DIMS FILL FLOOR FLOOR_DIV
    FLOOR_MOD FULLY_CONNECTED GATHER GATHER_ND GELU GREATER GREATER_EQUAL HARD_SWISH L2_NORMALIZATION L2_POOL_2D
    LEAKY_RELU LESS LESS_EQUAL LOG LOGICAL_AND LOGICAL_NOT LOGICAL_OR LOGISTIC LOG_SOFTMAX MAXIMUM MAX_POOL_2D
    MEAN MINIMUM MIRROR_PAD MUL NEG NOT_EQUAL PACK PAD PADV2 POW PRELU QUANTIZE RANK READ_VARIABLE REDUCE_ALL
    REDUCE_ANY REDUCE_MAX REDUCE_MIN REDUCE_PROD RELU RELU6 RESHAPE RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR
    REVERSE_V2 ROUND RSQRT SELECT SELECT_V2 SHAPE SIGN SIN SLICE SOFTMAX SPACE_TO_BATCH_ND SPACE_TO_DEPTH SPLIT
    SPLIT_V SQRT SQUARE SQUARED_DIFFERENCE SQUEEZE STRIDED_SLICE SUB SUM SVDF TANH TILE TOPK_V2 TRANSPOSE
    TRANSPOSE_CONV UNIDIRECTIONAL_SEQUENCE_LSTM UNPACK VAR_HANDLE ZEROS_LIKE
"""

PROVEN: frozenset[str] = frozenset(_PROVEN.split())
"""Operators of which it is known what they take besides their tensors."""


def taken(subgraph: Subgraph, operator: ProgramOperator) -> tuple[int, ...]:
    """Return the bytes of each block that a kernel takes while it runs."""
    return _found(subgraph, operator) or ()


def _found(subgraph: Subgraph, operator: ProgramOperator) -> tuple[int, ...] | None:
    """Return what ``taken`` does, ``None`` if the operator does not have what its kernel reads and writes."""
    rule = _TAKES.get(operator.op)
    known = all(
        subgraph.tensors[i].type.size_bytes is not None for i in (*operator.inputs, *operator.outputs) if i >= 0
    )
    try:
        return rule(subgraph, operator) if rule is not None and known else ()
    except (IndexError, ValueError):
        return None


def _tensor(subgraph: Subgraph, i: int) -> ProgramTensor:
    """Return a tensor.

    Raises:
        IndexError: It is left out.
    """
    if i < 0:
        raise IndexError
    return subgraph.tensors[i]


def _shape(subgraph: Subgraph, i: int) -> tuple[int, ...]:
    return tuple([size for size in _tensor(subgraph, i).type.shape or () if isinstance(size, int)])


def _unfolded(subgraph: Subgraph, operator: ProgramOperator) -> tuple[int, ...]:
    """A convolution that is not pointwise copies a patch per output element."""
    if len(operator.inputs) < 2 or not operator.outputs:
        return ()
    filters, output = _shape(subgraph, operator.inputs[1]), _shape(subgraph, operator.outputs[0])
    steps = [operator.options[name] for name in ("stride_w", "stride_h", "dilation_w", "dilation_h")]
    if len(filters) != 4 or len(output) != 4 or (steps == [1, 1, 1, 1] and filters[1:3] == (1, 1)):
        return ()
    data = _tensor(subgraph, operator.inputs[0]).type
    width = (data.size_bytes or 0) // max(1, data.element_count or 1)
    return (prod(output[:3]) * prod(filters[1:]) * width,)


def _summed(subgraph: Subgraph, operator: ProgramOperator) -> tuple[int, ...]:
    return (*_counted(subgraph, operator), prod(_shape(subgraph, operator.outputs[0])) * 4)


def _counted(subgraph: Subgraph, operator: ProgramOperator) -> tuple[int, ...]:
    """A counter per axis of the input, and the axes that are reduced."""
    data, axes = operator.inputs[0], operator.inputs[1]
    return len(_shape(subgraph, data)) * 4, prod(_shape(subgraph, axes)) * 4


def _added(subgraph: Subgraph, operator: ProgramOperator) -> tuple[int, ...]:
    return (_tensor(subgraph, operator.outputs[0]).type.size_bytes or 0,)


def _filtered(subgraph: Subgraph, operator: ProgramOperator) -> tuple[int, ...]:
    """An SVDF holds one number per filter; of 8 bits, the sums of its units too."""
    data, filters = (_tensor(subgraph, i) for i in operator.inputs[:2])
    batch = (_shape(subgraph, operator.inputs[0]) or (0,))[0]
    found = (batch * (_shape(subgraph, operator.inputs[1]) or (0,))[0] * 4,)
    if data.dtype == filters.dtype == "FLOAT32":
        return found
    return (*found, prod(_shape(subgraph, operator.outputs[0])) * 4)


def _gated(subgraph: Subgraph, operator: ProgramOperator) -> tuple[int, ...]:
    """Of floats four gates, what comes out and sixteen numbers more, for each of a batch; of 8 bits six buffers."""
    state = _shape(subgraph, operator.inputs[18])
    if len(state) != 2:
        return ()
    if _tensor(subgraph, operator.inputs[0]).dtype == "INT8":
        return tuple([width * prod(state) for width in (2, 2, 2, 2, 1, 4)])
    return (state[0] * (5 * state[1] + 16) * 4,)


def _transposed(subgraph: Subgraph, operator: ProgramOperator) -> tuple[int, ...]:
    """Both factors; a constant one once and for all, in another arena."""
    sizes = [_tensor(subgraph, i).type.size_bytes or 0 for i in operator.inputs[:2]]
    return tuple(sizes if _tensor(subgraph, operator.inputs[1]).content is Content.NONE else sizes[:1])


_TAKES: Mapping[str, Callable[[Subgraph, ProgramOperator], tuple[int, ...]]] = {
    "ADD_N": _added,
    "BATCH_MATMUL": _transposed,
    "CONV_2D": _unfolded,
    "MEAN": _summed,
    "REDUCE_ALL": _counted,
    "REDUCE_ANY": _counted,
    "REDUCE_MAX": _counted,
    "REDUCE_MIN": _counted,
    "REDUCE_PROD": _summed,
    "SUM": _summed,
    "SVDF": _filtered,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": _gated,
}


def doubt(subgraph: Subgraph, operator: ProgramOperator) -> str:
    """Return why an operator may take more than is counted, empty if it does not."""
    if operator.op not in PROVEN:
        return f"{operator.op}: what its kernel takes is not known"
    if _found(subgraph, operator) is None:
        return f"{operator.op}: it lacks what its kernel reads or writes"
    for position in _SIZED_BY.get(operator.op, ()):
        i = operator.inputs[position] if position < len(operator.inputs) else -1
        if i >= 0 and subgraph.tensors[i].content is Content.NONE:
            return f"{operator.op}: a size follows from data"
    if operator.op == "UNIDIRECTIONAL_SEQUENCE_LSTM":
        return _doubt_of_lstm(subgraph, operator)
    if operator.op not in _DENSE or len(operator.inputs) < 2:
        return ""
    data, filters = (subgraph.tensors[i] for i in operator.inputs[:2])
    is_plain = (data.dtype, filters.dtype) in _PLAIN_TYPES
    return "" if is_plain else f"{operator.op}: {data.dtype} data with {filters.dtype} weights"


def _doubt_of_lstm(subgraph: Subgraph, operator: ProgramOperator) -> str:
    """Known are those of floats and of 8 bits with four gates and no projection."""
    present = [i >= 0 for i in operator.inputs]
    is_plain = len(present) >= 20 and present[1] and not any((*present[9:12], *present[16:18], *present[20:]))
    if is_plain and subgraph.tensors[operator.inputs[0]].dtype in {"FLOAT32", "INT8"}:
        types = {subgraph.tensors[i].dtype for i in operator.inputs[:9] if i >= 0}
        return "" if len(types) == 1 else f"{operator.op}: weights of another type than its data"
    return f"{operator.op}: of a kind whose scratch is not known"


_SIZED_BY: Mapping[str, tuple[int, ...]] = {
    "ARG_MAX": (1,),
    "ARG_MIN": (1,),
    "BATCH_TO_SPACE_ND": (1, 2),
    "BROADCAST_TO": (1,),
    "EXPAND_DIMS": (1,),
    "FILL": (0,),
    "MEAN": (1,),
    "MIRROR_PAD": (1,),
    "PAD": (1,),
    "PADV2": (1,),
    "REDUCE_ALL": (1,),
    "REDUCE_ANY": (1,),
    "REDUCE_MAX": (1,),
    "REDUCE_MIN": (1,),
    "REDUCE_PROD": (1,),
    "RESHAPE": (1,),
    "RESIZE_BILINEAR": (1,),
    "RESIZE_NEAREST_NEIGHBOR": (1,),
    "SLICE": (1, 2),
    "SPACE_TO_BATCH_ND": (1, 2),
    "SPLIT": (0,),
    "SPLIT_V": (1, 2),
    "STRIDED_SLICE": (1, 2, 3),
    "SUM": (1,),
    "TILE": (1,),
    "TOPK_V2": (1,),
    "TRANSPOSE": (1,),
    "TRANSPOSE_CONV": (0,),
}
"""Inputs that say how large the output is: where one is worked out in the run, the output is in the heap."""
