"""Batch norm and ReLU as one operation give what torch's two give; Triton's interpreter stands in for a GPU."""

import os
import subprocess
import sys

import pytest

pytest.importorskip("triton", reason="there is no Triton")

COMPARE = """
import torch
from torch import nn
from memprof.nas.train import fused

fused._PROGRAMS, fused._ELEMENTS = 3, 512  # a program has more than a tile, and a tensor more than a program
torch.manual_seed(0)
for images, channels, side, clips in ((3, 5, 7, True), (2, 48, 4, False), (4, 160, 3, True)):
    norm, other = nn.BatchNorm2d(channels, momentum=0.3), nn.BatchNorm2d(channels, momentum=0.3)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    nn.init.normal_(norm.running_mean)  # what the sums are differences to, and no row beyond the last is one
    other.load_state_dict(norm.state_dict())
    x = (torch.randn(images, channels, side, side) * 2 + 30).to(torch.bfloat16)
    x = x.to(memory_format=torch.channels_last)
    gradient = torch.randn(x.shape).to(torch.bfloat16).to(memory_format=torch.channels_last)
    own, reference = x.clone().requires_grad_(), x.float().requires_grad_()
    out = fused.normalized(own, norm, clips=clips)
    out.backward(gradient)
    expected = other(reference)
    expected = expected.relu() if clips else expected
    expected.backward(gradient.float())
    for name, mine, theirs, most in (
        ("out", out, expected, 0.02),
        ("gradient", own.grad, reference.grad, 0.02),
        ("weight", norm.weight.grad, other.weight.grad, 1e-3),
        ("bias", norm.bias.grad, other.bias.grad, 1e-3),
        ("mean", norm.running_mean, other.running_mean, 1e-5),
        ("variance", norm.running_var, other.running_var, 1e-3),
        ("count", norm.num_batches_tracked, other.num_batches_tracked, 0),
    ):
        off = float((mine.float() - theirs.float()).abs().max() / (theirs.float().abs().max() + 1e-9))
        assert off <= most, (channels, name, off)
print("equal")
"""


def test_the_kernels_compute_what_torch_computes() -> None:
    """A mean far from 0, channels that fill no tile, and rows that fill none."""
    # Another process: whether Triton interprets is settled when it is imported.
    done = subprocess.run(
        [sys.executable, "-c", COMPARE],
        env={**os.environ, "TRITON_INTERPRET": "1"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.stdout.strip() == "equal", done.stderr[-2000:]
