"""Nodes that are alike: equal operations with equal attributes, on inputs of equal types, write equal types.

A model of many layers asks the same few questions over and over; what is worked out for a node holds for its twins.
A node has none where more than types and elements decides: bodies, sizes that are open. Whole numbers in the file
(shapes, axes) decide by their elements, floats (scales, biases) by their type alone, but for the few operations that
read sizes from them; and a node that reads constants alone is computed, not asked about.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from memprof.importers.onnx.constants import FLOATS
from memprof.importers.onnx.facts import Fact
from memprof.importers.onnx.library import AttributeProto, NodeProto
from memprof.importers.onnx.modules import module_path
from memprof.ir.builder import Alike, Kind

Question = tuple[object, ...]
"""What decides about a node, but for names."""

_READS_FLOATS = frozenset({"MelWeightMatrix", "NonMaxSuppression", "OneHot", "Range", "Resize", "STFT", "Upsample"})
"""Operations that may read sizes from floats."""

_SPENT_AT_ONCE = 1000

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known in a scope while it is built. It grows with each node.

    Attributes:
        ids: Ids of values by name.
        facts: What is known of each value, by id.
        settled: What decides about a value's readers, by id.
        stated: What the file says of values, by name.
        bound: Names of values of which the caller says more.
        answers: What holds of the twins of nodes that were met.
        add: Adds a node to the scope, whatever it is.
        spend: Takes values that nodes read and write off what is left.
    """

    ids: dict[str, int]
    facts: list[Fact]
    settled: list[int]
    stated: Mapping[str, Fact]
    bound: Collection[str]
    answers: Mapping[Question, Answer]
    add: Callable[[NodeProto], None]
    spend: Callable[[int], None]


def repeated(nodes: Iterable[NodeProto], known: Known) -> Iterator[Alike]:
    """Yield each node of which a twin was met before, and let the scope add all others; in order, as they are taken.

    A model of many nodes is nearly all twins: one loop, as little in it as can be. What writes several values, leaves
    out an input, or is said more of than of its twin, is for the scope.

    Args:
        nodes: All nodes of the scope.
        known: What is known before the first, and grows.
    """
    ids, facts, settled, stated, bound = known.ids, known.facts, known.settled, known.stated, known.bound
    id_of, mark_of, answer_to = ids.__getitem__, settled.__getitem__, known.answers.get
    edges = 0
    for node in nodes:
        written = node.output[:]  # slices: a third faster than list()
        try:
            inputs = tuple(map(id_of, node.input[:]))
        except KeyError:  # one is left out, or from a scope around
            known.add(node)
            continue
        attributes = node.attribute
        question: Question = (node.op_type, node.domain, 1, *map(mark_of, inputs))  # as ``ask`` asks
        if attributes:
            question = (*question, *[attribute.SerializeToString() for attribute in attributes])
        answer = answer_to(question)
        if answer is None or len(written) != 1:
            known.add(node)
            continue
        (output,), (fact,), name = written, answer.facts, node.name
        is_plain = output and type(output) is str is type(name) and fact.constant is None
        if not is_plain or output in bound or (output in stated and stated[output].type is not fact.type):
            known.add(node)
            continue
        yield answer.kind, inputs, output, name, module_path(node) if node.metadata_props or name[:1] == "/" else ""
        ids[output] = len(facts)
        facts.append(fact)
        settled.append(fact.settled)
        edges += 1 + len(inputs)
        if edges > _SPENT_AT_ONCE:
            known.spend(edges)
            edges = 0
    known.spend(edges)


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
