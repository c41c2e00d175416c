"""The search space of MemNAS: layers, cells, blocks and the architectures they form. Frozen values, nothing else.

    image -> stem -> block -> block -> ... -> head          a block repeats no weights; each has its own stride, width
    block:  cells in slots 1, 2, ..., then the concatenation of the cells that feed its output
    cell:   (I1, I2, L1, L2, O): two inputs, a layer on each, a combiner, and whether it feeds the block's output

A cell's input is 0 for the block's input or the slot of an earlier cell. A slot whose cell was trimmed away stays
as ``None``, so that the codes of the other cells keep their meaning and a later cell grows at the same place in
every block. Only layers that read the block's input use the block's stride.

Source: Liu, Wu, Ma, Seok, "MemNAS", CVPR 2020, sections 3.1 and 3.2; codes as in Figure 1(b).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from memprof.nas.space.own_layers import MOST_OWN_LAYERS, OwnLayer

MOST_BLOCKS, MOST_CELLS, MOST_WIDTH, MOST_SIDE, MOST_CLASSES = 64, 32, 16_384, 8192, 1_000_000
"""Larger networks are refused: what a file says may be anything, and is built, counted and drawn."""


class Layer(Enum):
    """An operation layer of a cell; the value is its one-hot code as the paper prints it."""

    CONV_3X3 = "0000001"
    DEPTHWISE_3X3 = "0000010"
    DEPTHWISE_5X5 = "0000100"
    FACTORIZED_7 = "0001000"  # 1x7, then 7x1
    AVG_POOL_3X3 = "0010000"
    MAX_POOL_3X3 = "0100000"
    DILATED_3X3 = "1000000"
    IDENTITY = "0000000"  # what a trimmed layer becomes; never grown

    __hash__ = object.__hash__  # a member is one object; Enum's own takes ten times as long, millions of times

    @property
    def is_trimmed(self) -> bool:
        """Whether this is what a trim leaves behind."""
        return self is Layer.IDENTITY

    @property
    def label(self) -> str:
        """What drawings and reports call it."""
        return "1x7, 7x1" if self is Layer.FACTORIZED_7 else self.name.lower().replace("_", " ")


AnyLayer = Layer | OwnLayer
"""One of the paper's, or one's own."""


GROWN_LAYERS: tuple[Layer, ...] = tuple(layer for layer in Layer if not layer.is_trimmed)
"""The seven layers a new cell can have, in the order of their codes."""


class Combine(Enum):
    """How a cell joins its two layers."""

    SUM = "sum"
    CONCAT = "concat"

    __hash__ = object.__hash__  # as above


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """Two layers side by side and what joins them.

    Attributes:
        input1: 0 for the block's input, else the slot of an earlier cell.
        input2: The same for the second layer.
        layer1: The layer on ``input1``.
        layer2: The layer on ``input2``.
        combine: Sum or concatenation of the two.
        feeds_output: Whether the cell is part of the block's output.
    """

    input1: int
    input2: int
    layer1: AnyLayer
    layer2: AnyLayer
    combine: Combine = Combine.SUM
    feeds_output: bool = True

    def __post_init__(self) -> None:
        if not (_is_count(self.input1, least=0) and _is_count(self.input2, least=0)):
            raise ValueError("a cell's input is 0 (the block's input) or the slot of an earlier cell")

    @property
    def inputs(self) -> tuple[int, int]:
        """Both inputs."""
        return (self.input1, self.input2)

    @property
    def layers(self) -> tuple[tuple[int, AnyLayer], tuple[int, AnyLayer]]:
        """Both (input, layer) pairs."""
        return ((self.input1, self.layer1), (self.input2, self.layer2))

    @property
    def canonical(self) -> Cell:
        """The cell or its mirror image, whichever comes first: swapping the layers changes nothing it computes."""
        if (self.input1, self.layer1.value) <= (self.input2, self.layer2.value):
            return self
        return replace(self, input1=self.input2, input2=self.input1, layer1=self.layer2, layer2=self.layer1)


@dataclass(frozen=True, slots=True)
class Block:
    """Cells in slots, a stride and a width.

    Attributes:
        cells: Slot 1 first; ``None`` where a cell was trimmed away.
        stride: Stride of the layers that read the block's input, 1 or 2.
        width: Filters of each layer.
    """

    cells: tuple[Cell | None, ...]
    stride: int
    width: int

    def __post_init__(self) -> None:
        if not _is_stride(self.stride) or not _is_count(self.width, most=MOST_WIDTH):
            raise ValueError(f"a block's stride is 1 or 2 and its width 1 to {MOST_WIDTH:,}")
        if len(self.cells) > MOST_CELLS:
            raise ValueError(f"a block has at most {MOST_CELLS} cells")
        existing = {0}
        for slot, cell in enumerate(self.cells, start=1):
            if cell is not None:
                if not existing.issuperset(cell.inputs):
                    raise ValueError(f"the cell in slot {slot} reads a cell that does not exist before it")
                existing.add(slot)
        read = {i for _, cell in self.existing for i in cell.inputs}
        for slot, cell in self.existing:
            if not cell.feeds_output and slot not in read:
                raise ValueError(f"the cell in slot {slot} feeds nothing")
        if self.cells and not self.output_slots:
            raise ValueError("no cell feeds the block's output")
        if (idle := idle_slot(self.cells)) is not None:
            raise ValueError(f"the cell in slot {idle} joins two identities and computes nothing new")

    @property
    def existing(self) -> tuple[tuple[int, Cell], ...]:
        """(slot, cell) of each cell that is there."""
        return tuple((slot, cell) for slot, cell in enumerate(self.cells, start=1) if cell is not None)

    @property
    def output_slots(self) -> tuple[int, ...]:
        """Slots of the cells that feed the block's output, in order."""
        return tuple(slot for slot, cell in self.existing if cell.feeds_output)


