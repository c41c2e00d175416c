"""16-bit floats: most of onnxruntime's CPU kernels have none, so it runs those operations in 32 bits, between casts.

    rule                                                                        consequence
    a node that reads 16-bit floats and has no kernel for them is widened       its inputs are cast, once per tensor
    so is a node with a kernel, between widened ones alone: it reads some       no cast in between
        node's result, 16-bit floats of no node that is not widened, and only
        widened ones read it, or nobody; weights and inputs do not count, nor
        do more inputs than the first of a Concat, or outputs of a Split
    what it writes is cast back, named as before                                casts of casts: see ``casts``

Weights are cast in every run, since nothing is folded. Casts are numbered after all other nodes, in the order in
which the nodes they serve run. Found on graphs that onnxruntime 1.32 wrote without optimising them.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from memprof.ir import Graph, NewValue, TensorType
from memprof.runtimes.onnxruntime.kernels import has_kernel, is_listed
from memprof.runtimes.onnxruntime.order import execution_order
from memprof.runtimes.onnxruntime.rewriter import Lowered, Rewriter

_HALF, _FULL = "float16", "float32"
_WIDENED: Mapping[str, str] = MappingProxyType({_HALF: _FULL})
_NAMES_TYPE = frozenset({"Cast", "Constant"})
_JUDGED_INPUTS: Mapping[str, int] = MappingProxyType(dict.fromkeys(("Concat", "Max", "Mean", "Min", "Sum"), 1))
"""Of operations that read any number of tensors the first alone decides whether they lie between widened nodes."""

_JUDGED_OUTPUTS: Mapping[str, int] = MappingProxyType({"Split": 1})
"""The same of what they write."""


def widen(lowered: Lowered) -> Lowered:
    """Return the graph with what needs it widened."""
    graph = lowered.graph
    if _HALF not in graph.dtypes:
        return lowered
    widened = _find_widened(lowered)
    return _written(lowered, widened) if widened else lowered


def _find_widened(lowered: Lowered) -> frozenset[int]:
    graph = lowered.graph
    found = {i for i in range(len(graph.nodes)) if _reads_half(graph, i) and _has_no_kernel(graph, i)}
    if not found:
        return frozenset()
    outputs = set(graph.outputs)
    for i in sorted(range(len(graph.nodes)), key=lowered.index.__getitem__):
        if i not in found and _is_between(graph, i, found, outputs):
            found.add(i)
    return frozenset(found)


def _reads_half(graph: Graph, node_id: int) -> bool:
    return any(i is not None and graph.values[i].type.dtype == _HALF for i in graph.nodes[node_id].inputs)


def _has_no_kernel(graph: Graph, node_id: int) -> bool:
    node = graph.nodes[node_id]
    return is_listed(node.op) and not has_kernel(graph, node) and has_kernel(graph, node, _WIDENED)


def _is_between(graph: Graph, node_id: int, widened: set[int], outputs: set[int]) -> bool:
    """Whether a node reads and writes 16-bit floats of widened nodes alone, those that no node writes left aside."""
    node, values = graph.nodes[node_id], graph.values
    if (
        node.bodies
        or node.op in _NAMES_TYPE
        or not outputs.isdisjoint(node.writes)
        or not _reads_half(graph, node_id)
    ):
        return False
    if all(i is None or _writer(graph, i) is None for i in node.inputs):
        return False
    judged = {
        i for i in node.inputs[: _JUDGED_INPUTS.get(node.op)] if i is not None and values[i].type.dtype == _HALF
    }
    written = {
        i for i in node.outputs[: _JUDGED_OUTPUTS.get(node.op)] if i is not None and values[i].type.dtype == _HALF
    }
    neighbours = {writer for i in judged if (writer := _writer(graph, i)) is not None}
    neighbours.update(reader for i in written for reader in graph.consumers[i])
    return bool(judged and written) and neighbours <= widened and has_kernel(graph, node, _WIDENED)


def _writer(graph: Graph, value_id: int) -> int | None:
    """Return the node that writes a value, ``None`` for constants."""
    producer = graph.values[value_id].producer
    return None if producer is None or graph.nodes[producer].op == "Constant" else producer


def _written(lowered: Lowered, widened: frozenset[int]) -> Lowered:
    """Return the graph with casts around the widened nodes."""
    graph, rewriter = lowered.graph, Rewriter(lowered.graph)
    numbers = _cast_numbers(lowered, widened)
    wide: dict[int, int] = {}  # a 16-bit value's 32-bit counterpart, a new id
    for node_id, node in enumerate(graph.nodes):
        if node_id not in widened:
            rewriter.keep(node_id, lowered.index[node_id])
            continue
        halves = {position: i for position, i in enumerate(node.inputs) if i is not None and _is_half(graph, i)}
        for i in halves.values():
            if i not in wide:
                narrow = rewriter.ids[i]
                assert narrow is not None, "written before it is read"
                new = NewValue(rewriter.free_name(f"{graph.values[i].name}/wide"), _full(graph.values[i].type))
                wide[i] = rewriter.cast(narrow, node, new, numbers[i, False])
        written = {position: i for position, i in enumerate(node.outputs) if i is not None and _is_half(graph, i)}
        inputs = {position: wide[i] for position, i in halves.items()}
        types = {position: _full(graph.values[i].type) for position, i in written.items()}
        made = rewriter.keep(node_id, lowered.index[node_id], inputs, types)
        for position, i in written.items():
            value, result = graph.values[i], made[position]
            assert result is not None, "it was written"
            rewriter.ids[i] = rewriter.cast(result, node, NewValue(value.name, value.type), numbers[i, True])
    return rewriter.built()


def _cast_numbers(lowered: Lowered, widened: frozenset[int]) -> dict[tuple[int, bool], int]:
    """Return the number of each cast, by the value and whether it is cast back."""
    graph, found = lowered.graph, dict[tuple[int, bool], int]()
    first = max(lowered.index) + 1
    for node_id in execution_order(graph, index=lowered.index):
        if node_id in widened:
            node = graph.nodes[node_id]
            for i, is_back in (*((i, False) for i in node.reads), *((i, True) for i in node.writes)):
                if _is_half(graph, i):
                    found.setdefault((i, is_back), first + len(found))
    return found


def _is_half(graph: Graph, value_id: int) -> bool:
    return graph.values[value_id].type.dtype == _HALF


def _full(of: TensorType) -> TensorType:
    return TensorType(_FULL, of.shape)
