"""What is known of a value while a model is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from memprof.importers.onnx.constants import Constant, may_decide_shapes
from memprof.importers.onnx.library import TypeProto
from memprof.importers.onnx.types import UNKNOWN_TYPE
from memprof.ir import TensorType


@dataclass(frozen=True, slots=True)
class Fact:
    """What is known of a value. Made by ``FactTable``.

    Attributes:
        type: Its type.
        is_open: Whether its bytes are not known.
        is_fixed: Whether its element type and all its dimensions are known. (One dimension of 0 settles the bytes.)
        is_small: Whether it is known to be small enough to take part in the arithmetic of shapes.
        constant: Its elements, if they are few and the same in every run.
        proto: Its type as ONNX writes it, for sequences and optionals, which ``type`` does not describe.
        parts: Types of the tensors of a sequence, where they are known.
        settled: Equal for values of which equal types say all there is to know, 0 for any other.
    """

    type: TensorType
    is_open: bool
    is_fixed: bool = False
    is_small: bool = False
    constant: Constant | None = None
    proto: TypeProto | None = None
    parts: tuple[TensorType, ...] | None = None
    settled: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        is_plain = self.constant is None and self.proto is None and self.parts is None
        is_settled = is_plain and not self.is_open
        object.__setattr__(self, "settled", id(self.type) if is_settled else 0)  # types are interned


_MAX_ELEMENTS = 16  # shapes, axes and numbers; what is longer is data

UNKNOWN_FACT = Fact(UNKNOWN_TYPE, is_open=True)


class FactTable:
    """Facts by type: nearly every value of a model is fully described by one of a few dozen types."""

    def __init__(self) -> None:
        self._by_type: dict[int, Fact] = {id(UNKNOWN_TYPE): UNKNOWN_FACT}

    def of(self, type: TensorType) -> Fact:  # noqa: A002 - the field's own name
        """Return the fact that a value has this type, which a ``TypeTable`` made and keeps."""
        found = self._by_type.get(id(type))
        if found is None:
            found = self._by_type[id(type)] = Fact(
                type, type.size_bytes is None, _is_fixed(type), may_decide_shapes(type)
            )
        return found

    def constant(self, type: TensorType, constant: Constant | None) -> Fact:  # noqa: A002 - as above
        """Return the fact that a value has this type and these elements."""
        plain = self.of(type)
        return plain if constant is None else Fact(type, plain.is_open, plain.is_fixed, plain.is_small, constant)

    def described(self, type: TensorType, proto: TypeProto | None) -> Fact:  # noqa: A002 - as above
        """Return the fact that a value has this type, which ``proto`` describes in full."""
        plain = self.of(type)
        return plain if proto is None else Fact(type, plain.is_open, plain.is_fixed, plain.is_small, proto=proto)


def known_elements(facts: Sequence[Fact]) -> dict[int, tuple[float, ...]]:
    """Return the elements of small constants by place, for rules that ask whether they are one, or an axis."""
    found: dict[int, tuple[float, ...]] = {}
    for place, fact in [(place, fact) for place, fact in enumerate(facts) if fact.constant is not None]:
        constant, count = fact.constant, fact.type.element_count
        if constant is None or count is None or count > _MAX_ELEMENTS or (numbers := constant.elements) is None:
            continue
        if len(numbers) <= _MAX_ELEMENTS:
            found[place] = numbers
    return found


def are_aligned(inputs: Sequence[Fact], output: TensorType) -> bool:
    """Whether every input of the output's bytes also has its elements one by one in the same places."""
    count = output.element_count
    same = [fact.type for fact in inputs if fact.type is not output and fact.type.size_bytes == output.size_bytes]
    return all(of.element_count == count for of in same)


def _is_fixed(of: TensorType) -> bool:
    return of.size_bytes is not None and of.shape is not None and all(isinstance(dim, int) for dim in of.shape)
