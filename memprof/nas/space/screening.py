"""What a candidate needs, fast enough to look at thousands a second, and whether its budget allows that.

The peak under ``reference`` has a short way: inside a chain of steps only the own input and output of each matter
besides what the block keeps, so a layer is five integers, computed once, and a cell a dozen steps over them, memoised
with all the cells before it. ``screen`` and the Graph of ``deployed`` agree by test.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from memprof import TensorType, analyze, tflm_arena
from memprof.base.errors import LimitError
from memprof.nas.space.architecture import AnyLayer, Architecture, Block, Cell
from memprof.nas.space.budget import ARENA_RUNTIME, Budget
from memprof.nas.space.chains import DTYPES, Shape, Step, cell_shape, chain, stem
from memprof.nas.space.footprint import deployed


@dataclass(frozen=True, slots=True, kw_only=True)
class Footprint:
    """What the search compares.

    Attributes:
        parameter_bytes: p: weights and biases.
        peak_intermediate_bytes: r: the peak under ``reference``, graph input and output included.
        file_bytes: About what the file takes once converted, ``None`` where nothing converts it.
    """

    parameter_bytes: int
    peak_intermediate_bytes: int
    file_bytes: int | None = None


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
def _profile(layer: AnyLayer, shape: Shape, width: int, stride: int) -> _Profile | None:
    steps = chain(layer, shape, width, stride)
    return _profile_of(steps) if steps else None


def _profile_of(steps: tuple[Step, ...]) -> _Profile:
    sizes = [step.output.elements for step in steps]
    convolutions = [step for step in steps if step.weight is not None]
    return _Profile(
        first=sizes[0],
        rest=max((a + b for a, b in pairwise(sizes)), default=0),
        output=sizes[-1],
        weights=sum(a * b * c * d for a, b, c, d in (step.weight for step in convolutions if step.weight)),
        biases=sum(step.output.channels for step in convolutions),
    )


class _Walk(NamedTuple):
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
    shapes: tuple[Shape, ...]


@lru_cache(maxsize=100_000)
def _walk(cells: tuple[Cell | None, ...], stride: int, width: int, source: Shape, kept: frozenset[int]) -> _Walk:
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
    alive = sum([shapes[i].elements for i in kept | {cell.input1, cell.input2} if i != slot])
    first, second = (_profile(layer, shapes[read], width, stride if read == 0 else 1) for read, layer in cell.layers)
    is_shared = cell.input1 == cell.input2
    # A plain identity has no profile: it hands its input on to the combiner, which reads it after both layers.
    for profile, read, is_read_again in (
        (first, cell.input1, is_shared),
        (second, cell.input2, is_shared and first is None),
    ):
        if profile is not None:
            weights += profile.weights
            biases += profile.biases
            peak = max(peak, alive + profile.first)
            if read not in kept and not is_read_again:
                alive -= shapes[read].elements
            peak = max(peak, alive + profile.rest)
            alive += profile.output
    output = cell_shape(cell, shapes, stride, width)
    return _Walk(max(peak, alive + output.elements), weights, biases, (*shapes, output))


def _walk_block(block: Block, source: Shape) -> tuple[_Walk, int, Shape]:
    """Return a block's walk, its peak with the block's output, and the shape of that output."""
    slots = [slot for slot, cell in enumerate(block.cells, start=1) if cell is not None and cell.feeds_output]
    walk = _walk(block.cells, block.stride, block.width, source, frozenset(slots))
    if len(slots) < 2:
        return walk, walk.peak, walk.shapes[slots[0]] if slots else source
    first = walk.shapes[slots[0]]
    output = Shape(sum([walk.shapes[slot].channels for slot in slots]), first.height, first.width)
    # A concatenation is as large as what it joins.
    return walk, max(walk.peak, 2 * output.elements), output


def screen(architecture: Architecture, dtype: str = "float32") -> Footprint:
    """Return the footprint of ``deployed(architecture, dtype)`` under ``reference``, without building the graph.

    Args:
        architecture: Any architecture.
        dtype: A key of ``DTYPES``.

    Complexity: a dozen integers for a block whose cells but the last were seen before, else O(cells) of those.
    """
    image = Shape(*architecture.input_shape)
    steps = stem(architecture)
    profile, shape = _profile_of(steps), steps[-1].output
    peak = max(image.elements + profile.first, profile.rest)
    weights, biases = profile.weights, profile.biases
    for block in architecture.blocks:
        found, block_peak, shape = _walk_block(block, shape)
        peak = max(peak, block_peak)
        weights += found.weights
        biases += found.biases
    classes = architecture.classes
    peak = max(peak, shape.elements + shape.channels, shape.channels + classes)
    element, bias = _element_bytes(dtype)
    return Footprint(
        parameter_bytes=(weights + shape.channels * classes) * element + (biases + classes) * bias + _AXES_BYTES,
        peak_intermediate_bytes=peak * element,
    )


@lru_cache
def _element_bytes(dtype: str) -> tuple[int, int]:
    """Return the bytes of one element of a tensor and of a bias."""
    types = DTYPES[dtype]
    tensor, bias = (TensorType(name, (1,)).size_bytes for name in (types.tensors, types.biases))
    assert tensor is not None and bias is not None, "one element has a size"
    return tensor, bias


_AXES_BYTES = 32
"""The exported head keeps two int64 pairs: the axes of its mean and the shape of its reshape."""


MOST_BUILT_BYTES = 4 * 1024**3


def refuse_giant(architecture: Architecture) -> None:
    """Raise if a network is too large to be built here: what a folder says may be any size.

    Raises:
        LimitError: Parameters and peak, as float32, are more than ``MOST_BUILT_BYTES``.
    """
    found = screen(architecture)
    if (total := found.parameter_bytes + found.peak_intermediate_bytes) > MOST_BUILT_BYTES:
        raise LimitError(
            f"The network needs {total:,} bytes, more than the {MOST_BUILT_BYTES:,} that are built here.",
            "Ask for a smaller width or fewer blocks.",
        )


def count_macs(architecture: Architecture) -> int:
    """Return the multiply-accumulate operations of one image in a network as deployed."""
    macs = analyze(deployed(architecture), runtimes=["reference"]).model.macs
    assert macs is not None, "every operation of a generated network has a formula"
    return macs


def measure(architecture: Architecture, budget: Budget) -> Footprint:
    """Return the deployed footprint of a network under the budget's runtime model: under ``tflm`` the whole arena."""
    if budget.runtime == "reference":
        return screen(architecture, budget.dtype)
    graph = deployed(architecture, budget.dtype)
    if budget.runtime == ARENA_RUNTIME:
        arena = tflm_arena(graph, budget.dtype, budget.kernels)
        assert arena.arena_bytes is not None, "every size of a generated network is known"
        return Footprint(
            parameter_bytes=graph.parameter_bytes,
            peak_intermediate_bytes=arena.arena_bytes,
            file_bytes=arena.file_bytes,
        )
    report = analyze(graph, runtimes=[budget.runtime])
    peak_bytes = report.peak_intermediate_bytes
    assert peak_bytes is not None, "every size of a generated network is known"
    return Footprint(parameter_bytes=graph.parameter_bytes, peak_intermediate_bytes=peak_bytes)


def is_within(footprint: Footprint, budget: Budget) -> bool:
    """Return whether a footprint keeps to the budget."""
    peak_bytes, parameter_bytes = footprint.peak_intermediate_bytes, footprint.parameter_bytes
    limits = (
        (peak_bytes, budget.peak_bytes),
        (parameter_bytes, budget.parameter_bytes),
        (peak_bytes + parameter_bytes, budget.total_bytes),
        (footprint.file_bytes or 0, budget.file_bytes),
    )
    return all(limit is None or found <= limit for found, limit in limits)
