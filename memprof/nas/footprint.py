"""From an Architecture to its footprint without torch: as a memprof Graph, and fast enough to screen thousands.

Two views of the same network, operation for operation as the exporters write it:

    as_trained   torch.export: convolution, batch norm (weight, bias, mean, variance, counter), plain ReLU
    deployed     the exported ONNX file: batch norm folded into the convolution's weight and bias

Budgets and the metric use ``deployed``. Its peak under ``reference`` also has a short way: inside a chain of steps
only the own input and output of each matter besides what the block keeps, so a layer is five integers, computed once,
and a cell a dozen steps over them. ``screen`` and the Graph agree by test.

Every layer is a chain that reads one tensor; ``_chain`` is the one table of what each layer does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from types import MappingProxyType

from memprof import Graph, GraphBuilder, NewValue, TensorType
from memprof.nas.space import Architecture, Block, Cell, Combine, Layer


@dataclass(frozen=True, slots=True, kw_only=True)
class Footprint:
    """What the search compares.

    Attributes:
        parameter_bytes: p: weights and biases.
        peak_intermediate_bytes: r: the peak under ``reference``, graph input and output included.
    """

    parameter_bytes: int
    peak_intermediate_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ElementTypes:
    """Element types of the network on its device.

    Attributes:
        tensors: Of weights and intermediates.
        biases: Of biases: int32 beside int8, as integer kernels accumulate.
    """

    tensors: str
    biases: str


DTYPES: dict[str, ElementTypes] = {
    "float32": ElementTypes(tensors="float32", biases="float32"),
    "float16": ElementTypes(tensors="float16", biases="float16"),
    "int8": ElementTypes(tensors="int8", biases="int32"),
}


@dataclass(frozen=True, slots=True)
class _Shape:
    """Channels, height and width of one image's feature map."""

    channels: int
    height: int
    width: int

    @property
    def elements(self) -> int:
        return self.channels * self.height * self.width

    def strided(self, channels: int, stride: int) -> _Shape:
        """Return the map that a padded operation of odd kernel and this stride writes."""
        return _Shape(channels, -(-self.height // stride), -(-self.width // stride))


@dataclass(frozen=True, slots=True)
class _Step:
    """One operation of a chain: a convolution (with its batch norm), a ReLU or a pool."""

    op: str
    output: _Shape
    weight: tuple[int, int, int, int] | None = None  # of a convolution: out, in / groups, height, width
    stride: int = 1
    groups: int = 1
    dilation: int = 1

    @property
    def attributes(self) -> Mapping[str, int | tuple[int, ...]]:
        """Attributes of an ONNX convolution: onnxruntime's scratch depends on them."""
        if self.weight is None:
            return {}
        row_pad, column_pad = (self.dilation * (side // 2) for side in self.weight[2:])
        return {
            "group": self.groups,
            "strides": (self.stride, self.stride),
            "dilations": (self.dilation, self.dilation),
            "pads": (row_pad, column_pad, row_pad, column_pad),
        }


def _convolution(
    shape: _Shape, width: int, kernel: tuple[int, int], *, stride: int = 1, groups: int = 1, dilation: int = 1
) -> _Step:
    weight = (width, shape.channels // groups, *kernel)
    return _Step("Conv", shape.strided(width, stride), weight, stride, groups, dilation)


@lru_cache(maxsize=100_000)
def _chain(layer: Layer, shape: _Shape, width: int, stride: int) -> tuple[_Step, ...]:
    """Return the operations of one layer, as ``memprof.nas.modules`` builds it; none for a plain identity."""
    match layer:
        case Layer.CONV_3X3 | Layer.DILATED_3X3:
            dilation = 2 if layer is Layer.DILATED_3X3 else 1
            return _with_relu(_convolution(shape, width, (3, 3), stride=stride, dilation=dilation))
        case Layer.DEPTHWISE_3X3 | Layer.DEPTHWISE_5X5:
            kernel = (3, 3) if layer is Layer.DEPTHWISE_3X3 else (5, 5)
            depthwise = _convolution(shape, shape.channels, kernel, stride=stride, groups=shape.channels)
            return (depthwise, *_with_relu(_convolution(depthwise.output, width, (1, 1))))
        case Layer.FACTORIZED_7:
            reduce = _convolution(shape, width, (1, 1), stride=stride)
            rows = _convolution(reduce.output, width, (1, 7))
            columns = _convolution(rows.output, width, (7, 1))
            return (*_with_relu(reduce), *_with_relu(rows), *_with_relu(columns))
        case Layer.AVG_POOL_3X3 | Layer.MAX_POOL_3X3:
            project = _convolution(shape, width, (1, 1))
            pool = "AveragePool" if layer is Layer.AVG_POOL_3X3 else "MaxPool"
            return (project, _Step(pool, project.output.strided(width, stride)))
        case Layer.IDENTITY:
            is_plain = shape.channels == width and stride == 1
            return () if is_plain else (_convolution(shape, width, (1, 1), stride=stride),)


def _with_relu(step: _Step) -> tuple[_Step, _Step]:
    return step, _Step("Relu", step.output)


class _Emitter:
    """Writes a network into a GraphBuilder, one view's way."""

    def __init__(self, name: str, types: ElementTypes, *, folds_batch_norm: bool) -> None:
        self.builder = GraphBuilder(name)
        self._types = types
        self._folds = folds_batch_norm
        self._count = 0

    def tensor(self, *shape: int) -> TensorType:
        return TensorType(self._types.tensors, shape)

    def feature_map(self, shape: _Shape) -> TensorType:
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
            attributes=attributes,
        )
        assert written is not None
        return written

    def step(self, step: _Step, source: int) -> int:
        output = self.feature_map(step.output)
        if step.weight is None:
            return self.node(step.op, [source], output)
        weight = self.parameter(self.tensor(*step.weight))
        channels = step.output.channels
        if self._folds:
            bias = self.parameter(TensorType(self._types.biases, (channels,)))
            return self.node("Conv", [source, weight, bias], output, attributes=step.attributes)
        convolved = self.node("Conv", [source, weight], output)
        statistics = [self.parameter(self.tensor(channels)) for _ in range(4)]
        self.parameter(TensorType("int64", ()))  # num_batches_tracked: read in training only, held always
        return self.node("BatchNormalization", [convolved, *statistics], output)

    def layer(self, layer: Layer, source: int, shape: _Shape, block: Block, stride: int) -> int:
        for step in _chain(layer, shape, block.width, stride):
            source = self.step(step, source)
        return source

    def cell(self, cell: Cell, sources: dict[int, tuple[int, _Shape]], block: Block) -> tuple[int, _Shape]:
        results = []
        for slot, layer in cell.layers:
            source, shape = sources[slot]
            results.append(self.layer(layer, source, shape, block, block.stride if slot == 0 else 1))
        shapes = {slot: shape for slot, (_, shape) in sources.items()}
        output = _cell_shape(cell, shapes, block.stride, block.width)
        op = "Concat" if cell.combine is Combine.CONCAT else "Add"
        return self.node(op, results, self.feature_map(output)), output

    def block(self, block: Block, source: int, shape: _Shape) -> tuple[int, _Shape]:
        if not block.cells:
            return source, shape
        sources = {0: (source, shape)}
        for slot, cell in block.existing:
            sources[slot] = self.cell(cell, sources, block)
        leaving = [sources[slot] for slot in block.output_slots]
        if len(leaving) == 1:
            return leaving[0]
        output = _Shape(sum(s.channels for _, s in leaving), leaving[0][1].height, leaving[0][1].width)
        return self.node("Concat", [i for i, _ in leaving], self.feature_map(output)), output

    def head(self, source: int, channels: int, classes: int) -> int:
        reads = [source, self.parameter(TensorType("int64", (2,)))] if self._folds else [source]
        pooled = self.node("ReduceMean", reads, self.tensor(1, channels, 1, 1))
        reads = [pooled, self.parameter(TensorType("int64", (2,)))] if self._folds else [pooled]
        flat = self.node("Reshape", reads, self.tensor(1, channels), view_of=pooled)
        weight = self.parameter(self.tensor(classes, channels))
        bias = self.parameter(TensorType(self._types.biases, (classes,)))
        return self.node("Gemm", [flat, weight, bias], self.tensor(1, classes))


_ELEMENTWISE = frozenset({"Relu", "Add"})


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
    shape = _Shape(*architecture.input_shape)
    value = emitter.builder.add_input("images", emitter.feature_map(shape))
    for step in _stem(architecture):
        value = emitter.step(step, value)
        shape = step.output
    for block in architecture.blocks:
        value, shape = emitter.block(block, value, shape)
    return emitter.builder.build([emitter.head(value, shape.channels, architecture.classes)])


def _stem(architecture: Architecture) -> tuple[_Step, ...]:
    image = _Shape(*architecture.input_shape)
    return _with_relu(_convolution(image, architecture.stem_width, (3, 3), stride=architecture.stem_stride))


def _cell_shape(cell: Cell, shapes: Mapping[int, _Shape] | tuple[_Shape, ...], stride: int, width: int) -> _Shape:
    channels = 2 * width if cell.combine is Combine.CONCAT else width
    return shapes[cell.input1].strided(channels, stride if cell.input1 == 0 else 1)


# The short way: the same sums over integers, memoised by layer and by cell. Elements until the very end.


@dataclass(frozen=True, slots=True)
class _Profile:
    """A chain of operations as the block around it sees it, in elements.

    Attributes:
        first: What its first operation writes.
        rest: The most that two neighbours, input and output of one later operation, hold together; 0 if none.
        output: What its last operation writes.
        weights: Elements of its weights.
        biases: Elements of its biases.
    """

    first: int
    rest: int
    output: int
    weights: int
    biases: int


@lru_cache(maxsize=100_000)
def _profile(layer: Layer, shape: _Shape, width: int, stride: int) -> _Profile | None:
    steps = _chain(layer, shape, width, stride)
    return _profile_of(steps) if steps else None


def _profile_of(steps: tuple[_Step, ...]) -> _Profile:
    sizes = [step.output.elements for step in steps]
    convolutions = [step for step in steps if step.weight is not None]
    return _Profile(
        first=sizes[0],
        rest=max((a + b for a, b in pairwise(sizes)), default=0),
        output=sizes[-1],
        weights=sum(a * b * c * d for a, b, c, d in (step.weight for step in convolutions if step.weight)),
        biases=sum(step.output.channels for step in convolutions),
    )


@dataclass(frozen=True, slots=True)
class _Walk:
    """What running the first cells of a block takes, in elements.

    Attributes:
        peak: The most that is alive at once, the block's input included.
        weights: Elements of their weights.
        biases: Elements of their biases.
        shapes: By slot what each writes; 0 is the block's input, an empty slot has the same.
    """

    peak: int
    weights: int
    biases: int
    shapes: tuple[_Shape, ...]


@lru_cache(maxsize=100_000)
def _walk(cells: tuple[Cell | None, ...], stride: int, width: int, source: _Shape, kept: frozenset[int]) -> _Walk:
    """Run the cells in order under the ``reference`` rules, one after another, each on top of those before it.

    What is alive where a cell begins is what is read later: the slots in ``kept`` and those it reads itself. So the
    walk over all cells but the last is one of a few, whatever the last one is: a round's candidates share it.

    Args:
        cells: The first cells of a block.
        stride: Stride of the block.
        width: Filters of each layer.
        source: Shape of the block's input.
        kept: Slots that are read after these cells, the block's output counted as a reader.
    """
    if not cells:
        return _Walk(source.elements, 0, 0, (source,))
    slot, cell = len(cells), cells[-1]
    if cell is None:
        before = _walk(cells[:-1], stride, width, source, kept)
        return _Walk(before.peak, before.weights, before.biases, (*before.shapes, source))
    before = _walk(cells[:-1], stride, width, source, (kept - {slot}) | {cell.input1, cell.input2})
    shapes = before.shapes
    peak, weights, biases = before.peak, before.weights, before.biases
    alive = sum(shapes[i].elements for i in kept | {cell.input1, cell.input2} if i != slot)
    first, second = (_profile(layer, shapes[read], width, stride if read == 0 else 1) for read, layer in cell.layers)
    held = 0
    # A plain identity (no profile) reads nothing itself: it hands its input on to the combiner, which reads it last.
    for profile, read, is_read_again in (
        (first, cell.input1, cell.input1 == cell.input2 or first is None),
        (second, cell.input2, second is None or (first is None and cell.input1 == cell.input2)),
    ):
        if profile is not None:
            weights += profile.weights
            biases += profile.biases
            peak = max(peak, alive + profile.first)
            if read not in kept and not is_read_again:
                alive -= shapes[read].elements
            peak = max(peak, alive + profile.rest)
            alive += profile.output
            held += profile.output
    output = _cell_shape(cell, shapes, stride, width)
    return _Walk(max(peak, alive + output.elements), weights, biases, (*shapes, output))


def _walk_block(block: Block, source: _Shape) -> tuple[_Walk, _Shape]:
    """Return a block's walk, its output included, and the shape of that output."""
    slots = block.output_slots
    walk = _walk(block.cells, block.stride, block.width, source, frozenset(slots))
    leaving = [walk.shapes[slot] for slot in slots]
    if len(leaving) < 2:
        return walk, leaving[0] if leaving else source
    output = _Shape(sum(shape.channels for shape in leaving), leaving[0].height, leaving[0].width)
    alive = sum(shape.elements for shape in leaving)
    return replace(walk, peak=max(walk.peak, alive + output.elements)), output


def screen(architecture: Architecture, dtype: str = "float32") -> Footprint:
    """Return the footprint of ``deployed(architecture, dtype)`` under ``reference``, without building the graph.

    Args:
        architecture: Any architecture.
        dtype: A key of ``DTYPES``.

    Complexity: a dozen integers for a block whose cells but the last were seen before, else O(cells) of those.
    """
    image = _Shape(*architecture.input_shape)
    stem_steps = _stem(architecture)
    stem, shape = _profile_of(stem_steps), stem_steps[-1].output
    peak = max(image.elements + stem.first, stem.rest)
    weights, biases = stem.weights, stem.biases
    for block in architecture.blocks:
        found, shape = _walk_block(block, shape)
        peak = max(peak, found.peak)
        weights += found.weights
        biases += found.biases
    classes = architecture.classes
    peak = max(peak, shape.elements + shape.channels, shape.channels + classes)
    element, bias = (TensorType(name, (1,)).size_bytes or 0 for name in (DTYPES[dtype].tensors, DTYPES[dtype].biases))
    return Footprint(
        parameter_bytes=(weights + shape.channels * classes) * element + (biases + classes) * bias + _AXES_BYTES,
        peak_intermediate_bytes=peak * element,
    )


_AXES_BYTES = 32
"""The exported head keeps two int64 pairs: the axes of its mean and the shape of its reshape."""
