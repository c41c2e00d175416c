"""A program for an interpreter: tensors and operators by number, as files for such runtimes list them.

Runtimes that plan an arena go by these numbers (equal sizes: the higher tensor first) and see what a graph leaves
out: tensors nobody reads, subgraphs that control flow calls, state that outlives a run. A ``Graph`` from such a file
carries its ``Program``; its node i is operator i of the first subgraph, and a tensor's name is its value's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from memprof.ir.types import TensorType


class Content(Enum):
    """Where a tensor's bytes come from."""

    NONE = "none"  # the program writes them
    INSIDE = "inside"  # the file holds them, within its structure
    BEHIND = "behind"  # the file holds them behind its structure, or another file does


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramTensor:
    """One tensor of a subgraph.

    Attributes:
        name: Unique in its subgraph.
        type: Element type and shape.
        dtype: The element type as the format names it (``RESOURCE``, ``INT4``).
        content: Where its bytes come from.
        is_variable: Whether it keeps its bytes from run to run.
        scales: Quantisation scales: 0 if it is not quantised, 1, or one per channel.
    """

    name: str
    type: TensorType
    dtype: str
    content: Content = Content.NONE
    is_variable: bool = False
    scales: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramOperator:
    """One operator of a subgraph.

    Attributes:
        op: Its kind as the format names it (``CONV_2D``); ``custom.NAME`` for one that the format does not define.
        inputs: Numbers of the tensors it reads, -1 where an optional one is left out.
        outputs: Numbers of the tensors it writes.
        calls: Numbers of the subgraphs it runs.
        options: Numbers among its options, by the schema's name.
    """

    op: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    calls: tuple[int, ...] = ()
    options: Mapping[str, int] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subgraph:
    """A list of operators that run in order.

    Attributes:
        name: Its own name, often empty.
        tensors: All tensors.
        operators: In execution order.
        inputs: Numbers of the tensors the caller gives.
        outputs: Numbers of the tensors the caller gets.
    """

    name: str
    tensors: tuple[ProgramTensor, ...]
    operators: tuple[ProgramOperator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """All subgraphs; the first one is what a caller runs.

    Attributes:
        subgraphs: In the file's order.
        file_bytes: Length of the file: what it takes of a board's flash.
        offsets: Addresses that the file plans for the tensors of all subgraphs one after the other, -1 where it
            leaves one to the runtime; empty if it plans none.
        homes: Number of the arena that each of these addresses counts in; empty if there is one arena alone.
        arenas: For each subgraph the bytes of the arenas that the file plans for it; empty if it says none.
        signatures: Names under which a caller may run a subgraph, with its number.
        metadata: Names of what the file carries besides.
    """

    subgraphs: tuple[Subgraph, ...]
    file_bytes: int
    offsets: tuple[int, ...] = ()
    homes: tuple[int, ...] = ()
    arenas: tuple[tuple[int, ...], ...] = ()
    signatures: Mapping[str, int] = field(default_factory=dict, hash=False)
    metadata: tuple[str, ...] = ()
