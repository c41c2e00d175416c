"""Start a candidate from the weights of the network it came from, so that little of what that has learnt is lost.

A tensor of one name and shape in both networks is copied. Where a block's output gained or lost a cell, the layers
that read it have more or fewer input channels: those of a cell that both have are copied, wherever they now lie, and
the weights on channels of a new cell are zero. So a network that only grew computes at first what its base computes,
and learns from there. Identities are the exception: one that becomes a projection passes the old channels on through
a batch norm of its own, and one that need not project any more loses what its projection had learnt.

    a layer that reads the block's input      its tensors with a dimension of input channels
    convolution                               weight (width, channels, k, k)                         dimension 1
    depthwise                                 weight (channels, 1, k, k), its batch norm (channels)  dimension 0
    identity, once plain and now a projection weight (width, channels, 1, 1): one on the old channels

The paper trains every candidate from fresh weights; inheriting them is ours (compare Net2Net, Chen et al., ICLR
2016), and ``Settings.inherits`` switches it off.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from memprof.nas.space.architecture import Architecture, Block
from memprof.nas.train.modules import block_channels, cell_channels


@dataclass(frozen=True, slots=True)
class _Reading:
    """What a layer reads, in both networks.

    Attributes:
        sources: For each input channel its place in the base, -1 for a channel of a new cell.
        base_channels: Input channels in the base.
    """

    sources: Tensor
    base_channels: int


def inherit(module: nn.Module, architecture: Architecture, weights: Mapping[str, Tensor], base: Architecture) -> None:
    """Fill ``module`` in place with what it shares with its base.

    Args:
        module: What ``build_module(architecture)`` gave, with fresh weights.
        architecture: The candidate.
        weights: State of the base's module.
        base: The network that the candidate was grown or trimmed from, in one step.
    """
    own = module.state_dict()
    changed, plain = _changed_readings(architecture, base), _plain_identities(base)
    other = _other_layers(architecture, base)
    filled = {}
    for name, fresh in own.items():
        prefix, reading = next(((p, r) for p, r in changed.items() if name.startswith(p)), ("", None))
        if name.startswith(other):
            continue
        if name not in weights:
            if reading is not None and name == f"{prefix}0.weight" and prefix in plain:
                filled[name] = _handing_on(fresh, reading.sources)
            continue
        old = weights[name]
        dimension = None if reading is None else _input_dimension(fresh, old, reading)
        if reading is not None and dimension is not None:
            filled[name] = _rerouted(fresh, old, reading.sources, dimension)
        elif fresh.shape == old.shape:
            filled[name] = old
    module.load_state_dict(own | filled)


def _changed_readings(architecture: Architecture, base: Architecture) -> dict[str, _Reading]:
    """Return, by the prefix of its tensors' names, each layer whose block reads gained or lost cells."""
    changed = {}
    for index, (block, old) in enumerate(zip(architecture.blocks, base.blocks, strict=True), start=1):
        if block.output_slots == old.output_slots or not old.cells:
            continue
        reading = _reading(block, old)
        if index == len(architecture.blocks):
            changed["classifier.weight"] = reading
            break
        for slot, cell in architecture.blocks[index].existing:
            for side, read in enumerate(cell.inputs, start=1):
                if read == 0:
                    changed[f"blocks.{index}.cells.{slot}.layer{side}."] = reading
    return changed


def _other_layers(architecture: Architecture, base: Architecture) -> tuple[str, ...]:
    """Return the prefixes of the layers that were trimmed: a tensor of the same name and shape is another's there."""
    return tuple(
        f"blocks.{index}.cells.{slot}.layer{side}."
        for index, (block, old) in enumerate(zip(architecture.blocks, base.blocks, strict=True))
        for slot, cell in block.existing
        if slot <= len(old.cells) and (before := old.cells[slot - 1]) is not None
        for side, (new, was) in enumerate(((cell.layer1, before.layer1), (cell.layer2, before.layer2)), start=1)
        if new != was
    )


def _plain_identities(base: Architecture) -> frozenset[str]:
    """Return the prefixes of the layers that hand their block's input on as it is: they have no tensors."""
    return frozenset(
        f"blocks.{index}.cells.{slot}.layer{side}."
        for index, block in enumerate(base.blocks[1:], start=1)
        for slot, cell in block.existing
        for side, (read, layer) in enumerate(cell.layers, start=1)
        if read == 0 and layer.is_trimmed and block.stride == 1
        if block_channels(base.blocks[index - 1], 0) == block.width
    )


def _reading(block: Block, base: Block) -> _Reading:
    places: dict[int, range] = {}
    channels = 0
    for slot, cell in base.existing:
        if cell.feeds_output:
            places[slot] = range(channels, channels + cell_channels(cell, base.width))
            channels += len(places[slot])
    sources = [
        place
        for slot, cell in block.existing
        if cell.feeds_output
        for place in places.get(slot, [-1] * cell_channels(cell, block.width))
    ]
    return _Reading(torch.tensor(sources), channels)


def _input_dimension(fresh: Tensor, old: Tensor, reading: _Reading) -> int | None:
    """Return the dimension in which a tensor has the channels that its layer reads; ``None`` if it has no such."""
    if fresh.dim() != old.dim():
        return None
    for dimension in range(fresh.dim()):
        others_agree = all(
            a == b for i, (a, b) in enumerate(zip(fresh.shape, old.shape, strict=True)) if i != dimension
        )
        sizes = (fresh.shape[dimension], old.shape[dimension])
        if others_agree and sizes == (len(reading.sources), reading.base_channels):
            return dimension
    return None


def _handing_on(fresh: Tensor, sources: Tensor) -> Tensor:
    """Return the 1x1 convolution that an identity becomes when its input gets more channels: the old ones pass."""
    places = torch.arange(fresh.shape[0])
    return (places.view(-1, 1, 1, 1) == sources.view(1, -1, 1, 1)).to(fresh.dtype)


def _rerouted(fresh: Tensor, old: Tensor, sources: Tensor, dimension: int) -> Tensor:
    """Return ``fresh`` with the base's weights on the input channels that both have, where they now lie.

    In dimension 1 a new channel starts at zero, which keeps the base's function; in dimension 0 it is a depthwise
    one, which mixes with no other and keeps its fresh weights.
    """
    is_new = (sources < 0).view([-1 if i == dimension else 1 for i in range(fresh.dim())])
    kept = old.index_select(dimension, sources.clamp_min(0))
    return torch.where(is_new, torch.zeros_like(fresh) if dimension == 1 else fresh, kept)
