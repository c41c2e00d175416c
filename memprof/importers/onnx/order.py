"""Nodes that are not in execution order: sorted; and why a node reads what nothing before it writes.

ONNX wants nodes in execution order. Where they are not, each moves behind the last of those that it reads from, and
else keeps its place (Kahn's algorithm, the lowest place first). What cannot be sorted is an error, said in full.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heapify, heappop, heappush

from memprof.base.errors import InputError
from memprof.importers.onnx.library import GraphProto, NodeProto
from memprof.importers.onnx.limits import bodies


def sort_nodes(graph: GraphProto) -> NodeProto | None:
    """Bring the nodes of ``graph`` into execution order, in place; return one that had to move, ``None`` if none had.

    Bodies are left as they are. Complexity: O(names) if nothing is to do, else O(names + nodes log nodes).
    """
    writers = {name: i for i, node in enumerate(graph.node) for name in node.output if name}
    early: NodeProto | None = next(
        (node for i, node in enumerate(graph.node) if any(writers.get(name, -1) >= i for name in node.input)), None
    )
    if early is None:
        return None
    waits: list[set[int]] = []
    readers: list[list[int]] = [[] for _ in graph.node]
    for i, node in enumerate(graph.node):
        found = {writers[name] for name in _reads(node) if name in writers} - {i}
        waits.append(found)
        for writer in found:
            readers[writer].append(i)
    ready = [i for i, found in enumerate(waits) if not found]
    heapify(ready)
    order: list[int] = []
    while ready:
        i = heappop(ready)
        order.append(i)
        for reader in readers[i]:
            waits[reader].discard(i)
            if not waits[reader]:
                heappush(ready, reader)
    if len(order) < len(graph.node):
        return None  # a cycle: said where it is met
    nodes = [graph.node[i] for i in order]
    copies = [NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(copies)
    return early


def _reads(node: NodeProto) -> Iterator[str]:
    """Yield what a node and its bodies read; names that a body defines itself may be among them."""
    stack = [node]
    while stack:
        found = stack.pop()
        yield from found.input
        for body in bodies(found):
            yield from (info.name for info in body.output)
            stack += body.node


def explain_missing(graph: GraphProto, reader: NodeProto, name: str) -> InputError:
    """Return the error for ``reader``, a node of ``graph``, that reads ``name`` before anything wrote it."""
    who = f"Node {reader.name or reader.op_type!r} reads {name!r}"
    writer = next((node for node in graph.node if name in node.output), None)
    if writer is None:
        return InputError(f"{who}, which nothing in the model writes.", "Export the model again.")
    if _depends_on(graph, writer, reader):
        return InputError(f"{who}, which depends on that node itself: a cycle.", "Export the model again.")
    return InputError(
        f"{who}, which only a later node ({writer.name or writer.op_type!r}) writes.",
        "ONNX wants nodes in execution order: sort the file, for example with onnx_graphsurgeon's toposort().",
    )


def _depends_on(graph: GraphProto, node: NodeProto, on: NodeProto) -> bool:
    writers = {name: i for i, other in enumerate(graph.node) for name in other.output if name}
    goal = set(on.output)
    stack, seen = list(node.input), set(node.input)
    while stack:
        name = stack.pop()
        if name in goal:
            return True
        if name in writers:
            fresh = [read for read in graph.node[writers[name]].input if read not in seen]
            seen.update(fresh)
            stack += fresh
    return False
