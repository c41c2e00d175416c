"""Which images train and which are held out: each class in the same share, the same ones in every run."""

from __future__ import annotations

import torch
from torch import Tensor

_SPLIT_SEED = 0


def shuffled_by_class(labels: Tensor, limit: int | None) -> Tensor:
    """Return indices that go round the classes, each class shuffled with the fixed seed; at most ``limit``."""
    generator = torch.Generator().manual_seed(_SPLIT_SEED)
    turns = torch.empty(len(labels), dtype=torch.int64)
    for label in torch.unique(labels):
        members = (labels == label).nonzero().squeeze(1)
        turns[members[torch.randperm(len(members), generator=generator)]] = torch.arange(len(members))
    order = torch.argsort(turns, stable=True)
    return order if limit is None else order[:limit]


def held_out_places(order: Tensor, labels: Tensor, share: float) -> Tensor:
    """Return which places of ``order`` are held out: of each class the first ``share``."""
    chosen = labels[order]
    is_held_out = torch.zeros(len(order), dtype=torch.bool)
    for label in torch.unique(chosen):
        places = (chosen == label).nonzero().squeeze(1)
        is_held_out[places[: max(1, round(len(places) * share))]] = True
    return is_held_out
