"""Small .pte files, written field by field with the flatbuffer writer of ``tests.tflite_models``.

A value is a ``Tensor``, an int, or a list of numbers of values; an instruction is a ``Call``, a ``Move``, a ``Jump``
or a ``Delegate``; all of them name values by number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.tflite_models import Number, Table, Vector, flatbuffer

BYTE, LONG, FLOAT = 0, 4, 6


@dataclass
class Tensor:
    """A tensor; ``place`` is its arena and address."""

    sizes: Sequence[int]
    place: tuple[int, int] | None = None
    has_bytes: bool = False
    dtype: int = FLOAT
    dynamism: int = 0
    name: str = ""


@dataclass
class Call:
    """A kernel call."""

    op: str
    args: Sequence[int]
    overload: str = "out"


@dataclass
class Delegate:
    """A call of a backend."""

    backend: str
    args: Sequence[int]


@dataclass
class Move:
    """A value taken over."""

    source: int
    target: int


@dataclass
class Jump:
    """A jump if a value is false."""

    condition: int
    target: int


@dataclass
class Method:
    """A method of a program."""

    values: Sequence[Tensor | int | list[int]]
    instructions: Sequence[Call | Delegate | Move | Jump]
    inputs: Sequence[int]
    outputs: Sequence[int]
    arenas: Sequence[int]
    name: str = "forward"
    more: Table = field(default_factory=dict)


def program(*methods: Method) -> bytes:
    """Return a .pte file."""
    return flatbuffer({0: Number("I", 0), 1: [_method(each) for each in methods]}, b"ET12")


def chain(*sizes: int) -> bytes:
    """Return a program of one ReLU after the other, on floats, two arenas' halves taken in turn."""
    half = 4 * max(sizes)
    values = [Tensor((1, size), (1, half * (i % 2))) for i, size in enumerate(sizes)]
    calls = [Call("aten::relu", [i, i + 1, i + 1]) for i in range(len(sizes) - 1)]
    return program(Method(values, calls, [0], [len(sizes) - 1], [0, 2 * half]))


def _method(method: Method) -> Table:
    operators = list(dict.fromkeys((i.op, i.overload) for i in method.instructions if isinstance(i, Call)))
    delegates = list(dict.fromkeys(i.backend for i in method.instructions if isinstance(i, Delegate)))
    return {
        0: method.name,
        2: [_value(each) for each in method.values],
        3: list(method.inputs),
        4: list(method.outputs),
        5: [{2: [_instruction(each, operators, delegates) for each in method.instructions]}],
        6: [{0: name, 1: overload} for name, overload in operators],
        7: [{0: each} for each in delegates],
        8: Vector("q", method.arenas),
        **method.more,
    }


def _value(value: Tensor | int | list[int]) -> Table:
    if isinstance(value, int):
        return {0: Number("B", 2), 1: {0: Number("q", value)}}
    if isinstance(value, list):
        return {0: Number("B", 10), 1: {0: value}}
    tensor: Table = {
        0: Number("b", value.dtype),
        2: list(value.sizes),
        5: Number("I", int(value.has_bytes)),
        8: Number("b", value.dynamism),
    }
    if value.place is not None:
        home, offset = value.place
        tensor[6] = {0: Number("I", home), 1: Number("I", offset % 2**32), 2: Number("I", offset >> 32)}
    if value.name:
        tensor[9] = {1: value.name}
    return {0: Number("B", 5), 1: tensor}


def _instruction(each: object, operators: list[tuple[str, str]], delegates: list[str]) -> Table:
    if isinstance(each, Call):
        return {0: Number("B", 1), 1: {0: Number("i", operators.index((each.op, each.overload))), 1: list(each.args)}}
    if isinstance(each, Delegate):
        return {0: Number("B", 2), 1: {0: Number("i", delegates.index(each.backend)), 1: list(each.args)}}
    if isinstance(each, Move):
        return {0: Number("B", 3), 1: {0: Number("i", each.source), 1: Number("i", each.target)}}
    assert isinstance(each, Jump)
    return {0: Number("B", 4), 1: {0: Number("i", each.condition), 1: Number("i", each.target)}}
