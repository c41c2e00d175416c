"""What a formula of MACs may look at: one operation, its shapes and attributes; what it raises otherwise."""

from __future__ import annotations

from typing import NamedTuple

from memprof.ir import Graph, Node


class ReportedElsewhereError(Exception):
    """Something the formula needs is not known, and why has been reported where it belongs."""


class NoFormulaError(Exception):
    """The formula does not cover this occurrence; the message goes on where the operation's name ends."""


class Operation(NamedTuple):
    """What a formula may look at. A named tuple: there is one per node, and it is quick to make.

    Attributes:
        graph: The graph of the node.
        node: The node.
        body_macs: MACs of one run of each of its bodies, ``None`` where unknown.
    """

    graph: Graph
    node: Node
    body_macs: tuple[int | None, ...] = ()

    def input(self, position: int, rank: int = 0) -> tuple[int, ...]:
        """Return the shape of an input, which has ``rank`` axes or more.

        Raises:
            ReportedElsewhereError: The shape is open.
            NoFormulaError: There is no such input, or it has fewer axes.
        """
        return self._shape("input", self.node.inputs, position, rank)

    def output(self, position: int = 0) -> tuple[int, ...]:
        """Return the shape of an output; raises as ``input`` does."""
        return self._shape("output", self.node.outputs, position, 0)

    def has_input(self, position: int) -> bool:
        """Return whether an optional input is there."""
        return position < len(self.node.inputs) and self.node.inputs[position] is not None

    def integer(self, name: str) -> int:
        """Return an integer or boolean attribute, 0 where it is left out."""
        value = self.node.attributes.get(name, 0)
        return value if isinstance(value, int) else 0

    def _shape(self, side: str, ids: tuple[int | None, ...], position: int, rank: int) -> tuple[int, ...]:
        value_id = ids[position] if position < len(ids) else None
        if value_id is None:
            raise NoFormulaError(f"has no {side} {position}")
        shape = self.graph.values[value_id].type.shape
        if shape is None:
            raise ReportedElsewhereError
        if len(shape) < rank:
            raise NoFormulaError(f"has an {side} of {len(shape)} axes where {rank} or more belong")
        if not _OPEN.isdisjoint(map(type, shape)):
            raise ReportedElsewhereError
        return shape  # type: ignore[return-value] # all its dimensions are ints


_OPEN = frozenset({str, type(None)})
