"""A candidate starts from what its base has learnt: a grown one computes the same, a trimmed one keeps its cells'."""

from __future__ import annotations

import random

import pytest
import torch

from memprof.nas.generator import generate, grow, trim
from memprof.nas.inheritance import inherit
from memprof.nas.modules import build_module
from memprof.nas.space import Architecture
from tests.nas.networks import SMALL, random_architecture
from tests.nas.test_footprint import with_statistics

IMAGES = torch.rand((2, *SMALL.input_shape), generator=torch.Generator().manual_seed(0))


def heir_of(base: Architecture, candidate: Architecture) -> tuple[torch.nn.Module, torch.nn.Module]:
    """Return a base with statistics as training leaves them, and the candidate with what it inherits."""
    torch.manual_seed(1)
    parent, heir = build_module(base), build_module(candidate)
    parent.load_state_dict(with_statistics(parent, 2))
    inherit(heir, candidate, parent.state_dict(), base)
    return parent.eval(), heir.eval()


@pytest.mark.parametrize("seed", range(12))
def test_a_grown_network_computes_what_its_base_computes(seed: int) -> None:
    rng = random.Random(seed)
    base = random_architecture(rng, 1 + seed % 3)
    for candidate in rng.sample(list(grow(base)), 3):
        parent, heir = heir_of(base, candidate)
        with torch.inference_mode():
            torch.testing.assert_close(heir(IMAGES), parent(IMAGES), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("seed", range(12))
def test_a_network_without_an_edge_computes_its_base_with_that_cell_silent(seed: int) -> None:
    """What reads a block sees zeros where a cell's channels were, so dropping them changes nothing."""
    rng = random.Random(seed)
    base = next(b for b in iter(lambda: random_architecture(rng, 3), None) if len(b.blocks[1].output_slots) > 1)
    cut = [c for c in trim(base) if c.blocks[1].output_slots != base.blocks[1].output_slots]
    assert cut
    for candidate in cut:
        parent, heir = heir_of(base, candidate)
        silence(parent, base, candidate)
        with torch.inference_mode():
            torch.testing.assert_close(heir(IMAGES), parent(IMAGES), rtol=1e-4, atol=1e-4)


def silence(parent: torch.nn.Module, base: Architecture, candidate: Architecture) -> None:
    """Zero the weights of the third block on the channels that the second one no longer gives."""
    kept, width = candidate.blocks[1].output_slots, base.blocks[1].width
    gone, start = [], 0
    for slot, cell in base.blocks[1].existing:
        if cell.feeds_output:
            channels = width * (2 if cell.combine.value == "concat" else 1)
            gone += [] if slot in kept else range(start, start + channels)
            start += channels
    for slot, cell in base.blocks[2].existing:
        for side, read in enumerate(cell.inputs, start=1):
            for name, tensor in parent.state_dict().items():
                is_dense = tensor.dim() == 4 and tensor.shape[1] == start and start > 1
                if read == 0 and name.startswith(f"blocks.2.cells.{slot}.layer{side}.") and is_dense:
                    tensor[:, gone] = 0


@pytest.mark.parametrize("seed", range(6))
def test_every_candidate_can_inherit_and_every_tensor_that_fits_is_taken(seed: int) -> None:
    base = random_architecture(random.Random(seed), 2)
    parent = with_statistics(build_module(base), seed)
    for candidate in random.Random(seed).sample(list(generate(base)), 20):
        module = build_module(candidate)
        inherit(module, candidate, parent, base)
        for name, tensor in module.state_dict().items():
            if name in parent and parent[name].shape == tensor.shape:
                assert torch.equal(tensor, parent[name]), name
