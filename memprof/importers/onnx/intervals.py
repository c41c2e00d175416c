"""Between which numbers elements lie that are not known: found backwards, when a size hangs on it.

Most sizes are known without it, so nothing is kept while a graph is read: asked for one tensor, the nodes before it
are walked until elements, an element type or an operation says enough (``interval_rules``). What a scope does not
write is asked of the scope around.
"""

from __future__ import annotations

from collections.abc import Callable

from memprof.importers.onnx.facts import Fact
from memprof.importers.onnx.interval import Interval
from memprof.importers.onnx.library import GraphProto, NodeProto

_MAX_DEPTH = 64  # operations between a size and what it follows from


class Intervals:
    """Intervals of the tensors of one graph or body.

    Args:
        graph: The graph.
        fact: What is known of a tensor that the graph names.
        around: Intervals of the scope around, ``None`` for the main graph.
    """

    def __init__(self, graph: GraphProto, fact: Callable[[str], Fact], around: Intervals | None) -> None:
        self._graph = graph
        self._fact = fact
        self._around = around
        self._writers: dict[str, tuple[NodeProto, int]] | None = None
        self._own: frozenset[str] = frozenset()
        self._found: dict[str, Interval] = {}
        self._depth = 0

    def of(self, name: str) -> Interval:
        """Return between which numbers the elements of a tensor lie."""
        found = self._found.get(name)
        if found is None:
            from memprof.importers.onnx.interval_rules import any_of

            self._found[name] = any_of(self._fact(name).type)  # what asks for itself, in a graph that is not sound
            found = self._found[name] = self._find(name)
        return found

    def _find(self, name: str) -> Interval:
        from memprof.importers.onnx.interval_rules import Written, any_of, exactly, interval

        fact = self._fact(name)
        if fact.constant is not None and fact.constant.array is not None:
            return exactly(fact.constant.array)
        writers = self._index()
        written = writers.get(name)
        is_outer = written is None and name not in self._own
        if is_outer and self._around is not None:
            return self._around.of(name)
        if written is None or self._depth >= _MAX_DEPTH:
            return any_of(fact.type)
        node, place = written
        self._depth += 1
        try:
            facts = tuple(self._fact(each) if each else None for each in node.input)
            return interval(Written(node=node, place=place, of=fact.type, inputs=facts, between=self.of))
        finally:
            self._depth -= 1

    def _index(self) -> dict[str, tuple[NodeProto, int]]:
        if self._writers is None:
            self._own = frozenset([each.name for each in (*self._graph.input, *self._graph.initializer)])
            written = ((name, node, i) for node in self._graph.node for i, name in enumerate(node.output))
            self._writers = {name: (node, i) for name, node, i in written if name not in self._own}
        return self._writers
