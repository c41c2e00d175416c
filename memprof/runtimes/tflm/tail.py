"""What TensorFlow Lite Micro keeps at the end of the arena: an estimate, since it depends on the build.

    what                                          counted as
    variables, values of resources                their bytes
    a record per tensor and per operator          by the width of a pointer
    inputs and outputs                            a full tensor record each, and its quantisation
    a multiplier and a shift per output channel   8 bytes each, for convolutions
    the kernels' own data                         per operator, as measured in a 64-bit build; two thirds of it in a
                                                  32-bit one, where most of it are numbers and not pointers

Against a 64-bit build on 183 files half are exact and the worst is 11 % off; against a 32-bit one on 18 files the
median error is 5 %, the worst 26 % (many PRELU): see docs/boards.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from memprof.ir.program import Program, ProgramOperator, Subgraph
from memprof.runtimes.tflm.lifetimes import ALIGNMENT, Needs, tensor_bytes
from memprof.runtimes.tflm.scratch import Call, UnknownScratchError, shape_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """Sizes of the runtime's records in one kind of build, in bytes.

    Attributes:
        pointer_bytes: Width of a pointer.
        fixed: What every interpreter takes.
        tensor: Per tensor.
        operator: Per operator.
        interface: Per input or output.
        quantization: Per quantised input or output.
        scratch: Per piece of scratch.
        planned: Per tensor or piece of scratch, while the plan is made.
        placed: Per buffer that is placed, while the plan is made.
        kernel_share: Of what kernels take in a 64-bit build, in percent.
    """

    pointer_bytes: int
    fixed: int
    tensor: int
    operator: int
    interface: int
    quantization: int
    scratch: int
    planned: int
    placed: int
    kernel_share: int


BUILD_32 = Build(
    pointer_bytes=4,
    fixed=152,
    tensor=12,
    operator=32,
    interface=40,
    quantization=20,
    scratch=4,
    planned=24,
    placed=36,
    kernel_share=67,
)
"""A microcontroller."""

BUILD_64 = Build(
    pointer_bytes=8,
    fixed=488,
    tensor=24,
    operator=64,
    interface=64,
    quantization=32,
    scratch=8,
    planned=32,
    placed=36,
    kernel_share=100,
)
"""The runtime's wheel for Python on a desktop."""

_KERNEL_BYTES: Mapping[str, int] = {
    "ADD": 88,
    "ASSIGN_VARIABLE": 60,
    "AVERAGE_POOL_2D": 64,
    "BATCH_MATMUL": 272,
    "CONCATENATION": 58,
    "CONV_2D": 128,
    "DEPTHWISE_CONV_2D": 130,
    "ELU": 296,
    "EXPAND_DIMS": 10,
    "FULLY_CONNECTED": 108,
    "L2_POOL_2D": 96,
    "LEAKY_RELU": 48,
    "LOGISTIC": 42,
    "MAX_POOL_2D": 72,
    "MEAN": 60,
    "MUL": 80,
    "NEG": 0,
    "PAD": 66,
    "PRELU": 22,
    "READ_VARIABLE": 0,
    "REDUCE_ALL": 80,
    "REDUCE_MAX": 80,
    "REDUCE_MIN": 80,
    "RESHAPE": 16,
    "SLICE": 20,
    "SOFTMAX": 120,
    "SQUARED_DIFFERENCE": 144,
    "STRIDED_SLICE": 144,
    "SUB": 96,
    "SUM": 68,
    "SVDF": 64,
    "TRANSPOSE": 0,
    "TRANSPOSE_CONV": 140,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": 740,
    "VAR_HANDLE": 0,
}
"""An operator's options and its kernel's data in a 64-bit build, without what grows with its channels."""

_OTHER_KERNEL_BYTES = 44
_CUSTOM_KERNEL_BYTES = 300
_SETUP_BYTES = 160
_CHANNEL_AXIS = {"CONV_2D": 0, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 0, "TRANSPOSE_CONV": 0}
_SOFTMAX_TABLES_BYTES = 2 * 1026 + 16
_PER_CHANNEL_BYTES = 8


def tail_bytes(program: Program, needs: Needs, build: Build) -> int:
    """Return an estimate of the bytes that stay at the end of the arena.

    Args:
        program: What the runtime loads.
        needs: What it places, see ``memprof.runtimes.tflm.lifetimes``.
        build: Sizes of its records.
    """
    total = build.fixed + build.scratch * sum(need.tensor < 0 for need in needs.buffers)
    kernels = 0
    for subgraph in program.subgraphs:
        total += build.tensor * len(subgraph.tensors) + build.operator * len(subgraph.operators)
        total += sum(_aligned(tensor_bytes(tensor) or 0) for tensor in subgraph.tensors if tensor.is_variable)
        for operator in subgraph.operators:
            kernels += _kernel_bytes(operator.op)
            total += _channel_bytes(subgraph, operator)
    main = program.subgraphs[0]
    for number in (*main.inputs, *main.outputs):
        total += build.interface + (build.quantization if main.tensors[number].scales else 0)
    total += _resource_bytes(program)
    return _aligned(total + kernels * build.kernel_share // 100)


def least_tail_bytes(program: Program) -> int:
    """Return what stays at the end of the arena in any build: variables, and a multiplier and a shift per channel."""
    total = 0
    for subgraph in program.subgraphs:
        total += sum(tensor_bytes(tensor) or 0 for tensor in subgraph.tensors if tensor.is_variable)
        total += sum(_channel_bytes(subgraph, operator) for operator in subgraph.operators)
    return total


def setup_bytes(program: Program, needs: Needs, build: Build) -> int:
    """Return an estimate of what planning takes for the time it lasts, where the head will be.

    Where tensors are many and small this is more than the head, and decides what arena a model loads in.
    """
    records = sum(len(subgraph.tensors) for subgraph in program.subgraphs)
    records += sum(need.tensor < 0 for need in needs.buffers)
    taken = build.pointer_bytes * len(program.subgraphs) + build.planned * records
    return _aligned(taken + build.placed * len(needs.buffers) + _SETUP_BYTES)


def _kernel_bytes(op: str) -> int:
    return _KERNEL_BYTES.get(op, _CUSTOM_KERNEL_BYTES if op.startswith("custom.") else _OTHER_KERNEL_BYTES)


def _aligned(size: int) -> int:
    return size + -size % ALIGNMENT


def _channel_bytes(subgraph: Subgraph, operator: ProgramOperator) -> int:
    """Return what grows with the channels, whatever the type, and the tables of a 16-bit softmax."""
    call = Call(subgraph, operator)
    try:
        if operator.op == "SOFTMAX":
            return _SOFTMAX_TABLES_BYTES if call.input(0).dtype == "INT16" else 0
        if operator.op == "FULLY_CONNECTED" and call.input(1).scales <= 1:
            return 0
        axis = _CHANNEL_AXIS.get(operator.op)
        return 0 if axis is None else _PER_CHANNEL_BYTES * shape_of(call.input(1))[axis]
    except (UnknownScratchError, IndexError):
        return 0


def _resource_bytes(program: Program) -> int:
    """Return the bytes of the values that resources hold: each is assigned in the subgraph that runs every time."""
    main = program.subgraphs[0]
    total = 0
    for operator in main.operators:
        if operator.op == "ASSIGN_VARIABLE" and len(operator.inputs) > 1 and operator.inputs[1] >= 0:
            total += _aligned(tensor_bytes(main.tensors[operator.inputs[1]]) or 0) + 8
    return total
