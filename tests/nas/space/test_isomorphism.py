"""Two ways of writing one network have one canonical form, and two networks never do: against brute force."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from itertools import permutations, product

import pytest

pytest.importorskip("torch")

import torch

from memprof.nas.space.architecture import Architecture, Block, Cell, Combine, Layer
from memprof.nas.space.isomorphism import canonical, network_key
from memprof.nas.train.modules import build_module
from tests.nas.networks import SMALL, random_architecture

Cells = tuple[Cell | None, ...]
FEW = (Layer.CONV_3X3, Layer.MAX_POOL_3X3, Layer.IDENTITY)
"""Few layers, so that random cells are often twins."""


def random_cells(rng: random.Random, count: int) -> Cells:
    """Return cells of one block that are allowed together."""
    while True:
        cells = tuple(
            Cell(
                input1=rng.randrange(slot),
                input2=rng.randrange(slot),
                layer1=rng.choice(FEW),
                layer2=rng.choice(FEW),
                combine=rng.choice((Combine.SUM, Combine.SUM, Combine.CONCAT)),
                feeds_output=rng.random() < 0.7,
            )
            for slot in range(1, count + 1)
        )
        try:
            return Block(cells, 1, 8).cells
        except ValueError:
            continue


def written_ways(cells: Cells) -> Iterator[Cells]:
    """Yield every way to number and mirror the cells in which none comes before what it reads."""
    for order in permutations(range(1, len(cells) + 1)):
        places = {0: 0} | {slot: place for place, slot in enumerate(order, start=1)}
        moved = [
            replace(c, input1=places[c.input1], input2=places[c.input2]) for slot in order if (c := cells[slot - 1])
        ]
        if all(max(c.inputs) < place for place, c in enumerate(moved, start=1)):
            for mirrors in product((False, True), repeat=len(moved)):
                yield tuple(mirror(c) if is_mirrored else c for c, is_mirrored in zip(moved, mirrors, strict=True))


def mirror(cell: Cell) -> Cell:
    return replace(cell, input1=cell.input2, input2=cell.input1, layer1=cell.layer2, layer2=cell.layer1)


def of(cells: Cells) -> Architecture:
    return replace(SMALL, strides=(1,), widths=(8,)).build(cells)  # type: ignore[arg-type]


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_blocks_have_one_key_exactly_if_one_is_a_way_to_write_the_other(count: int) -> None:
    rng = random.Random(count)
    blocks = [random_cells(rng, count) for _ in range(60)]
    ways = [set(written_ways(cells)) for cells in blocks]
    keys = [network_key(of(cells)) for cells in blocks]
    same = 0
    for i, cells in enumerate(blocks):
        for j in range(i):
            assert (keys[i] == keys[j]) == (cells in ways[j])
            same += keys[i] == keys[j]
        assert {network_key(of(way)) for way in rng.sample(sorted(ways[i], key=repr), min(6, len(ways[i])))} == {
            keys[i]
        }
    assert same > 0 or count > 2


def test_the_canonical_form_is_one_of_the_ways_and_stays() -> None:
    rng = random.Random(0)
    for _ in range(40):
        cells = random_cells(rng, 3)
        found = canonical(of(cells))
        assert found.blocks[0].cells in set(written_ways(cells))
        assert canonical(found) == found


def test_empty_slots_change_nothing_and_come_last() -> None:
    first, second = (
        Cell(input1=0, input2=0, layer1=FEW[0], layer2=FEW[1]),
        Cell(input1=2, input2=0, layer1=FEW[0], layer2=FEW[1]),
    )
    holey = (None, first, second)
    assert canonical(of(holey)) == canonical(of((first, replace(second, input1=1))))
    assert canonical(of(holey)).blocks[0].cells[0] is not None


def test_a_mirror_image_has_as_many_weights_and_bytes() -> None:
    rng = random.Random(1)
    for _ in range(10):
        found = random_architecture(rng, 3)
        counts = [sorted(p.numel() for p in build_module(a).parameters()) for a in (found, canonical(found))]
        assert counts[0] == counts[1]


def test_a_renumbered_network_computes_the_same_with_the_same_weights() -> None:
    """Sums only, where renumbering permutes no channels of a cell; the one output cell keeps the block's channels."""
    a = Cell(input1=0, input2=0, layer1=FEW[0], layer2=FEW[1], feeds_output=False)
    b = Cell(input1=0, input2=0, layer1=Layer.DEPTHWISE_3X3, layer2=FEW[0], feeds_output=False)
    one = of((a, b, Cell(input1=1, input2=2, layer1=FEW[0], layer2=FEW[1])))
    other = of((b, a, Cell(input1=2, input2=1, layer1=FEW[0], layer2=FEW[1])))
    assert network_key(one) == network_key(other)
    torch.manual_seed(0)
    first, second = build_module(one).eval(), build_module(other).eval()
    slots = {"cells.1.": "cells.2.", "cells.2.": "cells.1."}
    state = {
        next((name.replace(old, new) for old, new in slots.items() if old in name), name): tensor
        for name, tensor in first.state_dict().items()
    }
    second.load_state_dict(state)
    images = torch.rand((2, *SMALL.input_shape))
    with torch.inference_mode():
        torch.testing.assert_close(first(images), second(images))
