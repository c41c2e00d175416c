"""The program that a converter would make of a graph: what TensorFlow Lite Micro would take for a network nobody
converted.

    in the graph                                    in the program
    an activation after its only producer           part of that operator
    Relu, Clip of 0 to 6 elsewhere                  an operator of its own
    a reshape (a view)                              an operator, which copies; none after a mean, which drops axes
    a convolution whose padding TensorFlow has no   a PAD operator in front of it
        word for (neither none nor "same")
    an average over padding                         a PAD operator in front of it, a pool without padding
    a largest value over padding                    the same (PADV2) where TensorFlow has no word for the padding
    the same padding of the same tensor             one operator
    a concatenation that one other alone reads      part of that one
    a concatenation of integers                     all it joins in its scale: an input that others read too, or a
                                                        pool's, which has its input's scale, is quantised once more
    a convolution of one channel                    a depthwise one
    tensors                                         in the element type asked for

An estimate: converters differ. What it has no operator for keeps its name and lowers nothing but its scratch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from memprof.base.errors import UsageError
from memprof.ir import Graph, Node, Role, TensorType
from memprof.ir.program import Content, Program, ProgramOperator, ProgramTensor, Subgraph
from memprof.runtimes.tflm.arena import Arena, find_arena
from memprof.runtimes.tflm.scratch import CMSIS_NN, CMSIS_NN_MVE, REFERENCE, Rule

_NAMES: Mapping[str, str] = MappingProxyType({"int8": "INT8", "int16": "INT16", "float32": "FLOAT32"})
_ACTIVATIONS = frozenset({"Relu", "Relu6", "Clip"})
_SAME, _VALID = 0, 1
_TIED = frozenset({"AveragePool", "MaxPool"})
"""Operators whose output has the scale of their input: it cannot take that of its reader."""

_FUSING = frozenset({"Add", "AveragePool", "Conv", "Gemm", "MatMul", "MaxPool", "Mul", "Sub"})
KERNELS: Mapping[str, Mapping[str, Rule]] = MappingProxyType(
    {"portable": REFERENCE, "cmsis-nn": CMSIS_NN, "cmsis-nn-mve": CMSIS_NN_MVE}
)
"""Sets of kernels that a core runs, by name."""

_BYTES_PER_TENSOR: Mapping[str, int] = MappingProxyType({"int8": 722, "int16": 722, "float32": 598})
"""Of a file besides its weights, by tensor: of 48 files that litert-torch 0.10 and ai-edge-quantizer 0.10 made of
candidates, the whole file is within 9 % of it in the median and within 23 % at worst."""

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


def tflm_arena(graph: Graph, dtype: str = "int8", kernels: str = "portable") -> Arena:
    """Return what TensorFlow Lite Micro takes for a graph: as it is for one of a .tflite file, else once converted.

    Args:
        graph: A network with known sizes, batch 1, such as a candidate of a search.
        dtype: Element type of its tensors after conversion: ``int8``, ``int16`` or ``float32``.
        kernels: What the core runs: ``portable``, ``cmsis-nn`` or ``cmsis-nn-mve``.

    Raises:
        UsageError: There is no such element type or set of kernels.
    """
    if kernels not in KERNELS:
        raise UsageError(f"There are no kernels {kernels!r}.", f"Choose from: {', '.join(KERNELS)}.")
    return find_arena(graph.program or program_of(graph, dtype), KERNELS[kernels])


@dataclass(frozen=True, slots=True)
class Converted:
    """What a converter would make of a graph.

    Attributes:
        program: The program.
        nodes: For each of its operators the id of the node that it stands for.
    """

    program: Program
    nodes: tuple[int, ...]


def dtype_of(graph: Graph) -> str:
    """Return the element type that a graph would have after conversion: its inputs', else float32."""
    dtypes = {graph.values[i].type.dtype for i in graph.inputs}
    found = (dtypes.pop() if len(dtypes) == 1 else None) or ""
    return found if found in _NAMES else "float32"


