"""Growing and trimming: the authors' counts, no duplicates, nothing invalid, removals that follow."""

from __future__ import annotations

import random

import pytest

from memprof.nas.space.architecture import CIFAR10, Architecture, Cell, Combine, Layer
from memprof.nas.space.generator import generate, grow, trim
from memprof.nas.space.isomorphism import network_key
from tests.nas.networks import random_architecture

CONV = Layer.CONV_3X3


def grown(cells: int) -> list[Cell]:
    """Return different cells that read the block's input only."""
    layers = (Layer.CONV_3X3, Layer.DEPTHWISE_3X3, Layer.AVG_POOL_3X3, Layer.MAX_POOL_3X3)
    return [Cell(input1=0, input2=0, layer1=layers[i], layer2=layers[i + 1]) for i in range(cells)]


def test_the_first_two_rounds_have_98_and_392_ordered_candidates_as_in_the_paper() -> None:
    assert len(list(grow(CIFAR10.build([]), mirror_images=True))) == 98
    assert len(list(grow(CIFAR10.build(grown(1)), mirror_images=True))) == 392


def test_the_third_round_with_one_combiner_grows_441_as_the_authors_did() -> None:
    assert len(list(grow(CIFAR10.build(grown(2)), (Combine.SUM,), mirror_images=True))) == 441


def test_without_mirror_images_n_choices_per_side_give_n_times_n_plus_1_halves() -> None:
    for cells in range(3):
        choices = (cells + 1) * 7
        assert len(list(grow(CIFAR10.build(grown(cells))))) == 2 * choices * (choices + 1) // 2


def test_two_cells_in_five_blocks_have_20_layers_and_two_edges_a_block_to_trim() -> None:
    assert len(list(trim(CIFAR10.build(grown(2))))) == 20 + 10


TWINS = CIFAR10.build([grown(1)[0], grown(1)[0]])


@pytest.mark.parametrize(
    "base", [TWINS, *(random_architecture(random.Random(seed), 1 + seed % 3) for seed in range(4))]
)
def test_nothing_comes_twice_and_the_base_never(base: Architecture) -> None:
    keys = [network_key(found) for found in generate(base)]
    assert len(set(keys)) == len(keys)
    assert network_key(base) not in keys


def test_twin_cells_have_half_the_trims() -> None:
    """Whichever of two equal cells loses a layer, the network is the same one."""
    assert len(list(trim(TWINS))) == 30
    assert sum(found.slots == 2 for found in generate(TWINS)) == 15


def test_mirror_images_count_apart_in_trims_too() -> None:
    equal = Cell(input1=0, input2=0, layer1=CONV, layer2=CONV)
    base = CIFAR10.build([equal])
    assert [sum(f.slots == 1 for f in generate(base, mirror_images=apart)) for apart in (True, False)] == [10, 5]


def test_a_layer_that_would_leave_a_cell_that_only_copies_stays() -> None:
    half = next(found for found in trim(CIFAR10.build(grown(1))))
    (slot, cell), *_ = half.blocks[0].existing
    assert cell.layer1.is_trimmed
    assert not any(found.blocks[0].cells[slot - 1] != cell for found in trim(half))


def test_a_trim_changes_one_block_and_a_growth_all_of_them_alike() -> None:
    base = random_architecture(random.Random(1), 3)
    for found in trim(base):
        assert sum(a != b for a, b in zip(found.blocks, base.blocks, strict=True)) == 1
    for found in grow(base):
        assert len({block.cells[-1] for block in found.blocks}) == 1


def test_a_cell_that_feeds_nothing_goes_and_takes_with_it_what_fed_only_it() -> None:
    first = Cell(input1=0, input2=0, layer1=CONV, layer2=CONV, feeds_output=False)
    second = Cell(input1=1, input2=1, layer1=CONV, layer2=CONV)
    third = Cell(input1=0, input2=0, layer1=CONV, layer2=Layer.MAX_POOL_3X3)
    base = CIFAR10.build([first, second, third])
    emptied = [found for found in trim(base) if found.blocks[0].cells[:2] == (None, None)]
    assert [found.blocks[0].cells for found in emptied] == [(None, None, third)]


def test_the_last_edge_to_a_blocks_output_stays() -> None:
    assert len(list(trim(CIFAR10.build(grown(1))))) == 10  # two layers in each of five blocks, and no edge


def test_a_new_cell_reads_no_slot_that_some_block_has_trimmed_away() -> None:
    base = next(found for found in trim(CIFAR10.build(grown(2))) if found.blocks[2].cells[0] is None)
    read = {i for found in grow(base) for i in found.blocks[0].cells[-1].inputs}  # type: ignore[union-attr]
    assert read == {0, 2}
