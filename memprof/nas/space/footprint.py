"""From an Architecture to a memprof Graph, without torch.

Two views of the same network, operation for operation as the exporters write it:

    as_trained   torch.export: convolution, batch norm (weight, bias, mean, variance, counter), plain ReLU
    deployed     the exported ONNX file: batch norm folded into the convolution's weight and bias

Budgets and the metric use ``deployed``; ``memprof.nas.space.screening`` has a short way to its peak.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from memprof import Graph, GraphBuilder, NewValue, TensorType
from memprof.nas.space.architecture import AnyLayer, Architecture, Block, Cell, Combine
from memprof.nas.space.chains import DTYPES, ElementTypes, Shape, Step, cell_shape, chain, stem
from memprof.nas.space.own_layers import ACTIVATIONS


class _Emitter:
    """Writes a network into a GraphBuilder, one view's way."""

    def __init__(self, name: str, types: ElementTypes, *, folds_batch_norm: bool) -> None:
        self.builder = GraphBuilder(name)
        self._types = types
        self._folds = folds_batch_norm
        self._count = 0

    def tensor(self, *shape: int) -> TensorType:
        return TensorType(self._types.tensors, shape)

    def feature_map(self, shape: Shape) -> TensorType:
        return self.tensor(1, shape.channels, shape.height, shape.width)

    def parameter(self, type_: TensorType) -> int:
        self._count += 1
        return self.builder.add_parameter(f"parameter_{self._count}", type_)

    def node(
        self,
        op: str,
        reads: list[int],
        output: TensorType,
        *,
        view_of: int | None = None,
        attributes: Mapping[str, int | tuple[int, ...]] = MappingProxyType({}),
    ) -> int:
        self._count += 1
        (written,) = self.builder.add_node(
            op,
            reads,
            [NewValue(f"{op}_{self._count}", output, view_of)],
            is_elementwise=op in _ELEMENTWISE,
            definition=_hard_swish(output) if op == "HardSwish" and self._folds else None,
            attributes=attributes,
        )
        assert written is not None
        return written

    def step(self, step: Step, source: int) -> int:
        output = self.feature_map(step.output)
        if step.weight is None:
            return self.node(step.op, [source], output, attributes=step.attributes)
        weight = self.parameter(self.tensor(*step.weight))
        channels = step.output.channels
        if self._folds:
            bias = self.parameter(TensorType(self._types.biases, (channels,)))
            return self.node("Conv", [source, weight, bias], output, attributes=step.attributes)
        convolved = self.node("Conv", [source, weight], output)
        statistics = [self.parameter(self.tensor(channels)) for _ in range(4)]
        self.parameter(TensorType("int64", ()))  # num_batches_tracked: read in training only, held always
        return self.node("BatchNormalization", [convolved, *statistics], output)

    def layer(self, layer: AnyLayer, source: int, shape: Shape, block: Block, stride: int) -> int:
        for step in chain(layer, shape, block.width, stride):
            source = self.step(step, source)
        return source

    def cell(self, cell: Cell, sources: dict[int, tuple[int, Shape]], block: Block) -> tuple[int, Shape]:
        results = []
        for slot, layer in cell.layers:
            source, shape = sources[slot]
            results.append(self.layer(layer, source, shape, block, block.stride if slot == 0 else 1))
        shapes = {slot: shape for slot, (_, shape) in sources.items()}
        output = cell_shape(cell, shapes, block.stride, block.width)
        op = "Concat" if cell.combine is Combine.CONCAT else "Add"
        return self.node(op, results, self.feature_map(output)), output

    def block(self, block: Block, source: int, shape: Shape) -> tuple[int, Shape]:
        if not block.cells:
            return source, shape
        sources = {0: (source, shape)}
        for slot, cell in block.existing:
            sources[slot] = self.cell(cell, sources, block)
        leaving = [sources[slot] for slot in block.output_slots]
        if len(leaving) == 1:
            return leaving[0]
        output = Shape(sum(s.channels for _, s in leaving), leaving[0][1].height, leaving[0][1].width)
        return self.node("Concat", [i for i, _ in leaving], self.feature_map(output)), output

    def head(self, source: int, channels: int, classes: int) -> int:
        reads = [source, self.parameter(TensorType("int64", (2,)))] if self._folds else [source]
        pooled = self.node("ReduceMean", reads, self.tensor(1, channels, 1, 1))
        reads = [pooled, self.parameter(TensorType("int64", (2,)))] if self._folds else [pooled]
        flat = self.node("Reshape", reads, self.tensor(1, channels), view_of=pooled)
        weight = self.parameter(self.tensor(classes, channels))
        bias = self.parameter(TensorType(self._types.biases, (classes,)))
        return self.node("Gemm", [flat, weight, bias], self.tensor(1, classes))


def _hard_swish(type_: TensorType) -> Graph:
    """Return what ONNX defines the operation as: onnxruntime has no kernel for it and runs these two."""
    builder = GraphBuilder("HardSwish")
    source = builder.add_input("x", type_)
    gate = builder.add_node("HardSigmoid", [source], [NewValue("gate", type_)], is_elementwise=True)[0]
    assert gate is not None
    product = builder.add_node("Mul", [source, gate], [NewValue("y", type_)], is_elementwise=True)[0]
    assert product is not None
    return builder.build([product])


_ELEMENTWISE = frozenset({"Add", *ACTIVATIONS.values()})


def as_trained(architecture: Architecture) -> Graph:
    """Return the graph that torch.export gives of the module: batch norm kept, float32, batch 1."""
    return _graph(architecture, _Emitter("as_trained", DTYPES["float32"], folds_batch_norm=False))


def deployed(architecture: Architecture, dtype: str = "float32") -> Graph:
    """Return the graph of the exported ONNX file: batch norm folded, batch 1.

    Args:
        architecture: Any architecture.
        dtype: A key of ``DTYPES``.
    """
    return _graph(architecture, _Emitter("deployed", DTYPES[dtype], folds_batch_norm=True))


def _graph(architecture: Architecture, emitter: _Emitter) -> Graph:
    shape = Shape(*architecture.input_shape)
    value = emitter.builder.add_input("images", emitter.feature_map(shape))
    for step in stem(architecture):
        value = emitter.step(step, value)
        shape = step.output
    for block in architecture.blocks:
        value, shape = emitter.block(block, value, shape)
    return emitter.builder.build([emitter.head(value, shape.channels, architecture.classes)])
