"""Scratch of quantised kernels, one thread.

    operation                                   bytes
    QLinearConv                                 of one image: the input and the output with channels last (not if they
                                                are so already); sums in 32 bits, unless the kernel for symmetric
                                                weights rounds them itself; patches of one group, or pointers (of
                                                all images for symmetric weights with channels last)
    ConvInteger                                 patches of one group, unless pointwise
    QLinearMatMul QGemm                         sums in 32 bits; QGemm of int8 copies a transposed right side
    DynamicQuantizeMatMul                       the left side in 8 bits
    QLinearAveragePool                          the input in 32-bit floats
    NhwcMaxPool                                 pointers to the pixels of 512 windows
    QLinearWhere                                what is taken of each side

Symmetric weights: constant int8 (their zero point is 0, or not known: quantisers choose 0) under uint8 activations,
and on x86-64 either depthwise with a multiple of 16 channels, or ungrouped with input channels in fours, at least 16
filters, and filters in fours too (in eights on a processor without AVX-512).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from memprof.ir import Role
from memprof.runtimes.onnxruntime.scratch.convolution import is_pointwise
from memprof.runtimes.onnxruntime.scratch.kernel import Kernel, OpenSize, broadcast, volume

_POINTER_BYTES = 8
_SUM_BYTES = 4
_WINDOWS_AT_ONCE = 512
_WEIGHT_ZERO_POINT = 5


def quantized_convolution(kernel: Kernel) -> int:
    """Return the scratch of a QLinearConv."""
    filters = kernel.shape(3)
    rank = len(filters) - 2
    is_last = bool(kernel.integer("channels_last", 0))
    pixels = slice(1, 1 + rank) if is_last else slice(2, 2 + rank)
    inputs, outputs = volume(kernel.shape(0)[pixels]), volume(kernel.output_shape()[pixels])
    group, window = kernel.integer("group", 1), volume(filters[2:])
    is_constant = _is_constant(kernel, 3)
    is_depthwise = filters[1] == 1 and filters[0] == group
    is_symmetric = is_constant and _is_symmetric(kernel, filters, group)
    total = 0 if is_symmetric else filters[0] * outputs * _SUM_BYTES
    if not is_last:
        total += filters[1] * group * inputs + filters[0] * outputs
    if not is_constant:
        total += volume(filters)
    if is_depthwise or (is_symmetric and not is_pointwise(kernel, filters[2:])):
        images = kernel.shape(0)[0] if is_last and is_symmetric else 1
        return total + window * outputs * images * _POINTER_BYTES
    if is_pointwise(kernel, filters[2:]):
        return total
    return total + filters[1] * window * outputs * (group if rank > 2 else 1)


def _is_constant(kernel: Kernel, i: int) -> bool:
    value_id = kernel.node.inputs[i]
    if value_id is None:
        return False
    value = kernel.graph.values[value_id]
    return value.role is Role.PARAMETER or (
        value.producer is not None and kernel.graph.nodes[value.producer].op == "Constant"
    )


def _is_symmetric(kernel: Kernel, filters: tuple[int, ...], group: int) -> bool:
    if kernel.dtype(0) != "uint8" or kernel.dtype(3) != "int8" or _is_off_zero(kernel, _WEIGHT_ZERO_POINT):
        return False
    if group > 1:
        return filters[1] == 1 and filters[0] == group and group % 16 == 0
    return filters[0] >= 16 and filters[1] % 4 == 0 and filters[0] % 4 == 0


def _is_off_zero(kernel: Kernel, i: int) -> bool:
    try:
        return any(kernel.elements(i))
    except OpenSize:
        return False


def integer_convolution(kernel: Kernel) -> int:
    """Return the scratch of a ConvInteger."""
    filters = kernel.shape(1)
    if is_pointwise(kernel, filters[2:]):
        return 0
    groups = kernel.integer("group", 1) if len(filters) > 4 else 1
    return volume(filters[1:]) * volume(kernel.output_shape()[2:]) * groups


def sums(kernel: Kernel) -> int:
    """Return the scratch of a QLinearMatMul."""
    return volume(kernel.output_shape()) * _SUM_BYTES


def quantized_gemm(kernel: Kernel) -> int:
    """Return the scratch of a QGemm: signed inputs have no packed layout, so a transposed right side is copied."""
    is_copied = kernel.dtype(0) == "int8" and kernel.integer("transB", 0)
    return sums(kernel) + (volume(kernel.shape(3)) if is_copied else 0)


def dynamic_product(kernel: Kernel) -> int:
    """Return the scratch of a DynamicQuantizeMatMul."""
    return volume(kernel.shape(0))


def average_pool(kernel: Kernel) -> int:
    """Return the scratch of a QLinearAveragePool."""
    return volume(kernel.shape(0)) * 4


def window_pointers(kernel: Kernel) -> int:
    """Return the scratch of an NhwcMaxPool."""
    window = volume(kernel.integers("kernel_shape", ()))
    return window * min(volume(kernel.output_shape()[1:-1]), _WINDOWS_AT_ONCE) * _POINTER_BYTES


def quantized_where(kernel: Kernel) -> int:
    """Return the scratch of a QLinearWhere."""
    condition = kernel.shape(0)
    return sum(volume(broadcast((condition, kernel.shape(i)))) for i in (1, 4))


SCRATCH: Mapping[str, Callable[[Kernel], int]] = MappingProxyType(
    {
        "QLinearConv": quantized_convolution,
        "com.microsoft.QLinearConv": quantized_convolution,
        "ConvInteger": integer_convolution,
        "QLinearMatMul": sums,
        "com.microsoft.QGemm": quantized_gemm,
        "com.microsoft.DynamicQuantizeMatMul": dynamic_product,
        "com.microsoft.QLinearAveragePool": average_pool,
        "com.microsoft.NhwcMaxPool": window_pointers,
        "com.microsoft.QLinearWhere": quantized_where,
    }
)
