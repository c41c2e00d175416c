"""Batch norm and ReLU in training as one operation on a GPU: three passes forward and back less over memory.

    forward    sums over all images of each channel; then the normalised, clipped result in one pass
    backward   both sums of a channel's gradients; then the gradient in one pass; what was clipped is computed anew

torch launches a kernel for the norm and one for the ReLU, each way, and its own statistics reach a third of an H100's
bandwidth: together they were half of a training step of a small network. Sums are float32, of differences to the
running mean, so that they lose nothing where a mean is large; their order is fixed. Whoever has no Triton, no GPU or
no 16-bit images in channels_last gets torch's own.

Source: Ioffe and Szegedy, arXiv 1502.03167; the kernels are our own.
"""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from types import ModuleType

_PROGRAMS = 264
"""Programs that share the rows: two on each multiprocessor of an H100."""

_MOST_ELEMENTS = 2**31
"""Places are 32 bits."""

_HALVES = (torch.bfloat16, torch.float16)


@cache
def kernels() -> ModuleType | None:
    """Return the kernels, ``None`` where there is no Triton."""
    if find_spec("triton") is None:
        return None
    from memprof.nas.train import fused_kernels

    return fused_kernels


def can_fuse(x: Tensor, norm: nn.BatchNorm2d) -> bool:
    """Return whether ``normalized`` can do what ``norm`` does in training."""
    return (
        norm.training
        and x.is_cuda
        and x.dtype in _HALVES
        and norm.weight.dtype == torch.float32
        and norm.momentum is not None
        and x.numel() < _MOST_ELEMENTS
        and x.is_contiguous(memory_format=torch.channels_last)
        and kernels() is not None
    )


def normalized(x: Tensor, norm: nn.BatchNorm2d, *, clips: bool) -> Tensor:
    """Return ``x`` by mean and deviation of each channel, scaled and moved; running statistics move along.

    Args:
        x: (n, c, h, w), 16 bits an element, in channels_last.
        norm: In training, with parameters and running statistics.
        clips: Whether negative results become 0.
    """
    assert norm.num_batches_tracked is not None and norm.momentum is not None, "it tracks what it sees"
    norm.num_batches_tracked.add_(1)
    found: Tensor = _Normalized.apply(
        x, norm.weight, norm.bias, norm.running_mean, norm.running_var, norm.momentum, norm.eps, clips
    )
    return found


class _Normalized(torch.autograd.Function):
    """Keeps its input alone, and of each channel its mean and 1 / deviation."""

    @staticmethod
    def forward(  # noqa: PLR0913, PLR0917 - what batch norm is a function of
        context: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        running_mean: Tensor,
        running_variance: Tensor,
        momentum: float,
        epsilon: float,
        clips: bool,
    ) -> Tensor:
        found = kernels()
        assert found is not None, "can_fuse was asked"
        rows, channels = x.numel() // x.shape[1], x.shape[1]
        sums = torch.empty((2, _PROGRAMS, channels), dtype=torch.float32, device=x.device)
        moments = torch.empty((2, channels), dtype=torch.float32, device=x.device)
        out = torch.empty_like(x)
        tile = _tile(channels)
        over = (_PROGRAMS, -(-channels // tile.channels))
        found.sum_values[over](x, running_mean, sums, rows, channels, _PROGRAMS, tile.rows, tile.channels)
        found.moments_of[-(-channels // _FEW),](
            sums, running_mean, running_variance, moments, rows, channels, momentum, epsilon, _PROGRAMS, _FEW
        )
        grid = (-(-rows // tile.rows), over[1])
        found.normalize[grid](x, moments, weight, bias, out, rows, channels, clips, tile.rows, tile.channels)
        context.save_for_backward(x, weight, bias, moments)
        context.clips = clips
        return out

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        found = kernels()
        assert found is not None, "forward had them"
        x, weight, bias, moments = context.saved_tensors
        gradient = gradients[0].contiguous(memory_format=torch.channels_last)
        rows, channels = x.numel() // x.shape[1], x.shape[1]
        sums = torch.empty((2, _PROGRAMS, channels), dtype=torch.float32, device=x.device)
        learnt = torch.empty((2, channels), dtype=torch.float32, device=x.device)
        out = torch.empty_like(x)
        tile = _tile(channels)
        over = (_PROGRAMS, -(-channels // tile.channels))
        of_clip = (context.clips, tile.rows, tile.channels)
        found.sum_gradients[over](x, gradient, moments, weight, bias, sums, rows, channels, _PROGRAMS, *of_clip)
        found.add_up[-(-channels // _FEW),](sums, learnt, channels, _PROGRAMS, _FEW)
        grid = (-(-rows // tile.rows), over[1])
        found.spread[grid](x, gradient, moments, weight, bias, learnt, out, rows, channels, *of_clip)
        return out, learnt[1], learnt[0], None, None, None, None, None


class _Tile:
    """What a program holds at once."""

    __slots__ = ("channels", "rows")

    def __init__(self, rows: int, channels: int) -> None:
        self.rows = rows
        self.channels = channels


_FEW = 16
"""Channels that one program adds up."""

_ELEMENTS = 8192


@cache
def _tile(channels: int) -> _Tile:
    """Return the tile that wastes fewest lanes, the widest of equals."""
    widths = (128, 64, 32, 16)
    best = min(widths, key=lambda width: (-(-channels // width) * width, -width))
    return _Tile(_ELEMENTS // best, best)
