"""Sequences of tensors: which tensors are in one, and so its bytes.

SequenceEmpty        none
SequenceConstruct    a copy of each input
SequenceInsert       those before, and a copy of one more
SequenceErase        those before but one
SplitToSequence      the pieces
SequenceAt           a copy of one tensor
ConcatFromSequence   all of them in one

ONNX's own types of sequences say one type for all tensors, open where they differ; this says each. Where a place is
not known, it matters only if the tensors differ. A sequence that a graph takes, or that a loop fills, stays unknown.
A runtime that shares tensors between two sequences takes less than both have.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from memprof.importers.onnx.attributes import integer
from memprof.importers.onnx.constants import Constant
from memprof.importers.onnx.facts import Fact, FactTable
from memprof.importers.onnx.library import NodeProto
from memprof.importers.onnx.types import TypeTable
from memprof.ir import Dim, TensorType

Parts = tuple[TensorType, ...]
_MAX_PARTS = 10_000


class _Open(Exception):  # noqa: N818 - a signal inside this file
    """What a rule needs is not known."""


def sequence_facts(
    node: NodeProto, inputs: Sequence[Fact | None], found: Sequence[Fact], types: TypeTable, facts: FactTable
) -> list[Fact]:
    """Return ``found``, what ONNX says of the outputs of a node, with the tensors of sequences.

    Args:
        node: A node of ONNX's own domain.
        inputs: What is known of its inputs.
        found: What ONNX's inference says of its outputs.
        types: The model's types.
        facts: The model's facts.
    """
    writes, reads = _WRITES.get(node.op_type), _READS.get(node.op_type)
    try:
        if writes is not None:
            parts = writes(node, inputs, types)
            sizes = [of.size_bytes for of in parts]
            total = sum(size or 0 for size in sizes)
            if None in sizes or len(parts) > _MAX_PARTS:
                return list(found)
            return [replace(facts.described(types.of("tensors", (total,)), found[0].proto), parts=parts)]
        if reads is not None and found[0].is_open:
            return [facts.of(reads(node, inputs, types))]
    except (_Open, IndexError, TypeError, ValueError, ArithmeticError):  # open, or it does not fit
        pass
    return list(found)


def _fact(inputs: Sequence[Fact | None], i: int) -> Fact:
    fact = inputs[i] if i < len(inputs) else None
    if fact is None:
        raise _Open
    return fact


def _parts(inputs: Sequence[Fact | None]) -> Parts:
    parts = _fact(inputs, 0).parts
    if parts is None:
        raise _Open
    return parts


def _place(inputs: Sequence[Fact | None], i: int, parts: Parts, default: int) -> int:
    """Return the place that input ``i`` names, any of them where all tensors are alike."""
    if i >= len(inputs) or inputs[i] is None:
        return default
    constant = _fact(inputs, i).constant
    elements = None if constant is None else constant.elements
    if elements is None:
        if len(set(parts)) != 1:
            raise _Open
        return 0
    place = int(elements[0])
    return place + len(parts) if place < 0 else place


def _empty(*_: object) -> Parts:
    return ()


def _construct(_: NodeProto, inputs: Sequence[Fact | None], __: TypeTable) -> Parts:
    return tuple(_fact(inputs, i).type for i in range(len(inputs)))


def _insert(_: NodeProto, inputs: Sequence[Fact | None], __: TypeTable) -> Parts:
    parts, one = _parts(inputs), _fact(inputs, 1).type
    is_one_kind = {*parts} <= {one}  # where it goes is no matter then
    place = len(parts) if is_one_kind else _place(inputs, 2, parts, len(parts))
    return (*parts[:place], one, *parts[place:])


def _erase(_: NodeProto, inputs: Sequence[Fact | None], __: TypeTable) -> Parts:
    parts = _parts(inputs)
    place = _place(inputs, 1, parts, len(parts) - 1)
    return parts[:place] + parts[place + 1 :]


def _split(node: NodeProto, inputs: Sequence[Fact | None], types: TypeTable) -> Parts:
    of = _fact(inputs, 0).type
    axis, size = _axis(of, node)
    constant = inputs[1].constant if len(inputs) > 1 and inputs[1] is not None else None
    if len(inputs) > 1 and inputs[1] is not None and (constant is None or constant.elements is None):
        raise _Open
    if constant is None:
        keeps = integer(node, "keepdims") != 0
        return (_with(of, axis, (1,) if keeps else (), types),) * size
    return tuple(_with(of, axis, (piece,), types) for piece in _pieces(constant, size))


def _pieces(constant: Constant, size: int) -> list[int]:
    pieces = [int(piece) for piece in constant.elements or ()]
    if constant.type[1]:
        return pieces
    full, rest = divmod(size, pieces[0])
    return pieces * full + ([rest] if rest else [])


def _axis(of: TensorType, node: NodeProto) -> tuple[int, int]:
    if of.shape is None:
        raise _Open
    axis = (integer(node, "axis") or 0) % len(of.shape)
    size = of.shape[axis]
    if not isinstance(size, int) or size > _MAX_PARTS:
        raise _Open
    return axis, size


def _with(of: TensorType, axis: int, dims: tuple[Dim, ...], types: TypeTable) -> TensorType:
    assert of.shape is not None, "its axis was found"
    return types.of(of.dtype, (*of.shape[:axis], *dims, *of.shape[axis + 1 :]))


def _at(_: NodeProto, inputs: Sequence[Fact | None], __: TypeTable) -> TensorType:
    parts = _parts(inputs)
    return parts[_place(inputs, 1, parts, 0)]


def _joined(node: NodeProto, inputs: Sequence[Fact | None], types: TypeTable) -> TensorType:
    parts = _parts(inputs)
    shape = parts[0].shape
    if shape is None:
        raise _Open
    if integer(node, "new_axis"):
        axis = (integer(node, "axis") or 0) % (len(shape) + 1)
        return types.of(parts[0].dtype, (*shape[:axis], len(parts), *shape[axis:]))
    sizes = [_axis(part, node) for part in parts]
    return _with(parts[0], sizes[0][0], (sum(size for _, size in sizes),), types)


_WRITES: Mapping[str, Callable[[NodeProto, Sequence[Fact | None], TypeTable], Parts]] = MappingProxyType(
    {
        "SequenceConstruct": _construct,
        "SequenceEmpty": _empty,
        "SequenceErase": _erase,
        "SequenceInsert": _insert,
        "SplitToSequence": _split,
    }
)
_READS: Mapping[str, Callable[[NodeProto, Sequence[Fact | None], TypeTable], TensorType]] = MappingProxyType(
    {"ConcatFromSequence": _joined, "SequenceAt": _at}
)
