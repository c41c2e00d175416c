"""Recorded types against what operations imply: a file that was edited by hand keeps the old ones in it.

what the file records      what the operation writes      together
nothing, or less           anything                       what it writes
more                       part of it                     both, filled into each other
a scalar                   no scalar                      what it writes: some exporters write it for "open"
a size                     another size                   a contradiction: what it writes counts
a size                     a size left open by an input   the same: it was recorded for one size of that input
an element type, a rank    another one                    the same
"""

from __future__ import annotations

from memprof.importers.onnx.symbols import format_shape
from memprof.ir import DTYPE_BITS, TensorType


def contradiction(stated: TensorType, found: TensorType) -> str:
    """Return what two types of one tensor disagree about: ``dtype``, ``shape``, or nothing (empty)."""
    if found.dtype is not None and stated.dtype is not None and stated.dtype != found.dtype:
        return "dtype"
    if stated.shape is None or found.shape is None or stated.shape == found.shape:
        return ""
    if len(stated.shape) != len(found.shape):
        return "shape" if stated.shape else ""
    pairs = zip(stated.shape, found.shape, strict=True)
    return "shape" if any(isinstance(a, int) and b is not None and a != b for a, b in pairs) else ""


def describe(of: TensorType) -> str:
    """Return a type as people read it: ``float32 1x8x16x16``."""
    dtype = of.dtype if of.dtype in DTYPE_BITS else of.dtype or "an unknown type"
    return f"{dtype} {format_shape(of)}"
