"""One node of onnxruntime's own operations, as a rule for its types sees it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from memprof.importers.onnx.attributes import attribute
from memprof.importers.onnx.constants import Constant
from memprof.importers.onnx.library import NodeProto
from memprof.importers.onnx.types import DTYPES, UNKNOWN_TYPE, TypeTable
from memprof.ir import Dim, TensorType


@dataclass(frozen=True, slots=True)
class ContributedCall:
    """One node, as a rule sees it."""

    node: NodeProto
    inputs: Sequence[TensorType | None]
    types: TypeTable
    data: Sequence[Constant | None] = ()

    def get(self, name: str, default: Any = None) -> Any:
        """Return an attribute."""
        return attribute(self.node, name, default)

    def of(self, i: int) -> TensorType:
        """Return the type of input ``i``."""
        found = self.inputs[i] if i < len(self.inputs) else None
        return UNKNOWN_TYPE if found is None else found

    def shape(self, i: int) -> tuple[Dim, ...]:
        """Return the shape of input ``i``; raises ``OpenShape`` if its rank is not known."""
        shape = self.of(i).shape
        if shape is None:
            raise OpenShape
        return shape

    def elements(self, i: int) -> tuple[float, ...]:
        """Return the elements of input ``i``; raises ``OpenShape`` if they are not at hand."""
        constant = self.data[i] if i < len(self.data) else None
        found = None if constant is None else constant.elements
        if found is None:
            raise OpenShape
        return found

    def dtype(self, number: int) -> str:
        """Return the name of ONNX's element type ``number``."""
        return DTYPES[number]

    def typed(self, like: int, shape: tuple[Dim, ...]) -> TensorType:
        """Return input ``like``'s element type with another shape."""
        return self.types.of(self.of(like).dtype, shape)


class OpenShape(Exception):  # noqa: N818 - a signal to the caller of a rule, not a failure
    """A shape that a rule needs is not known."""