def is_sized(graph: Graph) -> bool:
    """Tell whether the size of every tensor is known, and nothing runs bodies."""
    return all(value.type.size_bytes is not None for value in graph.values) and not any(
        node.bodies for node in graph.nodes
    )


def program_of(graph: Graph, dtype: str = "int8") -> Program:
    """Return the program that a converter would make of ``graph``; arguments and errors as ``tflm_arena``."""
    return convert(graph, dtype).program


def convert(graph: Graph, dtype: str) -> Converted:
    """Return what a converter would make of ``graph``; arguments and errors as ``tflm_arena``."""
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
    return Converted(Program(subgraphs=(main,), file_bytes=_file_bytes(main, dtype)), tuple(made.nodes))


def _file_bytes(main: Subgraph, dtype: str) -> int:
    """Return about what the file would take: weights, and what it says of each tensor, most of it its name."""
    weights = sum(tensor.type.size_bytes or 0 for tensor in main.tensors if tensor.content is not Content.NONE)
    return weights + len(main.tensors) * _BYTES_PER_TENSOR[dtype]


@dataclass(slots=True)
class _Made:
    """A program on its way."""

    graph: Graph
    dtype: str
    tensors: list[ProgramTensor] = field(default_factory=list)
    operators: list[ProgramOperator] = field(default_factory=list)
    nodes: list[int] = field(default_factory=list)
    joined: dict[int, tuple[int, ...]] = field(default_factory=dict)
    padded: dict[tuple[str, int, tuple[int, ...]], int] = field(default_factory=dict)
    numbers: dict[int, int] = field(default_factory=dict)

    def _is_fixed(self, value_id: int) -> bool:
        return self.graph.values[value_id].role in (Role.PARAMETER, Role.CONSTANT)

    def find(self, value_id: int) -> int:
        """Return the number of a value's tensor."""
        if value_id not in self.numbers:
            value = self.graph.values[value_id]
            is_fixed = self._is_fixed(value_id)
            shape = tuple([dim if isinstance(dim, int) else 1 for dim in value.type.shape or ()])
            self.numbers[value_id] = self.tensor(value.name, shape, Content.INSIDE if is_fixed else Content.NONE)
        return self.numbers[value_id]

    def tensor(
        self, name: str, shape: tuple[int, ...], content: Content = Content.NONE, scales: int | None = None
    ) -> int:
        """Add a tensor, an image with its channels last; return its number."""
        kind = TensorType(self.dtype, (shape[0], *shape[2:], shape[1]) if len(shape) == 4 else shape)
        count = 0 if self.dtype == "float32" else 1 if scales is None else scales
        self.tensors.append(
            ProgramTensor(name=name, type=kind, dtype=_NAMES[self.dtype], content=content, scales=count)
        )
        return len(self.tensors) - 1

    def _filter(self, value_id: int, operator: str) -> int:
        """Return the number of the tensor of a convolution's weights or bias: a scale for each channel it writes."""
        if value_id not in self.numbers:
            value = self.graph.values[value_id]
            shape = tuple([dim if isinstance(dim, int) else 1 for dim in value.type.shape or ()])
            channels = shape[0] if shape else 1
            if (
                len(shape) == 4 and operator == "DEPTHWISE_CONV_2D"
            ):  # TensorFlow lists its filters as the channels of one
                shape = (1, channels, *shape[2:])
            self.numbers[value_id] = self.tensor(value.name, shape, Content.INSIDE, channels)
        return self.numbers[value_id]

    def add(self, number: int, node: Node) -> None:
        """Add what becomes of a node."""
        outputs = [i for i in node.outputs if i is not None]
        if outputs and self.graph.values[outputs[0]].role is Role.CONSTANT:
            return
        inputs = [i for i in node.inputs if i is not None]
        is_fused = node.op in _ACTIVATIONS and self._is_fused(inputs[0])
        if is_fused or self._only_drops_axes(inputs, outputs):
            self._take_over(inputs[0], outputs[0])
            return
        if node.op == "Concat":
            inputs = [each for i in inputs for each in self.joined.get(i, (i,))]
            if self._is_joined_on(outputs[0], node):
                self.joined[outputs[0]] = tuple(inputs)
                return
        fixed = inputs[1:] if node.op == "Conv" else ()
        operator = self._operator(node, inputs, outputs)
        reads = [self._filter(i, operator) if i in fixed and self._is_fixed(i) else self.find(i) for i in inputs]
        if operator in ("CONV_2D", "DEPTHWISE_CONV_2D"):
            reads[0] = self._padded(number, node, inputs[0], reads[0])
        if operator == "AVERAGE_POOL_2D":
            reads[0] = self._around(number, node.attributes.get("pads"), inputs[0], reads[0])
        if operator == "MAX_POOL_2D":
            reads[0] = self._pooled(number, node, inputs[0], reads[0])
        if operator == "CONCATENATION" and self.dtype != "float32":
            reads = [self._in_one_scale(number, i, tensor) for i, tensor in zip(inputs, reads, strict=True)]
        if operator == "MEAN" and len(reads) == 1:
            kind = TensorType("int32", (2,))
            axes = ProgramTensor(name=f"axes_{number}", type=kind, dtype="INT32", content=Content.INSIDE)
            self.tensors.append(axes)
            reads.append(len(self.tensors) - 1)
        writes = tuple([self.find(i) for i in outputs])
        options = self._options(node, is_padded=bool(inputs) and reads[0] != self.numbers.get(inputs[0]))
        self._append(number, ProgramOperator(op=operator, inputs=tuple(reads), outputs=writes, options=options))

    def _options(self, node: Node, *, is_padded: bool) -> Mapping[str, int]:
        """Return what a file would say of a convolution or pool, by the names that the schema gives."""
        if node.op not in ("AveragePool", "Conv", "MaxPool"):
            return {}
        kernel = node.attributes.get("kernel_shape", (1, 1))
        found = {"padding": _SAME if not is_padded and _is_any(node.attributes.get("pads")) else _VALID}
        for name, pair in (
            ("stride", node.attributes.get("strides", (1, 1))),
            ("dilation", node.attributes.get("dilations", (1, 1))),
            ("filter", kernel),
        ):
            if isinstance(pair, tuple) and len(pair) == 2:
                found |= {f"{name}_h": int(pair[0]), f"{name}_w": int(pair[1])}
        return found

    def _append(self, number: int, operator: ProgramOperator) -> None:
        self.operators.append(operator)
        self.nodes.append(number)

    def _only_drops_axes(self, inputs: list[int], outputs: list[int]) -> bool:
        """Whether a reshape only drops the axes that a mean before it leaves: the mean drops them itself."""
        if not inputs or self.graph.values[outputs[0]].view_of is None or inputs[0] not in self.numbers:
            return False
        producer = self.graph.values[inputs[0]].producer
        is_alone = len(self.graph.consumers[inputs[0]]) == 1 and inputs[0] not in self.graph.outputs
        before, after = (self.graph.values[i].type.shape or () for i in (inputs[0], outputs[0]))
        is_mean = producer is not None and _OPERATORS.get(self.graph.nodes[producer].op) == "MEAN"
        return is_alone and is_mean and [d for d in before if d != 1] == [d for d in after if d != 1]

    def _is_joined_on(self, value_id: int, node: Node) -> bool:
        """Whether another concatenation along the same axis alone reads a concatenation."""
        readers = self.graph.consumers[value_id]
        if len(readers) != 1 or value_id in self.graph.outputs:
            return False
        reader = self.graph.nodes[readers[0]]
        return reader.op == "Concat" and reader.attributes.get("axis") == node.attributes.get("axis")

    def _in_one_scale(self, number: int, value_id: int, tensor: int) -> int:
        """Return an input of a concatenation in its scale: quantised once more if others read it as it is."""
        producer = self.graph.values[value_id].producer
        is_tied = producer is not None and self.graph.nodes[producer].op in _TIED
        if len(self.graph.consumers[value_id]) == 1 and value_id not in self.graph.outputs and not is_tied:
            return tensor
        known = self.tensors[tensor]
        self.tensors.append(replace(known, name=f"{known.name}_in_scale_{number}_{len(self.tensors)}"))
        again = len(self.tensors) - 1
        self._append(number, ProgramOperator(op="QUANTIZE", inputs=(tensor,), outputs=(again,)))
        return again

    def _operator(self, node: Node, inputs: list[int], outputs: list[int]) -> str:
        if outputs and self.graph.values[outputs[0]].view_of is not None:
            return "RESHAPE"
        if node.op == "Conv":
            data = self.graph.values[inputs[0]].type.shape or ()
            groups = node.attributes.get("group", 1)
            return "DEPTHWISE_CONV_2D" if len(data) > 1 and groups == data[1] else "CONV_2D"
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
        weights = self.graph.values[next(i for i in node.inputs[1:] if i is not None)].type.shape or ()
        pads = node.attributes.get("pads")
        if len(weights) != 4 or self._is_same(node, value_id, weights[2:]):
            return tensor
        return self._around(number, pads, value_id, tensor)

    def _pooled(self, number: int, node: Node, value_id: int, tensor: int) -> int:
        """Add a PADV2, of the least number, under the same condition; return what is pooled."""
        kernel, pads = (node.attributes.get(name) for name in ("kernel_shape", "pads"))
        if not isinstance(kernel, tuple) or self._is_same(node, value_id, kernel):
            return tensor
        return self._around(number, pads, value_id, tensor, "PADV2")

    def _is_same(self, node: Node, value_id: int, kernel: Sequence[object]) -> bool:
        """Whether an image is padded as TensorFlow does where it keeps the size, divided by the stride."""
        shape = self.graph.values[value_id].type.shape or ()
        pads = node.attributes.get("pads", (0, 0, 0, 0))
        strides, dilations = (node.attributes.get(name, (1, 1)) for name in ("strides", "dilations"))
        if len(shape) != 4 or not isinstance(pads, tuple) or len(pads) != 4 or len(kernel) != 2:
            return True
        assert isinstance(strides, tuple) and isinstance(dilations, tuple), "ONNX lists them"
        is_same = True
        for axis in (0, 1):
            size, side = shape[2 + axis], kernel[axis]
            if not isinstance(size, int) or not isinstance(side, int):
                return True
            stride, reach = int(strides[axis]), (side - 1) * int(dilations[axis]) + 1
            total = max((-(-size // stride) - 1) * stride + reach - size, 0)
            is_same = is_same and (pads[axis], pads[axis + 2]) == (total // 2, total - total // 2)
        return is_same

    def _around(self, number: int, pads: object, value_id: int, tensor: int, operator: str = "PAD") -> int:
        """Pad an image by ``pads``, if there are any, once for all that read it so; return what is read."""
        shape = self.graph.values[value_id].type.shape or ()
        if len(shape) != 4 or not isinstance(pads, tuple) or len(pads) != 4 or not any(pads):
            return tensor
        key = (operator, tensor, tuple(map(int, pads)))
        if key not in self.padded:
            known = [dim if isinstance(dim, int) else 1 for dim in shape]
            rows, columns = (int(pads[axis]) + int(pads[axis + 2]) for axis in (0, 1))
            made = self.tensor(f"padded_{number}", (*known[:2], known[2] + rows, known[3] + columns))
            self._append(number, ProgramOperator(op=operator, inputs=(tensor,), outputs=(made,)))
            self.padded[key] = made
        return self.padded[key]


def _is_any(pads: object) -> bool:
    return isinstance(pads, tuple) and any(pads)
