"""A graph with its nodes listed in another order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from memprof.ir.graph import Graph


def reorder(graph: Graph, order: Sequence[int]) -> Graph:
    """Return ``graph`` with its nodes in ``order``; values keep their ids.

    Args:
        graph: Any graph.
        order: The id of every node, once, each after those that write what it reads.
    """
    position = {node_id: step for step, node_id in enumerate(order)}
    values = tuple(
        value if value.producer is None else replace(value, producer=position[value.producer])
        for value in graph.values
    )
    return replace(
        graph,
        nodes=tuple(graph.nodes[node_id] for node_id in order),
        values=values,
        make_ahead=None if graph.make_ahead is None else partial(_reorder_ahead, graph, tuple(order)),
    )


def _reorder_ahead(graph: Graph, order: Sequence[int]) -> Graph:
    assert graph.ahead is not None, "asked only where there is one"
    return reorder(graph.ahead, order)
