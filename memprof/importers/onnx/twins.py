"""Nodes that are alike: equal operations with equal attributes, on inputs of equal types, write equal types.

A model of many layers asks the same few questions over and over; what is worked out for a node holds for its twins.
A node has none where more than types and elements decides: bodies, sizes that are open. Whole numbers in the file
(shapes, axes) decide by their elements, floats (scales, biases) by their type alone, but for the few operations that
read sizes from them; and a node that reads constants alone is computed, not asked about.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from memprof.importers.onnx.constants import FLOATS
from memprof.importers.onnx.facts import Fact
from memprof.importers.onnx.library import AttributeProto, NodeProto
from memprof.ir.builder import Kind

Question = tuple[object, ...]
"""What decides about a node, but for names."""

_READS_FLOATS = frozenset({"MelWeightMatrix", "NonMaxSuppression", "OneHot", "Range", "Resize", "STFT", "Upsample"})
"""Operations that may read sizes from floats."""

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


class Marks:
    """What decides about the readers of constants: negative numbers, equal where that is equal."""

    def __init__(self) -> None:
        self._known: dict[object, int] = {}

    def of(self, fact: Fact) -> int:
        """Return the mark of a constant, 0 if its readers have no twins."""
        constant = fact.constant
        if constant is None or fact.proto is not None or fact.is_open or constant.is_beyond or constant.is_computed:
            return 0
        is_float = fact.type.dtype in FLOATS
        if not is_float and not constant.is_held:
            return 0
        return self._known.setdefault((id(fact.type), is_float or constant.key), -1 - len(self._known))


def ask(
    node: NodeProto, marks: Sequence[int | None], outputs: Sequence[str], *, has_constants: bool
) -> Question | None:
    """Return what decides about ``node``, ``None`` if it has no twins.

    Args:
        node: A node.
        marks: By input what decides about it, see ``Fact.settled`` and ``Marks``; ``None`` where one is left out.
        outputs: Names of what it writes.
        has_constants: Whether it reads constants.
    """
    if 0 in marks or (has_constants and not _is_asked(node, marks)):
        return None
    written = len(outputs) if "" not in outputs else tuple(map(bool, outputs))
    attributes = node.attribute
    if not attributes:
        return (node.op_type, node.domain, written, *marks)
    if not _PLAIN.issuperset([attribute.type for attribute in attributes]):
        return None
    return (node.op_type, node.domain, written, *marks, *[each.SerializeToString() for each in attributes])


def _is_asked(node: NodeProto, marks: Sequence[int | None]) -> bool:
    """Tell whether types, and elements of whole numbers, decide about a node that reads constants."""
    return node.op_type not in _READS_FLOATS and any(mark is not None and mark > 0 for mark in marks)
