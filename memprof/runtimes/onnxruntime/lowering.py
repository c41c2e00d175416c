"""The graph that onnxruntime runs, where it is not the graph of the file.

    what is in the file                              what runs
    an operation without a kernel                    the nodes of its definition, and so on inside it, round by round;
                                                     they come last in onnxruntime's numbering of nodes
    a 16-bit float operation without a kernel        the same in 32 bits, between casts: see ``half``
    a Cast of a Cast                                 one of them, or none: see ``casts``
    a DequantizeLinear with several readers          one for each reader: the first keeps the original, each further
                                                     one gets a copy, numbered after all other nodes; a standard
                                                     definition is one reader, unless the file has functions of its
                                                     own (by their domain): then all definitions are in place before

A graph in which nothing of this occurs is returned as it is. Names of nodes stay; added nodes are named after what
they replace or copy. Complexity: O(values + reads) for each round of definitions.
"""

from __future__ import annotations

from memprof.ir import Graph
from memprof.runtimes.onnxruntime.casts import join_casts
from memprof.runtimes.onnxruntime.half import widen
from memprof.runtimes.onnxruntime.kernels import has_kernel
from memprof.runtimes.onnxruntime.order import execution_order
from memprof.runtimes.onnxruntime.rewriter import Lowered, Rewriter

_COPIED = "DequantizeLinear"
_KNOWN_DOMAINS = ("ai.onnx.", "com.microsoft.")


def lower(graph: Graph) -> Lowered:
    """Return ``graph`` as onnxruntime runs it."""
    return with_casts(with_definitions(graph))


def with_casts(lowered: Lowered) -> Lowered:
    """Return a graph with the Casts that onnxruntime adds, and without those that it joins."""
    return join_casts(widen(lowered), max(lowered.index, default=-1) + 1)


def with_definitions(graph: Graph) -> Lowered:
    """Return ``graph`` as onnxruntime runs it, but for what it widens, and Casts that read Casts: they come last."""
    lowered = Lowered(graph, graph.places or tuple(range(len(graph.nodes))))
    stages = (_inline_all, _copy_all) if _has_own_functions(graph) else (_copy_all, _inline_all)
    for stage in stages:
        lowered = stage(lowered)
    return lowered


def _has_own_functions(graph: Graph) -> bool:
    """Tell whether an operation is defined by the file: its definitions are put in place before anything else."""
    defined = (node for node in graph.nodes if node.definition is not None) if graph.has_definitions else ()
    return any("." in node.op and not node.op.startswith(_KNOWN_DOMAINS) for node in defined)


def _inline_all(lowered: Lowered) -> Lowered:
    while replaced := _without_kernel(lowered.graph):
        lowered = _inline(lowered, replaced)
    return lowered


def _copy_all(lowered: Lowered) -> Lowered:
    copies = _extra_readers(lowered.graph)
    return _copy(lowered, copies) if copies else lowered


def _without_kernel(graph: Graph) -> list[int]:
    """Return the nodes that run as their definition."""
    if not graph.has_definitions:
        return []
    defined = [i for i, node in enumerate(graph.nodes) if node.definition is not None]
    return [i for i in defined if not has_kernel(graph, graph.nodes[i])]


def _inline(lowered: Lowered, replaced: list[int]) -> Lowered:
    """Return the graph with nodes replaced by their definitions."""
    number = max(lowered.index) + 1
    numbers: dict[int, int] = {}
    for node_id in sorted(replaced, key=lowered.index.__getitem__):
        numbers[node_id] = number
        definition = lowered.graph.nodes[node_id].definition
        number += 0 if definition is None else len(definition.nodes)
    rewriter = Rewriter(lowered.graph)
    for node_id, node in enumerate(lowered.graph.nodes):
        if node_id not in numbers:
            rewriter.keep(node_id, lowered.index[node_id])
            continue
        assert node.definition is not None, "only nodes with one are replaced"
        rewriter.insert(node_id, node.definition, numbers[node_id])
    return rewriter.built()


def _extra_readers(graph: Graph) -> dict[int, list[tuple[int, int]]]:
    """Return, for each DequantizeLinear with several readers, the (node, input position) pairs that get a copy."""
    if _COPIED not in graph.ops:
        return {}
    found: dict[int, list[tuple[int, int]]] = {}
    for node_id, node in enumerate(graph.nodes):
        for position, value_id in enumerate(node.inputs):
            producer = None if value_id is None else graph.values[value_id].producer
            if (
                producer is not None
                and graph.nodes[producer].op == _COPIED
                and not graph.nodes[producer].is_malformed
            ):
                found.setdefault(producer, []).append((node_id, position))
    outputs = set(graph.outputs)
    captured = {i for node in graph.nodes for i in node.captures}
    keeps_first = {i: not any(v in outputs or v in captured for v in graph.nodes[i].writes) for i in found}
    extra = {i: readers[1:] if keeps_first[i] else readers for i, readers in found.items()}
    return {i: readers for i, readers in extra.items() if readers}


def _copy(lowered: Lowered, copies: dict[int, list[tuple[int, int]]]) -> Lowered:
    """Return the graph with copies of nodes for their further readers."""
    graph, index = lowered.graph, lowered.index
    number = max(index, default=-1) + 1
    numbers: dict[tuple[int, int], int] = {}
    for node_id in execution_order(graph, index=index):
        for reader in copies.get(node_id, ()):
            numbers[reader] = number
            number += 1
    rewriter = Rewriter(graph)
    values: dict[tuple[int, int], int] = {}
    for node_id, node in enumerate(graph.nodes):
        replaced = {
            position: values[key] for position in range(len(node.inputs)) if (key := (node_id, position)) in values
        }
        rewriter.keep(node_id, index[node_id], replaced)
        for reader in copies.get(node_id, ()):
            values[reader] = rewriter.repeat(node_id, numbers[reader])
    return rewriter.built()
