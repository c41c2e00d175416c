"""When an operation returns a window onto its first input: rules for programs whose tensors do not tell. Pure.

VIEWS in ops.py, in-place operations     always
reshape, flatten                         where the new shape cuts no two runs of dense axes
contiguous, to, lift_fresh, ...          where neither element type, layout nor device changes
dropout                                  outside training
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from memprof.importers.torch.layouts import is_reshape_view
from memprof.importers.torch.ops import MAYBE_VIEWS, VIEWS, is_in_place
from memprof.ir import Attribute

_RESHAPES = frozenset({"aten.flatten", "aten.ravel", "aten.reshape", "aten.reshape_as"})
_DROPOUTS = frozenset({"aten.alpha_dropout", "aten.dropout", "aten.feature_dropout"})


class Layout(NamedTuple):
    """A tensor by the numbers that decide; open sizes as in the example that the program was exported with."""

    dtype: str | None
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    device: str


def shares_input(op: str, source: Layout, output: Layout, attributes: Mapping[str, Attribute]) -> bool:
    """Tell whether ``output`` of ``op`` is a window onto the storage of ``source``, its first input."""
    if op in VIEWS or is_in_place(op):
        return True
    if op not in MAYBE_VIEWS:
        return False
    if op in _RESHAPES:
        return is_reshape_view(source.shape, source.strides, output.shape)
    if op in _DROPOUTS:
        return not attributes.get("train", 0) or attributes.get("p") == 0.0
    return source == output and not attributes.get("copy", 0)
