"""Nodes that are alike: equal operations with equal attributes, on inputs of equal types, write equal types.

A model of many layers asks the same few questions over and over; what is worked out for a node holds for its twins.
A node has none where more than types decides: elements of small constants, bodies, sizes that are open.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from memprof.importers.onnx.facts import Fact
from memprof.importers.onnx.library import AttributeProto, NodeProto
from memprof.ir.builder import Kind

Question = tuple[object, ...]
"""What decides about a node, but for names."""

_PLAIN = frozenset(
    {AttributeProto.INT, AttributeProto.INTS, AttributeProto.FLOAT, AttributeProto.FLOATS, AttributeProto.STRING}
)


class Answer(NamedTuple):
    """What holds of a node and its twins.

    Attributes:
        kind: What they share.
        facts: What is known of each output.
    """

    kind: Kind
    facts: tuple[Fact, ...]


def ask(node: NodeProto, marks: Sequence[int | None], outputs: Sequence[str]) -> Question | None:
    """Return what decides about ``node``, ``None`` if it has no twins.

    Args:
        node: A node.
        marks: By input what decides about it, see ``Fact.settled``; ``None`` where one is left out.
        outputs: Names of what it writes.
    """
    if 0 in marks:
        return None
    written = len(outputs) if all(outputs) else tuple(map(bool, outputs))
    attributes = node.attribute
    if not attributes:
        return (node.op_type, node.domain, written, *marks)
    if not _PLAIN.issuperset([attribute.type for attribute in attributes]):
        return None
    return (node.op_type, node.domain, written, *marks, *[each.SerializeToString() for each in attributes])
