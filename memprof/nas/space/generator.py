"""Grow and trim: every candidate that one round may consider (section 3.2).

    grow   the same new cell in every block: two inputs, two layers, a combiner           equation 1
    trim   in one block: a layer becomes an identity, or an edge to the block's output    equation 2
           goes, and with it every cell whose output then feeds nothing

Where our counts differ from the printed equations, and why:

* Equation 1 prints |C|^2; one new cell has one combiner, so |Sg| = |I|^2 |L|^2 |C|: 98 and 392 ordered candidates in
  the first two rounds, as in the authors' work. Their third round grew with one combiner (3^2 x 49 = 441).
* Mirror images are one candidate: (I1, L1) and (I2, L2) may swap; of n = |I| |L| choices per side n (n + 1) / 2 stay.
* Equation 2 also counts cells. A cell goes only when its output feeds nothing, so it is no trim of its own; the
  authors' 466 = 441 + 25 has none either (20 layers, 5 edges for two cells in five blocks).
* Removing a block's last edge to its output would leave no block: not a candidate. Nor is a cell that joins two
  identities of one input, which only copies.
* The layers that lose their input go with the cell that gave it: a cell goes only when no layer reads it any more.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import product

from memprof.nas.space.architecture import (
    GROWN_LAYERS,
    AnyLayer,
    Architecture,
    Block,
    Cell,
    Combine,
    Layer,
    idle_slot,
)
from memprof.nas.space.isomorphism import network_key

BOTH: tuple[Combine, ...] = (Combine.SUM, Combine.CONCAT)


def ordered_cells(
    inputs: Sequence[int], combines: Sequence[Combine] = BOTH, layers: Sequence[AnyLayer] = GROWN_LAYERS
) -> Iterator[Cell]:
    """Yield every new cell over ``inputs``, mirror images apart: |I|^2 |L|^2 |C| of them."""
    for input1, input2, layer1, layer2, combine in product(inputs, inputs, layers, layers, combines):
        yield Cell(input1=input1, input2=input2, layer1=layer1, layer2=layer2, combine=combine)


def grow_inputs(base: Architecture) -> tuple[int, ...]:
    """Return what a new cell can read in every block: the block's input and the slots no block has trimmed away."""
    shared = (slot for slot in range(1, base.slots + 1) if all(b.cells[slot - 1] is not None for b in base.blocks))
    return (0, *shared)


def grow(
    base: Architecture,
    combines: Sequence[Combine] = BOTH,
    *,
    layers: Sequence[AnyLayer] = GROWN_LAYERS,
    mirror_images: bool = False,
) -> Iterator[Architecture]:
    """Yield ``base`` with one more cell, the same in every block.

    Args:
        base: The network chosen in the previous round.
        combines: Combiners that a new cell may have.
        layers: Layers that it may have.
        mirror_images: Yield each ordered pair of layers, as the paper counts, not each unordered one.
    """
    for cell in ordered_cells(grow_inputs(base), combines, layers):
        if mirror_images or cell == cell.canonical:
            yield replace(base, blocks=tuple(replace(block, cells=(*block.cells, cell)) for block in base.blocks))


def trim(base: Architecture) -> Iterator[Architecture]:
    """Yield ``base`` with one layer or one edge less in one block."""
    for index, block in enumerate(base.blocks):
        for trimmed in (*_without_layer(block), *_without_edge(block)):
            yield replace(base, blocks=(*base.blocks[:index], trimmed, *base.blocks[index + 1 :]))


def generate(
    base: Architecture,
    combines: Sequence[Combine] = BOTH,
    *,
    layers: Sequence[AnyLayer] = GROWN_LAYERS,
    known: Iterable[Architecture] = (),
    mirror_images: bool = False,
) -> Iterator[Architecture]:
    """Yield the candidates of the round after ``base``: grown ones, then trimmed ones, none twice and never the base.

    Two ways of writing one network are one candidate (``isomorphism``), unless ``mirror_images`` asks for the
    paper's count. A base without a cell (the start of a search) is only grown.

    Args:
        base: The network chosen in the previous round.
        combines: Combiners that a new cell may have.
        layers: Layers that it may have.
        known: Networks that are no candidates any more.
        mirror_images: Count as the paper does: ordered pairs of layers, and slots as they are.
    """
    seen = {identity(found, mirror_images=mirror_images) for found in (base, *known)}
    for candidate in (*grow(base, combines, layers=layers, mirror_images=mirror_images), *trim(base)):
        key = identity(candidate, mirror_images=mirror_images)
        if key not in seen:
            seen.add(key)
            yield candidate


def identity(architecture: Architecture, *, mirror_images: bool) -> Hashable:
    """Return what is equal for two candidates that count as one."""
    return architecture if mirror_images else network_key(architecture)


def _without_layer(block: Block) -> Iterator[Block]:
    for slot, cell in block.existing:
        for trimmed in (replace(cell, layer1=Layer.IDENTITY), replace(cell, layer2=Layer.IDENTITY)):
            cells = (*block.cells[: slot - 1], trimmed, *block.cells[slot:])
            if trimmed != cell and idle_slot(cells) is None:
                yield replace(block, cells=cells)


def _without_edge(block: Block) -> Iterator[Block]:
    if len(block.output_slots) < 2:
        return
    for slot, cell in block.existing:
        if cell.feeds_output:
            cells = list(block.cells)
            cells[slot - 1] = replace(cell, feeds_output=False)
            yield replace(block, cells=_without_dead(cells))


def _without_dead(cells: list[Cell | None]) -> tuple[Cell | None, ...]:
    """Remove cells that feed nothing, last slot first: a cell reads only earlier ones, so one pass is enough."""
    read: set[int] = set()
    for slot in range(len(cells), 0, -1):
        cell = cells[slot - 1]
        if cell is None:
            continue
        if cell.feeds_output or slot in read:
            read.update(cell.inputs)
        else:
            cells[slot - 1] = None
    return tuple(cells)
