"""Whether onnxruntime has a CPU kernel for a node: the table, read.

A kernel fits a node if it was made for the version in which the operation last changed, and takes its element types.
A node that none fits is replaced by the function that ONNX defines the operation as, if it does (``lowering``); else
16-bit floats are widened for it (``half``), or onnxruntime refuses the model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

from memprof.ir import Graph, Node
from memprof.runtimes.onnxruntime.kernel_table import TABLE

_LETTERS: Mapping[str, str] = MappingProxyType(
    {
        **dict(zip(("float32", "float64", "float16", "bfloat16", "bool", "string"), "fdhb?s", strict=True)),
        **dict(zip(("int8", "int16", "int32", "int64"), "1234", strict=True)),
        **dict(zip(("uint8", "uint16", "uint32", "uint64"), "5678", strict=True)),
    }
)
_OTHER = "~"


@dataclass(frozen=True, slots=True)
class _Kernel:
    """One entry of the table.

    Attributes:
        first: First version that it is for.
        last: Last version.
        types: Letters that it takes, by position; negative ones are outputs, counted from -1.
    """

    first: int
    last: int
    types: tuple[tuple[int, str], ...]


def has_kernel(graph: Graph, node: Node, as_if: Mapping[str, str] = MappingProxyType({})) -> bool:
    """Whether a kernel fits ``node``. What is not known of a type counts as fitting.

    Args:
        graph: The graph that the node is in.
        node: The node.
        as_if: Element types to take for others: whether there were a kernel if they were those.
    """
    kernels = _kernels().get(node.op)
    if kernels is None:
        return False
    for kernel in kernels:
        is_meant = node.version == 0 or kernel.first <= node.version <= kernel.last
        if is_meant and all(_fits(graph, node, position, letters, as_if) for position, letters in kernel.types):
            return True
    return False


def type_letter(dtype: str | None) -> str:
    """Return the table's letter for an element type; one that is not known fits all."""
    return "" if dtype is None else _LETTERS.get(dtype, _OTHER)


def is_listed(op: str) -> bool:
    """Whether the table has a kernel for the operation in any version."""
    return op in _kernels()


def _fits(graph: Graph, node: Node, position: int, letters: str, as_if: Mapping[str, str]) -> bool:
    values: Sequence[int | None] = node.inputs if position >= 0 else node.outputs
    i = position if position >= 0 else -1 - position
    value_id = values[i] if i < len(values) else None
    dtype = None if value_id is None else graph.values[value_id].type.dtype
    return dtype is None or _LETTERS.get(as_if.get(dtype, dtype), _OTHER) in letters


@cache
def _kernels() -> Mapping[str, tuple[_Kernel, ...]]:
    found: dict[str, tuple[_Kernel, ...]] = {}
    for line in TABLE.replace("\n  ", " ").splitlines():
        op, _, rest = line.partition(" ")
        found[op] = tuple(kernel for entry in rest.split("; ") for kernel in _entries(entry.split()))
    return MappingProxyType(found)


def _entries(words: Sequence[str]) -> list[_Kernel]:
    first, _, last = words[0].partition("-")
    return [_Kernel(int(first), int(last or first), _types(word)) for word in words[1:]]


def _types(word: str) -> tuple[tuple[int, str], ...]:
    if word == "*":
        return ()
    pairs = [part.split(":") for part in word.split(",")]
    return tuple((-1 - int(place[1:]) if place[0] == "o" else int(place), letters) for place, letters in pairs)
