"""One form for all the ways to write a network down: mirror images and slot numbers change nothing that it computes.

    (L1 of I1) + (L2 of I2)  is  (L2 of I2) + (L1 of I1), with weights exchanged
    cells C1, C2             are  C2, C1, with their readers' inputs exchanged and the output's channels permuted

Within a block the cells are a small labelled graph. Its canonical form is found as for any such graph: colour each
cell by its level and by all that lies before it and after it, order the cells by colour, and where colours tie try
every order and keep the least. Cells that tie are nearly always twins, of which every order gives the same.

The peak under ``reference`` follows the order in which the layers are written, so two ways of writing one network can
differ in it. Among networks that a search reaches this is rare (trimmed layers), and the first one written is kept.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from itertools import groupby, permutations, product
from math import factorial, prod

from memprof.nas.space.architecture import AnyLayer, Architecture, Cell, Combine, Layer
from memprof.nas.space.own_layers import OwnLayer

_MOST_ORDERS = 720
"""More ties than this are not tried: the form then depends on the slots, and one network may count as two."""

_LAYERS = tuple(Layer)
_LAYER_RANKS = {layer: rank for rank, layer in enumerate(_LAYERS)}
_RANKED = dict[int, AnyLayer](enumerate(_LAYERS))

_Side = tuple[int, int]
"""What a layer reads (0 for the block's input, else a place) and its rank."""

_Code = tuple[_Side, _Side, bool, bool]
"""A cell as numbers: both sides, whether it concatenates, whether it feeds the output."""


def network_key(architecture: Architecture) -> Hashable:
    """Return what is equal for two ways of writing one network, and for no two networks.

    Where more than ``_MOST_ORDERS`` orders tie (seven cells of a block all alike) it may differ for one network.
    """
    return (
        tuple((_block_codes(block.cells), block.stride, block.width) for block in architecture.blocks),
        architecture.input_shape,
        architecture.classes,
        architecture.stem_width,
        architecture.stem_stride,
    )


def canonical(architecture: Architecture) -> Architecture:
    """Return the form that every way of writing ``architecture`` shares; empty slots come last."""
    codes = [_block_codes(block.cells) for block in architecture.blocks]
    layers = _RANKED | {_rank(layer): layer for layer in architecture.own_layers}
    slots = max(map(len, codes))
    return replace(
        architecture,
        blocks=tuple(
            replace(block, cells=(*(_cell(part, layers) for part in code), *[None] * (slots - len(code))))
            for block, code in zip(architecture.blocks, codes, strict=True)
        ),
    )


@lru_cache(maxsize=50_000)
def _block_codes(cells: tuple[Cell | None, ...]) -> tuple[_Code, ...]:
    """Return the least of all ways to number the cells of a block, as codes."""
    existing = {
        slot: (
            ((cell.input1, _rank(cell.layer1)), (cell.input2, _rank(cell.layer2))),
            cell.combine is Combine.CONCAT,
            cell.feeds_output,
        )
        for slot, cell in enumerate(cells, start=1)
        if cell is not None
    }
    return min((_renumbered(existing, order) for order in _orders(existing)), default=())


def _rank(layer: AnyLayer) -> int:
    return len(_LAYERS) + layer.position if isinstance(layer, OwnLayer) else _LAYER_RANKS[layer]


_Parts = Mapping[int, tuple[tuple[_Side, _Side], bool, bool]]
"""By slot what a code says, before the slots are renumbered."""


def _orders(existing: _Parts) -> Iterator[tuple[int, ...]]:
    """Yield every order of the slots that the colours leave open; none puts a cell before what it reads."""
    colours = _colours(existing)
    ties = [tuple(group) for _, group in groupby(sorted(existing, key=colours.__getitem__), colours.__getitem__)]
    if prod(factorial(len(group)) for group in ties) > _MOST_ORDERS:
        yield tuple(slot for group in ties for slot in group)
        return
    for chosen in product(*(permutations(group) for group in ties)):
        yield tuple(slot for group in chosen for slot in group)


def _colours(existing: _Parts) -> dict[int, int]:
    """Return a number for each slot: equal numbers for cells that nothing tells apart, rising with the level.

    Refinement: a cell's colour is its old one, those of what it reads and those of what reads it, until no class
    splits any more.
    """
    levels = {0: 0}
    for slot, (sides, _, _) in existing.items():
        levels[slot] = 1 + max(levels[read] for read, _ in sides)
    colours = _ranked({slot: (levels[slot], *parts[1:]) for slot, parts in existing.items()})
    while True:
        around: dict[int, tuple[list[_Side], list[_Side]]] = {slot: ([], []) for slot in existing}
        for slot, (sides, _, _) in existing.items():
            for read, layer in sides:
                around[slot][0].append((colours.get(read, -1), layer))
                if read:
                    around[read][1].append((colours[slot], layer))
        finer = _ranked(
            {slot: (colours[slot], sorted(reads), sorted(readers)) for slot, (reads, readers) in around.items()}
        )
        if finer == colours:
            return colours
        colours = finer


def _ranked(marks: Mapping[int, tuple[object, ...]]) -> dict[int, int]:
    """Return the rank of each slot's mark among the different marks."""
    ranks: dict[int, int] = {}
    for rank, (_, slots) in enumerate(groupby(sorted(marks, key=marks.__getitem__), marks.__getitem__)):
        ranks.update(dict.fromkeys(slots, rank))
    return ranks


def _renumbered(existing: _Parts, order: tuple[int, ...]) -> tuple[_Code, ...]:
    places = {0: 0} | {slot: place for place, slot in enumerate(order, start=1)}
    codes = []
    for slot in order:
        ((read1, layer1), (read2, layer2)), concatenates, feeds_output = existing[slot]
        first, second = (places[read1], layer1), (places[read2], layer2)
        codes.append((min(first, second), max(first, second), concatenates, feeds_output))
    return tuple(codes)


def _cell(code: _Code, layers: Mapping[int, AnyLayer]) -> Cell:
    (input1, layer1), (input2, layer2), concatenates, feeds_output = code
    return Cell(
        input1=input1,
        input2=input2,
        layer1=layers[layer1],
        layer2=layers[layer2],
        combine=Combine.CONCAT if concatenates else Combine.SUM,
        feeds_output=feeds_output,
    )
