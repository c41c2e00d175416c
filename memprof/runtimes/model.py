"""What a runtime model is: a name, a definition for people, and a pure function from a graph to lifetimes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from memprof.analysis import Lifetimes
from memprof.ir import Graph

Grade = Literal["exact", "upper bound", "estimate", "measured"]


@dataclass(frozen=True, slots=True)
class Figure:
    """One more number that a runtime model knows of a graph.

    Attributes:
        name: What it is, in snake_case.
        size_bytes: The bytes, ``None`` if not known.
        grade: What it promises.
        definition: One sentence: what is counted.
    """

    name: str
    size_bytes: int | None
    grade: Grade
    definition: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeModel:
    """How one runtime, or one definition, uses memory.

    Attributes:
        name: Key in ``RUNTIMES``.
        definition: One sentence: what is alive when.
        grade: What its peak promises of the thing it models.
        counts_inputs: Whether graph inputs count.
        lifetimes: The model itself.
        summary: The definition at a glance, at most 34 characters, for narrow tables.
        figures: What else it knows of a graph, ``None`` if nothing.
    """

    name: str
    definition: str
    grade: Grade
    counts_inputs: bool
    lifetimes: Callable[[Graph], Lifetimes]
    summary: str = ""
    figures: Callable[[Graph], tuple[Figure, ...]] | None = None
