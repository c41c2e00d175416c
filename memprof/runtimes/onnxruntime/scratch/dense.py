"""Scratch of elementwise, normalising and resampling kernels.

operation                          bytes
Max Min Sum Mean                   with three inputs or more the result so far, from version 8 on
Where                              what is taken of each side, with zeros elsewhere
Softmax LogSoftmax Hardmax         from version 13 on, along another axis than the last: the input and the result
                                       with that axis last
LRN                                the scale of each element, and the squares of one image with the window's margin
MeanVarianceNormalization          two tensors (none over all axes but the first two)
Resize Upsample, linear            16 bytes for each row and column (and plane) of the output
FastGelu BiasGelu with a bias      one tensor
Multinomial                        8 bytes per class
DFT of no power of two             four complex arrays of the next power of two from twice the length less one on
BatchNormalization in training     mean and inverse deviation of each channel
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import accumulate, pairwise
from types import MappingProxyType

from memprof.runtimes.onnxruntime.scratch.kernel import Kernel, OpenSize, broadcast, volume

VARIADIC = ("Max", "Min", "Sum", "Mean")
_TWO_RESULTS = 3  # of more inputs two results are held at once
_TRANSPOSING_VERSION = 13
_BROADCASTING_VERSION = 8


def variadic(kernel: Kernel) -> int:
    """Return the scratch of Max, Min, Sum or Mean: the result of two inputs, then of three, ..."""
    shapes = [kernel.shape(i) for i in range(len(kernel.node.inputs))]
    if len(shapes) < 3 or kernel.opset < _BROADCASTING_VERSION:
        return 0
    if len(set(shapes)) == 1:  # nearly always, and there may be thousands
        return volume(shapes[0]) * kernel.element_bytes()
    sizes = [volume(shape) for shape in accumulate(shapes, lambda so_far, shape: broadcast((so_far, shape)))][1:]
    most = max(a + b for a, b in pairwise(sizes))
    return max(0, most - sizes[-1]) * kernel.element_bytes()


def where(kernel: Kernel) -> int:
    """Return the scratch of Where."""
    condition = kernel.shape(0)
    taken = sum(volume(broadcast((condition, kernel.shape(i)))) for i in (1, 2))
    return taken * kernel.element_bytes(1)


def along_axis(kernel: Kernel) -> int:
    """Return the scratch of Softmax, LogSoftmax or Hardmax."""
    shape = kernel.shape(0)
    if kernel.opset < _TRANSPOSING_VERSION or kernel.integer("axis", -1) % max(1, len(shape)) == len(shape) - 1:
        return 0
    return 2 * volume(shape) * kernel.element_bytes()


def local_response(kernel: Kernel) -> int:
    """Return the scratch of LRN."""
    shape = kernel.shape(0)
    margin = (shape[1] + kernel.integer("size", 1) - 1) * volume(shape[2:])
    return (volume(shape) + margin) * kernel.element_bytes()


def mean_variance(kernel: Kernel) -> int:
    """Return the scratch of MeanVarianceNormalization."""
    shape = kernel.shape(0)
    axes = {axis % len(shape) for axis in kernel.integers("axes", (0, 2, 3))}
    return 0 if axes == set(range(2, len(shape))) else 2 * volume(shape) * kernel.element_bytes()


def resampling(kernel: Kernel) -> int:
    """Return the scratch of Resize or Upsample: positions and weights of a linear one along each resized axis."""
    if kernel.text("mode", "nearest") != "linear" or kernel.integer("antialias", 0):
        return 0
    before, after = kernel.shape(0), kernel.output_shape()
    if before == after:
        return 0
    rank = len(after)
    resized = range(rank - 3, rank) if rank == 5 else _plane(before, after)
    return 16 * sum(after[axis] for axis in resized)


def _plane(before: tuple[int, ...], after: tuple[int, ...]) -> tuple[int, ...]:
    """Return the two axes of the image: the last two, or the two before a last axis of channels."""
    rank = len(after)
    is_channels_last = rank == 4 and before[1] != after[1] and before[3] == after[3]
    return (1, 2) if is_channels_last else tuple(range(max(0, rank - 2), rank))


def biased_gelu(kernel: Kernel) -> int:
    """Return the scratch of FastGelu or BiasGelu."""
    return volume(kernel.shape(0)) * kernel.element_bytes() if kernel.has_input(1) else 0


def multinomial(kernel: Kernel) -> int:
    """Return the scratch of Multinomial."""
    return 8 * kernel.shape(0)[1]


def fourier_transform(kernel: Kernel) -> int:
    """Return the scratch of a DFT."""
    before, after = kernel.shape(0), kernel.output_shape()
    axes: Iterable[int] = (kernel.integer("axis", 1 if kernel.opset < 20 else -2),)
    if kernel.has_input(2):
        try:
            axes = (int(kernel.elements(2)[0]),)
        except OpenSize:
            axes = range(1, len(before) - 1)
    lengths = {_transformed(kernel, before[axis], after[axis]) for axis in axes}
    found = {_bluestein_bytes(length, kernel.element_bytes()) for length in lengths}
    if len(found) != 1:
        raise OpenSize  # the axis is an input, and it matters
    return found.pop()


def _transformed(kernel: Kernel, before: int, after: int) -> int:
    """Return how many places a DFT transforms: what it reads is cut off or filled up to the length that is given."""
    if kernel.integer("inverse", 0) or not kernel.integer("onesided", 0):
        return after
    return int(kernel.elements(1)[0]) if kernel.has_input(1) else before


def short_time_fourier_transform(kernel: Kernel) -> int:
    """Return the scratch of an STFT: that of one frame's DFT, which all frames share."""
    length = kernel.shape(2, 1)[0] if kernel.has_input(2) else int(kernel.elements(3)[0])
    return _bluestein_bytes(length, kernel.element_bytes())


def _bluestein_bytes(length: int, element: int) -> int:
    return 0 if length & (length - 1) == 0 else 4 * 2 * element * (1 << (2 * length - 2).bit_length())


def batch_statistics(kernel: Kernel) -> int:
    """Return the scratch of a BatchNormalization."""
    return 2 * kernel.shape(0)[1] * kernel.element_bytes(3) if kernel.integer("training_mode", 0) else 0


def variadic_before(kernel: Kernel) -> int:
    """Return what Max, Min, Sum or Mean of four inputs and more take before they have an output: two results."""
    shapes = [kernel.shape(i) for i in range(len(kernel.node.inputs))]
    if len(shapes) <= _TWO_RESULTS or kernel.opset < _BROADCASTING_VERSION:
        return 0
    sizes = [volume(shape) for shape in accumulate(shapes, lambda so_far, shape: broadcast((so_far, shape)))][1:-1]
    return max(a + b for a, b in pairwise(sizes)) * kernel.element_bytes()


SCRATCH: Mapping[str, Callable[[Kernel], int]] = MappingProxyType(
    {
        **dict.fromkeys(VARIADIC, variadic),
        "Where": where,
        **dict.fromkeys(("Softmax", "LogSoftmax", "Hardmax"), along_axis),
        "LRN": local_response,
        "MeanVarianceNormalization": mean_variance,
        **dict.fromkeys(("Resize", "Upsample"), resampling),
        **dict.fromkeys(("com.microsoft.FastGelu", "com.microsoft.BiasGelu"), biased_gelu),
        "Multinomial": multinomial,
        "BatchNormalization": batch_statistics,
        "DFT": fourier_transform,
        "STFT": short_time_fourier_transform,
    }
)
