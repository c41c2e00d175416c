"""How often a Loop runs that counts for itself: ``while i < n`` of an exporter that has no ``for``.

    condition    And of comparisons, through Cast, Identity, Squeeze, Unsqueeze and Reshape
    comparison   Less, LessOrEqual, Greater or GreaterOrEqual of two single integers, whole floats too
    each side    made by Add, Sub, Neg, Mul by a constant and the operations above, of constants, of the number of
                 the iteration and of carried values whose start is known and that are made so themselves

Such a side is a linear recurrence in as many values as are carried for it, and one more. Its second differences are
too, so where as many of them vanish as it has values, all do: the side grows by the same number in each iteration,
and when the comparison fails follows from two of them. That holds for exact numbers, so all that makes a side must
be whole, grow by the same number too, and stay small: what a Cast cuts off, what wraps around and what a float
rounds is no count. Of an And with a part that is none of this the rest says how often the loop runs at most.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from memprof.importers.onnx.attributes import integer
from memprof.importers.onnx.library import GraphProto, NodeProto

if TYPE_CHECKING:
    import numpy as np

    _Array = np.ndarray[Any, Any]
    Known = Callable[[str], _Array | None]
    """What is known of a value of the body, the same in every iteration."""

_PASSED_ON = frozenset(("Cast", "Identity", "Squeeze", "Unsqueeze", "Reshape"))
_LINEAR: Mapping[str, tuple[int, Callable[..., int]]] = MappingProxyType(
    {
        **dict.fromkeys(_PASSED_ON, (1, operator.pos)),
        "Add": (2, operator.add),
        "Sub": (2, operator.sub),
        "Mul": (2, operator.mul),
        "Neg": (1, operator.neg),
    }
)
"""How many numbers an operation reads, and what it writes."""
_COMPARISONS = frozenset(("Less", "LessOrEqual", "Greater", "GreaterOrEqual"))
_WIDE = MappingProxyType({1: ("f", 4), 6: ("i", 4), 7: ("i", 8), 11: ("f", 8)})  # by ONNX's numbers
_EXACT = 2**24  # whole floats add up exactly so far
_MOST_CARRIED = 8
_MOST_NODES = 64
_MOST_PARTS = 4


@dataclass(frozen=True, slots=True)
class Trips:
    """How often a loop runs.

    Attributes:
        count: The number.
        is_exact: Whether it runs so often, not fewer times: no part of the condition was left out.
    """

    count: int
    is_exact: bool


def count_trips(body: GraphProto, known: Known, start: Sequence[_Array | None]) -> Trips | None:
    """Return how often a Loop runs that begins, ``None`` where its body does not say so.

    Args:
        body: Its body.
        known: What is known of a value of the body, the same in every iteration.
        start: What is known of its carried values before it begins.
    """
    if len(body.input) < 2 or len(body.output) < len(body.input) - 1:
        return None
    counting = _Counting(body, known, start)
    parts = counting.parts(body.output[0].name)
    counts = [counting.trips(part) for part in parts[:_MOST_PARTS]]
    found = [count for count in counts if count is not None]
    return Trips(min(found), is_exact=len(found) == len(parts)) if found else None


@dataclass(frozen=True, slots=True)
class _Side:
    """What a side of a comparison is in the first iteration, by how much it grows, and both of all that makes it."""

    first: int
    step: int
    courses: frozenset[tuple[int, int]]


class _Counting:
    """A body whose conditions are looked at."""

    def __init__(self, body: GraphProto, known: Known, start: Sequence[_Array | None]) -> None:
        names = [info.name for info in body.input]
        self._known = known
        self._constants: dict[str, int | None] = {}  # what is known, as numbers: looked up often
        self._number, self._going, *carried = names
        self._start = dict(zip(carried, start, strict=False))
        self._after = dict(zip(carried, (info.name for info in body.output[1:]), strict=False))
        self._nodes = tuple(body.node)
        self._writers = {name: i for i, node in enumerate(self._nodes) for name in node.output}

    def parts(self, condition: str) -> list[str]:
        """Return what must all be true for ``condition`` to be, as it is from the last iteration on."""
        found: list[str] = []
        stack, seen = [condition], {self._going}
        while stack:
            name = stack.pop()
            if name in seen:
                continue
            seen.add(name)
            constant, node = self._known(name), self._writer(name)
            if constant is not None and constant.all():
                continue
            if node is not None and node.op_type == "And":
                stack += node.input
            elif node is not None and node.op_type in _PASSED_ON and node.input:
                stack.append(node.input[0])
            else:
                found.append(name)
        return found

    def trips(self, comparison: str) -> int | None:
        """Return after how many iterations a comparison fails for the first time, ``None`` if that is not known."""
        node = self._writer(comparison)
        if node is None or node.op_type not in _COMPARISONS or len(node.input) != 2:
            return None
        left, right = map(self._side, node.input)
        if left is None or right is None:
            return None
        gap, change = right.first - left.first, left.step - right.step  # it goes on while the gap is positive
        if node.op_type.startswith("Greater"):
            gap, change = -gap, -change
        if node.op_type.endswith("OrEqual"):
            gap += 1
        if gap <= 0:
            return 1
        if change <= 0:
            return None
        count = -(-gap // change) + 1
        ends = [abs(first + count * step) for first, step in left.courses | right.courses]
        return count if max(ends) < _EXACT else None

    def _side(self, name: str) -> _Side | None:
        """Return what a value is in the first iteration and by how much it grows in each, if that is so."""
        carried, nodes = self._needed(name)
        if len(carried) > _MOST_CARRIED or len(nodes) > _MOST_NODES or not all(map(_is_linear, nodes)):
            return None
        before = {each: _whole(self._start.get(each)) for each in carried}
        seen: list[dict[str, int]] = []
        for number in range(len(carried) + 4):
            values = self._iteration({**before, self._number: number}, nodes)
            if values is None:
                return None
            seen.append(values)
            before = {each: self._number_of(self._after[each], values) for each in carried}
        courses = {each: (first, seen[1][each] - first) for each, first in seen[0].items()}
        if any(after[each] - now[each] != courses[each][1] for now, after in pairwise(seen) for each in now):
            return None
        constant = self._constant(name)
        first, step = courses[name] if constant is None and name in courses else (constant, 0)
        return None if first is None else _Side(first, step, frozenset(courses.values()) | {(first, step)})

    def _needed(self, name: str) -> tuple[list[str], list[NodeProto]]:
        """Return the carried values that a value is made of, and the nodes that make it and them, in order."""
        needed, stack = {name}, [name]
        carried: list[str] = []
        made: set[int] = set()
        while stack and len(made) <= _MOST_NODES:
            each = stack.pop()
            more: Sequence[str] = ()
            if self._known(each) is not None:
                continue
            if each in self._after:
                carried.append(each)
                more = (self._after[each],)
            elif each in self._writers:
                made.add(self._writers[each])
                more = self._nodes[self._writers[each]].input
            stack += [other for other in more if other and other not in needed]
            needed.update(more)
        return carried, [self._nodes[i] for i in sorted(made)]

    def _writer(self, name: str) -> NodeProto | None:
        node = self._nodes[self._writers[name]] if name in self._writers else None
        return None if node is None or node.domain else node

    def _iteration(self, before: Mapping[str, int | None], nodes: Sequence[NodeProto]) -> dict[str, int] | None:
        """Return what all values of one iteration are, ``None`` where one of them is no number that adds up."""
        values = {name: value for name, value in before.items() if value is not None}
        if len(values) < len(before):
            return None
        for node in nodes:
            count, rule = _LINEAR[node.op_type]
            numbers = [self._number_of(name, values) for name in node.input[:count]]
            is_product = node.op_type == "Mul" and all(self._constant(name) is None for name in node.input)
            if is_product or None in numbers or len(numbers) != count or len(node.output) != 1:
                return None
            written = values[node.output[0]] = rule(*numbers)
            if abs(written) >= _EXACT:
                return None
        return values

    def _number_of(self, name: str, values: Mapping[str, int]) -> int | None:
        return values[name] if name in values else self._constant(name)

    def _constant(self, name: str) -> int | None:
        if name not in self._constants:
            self._constants[name] = _whole(self._known(name))
        return self._constants[name]


def _is_linear(node: NodeProto) -> bool:
    is_kept = node.op_type != "Cast" or integer(node, "to") in _WIDE
    return is_kept and node.op_type in _LINEAR and not node.domain


def _whole(array: _Array | None) -> int | None:
    if array is None or array.size != 1 or (array.dtype.kind, array.dtype.itemsize) not in _WIDE.values():
        return None
    number = float(array.reshape(-1)[0])
    return int(number) if number.is_integer() and abs(number) < _EXACT else None
