"""16-bit floats: most of onnxruntime's CPU kernels have none, so it runs those operations in 32 bits, between casts.

    rule                                                                        consequence
    a node that reads 16-bit floats and has no kernel for them is widened       its inputs are cast, once per tensor
    so is a node with a kernel, between widened ones alone: it reads some       no cast in between
        node's result, 16-bit floats of no node that is not widened, and only
        widened ones read it, or nobody; weights and inputs do not count, nor
        do more inputs than the first of a Concat, or outputs of a Split
    what it writes is cast back, named as before                                a widened reader takes what was before
    a cast back whose readers all read what was widened is left out; one of         the cast; others the cast's result
        what nobody read before stays
    a Cast of the file to or from 16 bits that a cast of ours undoes is left out too, unless others read it; one
        that writes a result of the graph stays, and casts 32 bits to 32

Weights are cast in every run, since nothing is folded. Casts are numbered after all other nodes, in the order in
which the nodes they serve run. Found on graphs that onnxruntime 1.32 wrote without optimising them.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import cast

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
    return _Widening(lowered, widened).run() if widened else lowered


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


class _Widening:
    """Writes the graph with casts."""

    def __init__(self, lowered: Lowered, widened: frozenset[int]) -> None:
        self._lowered = lowered
        self._widened = widened
        self._rewriter = Rewriter(lowered.graph)
        self._wide: dict[int, int] = {}  # a 16-bit value's 32-bit counterpart, a new id
        self._numbers: dict[tuple[int, int], int] = {}  # (value, 0 widened or 1 cast back) to the cast's number
        self._number_casts()

    def _number_casts(self) -> None:
        graph, index = self._lowered.graph, self._lowered.index
        number = max(index) + 1
        known: set[int] = set()
        for node_id in execution_order(graph, index=index):
            if node_id not in self._widened:
                continue
            node = graph.nodes[node_id]
            for i in node.inputs:
                if i is not None and graph.values[i].type.dtype == _HALF and i not in known:
                    known.add(i)
                    self._numbers[i, 0] = number
                    number += 1
            for i in node.writes:
                if graph.values[i].type.dtype == _HALF:
                    known.add(i)
                    self._numbers[i, 1] = number
                    number += 1

    def run(self) -> Lowered:
        """Return the graph with casts."""
        graph, rewriter = self._lowered.graph, self._rewriter
        for node_id, node in enumerate(graph.nodes):
            if node_id in self._widened:
                self._widen(node_id)
            elif self._is_passed_over(node_id):
                continue
            elif not self._takes_back(node_id):
                rewriter.keep(node_id, self._lowered.index[node_id])
            else:
                source, output = node.inputs[0], node.outputs[0]
                assert source is not None, "checked"
                assert output is not None, "checked"
                if output in graph.outputs:
                    rewriter.keep(node_id, self._lowered.index[node_id], {0: self._wide[source]})
                else:
                    rewriter.ids[output] = self._wide[source]
        return rewriter.built()

    def _wide_source(self, value_id: int) -> int | None:
        """Return the 32-bit value that a Cast of the file made a 16-bit one of; it may be widened itself."""
        graph = self._lowered.graph
        producer = graph.values[value_id].producer
        if producer is None or producer in self._widened or graph.nodes[producer].op != "Cast":
            return None
        source = graph.nodes[producer].inputs[0]
        dtype = None if source is None else graph.values[source].type.dtype
        return source if dtype in (_HALF, _FULL) else None

    def _is_passed_over(self, node_id: int) -> bool:
        """Whether nobody reads what a Cast of the file writes, since all read what it was made of."""
        graph = self._lowered.graph
        node = graph.nodes[node_id]
        if node.op != "Cast" or len(node.writes) != 1:
            return False
        (value_id,) = node.writes
        of = graph.values[value_id].type.dtype
        return of == _HALF and self._wide_source(value_id) is not None and not self._is_read_narrow(value_id)

    def _takes_back(self, node_id: int) -> bool:
        """Whether a Cast of the file does nothing but take back a cast of ours: it reads what that read."""
        graph = self._lowered.graph
        node = graph.nodes[node_id]
        if node.op != "Cast" or len(node.writes) != 1 or (source := node.inputs[0]) is None:
            return False
        return graph.values[node.writes[0]].type.dtype == _FULL and (source, 1) in self._numbers

    def _widen(self, node_id: int) -> None:
        values, node = self._lowered.graph.values, self._lowered.graph.nodes[node_id]
        inputs: dict[int, int] = {}
        for position, i in enumerate(node.inputs):
            if i is None or values[i].type.dtype != _HALF:
                continue
            if i not in self._wide:
                self._wide[i] = self._widened_value(node_id, i, self._numbers[i, 0])
            inputs[position] = self._wide[i]
        self._write(node_id, inputs)

    def _widened_value(self, node_id: int, value_id: int, number: int) -> int:
        """Return a new id: the value in 32 bits, as a node needs it."""
        graph, rewriter = self._lowered.graph, self._rewriter
        source = self._wide_source(value_id)
        if source is not None and graph.values[source].type.dtype == _FULL:
            found = rewriter.ids[source]
            assert found is not None, "written before it is read"
            return found
        if source is not None and source in self._wide:
            return self._wide[source]
        if source is not None and self._is_passed_over(cast("int", graph.values[value_id].producer)):
            return self._wide.setdefault(source, self._widened_value(node_id, source, number))
        new = NewValue(rewriter.free_name(f"{graph.values[value_id].name}/wide"), _full(graph.values[value_id].type))
        narrow = rewriter.ids[value_id]
        assert narrow is not None, "written before it is read"
        return rewriter.cast(narrow, graph.nodes[node_id], new, number)

    def _write(self, node_id: int, inputs: Mapping[int, int]) -> None:
        graph, rewriter = self._lowered.graph, self._rewriter
        node, values = graph.nodes[node_id], graph.values
        halves = {p: i for p, i in enumerate(node.outputs) if i is not None and values[i].type.dtype == _HALF}
        types = {position: _full(values[i].type) for position, i in halves.items()}
        written = rewriter.keep(node_id, self._lowered.index[node_id], inputs, types)
        for position, i in halves.items():
            wide = written[position]
            assert wide is not None, "it was written"
            self._wide[i] = wide
            if self._is_read_narrow(i) or not self._lowered.graph.consumers[i]:
                new = NewValue(values[i].name, values[i].type)
                rewriter.ids[i] = rewriter.cast(wide, node, new, self._numbers[i, 1])

    def _is_read_narrow(self, value_id: int) -> bool:
        graph = self._lowered.graph
        if value_id in graph.outputs or any(value_id in node.captures for node in graph.nodes):
            return True
        return any(
            i not in self._widened and not self._takes_back(i) and not self._is_passed_over(i)
            for i in graph.consumers[value_id]
        )


def _full(of: TensorType) -> TensorType:
    return TensorType(_FULL, of.shape)
