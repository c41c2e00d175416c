"""What a runtime model is: one row, which owns all that the rest of memprof needs to know of it.

    who asks                    reads
    analyze, check, compare     ``lifetimes``, ``default_for``, ``leads``, ``refusal``, ``of_source``, ``figures``
    a report's grade            ``promise``: of this graph, computed each time
    plan                        ``order``, ``ordering``, ``placement``
    verify                      ``measuring``
    budgets of a search         ``judges_graphs``
    help texts                  ``name``, ``summary``

Rows lie below planning and measuring, so what lives there is named and found late: ``"package.module:function"``,
see ``memprof.runtimes.late``. Everything else is a pure function.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Literal, Protocol

from memprof.analysis import Lifetimes
from memprof.ir import Graph
from memprof.ir.model import Model

Grade = Literal["exact", "upper bound", "estimate", "measured"]


class LifetimesRule(Protocol):
    """From a graph, and an order to list its nodes in, to what is alive when."""

    def __call__(self, graph: Graph, order: Sequence[int] | None = None) -> Lifetimes:
        """Return the lifetimes of ``graph``, its nodes listed in ``order``; as the graph lists them if left out."""


class Order(Enum):
    """In which order a runtime runs the nodes of a graph. The schedule of its lifetimes says which it was."""

    LISTED = "listed"  # as the graph, or the order that is asked about, lists them
    OWN = "own"  # one that it works out itself from how they are listed: listing them otherwise may change it
    GIVEN = "given"  # one that no listing changes: levels, or a run that was recorded


@dataclass(frozen=True, slots=True)
class Figure:
    """One more number that a runtime model knows of a graph.

    Attributes:
        name: What it is, in snake_case.
        size_bytes: The bytes, ``None`` if not known.
        grade: What it promises, if it is known and nothing in the graph lowers it.
        definition: One sentence: what is counted.
    """

    name: str
    size_bytes: int | None
    grade: Grade | None
    definition: str


@dataclass(frozen=True, slots=True)
class Process:
    """What the process that runs a graph takes, an estimate.

    Attributes:
        size_bytes: The sum of the parts, ``None`` if a size is not known.
        parts: Bytes by part, in the order in which they come about.
        error: How far from real processes it was, in one phrase.
        range_bytes: The least and the most among processes that begin with other heaps, ``None`` where only one was
            asked.
    """

    size_bytes: int | None
    parts: Mapping[str, int]
    error: str
    range_bytes: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Promise:
    """What a number promises of the graph it was worked out for.

    Attributes:
        grade: The promise, ``None`` where there is no number.
        lowered_by: Names of what keeps it from being the model's best grade, most telling first.
    """

    grade: Grade | None
    lowered_by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ordering:
    """What a search for an order knows of a runtime; functions from a Graph to an OrderProblem, by late name.

    Attributes:
        bound: The problem in which no order costs more than its peak under the runtime; its lower bound holds there.
        is_exact: Whether every order costs exactly its peak in ``bound``: then the best order is searched for there.
        related: Problems whose best orders are worth trying where it is not exact, the most promising first.
    """

    bound: str
    is_exact: bool = False
    related: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Measuring:
    """How a runtime is run for real.

    Attributes:
        by: Late name of what runs a source and compares: see ``memprof.measure.verify``.
        formats: Formats of sources, as they are named or read, that it can run.
    """

    by: str
    formats: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where a runtime's own planner puts the buffers.

    Attributes:
        offsets: The address of each buffer, in their order in ``Lifetimes.buffers``; reserved bytes come on top of
            what is alive and are not placed.
        arena_bytes: All that the arena takes, what stays between runs included.
        persistent_bytes: Of these, the bytes that stay between runs.
        alignment: What every offset is a multiple of.
    """

    offsets: tuple[int, ...]
    arena_bytes: int
    persistent_bytes: int = 0
    alignment: int = 1


EVERY: frozenset[str] = frozenset({"every format"})
"""The formats of sources of a row that is shown for all of them."""


def nothing_lowers(lifetimes: Lifetimes) -> tuple[str, ...]:
    """Return no names: the model's best grade holds for every graph whose sizes are known."""
    return ()


def never_refuses(model: Model) -> str:
    """Return no reason: the model applies to every source."""
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeModel:
    """How one runtime, or one definition, uses memory: a row of ``RUNTIMES``.

    Attributes:
        name: Key in ``RUNTIMES``, as people type it.
        definition: One sentence: what is alive when.
        summary: The definition at a glance, at most 34 characters, 28 beside a long name, for narrow tables.
        best_grade: What its peak promises of the thing it models where nothing lowers it.
        lowered_by: Names of what in a graph keeps the peak from the best grade; it is an estimate then.
        counts_inputs: Whether graph inputs count.
        lifetimes: The model itself.
        order: What decides the order in which it runs a graph.
        default_for: Formats of sources (``Model.format``) whose reports show it unasked; ``EVERY`` for all.
        leads: Of these, the formats whose headline it is; the first of ``RUNTIMES`` leads where none is.
        refusal: Why it does not apply to a source; empty if it does.
        of_source: The row as it reads one source, with what that knows beside its graph: one whose answer is the
            recorded run, say; ``None`` if it is the same for all.
        in_place_of: Name of the row that it is, with more operations in place; empty if it is no such variant.
        needs: The field of a request that must be set for a source to be what the row reads, empty if none.
        judges_graphs: Whether a graph without a source (of a search's candidate) has all it needs.
        ordering: What a search for an order needs, ``None`` if no order is planned for it.
        placement: Its own planner of addresses, ``None`` if it has none.
        measuring: How it is run for real, ``None`` if nothing runs it.
        figures: What else it knows of a graph, ``None`` if nothing.
        process: What the process that runs it takes, ``None`` if that is not modelled.
    """

    name: str
    definition: str
    summary: str = ""
    best_grade: Grade
    lowered_by: Callable[[Lifetimes], tuple[str, ...]] = nothing_lowers
    counts_inputs: bool
    lifetimes: LifetimesRule
    order: Order = Order.LISTED
    default_for: frozenset[str] = frozenset()
    leads: frozenset[str] = frozenset()
    refusal: Callable[[Model], str] = never_refuses
    of_source: Callable[[Model], RuntimeModel] | None = None
    in_place_of: str = ""
    needs: str = ""
    judges_graphs: bool = True
    ordering: Ordering | None = None
    placement: Callable[[Lifetimes], Placement] | None = None
    measuring: Measuring | None = None
    figures: Callable[[Graph], tuple[Figure, ...]] | None = None
    process: Callable[[Graph], Process] | None = None

    def is_default_for(self, source_format: str) -> bool:
        """Return whether reports of sources of a format show it unasked."""
        return self.default_for is EVERY or source_format in self.default_for

    def promise(self, lifetimes: Lifetimes) -> Promise:
        """Return what the peak of ``lifetimes`` promises."""
        if not lifetimes.is_complete:
            return Promise(None)
        lowered_by = self.lowered_by(lifetimes)
        return Promise("estimate", lowered_by) if lowered_by else Promise(self.best_grade)


def fixed(rule: Callable[[Graph], Lifetimes], name: str) -> LifetimesRule:
    """Return ``rule`` as a lifetimes rule that knows one order alone.

    Args:
        rule: From a graph to its lifetimes.
        name: The runtime model's name, for the message.
    """

    def lifetimes(graph: Graph, order: Sequence[int] | None = None) -> Lifetimes:
        assert order is None, f"{name} runs a graph in one order alone"
        return rule(graph)

    return lifetimes
