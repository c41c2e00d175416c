"""The program that a converter would make of a graph: what TensorFlow Lite Micro would take for a network nobody
converted.

    in the graph                                    in the program
    an activation after its only producer           part of that operator
    Relu, Clip of 0 to 6 elsewhere                  an operator of its own
    a reshape (a view)                              an operator, which copies
    a convolution whose padding TensorFlow has no   a PAD operator in front of it
        word for (neither none nor "same")
    tensors                                         in the element type asked for

An estimate: converters differ. What it has no operator for keeps its name and lowers nothing but its scratch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from memprof.base.errors import UsageError
from memprof.ir import Graph, Node, Role, TensorType
from memprof.ir.program import Content, Program, ProgramOperator, ProgramTensor, Subgraph
from memprof.runtimes.tflm import Arena, find_arena

_NAMES: Mapping[str, str] = MappingProxyType({"int8": "INT8", "int16": "INT16", "float32": "FLOAT32"})
_ACTIVATIONS = frozenset({"Relu", "Relu6", "Clip"})
_FUSING = frozenset({"Add", "AveragePool", "Conv", "Gemm", "MatMul", "MaxPool", "Mul", "Sub"})
_OPERATORS: Mapping[str, str] = MappingProxyType(
    {
        "Add": "ADD",
        "AveragePool": "AVERAGE_POOL_2D",
        "Clip": "RELU6",
        "Concat": "CONCATENATION",
        "Gemm": "FULLY_CONNECTED",
        "GlobalAveragePool": "MEAN",
        "MatMul": "FULLY_CONNECTED",
        "MaxPool": "MAX_POOL_2D",
        "Mul": "MUL",
        "ReduceMean": "MEAN",
        "Relu": "RELU",
        "Sigmoid": "LOGISTIC",
        "Softmax": "SOFTMAX",
        "Sub": "SUB",
    }
)


def tflm_arena(graph: Graph, dtype: str = "int8") -> Arena:
    """Return what TensorFlow Lite Micro takes for a graph: as it is for one of a .tflite file, else once converted.

    Args:
        graph: A network with known sizes, batch 1, such as a candidate of a search.
        dtype: Element type of its tensors after conversion: ``int8``, ``int16`` or ``float32``.

    Raises:
        UsageError: There is no such element type.
    """
    return find_arena(graph.program or program_of(graph, dtype))


def program_of(graph: Graph, dtype: str = "int8") -> Program:
    """Return the program that a converter would make of ``graph``; arguments and errors as ``tflm_arena``."""
    if dtype not in _NAMES:
        raise UsageError(f"There is no conversion to {dtype!r}.", f"Choose from: {', '.join(_NAMES)}.")
    made = _Made(graph, dtype)
    for number, node in enumerate(graph.nodes):
        made.add(number, node)
    main = Subgraph(
        name=graph.name,
        tensors=tuple(made.tensors),
        operators=tuple(made.operators),
        inputs=tuple([made.find(i) for i in graph.inputs]),
        outputs=tuple([made.find(i) for i in graph.outputs]),
    )
    return Program(subgraphs=(main,), file_bytes=graph.parameter_bytes)


@dataclass(slots=True)
class _Made:
    """A program on its way."""

    graph: Graph
    dtype: str
    tensors: list[ProgramTensor] = field(default_factory=list)
    operators: list[ProgramOperator] = field(default_factory=list)
    numbers: dict[int, int] = field(default_factory=dict)

    def find(self, value_id: int) -> int:
        """Return the number of a value's tensor."""
        if value_id not in self.numbers:
            value = self.graph.values[value_id]
            is_fixed = value.role in (Role.PARAMETER, Role.CONSTANT)
            shape = tuple([dim if isinstance(dim, int) else 1 for dim in value.type.shape or ()])
            self.numbers[value_id] = self.tensor(value.name, shape, Content.INSIDE if is_fixed else Content.NONE)
        return self.numbers[value_id]

    def tensor(self, name: str, shape: tuple[int, ...], content: Content = Content.NONE) -> int:
        """Add a tensor; return its number."""
        kind = TensorType(self.dtype, shape)
        self.tensors.append(ProgramTensor(name=name, type=kind, dtype=_NAMES[self.dtype], content=content, scales=1))
        return len(self.tensors) - 1

    def add(self, number: int, node: Node) -> None:
        """Add what becomes of a node."""
        outputs = [i for i in node.outputs if i is not None]
        if outputs and self.graph.values[outputs[0]].role is Role.CONSTANT:
            return
        inputs = [i for i in node.inputs if i is not None]
        if node.op in _ACTIVATIONS and self._is_fused(inputs[0]):
            self._take_over(inputs[0], outputs[0])
            return
        reads, operator = [self.find(i) for i in inputs], self._operator(node, inputs, outputs)
        if operator in ("CONV_2D", "DEPTHWISE_CONV_2D"):
            reads[0] = self._padded(number, node, inputs[0], reads[0])
        if operator == "MEAN" and len(reads) == 1:
            kind = TensorType("int32", (2,))
            axes = ProgramTensor(name=f"axes_{number}", type=kind, dtype="INT32", content=Content.INSIDE)
            self.tensors.append(axes)
            reads.append(len(self.tensors) - 1)
        writes = tuple([self.find(i) for i in outputs])
        self.operators.append(ProgramOperator(op=operator, inputs=tuple(reads), outputs=writes))

    def _operator(self, node: Node, inputs: list[int], outputs: list[int]) -> str:
        if outputs and self.graph.values[outputs[0]].view_of is not None:
            return "RESHAPE"
        if node.op == "Conv":
            data = self.graph.values[inputs[0]].type.shape or ()
            groups = node.attributes.get("group", 1)
            return "DEPTHWISE_CONV_2D" if groups != 1 and len(data) > 1 and groups == data[1] else "CONV_2D"
        return _OPERATORS.get(node.op, node.op)

    def _is_fused(self, value_id: int) -> bool:
        value = self.graph.values[value_id]
        producer = None if value.producer is None else self.graph.nodes[value.producer].op
        is_alone = len(self.graph.consumers[value_id]) == 1 and value_id not in self.graph.outputs
        return is_alone and producer in _FUSING and value_id in self.numbers

    def _take_over(self, before: int, after: int) -> None:
        """Let the operator that writes ``before`` write ``after``."""
        self.numbers[after] = self.numbers[before]

    def _padded(self, number: int, node: Node, value_id: int, tensor: int) -> int:
        """Add a PAD where the padding is neither none nor what TensorFlow calls same; return what is convolved."""
        shape = self.graph.values[value_id].type.shape or ()
        pads = node.attributes.get("pads", (0, 0, 0, 0))
        weights = self.graph.values[next(i for i in node.inputs[1:] if i is not None)].type.shape or ()
        if len(shape) != 4 or not isinstance(pads, tuple) or len(pads) != 4 or not any(pads) or len(weights) != 4:
            return tensor
        strides, dilations = (node.attributes.get(name, (1, 1)) for name in ("strides", "dilations"))
        assert isinstance(strides, tuple) and isinstance(dilations, tuple), "ONNX lists them"
        is_same = True
        for axis in (0, 1):
            size, kernel = shape[2 + axis], weights[2 + axis]
            if not isinstance(size, int) or not isinstance(kernel, int):
                return tensor
            stride, reach = int(strides[axis]), (kernel - 1) * int(dilations[axis]) + 1
            total = max((-(-size // stride) - 1) * stride + reach - size, 0)
            is_same = is_same and (pads[axis], pads[axis + 2]) == (total // 2, total - total // 2)
        if is_same:
            return tensor
        known = [dim if isinstance(dim, int) else 1 for dim in shape]
        around = [int(pads[axis]) + int(pads[axis + 2]) for axis in (0, 1)]
        padded = self.tensor(f"padded_{number}", (*known[:2], known[2] + around[0], known[3] + around[1]))
        self.operators.append(ProgramOperator(op="PAD", inputs=(tensor,), outputs=(padded,)))
        return padded
