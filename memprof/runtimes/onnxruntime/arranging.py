"""What runs of a graph, and in which order: planned from a file, estimated by rules, as onnxruntime wrote it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from memprof.ir import Graph
from memprof.runtimes.onnxruntime.lowering import lower, with_definitions
from memprof.runtimes.onnxruntime.optimizing import optimized
from memprof.runtimes.onnxruntime.order import execution_order
from memprof.runtimes.onnxruntime.rewriter import Lowered
from memprof.runtimes.onnxruntime.tables import INITIALISERS


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """The node whose body a graph is.

    Attributes:
        op: Its operation.
        constants: Names of the values outside the body that are initialisers.
        dropped: Names of those of the graph around it that nobody but kernels' own layouts keeps.
    """

    op: str = ""
    constants: frozenset[str] = frozenset()
    dropped: frozenset[str] = frozenset()


NOBODY = Owner()


@dataclass(frozen=True, slots=True, kw_only=True)
class Arranged:
    """What runs of a graph.

    Attributes:
        graph: The graph that runs.
        planned: The same with no more known than onnxruntime plans with.
        order: Ids of its nodes in the order in which they run.
        is_own: Whether the order follows from the graph alone: ``own_order``.
    """

    graph: Graph
    planned: Graph
    order: Sequence[int]
    is_own: bool = False


Arrangement = Callable[[Graph, Graph | None, Owner], Arranged]
"""From a graph, the same with no more known than onnxruntime plans with, and its owner, to what runs of it."""


def as_planned(graph: Graph, ahead: Graph | None = None, owner: Owner = NOBODY) -> Arranged:
    """Return what onnxruntime makes of a graph from a file, and the order it finds."""
    lowered = lower(graph)
    planned = lowered.graph if ahead is None else lower(ahead).graph
    return _ordered(graph, lowered, planned)


def as_estimated(graph: Graph, ahead: Graph | None = None, owner: Owner = NOBODY) -> Arranged:
    """Return what onnxruntime would make of a graph with all optimisations, by rules, and the order it would find."""
    lowered = with_definitions(graph)
    known = None if ahead is None else with_definitions(ahead).graph
    if known is not None and not _are_alike(known, lowered.graph):
        known = None
    found, planned = optimized(lowered.graph, lowered.index, known, owner.constants)
    if found is lowered.graph:
        return _ordered(graph, lowered, planned)
    skipped = never_run(found)
    return Arranged(graph=found, planned=planned, order=[i for i in range(len(found.nodes)) if i not in skipped])


def _ordered(source: Graph, lowered: Lowered, planned: Graph) -> Arranged:
    """Return a graph in the order that onnxruntime finds for it."""
    found = lowered.graph
    if found is source:  # and numbered as listed
        return Arranged(graph=found, planned=planned, order=found.derived(own_order), is_own=True)
    return Arranged(graph=found, planned=planned, order=execution_order(found, never_run(found), lowered.index))


def own_order(graph: Graph) -> Sequence[int]:
    """Return the order that onnxruntime finds for a graph whose nodes have the numbers of its file."""
    return execution_order(graph, never_run(graph), graph.places)


def as_listed(graph: Graph, ahead: Graph | None = None, owner: Owner = NOBODY) -> Arranged:
    """Return a graph that onnxruntime optimised and wrote: as it stands, in the order in which it lists it."""
    skipped = never_run(graph)
    order = [i for i in range(len(graph.nodes)) if i not in skipped]
    return Arranged(graph=graph, planned=graph if ahead is None else ahead, order=order)


def _are_alike(one: Graph, other: Graph) -> bool:
    return len(one.values) == len(other.values) and len(one.nodes) == len(other.nodes)


def never_run(graph: Graph) -> frozenset[int]:
    """Return the ids of the nodes that only hold an initialiser."""
    if INITIALISERS.isdisjoint(graph.ops):
        return frozenset()
    return frozenset([i for i, node in enumerate(graph.nodes) if node.op in INITIALISERS])
