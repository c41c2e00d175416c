"""Nodes that are alike: equal operations with equal attributes, on inputs of equal types, write equal types.

A model of many layers asks the same few questions over and over; what is worked out for a node holds for its twins.
A node has none where more than types decides: elements of small constants, bodies, sizes that are open.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from memprof.importers.onnx.facts import Fact
from memprof.importers.onnx.library import AttributeProto, NodeProto
from memprof.ir import Attribute, Graph

Question = tuple[object, ...]
"""What decides about a node, but for names."""

_PLAIN = frozenset(
    {AttributeProto.INT, AttributeProto.INTS, AttributeProto.FLOAT, AttributeProto.FLOATS, AttributeProto.STRING}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What holds of a node and its twins.

    Attributes:
        op: Its operation, with the domain unless it is ONNX's own.
        facts: What is known of each output.
        attributes: See ``Node.attributes``.
        is_view: Whether its first output shares the storage of its first input.
        is_elementwise: See ``Node.is_elementwise``.
        is_foldable: See ``GraphBuilder.add_node``.
        version: See ``Node.version``.
        definition: See ``Node.definition``.
    """

    op: str
    facts: tuple[Fact, ...]
    attributes: Mapping[str, Attribute]
    is_view: bool
    is_elementwise: bool
    is_foldable: bool
    version: int
    definition: Graph | None


def ask(
    node: NodeProto, inputs: Sequence[int | None], outputs: Sequence[str], facts: Sequence[Fact]
) -> Question | None:
    """Return what decides about ``node``, ``None`` if it has no twins.

    Args:
        node: A node.
        inputs: Ids of what it reads.
        outputs: Names of what it writes.
        facts: What is known of each value.
    """
    key: list[object] = [node.op_type, node.domain, *map(bool, outputs), None]
    for value_id in inputs:
        if value_id is None:
            key.append(None)
            continue
        settled = facts[value_id].settled
        if not settled:
            return None
        key.append(settled)
    for attribute in node.attribute:
        if attribute.type not in _PLAIN:
            return None
        key.append(attribute.SerializeToString())
    return tuple(key)
