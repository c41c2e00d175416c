"""Scratch of convolutions in 32-bit floats, one thread.

operation              bytes
Conv, pointwise        none: kernel 1, stride 1, no padding is one matrix product on the input itself
Conv, few outputs      the patches of one group of one image as a matrix, K * out_pixels, where a group has more
                       filters than the output has pixels; K = channels / group * kernel
Conv, else             64 KiB: the same matrix, a slice at a time
ConvTranspose          the patches of one group, channels_out / group * kernel * in_pixels
NCHWc Conv             none
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from memprof.runtimes.onnxruntime.scratch.kernel import Kernel, volume

_SLICE_BYTES = 65_536


def convolution(kernel: Kernel) -> int:
    """Return the scratch of a Conv or FusedConv."""
    filters, output = kernel.shape(1), kernel.output_shape()
    spatial = filters[2:]
    if is_pointwise(kernel, spatial):
        return 0
    if filters[0] // kernel.integer("group", 1) > volume(output[2:]):
        return volume(filters[1:]) * volume(output[2:]) * 4
    return _SLICE_BYTES


def is_pointwise(kernel: Kernel, spatial: tuple[int, ...]) -> bool:
    """Whether a convolution reads each pixel once, in place."""
    rank = len(spatial)
    ones = (1,) * rank
    return (
        spatial == ones
        and kernel.integers("strides", ones) == ones
        and not any(kernel.integers("pads", (0,) * (2 * rank)))
    )


def transposed_convolution(kernel: Kernel) -> int:
    """Return the scratch of a ConvTranspose."""
    return volume(kernel.shape(1)[1:]) * volume(kernel.shape(0)[2:]) * 4


SCRATCH: Mapping[str, Callable[[Kernel], int]] = MappingProxyType(
    {
        "Conv": convolution,
        "com.microsoft.FusedConv": convolution,
        "ConvTranspose": transposed_convolution,
    }
)
