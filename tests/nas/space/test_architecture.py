"""Architectures: frozen values that cannot be wrong, mirror images equal in canonical form, JSON both ways."""

from __future__ import annotations

import json
import random
from dataclasses import replace

import pytest

from memprof.nas.space.architecture import CIFAR10, IMAGENET, MEMNAS_CELLS, Architecture, Block, Cell, Combine, Layer
from memprof.nas.space.encoding import code_length, decode_cell, decode_cells, encode_block, encode_cell
from memprof.nas.space.isomorphism import canonical, network_key
from tests.nas.networks import random_architecture


def cell(input1: int, layer1: Layer, input2: int, layer2: Layer, **more: object) -> Cell:
    return Cell(input1=input1, layer1=layer1, input2=input2, layer2=layer2, **more)  # type: ignore[arg-type]


def test_mirror_images_are_equal_in_canonical_form_and_not_before() -> None:
    one = CIFAR10.build([cell(0, Layer.CONV_3X3, 0, Layer.MAX_POOL_3X3)])
    other = CIFAR10.build([cell(0, Layer.MAX_POOL_3X3, 0, Layer.CONV_3X3)])
    assert one != other
    assert canonical(one) == canonical(other)
    assert network_key(one) == network_key(other)


def test_architectures_come_back_from_json() -> None:
    rng = random.Random(1)
    for _ in range(50):
        found = random_architecture(rng, 3)
        assert Architecture.from_json(json.loads(json.dumps(found.to_json()))) == found


CELL = {"inputs": [0, 0], "layers": ["conv_3x3", "conv_3x3"], "combine": "sum", "feeds_output": True}
BLOCK = {"stride": 1, "width": 8, "cells": [CELL]}


@pytest.mark.parametrize(
    "change",
    [
        {"schema": "x"},
        {"blocks": None},
        {"blocks": []},
        {"blocks": [[]]},
        {"classes": 0},
        {"classes": 10.5},
        {"classes": True},
        {"classes": float("nan")},
        {"input_shape": [3, 32]},
        {"input_shape": [3, 32.5, 32]},
        {"stem": {"width": 8, "stride": 0}},
        {"stem": {"width": 8, "stride": 1.5}},
        {"blocks": [BLOCK | {"width": 8.5}]},
        {"blocks": [BLOCK | {"stride": 3}]},
        {"blocks": [BLOCK | {"cells": [CELL | {"inputs": [0.9, 0]}]}]},
        {"blocks": [BLOCK | {"cells": [CELL | {"inputs": ["0", "0"]}]}]},
        {"blocks": [BLOCK | {"cells": [CELL | {"inputs": [float("inf"), 0]}]}]},
        {"blocks": [BLOCK | {"cells": [CELL | {"layers": [1, 2]}]}]},
        {"blocks": [BLOCK | {"cells": [CELL | {"layers": ["conv_9x9", "conv_3x3"]}]}]},
        {"blocks": [BLOCK | {"cells": [CELL | {"combine": "product"}]}]},
        {"blocks": [BLOCK | {"cells": [CELL | {"feeds_output": "false"}]}]},
    ],
)
def test_json_that_is_no_architecture_is_refused(change: dict[str, object]) -> None:
    data = CIFAR10.build([]).to_json() | {"blocks": [BLOCK]}
    assert Architecture.from_json(data).blocks[0].width == 8
    with pytest.raises(ValueError, match=r"."):
        Architecture.from_json(data | change)


@pytest.mark.parametrize("data", [[], "text", None])
def test_json_that_is_no_mapping_is_refused(data: object) -> None:
    with pytest.raises(ValueError, match="not an architecture"):
        Architecture.from_json(data)  # type: ignore[arg-type]


def test_a_cell_cannot_read_a_later_cell() -> None:
    with pytest.raises(ValueError, match="slot 1 reads a cell"):
        Block((cell(1, Layer.CONV_3X3, 0, Layer.CONV_3X3),), 1, 8)


