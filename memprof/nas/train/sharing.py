"""One training shared by several processes: each takes its part of every batch, and all take the same step.

    batch of a step     columns 0 .. n of the plan; process r of c takes those from r n / c on
    gradients           averaged by torch's DistributedDataParallel while the backward pass runs
    batch norm          mean and deviation of the whole batch, so that a step is the one that a single process takes
    scores              each counts its part of the images, and the counts are added

All draw the same plan from the same seed, so nothing but gradients, means and counts travels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class Share:
    """Which part of a training a process does.

    Attributes:
        rank: Which of them it is, from 0.
        count: How many there are; more than one need torch's process group to be there.
    """

    rank: int = 0
    count: int = 1

    def total(self, value: Tensor) -> Tensor:
        """Return the sum of a tensor over all processes."""
        if self.count > 1:
            torch.distributed.all_reduce(value)
        return value

    def part_of(self, order: Tensor) -> Tensor:
        """Return this process's places of some that all of them score."""
        return order[self.rank :: self.count]


ALONE = Share()


class SharedNorm(nn.Module):
    """A batch norm over the batches of all processes, equal in size; takes the place and tensors of a plain one.

    In training it needs torch's process group. Two sums travel there and back: means, then squares about the mean of
    all, which loses no digits where a mean is large.
    """

    def __init__(self, norm: nn.BatchNorm2d, count: int) -> None:
        super().__init__()
        assert norm.momentum is not None and norm.running_mean is not None and norm.running_var is not None
        self.weight, self.bias = norm.weight, norm.bias
        self.register_buffer("running_mean", norm.running_mean)
        self.register_buffer("running_var", norm.running_var)
        self.register_buffer("num_batches_tracked", norm.num_batches_tracked)
        self._eps, self._momentum, self._count = norm.eps, norm.momentum, count

    def forward(self, x: Tensor) -> Tensor:
        """Return (n, c, h, w) with mean 0 and deviation 1 in each channel, scaled and moved."""
        if not self.training:
            mean, variance = self.get_buffer("running_mean"), self.get_buffer("running_var")
            return nn.functional.batch_norm(x, mean, variance, self.weight, self.bias, eps=self._eps)
        mean = self._over_all(x.mean((0, 2, 3), dtype=torch.float32))
        centred = x.float() - mean.view(1, -1, 1, 1)
        variance = self._over_all(centred.square().mean((0, 2, 3)))
        self._remember(mean.detach(), variance.detach(), self._count * x.numel() // x.shape[1])
        scale = self.weight * torch.rsqrt(variance + self._eps)
        found: Tensor = centred * scale.view(1, -1, 1, 1) + self.bias.view(1, -1, 1, 1)
        return found.to(x.dtype)

    def _over_all(self, value: Tensor) -> Tensor:
        from torch.distributed.nn.functional import all_reduce

        found: Tensor = all_reduce(value) / self._count  # type: ignore[no-untyped-call] # its gradient sums too
        return found

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor, values: int) -> None:
        unbiased = variance * (values / max(1, values - 1))
        self.get_buffer("running_mean").lerp_(mean, self._momentum)
        self.get_buffer("running_var").lerp_(unbiased, self._momentum)
        self.get_buffer("num_batches_tracked").add_(1)


def share_norms(module: nn.Module, count: int) -> None:
    """Put a shared batch norm in the place of each plain one, in place; names of tensors stay.

    Args:
        module: A network; one that was shared before stays as it is.
        count: Processes that share it.
    """
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            setattr(module, name, SharedNorm(child, count))
        else:
            share_norms(child, count)


def averaged(module: nn.Module, device: torch.device) -> nn.Module:
    """Return ``module`` with its gradients averaged over all processes as they come."""
    from torch.nn.parallel import DistributedDataParallel

    devices = [device] if device.type == "cuda" else None
    return DistributedDataParallel(module, device_ids=devices, broadcast_buffers=False)
