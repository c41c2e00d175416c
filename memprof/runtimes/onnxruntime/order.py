"""The order in which onnxruntime runs a graph: a depth-first search backwards from the leaves.

    rule                                                            consequence
    the search starts at the nodes whose results no node reads,     the last leaf of the file, with all it needs, runs
        the last one first                                              first
    before a node come the nodes that write what it reads, the      of two branches the one that is written later in
        one with the largest index first                                the file runs first: not the file's order
    a node's index is its place in the file; nodes that onnxruntime
        itself adds (functions it expands) get indices after all

Complexity: O(nodes + edges), edges of one node sorted.
"""

from __future__ import annotations

from collections.abc import Sequence

from memprof.ir import Graph, Value
from memprof.ir.graph import field_of

_PRODUCER = field_of(Value, "producer")


def execution_order(graph: Graph, skipped: frozenset[int] = frozenset(), index: Sequence[int] = ()) -> list[int]:
    """Return the ids of the nodes in the order in which onnxruntime runs them.

    Args:
        graph: Any graph.
        skipped: Ids of nodes that do not run.
        index: onnxruntime's index of each node; the node's id if left out.
    """
    count = len(graph.nodes)
    rank = index or range(count)
    written_by = list(map(_PRODUCER, graph.values))
    if skipped:
        written_by = [None if i in skipped else i for i in written_by]
    is_read = bytearray(count)
    producers: list[Sequence[int]] = []
    for node_id, reads in enumerate(graph.reads):
        found = [producer for i in reads if (producer := written_by[i]) is not None]
        if skipped and node_id in skipped:
            found = []
        for producer in found:
            is_read[producer] = 1
        if len(found) > 1:
            found.sort(key=rank.__getitem__ if index else None)
        producers.append(found)
    leaves = [node_id for node_id in range(count) if not is_read[node_id] and node_id not in skipped]
    stack = sorted(leaves, key=rank.__getitem__)
    is_seen = bytearray(count)
    order: list[int] = []
    while stack:
        node_id = stack.pop()
        if node_id < 0:
            order.append(~node_id)
        elif not is_seen[node_id]:
            is_seen[node_id] = 1
            stack.append(~node_id)
            stack += producers[node_id]
    return order
