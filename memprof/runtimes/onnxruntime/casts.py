"""Casts that read casts: onnxruntime makes one of two, or none, whatever its level of optimisation.

    a Cast, and who reads it                               what runs
    a Cast back to what the first one read                 neither: its readers read that
    Casts alone, and no result of the graph is written     the later ones, which read what the first one read
    anything else beside them                              both

    unless the first one loses something, and the later one cannot undo that    float64 to 32 to 64: both
    or the first one loses something, and the later one tells 0 from others     float32 to int32 to bool: both

One walk in onnxruntime's numbering of nodes. Checked against onnxruntime 1.32 on every three types.
Complexity: O(nodes log nodes).
"""

from __future__ import annotations

from collections import defaultdict

from memprof.ir import DTYPE_BITS, Graph, Node
from memprof.runtimes.onnxruntime.rewriter import Lowered, Rewriter

_CAST = "Cast"
_FLOATS = frozenset(("float16", "bfloat16", "float32", "float64"))
_NUMBERS = _FLOATS.union(("bool", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))))


def join_casts(lowered: Lowered, first_added: int) -> Lowered:
    """Return the graph with joined Casts.

    Args:
        lowered: The graph.
        first_added: The number from which on nodes are Casts that onnxruntime added: these lose nothing.
    """
    graph = lowered.graph
    if _CAST not in graph.ops or not any(_reads_a_cast(graph, node) for node in graph.nodes):
        return lowered
    joining = _Joining(lowered, first_added)
    for node_id in sorted(range(len(graph.nodes)), key=lowered.index.__getitem__):
        if _is_plain(graph.nodes[node_id]) and node_id not in joining.dropped:
            joining.join(node_id)
    return joining.written() if joining.dropped else lowered


def _reads_a_cast(graph: Graph, node: Node) -> bool:
    producer = graph.values[node.reads[0]].producer if _is_plain(node) else None
    return producer is not None and _is_plain(graph.nodes[producer])


def _is_plain(node: Node) -> bool:
    return node.op == _CAST and len(node.reads) == len(node.writes) == 1


class _Joining:
    """What has been decided so far.

    Attributes:
        dropped: Ids of the Casts that do not run.
    """

    def __init__(self, lowered: Lowered, first_added: int) -> None:
        graph = lowered.graph
        self.dropped: set[int] = set()
        self._lowered, self._first_added = lowered, first_added
        self._stands_for: dict[int, int] = {}  # what is no longer written, and what is read instead
        self._readers: defaultdict[int, list[int]] = defaultdict(list)
        self._kept = set(graph.outputs)
        for node_id, node in enumerate(graph.nodes):
            self._kept.update(node.captures)
            for value_id in node.inputs:
                if value_id is not None:
                    self._readers[value_id].append(node_id)

    def join(self, node_id: int) -> None:
        """Join a Cast with those that read what it writes."""
        nodes = self._lowered.graph.nodes
        source, written = self._resolved(nodes[node_id].reads[0]), nodes[node_id].writes[0]
        before, after = self._dtype(source), self._dtype(written)
        readers = self._readers[written]
        casts = [i for i in readers if _is_plain(nodes[i])]
        is_lossy = self._loses(before, after, node_id)
        if is_lossy and any(self._loses(self._dtype(nodes[i].writes[0]), after, i) for i in casts):
            return
        back = [i for i in casts if self._dtype(nodes[i].writes[0]) == before]
        back = [i for i in back if nodes[i].writes[0] not in self._kept]
        for i in back:
            self._drop(i, source)
        others = [i for i in casts if i not in back]
        tells_zero = is_lossy and any(self._dtype(nodes[i].writes[0]) == "bool" for i in others)
        if readers and len(casts) == len(readers) and written not in self._kept and not tells_zero:
            self._readers[written] = others
            self._drop(node_id, source)

    def written(self) -> Lowered:
        """Return the graph without the Casts that do not run."""
        graph, rewriter = self._lowered.graph, Rewriter(self._lowered.graph)
        for node_id, node in enumerate(graph.nodes):
            if node_id in self.dropped:
                rewriter.ids[node.writes[0]] = rewriter.ids[self._resolved(node.writes[0])]
            else:
                rewriter.keep(node_id, self._lowered.index[node_id])
        return rewriter.built()

    def _drop(self, node_id: int, source: int) -> None:
        written = self._lowered.graph.nodes[node_id].writes[0]
        self.dropped.add(node_id)
        self._stands_for[written] = source
        self._readers[source] += self._readers.pop(written, [])
        if node_id in self._readers[source]:
            self._readers[source].remove(node_id)

    def _resolved(self, value_id: int) -> int:
        while value_id in self._stands_for:
            value_id = self._stands_for[value_id]
        return value_id

    def _dtype(self, value_id: int) -> str:
        return self._lowered.graph.values[value_id].type.dtype or ""

    def _loses(self, before: str, after: str, node_id: int) -> bool:
        """Whether onnxruntime takes a change of type for one that may lose something."""
        if before not in _NUMBERS or after not in _NUMBERS:
            return True
        is_float, is_unsigned = before in _FLOATS, before.startswith("u")
        narrows = _bits(before) > _bits(after)
        if after.startswith("u") and not is_unsigned and before != "bool":
            return True
        if is_float and after not in _FLOATS:
            return True
        if (is_unsigned and after.startswith("i")) or (not is_float and before != "bool" and after in _FLOATS):
            return _bits(after) <= _bits(before)
        if {before, after} == {"float16", "bfloat16"}:
            return True
        return narrows and self._lowered.index[node_id] < self._first_added


def _bits(dtype: str) -> int:
    return 1 if dtype == "bool" else DTYPE_BITS[dtype]
