"""Scratch of convolutions in 32-bit floats.

operation              bytes
Conv, pointwise        none: kernel 1, stride 1, no padding is one matrix product on the input itself
Conv, one window   none: along one axis, a channel a group, where the window is the whole input
Conv, few outputs      the patches of one group of one image as a matrix, K * out_pixels, where a group has more
                       filters than the output has pixels; K = channels / group * kernel
Conv, 7 by 7           none: two filters a channel, a channel a group, several groups, stride 2, padding 3: a kernel
                       of its own on a processor with AVX-512
Conv, else             64 KiB a thread: the same matrix, a slice at a time. Threads take one image's group each if
                       there are several, else parts of the output: one for each 65,536 products, 16 pixels or more
ConvTranspose          the patches of one group, channels_out / group * kernel * in_pixels
DeformConv             the patches of one image, channels * kernel * out_pixels, and 32 bytes for each of them per
                       group of offsets, out_pixels rounded up to 8
NCHWc Conv             none
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from memprof.runtimes.onnxruntime.scratch.kernel import Kernel, OpenSize, volume

_SLICE_BYTES = 65_536
_PRODUCTS_A_THREAD, _LEAST_PIXELS = 65_536, 16
_LANES, _PLACE_BYTES = 8, 32


def convolution(kernel: Kernel) -> int:
    """Return the scratch of a Conv or FusedConv."""
    filters, output = kernel.shape(1), kernel.output_shape()
    if len(filters) < 3 or len(filters) != len(output):
        raise OpenSize
    spatial = filters[2:]
    if is_pointwise(kernel, spatial) or _is_one_window(kernel, filters):
        return 0
    if filters[0] // kernel.integer("group", 1) > volume(output[2:]):
        return volume(filters[1:]) * volume(output[2:]) * 4
    return 0 if _is_doubling(kernel, filters) else _SLICE_BYTES * _threads(kernel, filters, output)


def _threads(kernel: Kernel, filters: tuple[int, ...], output: tuple[int, ...]) -> int:
    """Return how many threads work on a convolution."""
    group, pixels = kernel.integer("group", 1), volume(output[2:])
    if output[0] * group > 1 or kernel.threads == 1:
        return min(kernel.threads, max(1, output[0] * group))
    wanted = min(kernel.threads, filters[0] * pixels * volume(filters[1:]) // _PRODUCTS_A_THREAD + 1)
    if wanted == 1 or not pixels:
        return 1
    stride = -(-pixels // wanted)
    return -(-pixels // (-(-stride // _LEAST_PIXELS) * _LEAST_PIXELS))


def _is_one_window(kernel: Kernel, filters: tuple[int, ...]) -> bool:
    is_depthwise = filters[1] == 1 and filters[0] == kernel.integer("group", 1)
    return len(filters) == 3 and is_depthwise and kernel.shape(0)[2] == filters[2] and kernel.output_shape()[2] == 1


def _is_doubling(kernel: Kernel, filters: tuple[int, ...]) -> bool:
    """Tell whether a convolution makes two channels of each and halves the sides, by a window of 7 by 7."""
    group = kernel.integer("group", 1)
    return (
        filters[1:] == (1, 7, 7)
        and filters[0] == 2 * group > 2
        and kernel.integers("strides", (1, 1)) == (2, 2)
        and _is_padded_by_three(kernel)
        and kernel.integers("dilations", (1, 1)) == (1, 1)
    )


def _is_padded_by_three(kernel: Kernel) -> bool:
    """Tell whether a window of 7 by 7 that moves by 2 has its centre on the first and the last element."""
    if kernel.text("auto_pad", "NOTSET").startswith("SAME"):
        return all(size % 2 for size in kernel.shape(0)[2:])  # of an even size one more is missing than there are
    return kernel.integers("pads", (0,) * 4) == (3,) * 4


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


def deformed_convolution(kernel: Kernel) -> int:
    """Return the scratch of a DeformConv."""
    window, pixels = volume(kernel.shape(1)[2:]), volume(kernel.output_shape()[2:])
    places = kernel.integer("offset_group", 1) * window * (-(-pixels // _LANES) * _LANES)
    return kernel.shape(0)[1] * window * pixels * kernel.element_bytes() + places * _PLACE_BYTES


SCRATCH: Mapping[str, Callable[[Kernel], int]] = MappingProxyType(
    {
        "Conv": convolution,
        "com.microsoft.FusedConv": convolution,
        "DeformConv": deformed_convolution,
        "ConvTranspose": transposed_convolution,
    }
)
