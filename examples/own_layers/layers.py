"""The module of a layer of one's own: a depthwise convolution that starts as a blur."""

from __future__ import annotations

import torch
from torch import nn


def quiet(channels: int, width: int, stride: int) -> nn.Module:
    """Return a module that reads ``channels`` maps and writes ``width`` of them, ``stride`` times smaller."""
    around = nn.Conv2d(channels, channels, 5, stride, padding=2, groups=channels, bias=False)
    torch.nn.init.constant_(around.weight, 1 / 25)
    return nn.Sequential(
        around,
        nn.BatchNorm2d(channels),
        nn.Conv2d(channels, width, 1, bias=False),
        nn.BatchNorm2d(width),
        nn.Hardswish(),
    )