def idle_slot(cells: Sequence[Cell | None]) -> int | None:
    """Return the first slot whose cell joins two identities of one input, or of the same two as an earlier cell.

    Plain ones only copy, and an exporter merges such a cell with its twin; projections do twice what one can.
    """
    joined: set[tuple[frozenset[int], Combine]] = set()
    for slot, cell in enumerate(cells, start=1):
        if cell is not None and cell.layer1.is_trimmed and cell.layer2.is_trimmed:
            found = (frozenset(cell.inputs), cell.combine)
            if len(found[0]) == 1 or found in joined:
                return slot
            joined.add(found)
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """A whole network.

    Attributes:
        blocks: In order; at least one.
        input_shape: Channels, height and width of an image.
        classes: Number of classes.
        stem_width: Filters of the 3x3 convolution before the first block.
        stem_stride: Its stride.
    """

    blocks: tuple[Block, ...]
    input_shape: tuple[int, int, int]
    classes: int
    stem_width: int
    stem_stride: int = 1

    def __post_init__(self) -> None:
        _check_ends(self.input_shape, self.classes, self.stem_width, self.stem_stride)
        if not 1 <= len(self.blocks) <= MOST_BLOCKS:
            raise ValueError(f"an architecture has 1 to {MOST_BLOCKS} blocks")
        if len({len(block.cells) for block in self.blocks}) != 1:
            raise ValueError("all blocks have the same slots: a new cell grows in every block")

    @property
    def slots(self) -> int:
        """Number of slots of each block, trimmed ones included: what the search's limit on cells counts."""
        return len(self.blocks[0].cells)

    @property
    def own_layers(self) -> tuple[OwnLayer, ...]:
        """The layers of one's own that it has, each once, by their position."""
        layers = {layer for b in self.blocks for _, cell in b.existing for _, layer in cell.layers}
        own = [layer for layer in layers if isinstance(layer, OwnLayer)]
        return tuple(sorted(own, key=lambda layer: layer.position))

    def to_json(self) -> dict[str, Any]:
        """Return the architecture as JSON-ready values; ``from_json`` reads them back."""
        own = self.own_layers
        return ({"own_layers": [layer.to_json() for layer in own]} if own else {}) | {
            "schema": ARCHITECTURE_SCHEMA,
            "input_shape": list(self.input_shape),
            "classes": self.classes,
            "stem": {"width": self.stem_width, "stride": self.stem_stride},
            "blocks": [
                {
                    "stride": block.stride,
                    "width": block.width,
                    "cells": [cell and _cell_json(cell) for cell in block.cells],
                }
                for block in self.blocks
            ],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Architecture:
        """Return the architecture that ``to_json`` wrote.

        Raises:
            ValueError: The data is not an architecture, with the reason.
        """
        schema = data.get("schema") if isinstance(data, Mapping) else type(data).__name__
        if schema != ARCHITECTURE_SCHEMA:
            raise ValueError(f"not an architecture: schema {schema!r}, wanted {ARCHITECTURE_SCHEMA!r}")
        try:
            channels, height, width = data["input_shape"]
            layers = {**_LAYER_NAMES} | _own_layers(data.get("own_layers", ()))
            return cls(
                blocks=tuple(
                    Block(
                        tuple(None if cell is None else _cell_from_json(cell, layers) for cell in block["cells"]),
                        stride=block["stride"],
                        width=block["width"],
                    )
                    for block in data["blocks"]
                ),
                input_shape=(channels, height, width),
                classes=data["classes"],
                stem_width=data["stem"]["width"],
                stem_stride=data["stem"]["stride"],
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not an architecture: {error}") from error


ARCHITECTURE_SCHEMA = "memprof/architecture/1"


def _is_count(value: object, least: int = 1, most: int = MOST_CLASSES) -> bool:
    """Whether a value is a whole number; what JSON brings may be anything, and ``True`` is no number of filters."""
    return type(value) is int and least <= value <= most


def _is_stride(value: object) -> bool:
    return _is_count(value) and value in (1, 2)


def _check_ends(input_shape: tuple[int, ...], classes: int, stem_width: int, stem_stride: int) -> None:
    """Raise unless what stands before and after the blocks is possible."""
    if len(input_shape) != 3 or not all(_is_count(size, most=MOST_SIDE) for size in input_shape):
        raise ValueError(f"an architecture has an input of channels, height and width, each 1 to {MOST_SIDE:,}")
    if not _is_count(classes) or not _is_count(stem_width, most=MOST_WIDTH) or not _is_stride(stem_stride):
        raise ValueError("an architecture has at least a class, and a stem of stride 1 or 2")


def _cell_json(cell: Cell) -> dict[str, Any]:
    return {
        "inputs": list(cell.inputs),
        "layers": [cell.layer1.name.lower(), cell.layer2.name.lower()],
        "combine": cell.combine.value,
        "feeds_output": cell.feeds_output,
    }


def _own_layers(data: object) -> dict[str, AnyLayer]:
    if not isinstance(data, list | tuple) or len(data) > MOST_OWN_LAYERS:
        raise ValueError(f"not a list of at most {MOST_OWN_LAYERS} own layers")
    found = list(map(OwnLayer.from_json, data))
    check_own_layers(found)
    return {layer.name: layer for layer in found}


def check_own_layers(layers: Sequence[OwnLayer]) -> None:
    """Raise unless each of a network's or a search's own layers has a name and a place of its own.

    Raises:
        ValueError: With the reason.
    """
    names = [layer.name for layer in layers]
    if taken := [name for name in names if name in _LAYER_NAMES or names.count(name) > 1]:
        raise ValueError(f"the name of layer {taken[0]!r} is taken")
    if len({layer.position for layer in layers}) < len(layers):
        raise ValueError("two own layers have one place in the code")


def _cell_from_json(data: Mapping[str, Any], layers: Mapping[str, AnyLayer]) -> Cell:
    (input1, input2), (layer1, layer2) = data["inputs"], data["layers"]
    if not isinstance(data["feeds_output"], bool):
        raise ValueError("whether a cell feeds the output is true or false")
    return Cell(
        input1=input1,
        input2=input2,
        layer1=layers[layer1],
        layer2=layers[layer2],
        combine=Combine(data["combine"]),
        feeds_output=data["feeds_output"],
    )


_LAYER_NAMES: Mapping[str, AnyLayer] = {layer.name.lower(): layer for layer in Layer}


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """Everything of an architecture but its cells.

    Attributes:
        strides: Stride of each block.
        widths: Filters of each layer, by block.
        input_shape: Channels, height and width of an image.
        classes: Number of classes.
        stem_width: Filters of the stem.
        stem_stride: Stride of the stem.
    """

    strides: tuple[int, ...]
    widths: tuple[int, ...]
    input_shape: tuple[int, int, int]
    classes: int
    stem_width: int
    stem_stride: int = 1

    def __post_init__(self) -> None:
        _check_ends(self.input_shape, self.classes, self.stem_width, self.stem_stride)
        if len(self.strides) != len(self.widths) or not all(map(_is_stride, self.strides)):
            raise ValueError("each block has a stride, 1 or 2, and a width")
        if not 1 <= len(self.widths) <= MOST_BLOCKS or not all(_is_count(w, most=MOST_WIDTH) for w in self.widths):
            raise ValueError(f"a network has 1 to {MOST_BLOCKS} blocks, each 1 to {MOST_WIDTH:,} filters wide")

    def build(self, cells: Sequence[Cell]) -> Architecture:
        """Return the architecture with these cells in every block."""
        return Architecture(
            blocks=tuple(
                Block(tuple(cells), stride, width) for stride, width in zip(self.strides, self.widths, strict=True)
            ),
            input_shape=self.input_shape,
            classes=self.classes,
            stem_width=self.stem_width,
            stem_stride=self.stem_stride,
        )


CIFAR10 = Template(strides=(1, 2, 1, 2, 1), widths=(64,) * 5, input_shape=(3, 32, 32), classes=10, stem_width=64)
"""Five blocks of 64 filters: section 4.1 and Figure 1(b)."""

IMAGENET = Template(
    strides=(1, 2, 1, 2, 1, 1, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1),
    widths=(32, 32, 32, 64, 64, 64, 64, 128, 128, 128, 128, 128, 128, 256, 256, 256),
    input_shape=(3, 224, 224),
    classes=1000,
    stem_width=32,
    stem_stride=2,
)
"""Sixteen blocks, up to 256 filters (section 4.2). Where the paper is silent (which block has which stride and
width) the layout is ours: four halvings after a strided stem, widths doubled with them."""


def _cell(input1: int, layer1: Layer, input2: int, layer2: Layer, *, feeds_output: bool = True) -> Cell:
    return Cell(input1=input1, input2=input2, layer1=layer1, layer2=layer2, feeds_output=feeds_output)


MEMNAS_CELLS: tuple[Cell, ...] = (
    _cell(0, Layer.DEPTHWISE_3X3, 0, Layer.FACTORIZED_7, feeds_output=False),
    _cell(1, Layer.FACTORIZED_7, 0, Layer.MAX_POOL_3X3),
    _cell(0, Layer.DEPTHWISE_3X3, 1, Layer.AVG_POOL_3X3),
    _cell(2, Layer.DEPTHWISE_3X3, 2, Layer.DEPTHWISE_5X5),
    _cell(3, Layer.MAX_POOL_3X3, 3, Layer.AVG_POOL_3X3),
    _cell(1, Layer.FACTORIZED_7, 1, Layer.FACTORIZED_7),
)
"""The block that the authors' search found, as their published figure draws it: all sums, output = C2..C6."""

ARCHITECTURES: Mapping[str, Architecture] = {
    "memnas-cifar10": CIFAR10.build(MEMNAS_CELLS),
    "memnas-imagenet": IMAGENET.build(MEMNAS_CELLS),
}
"""Named networks: the authors' searched block at the size of both of their data sets."""
