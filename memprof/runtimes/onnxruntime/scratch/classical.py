"""Scratch of kernels of ``ai.onnx.ml``.

operation                          bytes
SVMRegressor                       what each support vector says of each row
LinearClassifier SVMClassifier     the input as 32-bit floats, if it is of another type
TreeEnsembleClassifier             the number of each row's class, where classes are texts
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from memprof.runtimes.onnxruntime.scratch.kernel import Kernel, volume

_FLOAT_BYTES, _NUMBER_BYTES = 4, 8


def support_vectors(kernel: Kernel) -> int:
    """Return the scratch of SVMRegressor."""
    return kernel.output_shape()[0] * kernel.integer("n_supports", 0) * _FLOAT_BYTES


def as_floats(kernel: Kernel) -> int:
    """Return the scratch of LinearClassifier or SVMClassifier."""
    return 0 if kernel.dtype(0) == "float32" else volume(kernel.shape(0)) * _FLOAT_BYTES


def class_numbers(kernel: Kernel) -> int:
    """Return the scratch of TreeEnsembleClassifier."""
    return kernel.output_shape()[0] * _NUMBER_BYTES if kernel.output_dtype() == "string" else 0


SCRATCH: Mapping[str, Callable[[Kernel], int]] = MappingProxyType(
    {
        "ai.onnx.ml.SVMRegressor": support_vectors,
        "ai.onnx.ml.LinearClassifier": as_floats,
        "ai.onnx.ml.SVMClassifier": as_floats,
        "ai.onnx.ml.TreeEnsembleClassifier": class_numbers,
    }
)
"""Rules by operation."""