def test_a_cell_cannot_feed_nothing() -> None:
    lonely = cell(0, Layer.CONV_3X3, 0, Layer.CONV_3X3, feeds_output=False)
    with pytest.raises(ValueError, match="slot 1 feeds nothing"):
        Block((lonely, cell(0, Layer.CONV_3X3, 0, Layer.CONV_3X3)), 1, 8)


@pytest.mark.parametrize(
    "cells",
    [
        [cell(0, Layer.IDENTITY, 0, Layer.IDENTITY)],
        [
            cell(0, Layer.CONV_3X3, 0, Layer.CONV_3X3),
            cell(0, Layer.IDENTITY, 1, Layer.IDENTITY),
            cell(1, Layer.IDENTITY, 0, Layer.IDENTITY),
        ],
    ],
)
def test_a_cell_does_not_just_copy(cells: list[Cell]) -> None:
    with pytest.raises(ValueError, match="computes nothing new"):
        Block(tuple(cells), 1, 8)


def test_a_block_cannot_lose_its_output() -> None:
    with pytest.raises(ValueError, match=r"feeds nothing|no cell feeds"):
        Block((cell(0, Layer.CONV_3X3, 0, Layer.CONV_3X3, feeds_output=False),), 1, 8)


def test_the_authors_block_has_six_cells_and_five_of_them_leave() -> None:
    block = CIFAR10.build(MEMNAS_CELLS).blocks[0]
    assert len(block.cells) == 6
    assert block.output_slots == (2, 3, 4, 5, 6)
    assert all(found.combine is Combine.SUM for found in MEMNAS_CELLS)


def test_templates_are_those_of_the_paper() -> None:
    assert (CIFAR10.strides, set(CIFAR10.widths)) == ((1, 2, 1, 2, 1), {64})
    assert (len(IMAGENET.strides), max(IMAGENET.widths)) == (16, 256)


def test_codes_are_those_of_figure_1() -> None:
    c1 = cell(0, Layer.DEPTHWISE_3X3, 0, Layer.FACTORIZED_7, feeds_output=False)
    c2 = cell(1, Layer.AVG_POOL_3X3, 0, Layer.DEPTHWISE_5X5, combine=Combine.CONCAT)
    assert encode_cell(c1, 3) == "0001" + "0001" + "0000010" + "0001000" + "001"
    assert encode_cell(c2, 3) == "0010" + "0001" + "0010000" + "0000100" + "110"
    assert encode_cell(replace(c2, combine=Combine.SUM), 3)[-3:] == "100"


def test_a_code_that_has_no_room_for_a_slot_is_refused() -> None:
    late = cell(3, Layer.CONV_3X3, 0, Layer.CONV_3X3)
    with pytest.raises(ValueError, match="reads slot 3 of 1"):
        encode_cell(late, 1)
    with pytest.raises(ValueError, match="no code of 2"):
        encode_block(CIFAR10.build([cell(0, Layer.CONV_3X3, 0, Layer.CONV_3X3)] * 3).blocks[0], 2)


def test_codes_come_back() -> None:
    rng = random.Random(2)
    for _ in range(100):
        for block in random_architecture(rng, 3).blocks:
            assert decode_cells(encode_block(block, 3), 3) == block.cells


def test_a_trimmed_layer_is_all_zeros() -> None:
    trimmed = cell(0, Layer.IDENTITY, 0, Layer.CONV_3X3)
    assert encode_cell(trimmed, 1)[4:11] == "0000000"
    assert decode_cell(encode_cell(trimmed, 1), 1) == trimmed


@pytest.mark.parametrize("code", ["", "1" * code_length(1), "0" * (code_length(1) - 1) + "2"])
def test_codes_of_no_cell_are_refused(code: str) -> None:
    with pytest.raises(ValueError, match=r"bits|not the code"):
        decode_cell(code, 1)
