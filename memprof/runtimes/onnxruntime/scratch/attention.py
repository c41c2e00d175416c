"""Scratch of ONNX's own Attention, versions 23 and 24, one thread.

    scores         batch * heads * queries * keys elements, whatever else is written; keys past and present
    a mask made    where the mask is boolean, or the attention is causal and the number of keys is not given by an
                   input: as many elements as the mask has, at least queries * keys
    16-bit floats  the scores of one head in 32 bits

From ONNX's 92 node tests of the operation, all fitted exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from memprof.runtimes.onnxruntime.scratch.kernel import Kernel, OpenSize, volume

_MASK, _PAST_KEY, _PAST_VALUE, _KEY_COUNT = 3, 4, 5, 6
_FLOAT_BYTES = 4


def attention(kernel: Kernel) -> int:
    """Return the scratch of an Attention."""
    query, key = kernel.shape(0), kernel.shape(1)
    heads = query[1] if len(query) == 4 else kernel.integer("q_num_heads", 0)
    queries, keys = query[-2], key[-2]
    if kernel.has_input(_PAST_KEY):
        if not (kernel.has_output(1) and kernel.has_output(2)):
            raise OpenSize  # what is past and present then stands in scratch
        keys += kernel.shape(_PAST_KEY)[-2]
    element = kernel.element_bytes()
    total = query[0] * heads * queries * keys * element
    is_boolean = kernel.has_input(_MASK) and kernel.dtype(_MASK) == "bool"
    if is_boolean or (kernel.integer("is_causal", 0) and not kernel.has_input(_KEY_COUNT)):
        made = volume(kernel.shape(_MASK)) if kernel.has_input(_MASK) else 0
        total += max(made, queries * keys) * element
    return total + (queries * keys * _FLOAT_BYTES if element < _FLOAT_BYTES else 0)


SCRATCH: Mapping[str, Callable[[Kernel], int]] = MappingProxyType({"Attention": attention})
