"""What a round changed, in words: each kind of step once, and no step of a search without words."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from memprof.nas.record.changes import describe_change
from memprof.nas.space.architecture import CIFAR10, Architecture, Block, Cell, Combine, Layer
from memprof.nas.space.generator import generate
from tests.nas.networks import random_architecture

FIRST = Cell(input1=0, input2=0, layer1=Layer.MAX_POOL_3X3, layer2=Layer.CONV_3X3)
SECOND = Cell(input1=0, input2=1, layer1=Layer.DILATED_3X3, layer2=Layer.FACTORIZED_7, combine=Combine.CONCAT)
ONE, TWO = CIFAR10.build([FIRST]), CIFAR10.build([FIRST, SECOND])


def with_block_3(base: Architecture, *cells: Cell | None) -> Architecture:
    block = Block(cells, base.blocks[2].stride, base.blocks[2].width)
    return replace(base, blocks=(*base.blocks[:2], block, *base.blocks[3:]))


@pytest.mark.parametrize(
    ("base", "found", "words"),
    [
        (None, ONE, "+ max pool 3x3 & conv 3x3 (sum)"),
        (ONE, TWO, "+ dilated 3x3 & 1x7, 7x1 on cell 1 (concat)"),
        (
            ONE,
            with_block_3(ONE, replace(FIRST, layer2=Layer.IDENTITY)),
            "block 3: cell 1, conv 3x3 to identity",
        ),
        (TWO, with_block_3(TWO, replace(FIRST, feeds_output=False), SECOND), "block 3: cell 1 off the output"),
        (TWO, with_block_3(TWO, FIRST, None), "block 3: without cell 2"),
    ],
)
def test_each_kind_of_change_has_its_words(base: Architecture | None, found: Architecture, words: str) -> None:
    assert describe_change(base, found) == words


def test_cells_that_fed_nothing_else_go_along() -> None:
    third = replace(FIRST, input1=1, input2=1)
    base = CIFAR10.build(
        [FIRST, replace(FIRST, layer1=Layer.DILATED_3X3, feeds_output=False), replace(third, input1=2)]
    )
    assert describe_change(base, with_block_3(base, FIRST, None, None)) == "block 3: without cells 2 and 3"


def test_no_candidate_of_a_round_is_without_words_and_trims_differ_in_theirs() -> None:
    base = random_architecture(random.Random(1), 3)
    words = [describe_change(base, candidate) for candidate in generate(base)]
    assert all(words)
    trims = [text for text in words if text.startswith("block ")]
    assert len(set(trims)) == len(trims) > 0
