"""What a scratch rule sees of a node: types of what it reads and writes, and attributes; ``OpenSize`` if unknown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import prod
from typing import cast

from memprof.ir import DTYPE_BITS, Graph, Node

Shape = tuple[int, ...]


class OpenSize(Exception):  # noqa: N818 - a signal inside this package, not a failure
    """A size that the rule needs is not known, or the node has none that fits."""


@dataclass(frozen=True, slots=True)
class Kernel:
    """One node of a graph, as its kernel sees it.

    Attributes:
        graph: The graph.
        node: The node.
        opset: Version of ONNX's operations.
        threads: Threads that it may use.
    """

    graph: Graph
    node: Node
    opset: int
    threads: int = 1

    def has_input(self, i: int) -> bool:
        """Whether input ``i`` is there."""
        return i < len(self.node.inputs) and self.node.inputs[i] is not None

    def has_output(self, i: int) -> bool:
        """Whether output ``i`` is wanted."""
        return i < len(self.node.outputs) and self.node.outputs[i] is not None

    def shape(self, i: int, rank: int | None = None) -> Shape:
        """Return the shape of input ``i``, which has ``rank`` axes if that is given.

        Raises:
            OpenSize: It is not known, there is no such input, or it has another rank.
        """
        found = self._shape(self.node.inputs, i)
        if rank is not None and len(found) != rank:
            raise OpenSize
        return found

    def output_shape(self, i: int = 0) -> Shape:
        """Return the shape of output ``i``.

        Raises:
            OpenSize: It is not known, or there is no such output.
        """
        return self._shape(self.node.outputs, i)

    def element_bytes(self, i: int = 0) -> int:
        """Return the bytes of one element of input ``i``.

        Raises:
            OpenSize: Its type is not known.
        """
        value_id = self.node.inputs[i] if i < len(self.node.inputs) else None
        bits = DTYPE_BITS.get(self.graph.values[value_id].type.dtype or "") if value_id is not None else None
        if bits is None:
            raise OpenSize
        return max(1, bits // 8)

    def dtype(self, i: int) -> str | None:
        """Return the element type of input ``i``."""
        value_id = self.node.inputs[i] if i < len(self.node.inputs) else None
        return None if value_id is None else self.graph.values[value_id].type.dtype

    def output_dtype(self, i: int = 0) -> str | None:
        """Return the element type of output ``i``, ``None`` if there is none."""
        value_id = self.node.outputs[i] if i < len(self.node.outputs) else None
        return None if value_id is None else self.graph.values[value_id].type.dtype

    def integer(self, name: str, default: int) -> int:
        """Return an integer attribute; raises ``OpenSize`` if it is none."""
        found = self.node.attributes.get(name, default)
        if not isinstance(found, int):
            raise OpenSize
        return found

    def integers(self, name: str, default: Sequence[int]) -> Shape:
        """Return a list of integers; raises ``OpenSize`` if it is none."""
        found = self.node.attributes.get(name, tuple(default))
        if not isinstance(found, tuple) or not all(isinstance(i, int) for i in found):
            raise OpenSize
        return cast("Shape", found)

    def text(self, name: str, default: str = "") -> str:
        """Return a text attribute; raises ``OpenSize`` if it is none."""
        found = self.node.attributes.get(name, default)
        if not isinstance(found, str):
            raise OpenSize
        return found

    def elements(self, i: int) -> tuple[float, ...]:
        """Return what input ``i`` holds.

        Raises:
            OpenSize: It is no small constant, or there is no such input.
        """
        value_id = self.node.inputs[i] if i < len(self.node.inputs) else None
        found = None if value_id is None else self.graph.elements.get(value_id)
        if found is None:
            raise OpenSize
        return found

    def _shape(self, value_ids: Sequence[int | None], i: int) -> Shape:
        value_id = value_ids[i] if i < len(value_ids) else None
        shape = self.graph.values[value_id].type.shape if value_id is not None else None
        if shape is None or not all(isinstance(dim, int) for dim in shape):
            raise OpenSize
        return cast("Shape", shape)


def broadcast(shapes: Iterable[Shape]) -> Shape:
    """Return the shape that ``shapes`` have together.

    >>> broadcast([(3, 1), (4,)])
    (3, 4)
    """
    found = list(shapes)
    rank = max(map(len, found), default=0)
    padded = [(1,) * (rank - len(shape)) + shape for shape in found]
    return tuple(next((dim for dim in dims if dim != 1), 1) for dims in zip(*padded, strict=True))


class Ledger:
    """Bytes taken and given back inside one kernel, and the most that were held at once."""

    def __init__(self) -> None:
        self.held = 0
        self.peak = 0

    def take(self, size_bytes: int) -> int:
        """Take bytes; return how many."""
        self.held += size_bytes
        self.peak = max(self.peak, self.held)
        return size_bytes

    def give(self, size_bytes: int) -> None:
        """Give bytes back."""
        self.held -= size_bytes


def volume(shape: Shape) -> int:
    """Return the number of elements."""
    return prod(shape)
