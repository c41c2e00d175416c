"""One operation each, with inputs, outputs or attributes that it does not allow: a table of operations times flaws.

The shape of what each node writes is recorded, so that every rule behind inference meets it; another, honest node
beside it has a known size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

from onnx import AttributeProto, ModelProto, TensorProto

from tests.onnx_models import model, node, tensor

OPERATIONS: Mapping[str, tuple[int, tuple[str, ...]]] = MappingProxyType(
    {
        "AveragePool": (1, ("kernel_shape", "pads", "strides", "ceil_mode", "auto_pad")),
        "BatchNormalization": (5, ("epsilon", "training_mode")),
        "Concat": (3, ("axis",)),
        "Conv": (3, ("group", "pads", "strides", "dilations", "kernel_shape", "auto_pad")),
        "ConvTranspose": (3, ("group", "pads", "strides", "output_shape", "output_padding")),
        "DepthToSpace": (1, ("blocksize", "mode")),
        "DequantizeLinear": (3, ("axis",)),
        "Einsum": (2, ("equation",)),
        "Expand": (2, ()),
        "Flatten": (1, ("axis",)),
        "GRU": (6, ("hidden_size", "direction", "layout", "linear_before_reset")),
        "Gather": (2, ("axis",)),
        "Gemm": (3, ("transA", "transB", "alpha")),
        "InstanceNormalization": (3, ("epsilon",)),
        "LRN": (1, ("size", "alpha")),
        "LSTM": (8, ("hidden_size", "direction", "layout")),
        "LayerNormalization": (3, ("axis", "stash_type")),
        "MatMul": (2, ()),
        "MaxPool": (1, ("kernel_shape", "pads", "strides", "storage_order")),
        "MeanVarianceNormalization": (1, ("axes",)),
        "OneHot": (3, ("axis",)),
        "Pad": (4, ("mode",)),
        "QLinearConv": (9, ("group", "pads")),
        "QLinearMatMul": (8, ()),
        "RNN": (6, ("hidden_size", "direction")),
        "ReduceSum": (2, ("keepdims", "noop_with_empty_axes")),
        "Reshape": (2, ("allowzero",)),
        "Resize": (4, ("mode", "antialias", "axes")),
        "Slice": (5, ()),
        "Softmax": (1, ("axis",)),
        "SpaceToDepth": (1, ("blocksize",)),
        "Split": (2, ("axis", "num_outputs")),
        "Squeeze": (2, ()),
        "Sum": (4, ()),
        "Tile": (2, ()),
        "TopK": (2, ("axis", "largest")),
        "Transpose": (1, ("perm",)),
        "Unsqueeze": (2, ()),
        "Upsample": (2, ("mode",)),
        "Where": (3, ()),
    }
)
"""Operation -> how many inputs it is given, and attributes that decide its shapes or its memory."""

_Shape = tuple[int | str | None, ...]


def _made(op: str, shape: _Shape, *, inputs: int | None = None, outputs: int = 1, kind: int = 0) -> ModelProto:
    count, names = OPERATIONS[op]
    reads = [f"x{i}" for i in range(count if inputs is None else inputs)]
    found = node(op, reads, [f"y{i}" for i in range(outputs)])
    if kind:
        found.attribute.extend(_attribute(name, kind) for name in names)
    given = [tensor(name, shape) for name in reads] + [tensor("z", [4])]
    made = model([found, node("Relu", ["z"], ["w"])], inputs=given, outputs=[*found.output, "w"])
    for i in range(outputs):
        made.graph.output[i].CopyFrom(tensor(f"y{i}", [1, 2, 3]))
    return made


def _attribute(name: str, kind: int) -> AttributeProto:
    found = AttributeProto(name=name, type=kind)
    if kind == AttributeProto.INTS:
        found.ints.extend((2**62, -(2**62), 0))
    elif kind == AttributeProto.INT:
        found.i = 0
    elif kind == AttributeProto.TENSOR:
        found.t.CopyFrom(TensorProto(data_type=7, dims=[2], int64_data=[1, 2]))
    elif kind == AttributeProto.STRING:
        found.s = b"\xff"
    return found


FLAWS: Mapping[str, Callable[[str], ModelProto]] = MappingProxyType(
    {
        "scalars": lambda op: _made(op, ()),
        "vectors": lambda op: _made(op, (3,)),
        "rank_7": lambda op: _made(op, (1,) * 7),
        "nothing": lambda op: _made(op, (0, 3, 0, 2)),
        "nothing_and_a_symbol": lambda op: _made(op, (0, "n", 4, 4)),
        "no_inputs": lambda op: _made(op, (1, 2, 3), inputs=0),
        "twenty_inputs": lambda op: _made(op, (1, 2, 3), inputs=20),
        "no_outputs": lambda op: _made(op, (1, 2, 3), outputs=0),
        "nine_outputs": lambda op: _made(op, (1, 2, 3), outputs=9),
        "lists_of_huge_integers": lambda op: _made(op, (1, 3, 8, 8), kind=AttributeProto.INTS),
        "zeros": lambda op: _made(op, (1, 3, 8, 8), kind=AttributeProto.INT),
        "texts": lambda op: _made(op, (1, 3, 8, 8), kind=AttributeProto.STRING),
        "tensors": lambda op: _made(op, (1, 3, 8, 8), kind=AttributeProto.TENSOR),
    }
)
"""What is wrong with the node -> the model that has it."""


def odd_nodes() -> Iterator[tuple[str, bytes]]:
    """Yield every operation with every flaw: a name and the bytes of a file."""
    for op in OPERATIONS:
        for flaw, make in FLAWS.items():
            yield f"{op}_{flaw}", make(op).SerializeToString()
