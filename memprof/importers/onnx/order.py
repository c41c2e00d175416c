"""Nodes that are not in execution order: sorted; and why a node reads what nothing before it writes.

ONNX wants nodes in execution order. Where they are not, each moves behind the last of those that it reads from, and
else keeps its place (Kahn's algorithm, the lowest place first). What cannot be sorted is an error, said in full.

That happens before functions are expanded: a call stays in one piece, so whoever writes the file anew finds each of
its nodes again (``exporters.onnx_order``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from operator import attrgetter

from memprof.base.errors import InputError
from memprof.base.text import safe_text
from memprof.importers.onnx.library import FunctionProto, GraphProto, ModelProto, NodeProto
from memprof.importers.onnx.limits import bodies
from memprof.ir import Assumption

_SORT = "sort the file, for example with onnx_graphsurgeon's toposort()"
_OP_TYPE = attrgetter("op_type")  # mapped over nodes: two thirds of the time of a loop
_WITH_BODIES = frozenset({"If", "Loop", "Scan", "SequenceMap"})


def has_insides(model: ModelProto) -> bool:
    """Tell whether nodes of the main graph hold others: then only a walk over all tells whether they are sorted."""
    return bool(model.functions) or not _WITH_BODIES.isdisjoint(map(_OP_TYPE, model.graph.node))


@dataclass(frozen=True, slots=True)
class Sorted:
    """What was sorted.

    Attributes:
        early: A node that had to move.
        places: For each node where the file lists it.
    """

    early: NodeProto
    places: tuple[int, ...]

    @property
    def note(self) -> Assumption:
        """Says so."""
        reason = "the file lists it before an operation whose result it reads; its operations were sorted"
        name = safe_text(self.early.name or self.early.op_type)
        return Assumption(kind="order", name=name, reason=reason, hint=_SORT)


def sort_model(model: ModelProto) -> Sorted | None:
    """Bring the main graph and all functions into execution order, in place; say so if the main graph was not."""
    for function in model.functions:
        sort_nodes(function)
    return sort_nodes(model.graph)


def sort_nodes(graph: GraphProto | FunctionProto) -> Sorted | None:
    """Bring the nodes of ``graph`` into execution order, in place; say what moved, ``None`` if nothing had to.

    Bodies are left as they are. Complexity: O(names) if nothing is to do, else O(names + nodes log nodes).
    """
    if _is_sorted(graph):
        return None
    writers = {name: i for i, node in enumerate(graph.node) for name in node.output if name}
    early: NodeProto | None = next(
        (
            node
            for i, node in enumerate(graph.node)
            if any(
                writers.get(name, -1) >= i for name in (read_by(node) if node.op_type in _WITH_BODIES else node.input)
            )
        ),
        None,
    )
    if early is None:
        return None
    waits: list[set[int]] = []
    readers: list[list[int]] = [[] for _ in graph.node]
    for i, node in enumerate(graph.node):
        found = {writers[name] for name in read_by(node) if name in writers} - {i}
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
    _list(graph, order)
    return Sorted(early, tuple(order))


def sort_as_run(graph: GraphProto) -> None:
    """Bring the nodes of a sorted ``graph`` into the order in which onnxruntime runs them, in place.

    A search backwards from the nodes that nobody reads, the last one first; of several that a node waits for the last
    one first. Complexity: O(names), those of one node sorted.
    """
    writers = {name: i for i, node in enumerate(graph.node) for name in node.output if name}
    found = [{writers[name] for name in read_by(node) if name in writers} for node in graph.node]
    waits = [sorted(writing - {i}) for i, writing in enumerate(found)]
    read = {writer for writing in waits for writer in writing}
    stack = [i for i in range(len(waits)) if i not in read]
    order: dict[int, None] = {}
    seen: set[int] = set()
    while stack:
        i = stack.pop()
        if i < 0:
            order[~i] = None
        elif i not in seen:
            seen.add(i)
            stack += [~i, *waits[i]]
    _list(graph, order)


def _list(graph: GraphProto | FunctionProto, order: Iterable[int]) -> None:
    copies = [NodeProto.FromString(graph.node[i].SerializeToString()) for i in order]
    del graph.node[:]
    graph.node.extend(copies)


def _is_sorted(graph: GraphProto | FunctionProto) -> bool:
    """Tell whether every node reads what is there before it; no is no proof of the contrary."""
    known = {"", *(each if isinstance(each, str) else each.name for each in graph.input)}
    if isinstance(graph, GraphProto):
        known.update(tensor.name for tensor in graph.initializer)
        known.update(sparse.values.name for sparse in graph.sparse_initializer)
    for node in graph.node:
        if node.op_type in _WITH_BODIES or not known.issuperset(node.input):
            return False
        known.update(node.output)
    return True


def read_by(node: NodeProto) -> Iterator[str]:
    """Yield what ``node`` and its bodies read; names that a body defines itself may be among them."""
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
