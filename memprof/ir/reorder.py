"""A graph with its nodes listed in another order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from memprof.ir.graph import Graph


def reorder(graph: Graph, order: Sequence[int]) -> Graph:
    """Return ``graph`` with its nodes in ``order``; values keep their ids.

    Args:
        graph: Any graph.
        order: The id of every node, once, each after those that write what it reads.
    """
    position = {node_id: step for step, node_id in enumerate(order)}
    values = tuple(
        value if value.producer is None else value._replace(producer=position[value.producer])
        for value in graph.values
    )
    return replace(
        graph,
        nodes=tuple(graph.nodes[node_id] for node_id in order),
        values=values,
    )
