"""A candidate starts from what its base has learnt: a grown one computes the same, a trimmed one keeps its cells'."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

pytest.importorskip("torch")

import torch

from memprof.nas.space.architecture import Architecture, Cell, Layer
from memprof.nas.space.generator import generate, grow, trim
from memprof.nas.train.inheritance import inherit
from memprof.nas.train.modules import build_module
from tests.nas.networks import SMALL, random_architecture
from tests.nas.space.test_footprint import with_statistics

EQUAL = replace(SMALL, widths=(8, 8, 8))
"""Where the next block is wider, a growth can make a projection needless; then something is lost."""

IMAGES = torch.rand((2, *SMALL.input_shape), generator=torch.Generator().manual_seed(0))


def heir_of(base: Architecture, candidate: Architecture) -> tuple[torch.nn.Module, torch.nn.Module]:
    """Return a base with statistics as training leaves them, and the candidate with what it inherits."""
    torch.manual_seed(1)
    parent, heir = build_module(base), build_module(candidate)
    parent.load_state_dict(with_statistics(parent, 2))
    inherit(heir, candidate, parent.state_dict(), base)
    return parent.eval(), heir.eval()


SEEDS = [pytest.param(seed, marks=() if seed < 4 else pytest.mark.slow) for seed in range(12)]
"""A network takes a second: some always, all with the slow tests."""


@pytest.mark.parametrize("seed", SEEDS)
def test_a_grown_network_computes_what_its_base_computes(seed: int) -> None:
    rng = random.Random(seed)
    base = random_architecture(rng, 1 + seed % 3, EQUAL)
    for candidate in rng.sample(list(grow(base)), 3):
        parent, heir = heir_of(base, candidate)
        with torch.inference_mode():
            torch.testing.assert_close(heir(IMAGES), parent(IMAGES), rtol=1e-3, atol=1e-3)


def test_an_identity_that_must_project_hands_the_old_channels_on() -> None:
    conv = Cell(input1=0, input2=0, layer1=Layer.CONV_3X3, layer2=Layer.CONV_3X3)
    half = replace(conv, layer2=Layer.IDENTITY)
    base = replace(SMALL, strides=(1, 1), widths=(8, 8), stem_width=8).build([half])
    for candidate in list(grow(base))[:5]:
        parent, heir = heir_of(base, candidate)
        assert len(list(heir.parameters())) > len(list(parent.parameters()))
        with torch.inference_mode():
            torch.testing.assert_close(heir(IMAGES), parent(IMAGES), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_network_without_an_edge_computes_its_base_with_that_cell_silent(seed: int) -> None:
    """What reads a block sees zeros where a cell's channels were, so dropping them changes nothing.

    Except for an identity on the block's input: with other channels it may be plain or a projection.
    """
    rng = random.Random(seed)
    base = next(b for b in iter(lambda: random_architecture(rng, 3), None) if is_told_apart(b))
    cut = [c for c in trim(base) if c.blocks[1].output_slots != base.blocks[1].output_slots]
    assert cut
    for candidate in cut:
        parent, heir = heir_of(base, candidate)
        silence(parent, base, candidate)
        with torch.inference_mode():
            torch.testing.assert_close(heir(IMAGES), parent(IMAGES), rtol=1e-4, atol=1e-4)


def is_told_apart(base: Architecture) -> bool:
    """Whether the second block can lose an edge and no layer of the third hands its input on."""
    reads = [layer for _, cell in base.blocks[2].existing for read, layer in cell.layers if read == 0]
    return len(base.blocks[1].output_slots) > 1 and not any(layer.is_trimmed for layer in reads)


def silence(parent: torch.nn.Module, base: Architecture, candidate: Architecture) -> None:
    """Zero the weights of the third block on the channels that the second one no longer gives."""
    kept, width = candidate.blocks[1].output_slots, base.blocks[1].width
    gone, start = [], 0
    for slot, cell in base.blocks[1].existing:
        if cell.feeds_output:
            channels = width * (2 if cell.combine.value == "concat" else 1)
            gone += [] if slot in kept else range(start, start + channels)
            start += channels
    state = parent.state_dict()
    for slot, cell in base.blocks[2].existing:
        for side, (read, layer) in enumerate(cell.layers, start=1):
            if read == 0:
                state[f"blocks.2.cells.{slot}.layer{side}.{MIXES[layer]}.weight"][:, gone] = 0


MIXES = dict.fromkeys(Layer, "0") | {
    Layer.DEPTHWISE_3X3: "1.0",
    Layer.DEPTHWISE_5X5: "1.0",
    Layer.FACTORIZED_7: "0.0",
    Layer.AVG_POOL_3X3: "0.0",
    Layer.MAX_POOL_3X3: "0.0",
}
"""Where each layer keeps the convolution that mixes its input channels."""


@pytest.mark.parametrize("seed", range(6))
def test_every_candidate_can_inherit_and_every_tensor_that_fits_is_taken(seed: int) -> None:
    base = random_architecture(random.Random(seed), 2)
    parent = with_statistics(build_module(base), seed)
    for candidate in random.Random(seed).sample(list(generate(base)), 20):
        module = build_module(candidate)
        inherit(module, candidate, parent, base)
        trimmed = [
            f"blocks.{i}.cells.{slot}.layer{side}."
            for i, block in enumerate(candidate.blocks)
            for slot, cell in block.existing
            for side, (_, layer) in enumerate(cell.layers, start=1)
            if layer.is_trimmed
        ]
        for name, tensor in module.state_dict().items():
            if name in parent and parent[name].shape == tensor.shape and not name.startswith(tuple(trimmed)):
                assert torch.equal(tensor, parent[name]), name
