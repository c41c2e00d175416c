"""Weights that lie in attributes: trees, support vectors, coefficients, vocabularies.

What scikit-learn and its like export has few initialisers or none: an operation of ``ai.onnx.ml`` holds what was
learnt in lists, and a word counter its words. Each list is a weight that its node reads.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import chain

from memprof.base.errors import InputError
from memprof.importers.onnx.library import AttributeProto, GraphProto, NodeProto
from memprof.importers.onnx.order import read_by
from memprof.importers.onnx.types import TypeTable
from memprof.ir import TensorType

_LISTS = {
    AttributeProto.FLOATS: ("floats", "float32"),
    AttributeProto.INTS: ("ints", "int64"),
    AttributeProto.STRINGS: ("strings", "string"),
}


def tables(node: NodeProto, types: TypeTable) -> Iterator[tuple[str, TensorType]]:
    """Yield the name and the type of each attribute of ``node`` that is a weight.

    Args:
        node: Any node.
        types: Where types are made.
    """
    if node.domain != "ai.onnx.ml" and node.op_type != "TfIdfVectorizer":
        return
    for attribute in node.attribute:
        if attribute.type in _LISTS:
            field, dtype = _LISTS[attribute.type]
            yield attribute.name, types.of(dtype, (len(getattr(attribute, field)),))
        elif attribute.type == AttributeProto.TENSOR:
            try:
                of = types.of_tensor(attribute.t)
            except InputError:  # no tensor can be so: no weight, and what else is wrong with the node is said of it
                continue
            yield attribute.name, of


class FreeNames:
    """Names for tables that no value of a graph has, before or after, nor one that it reads from outside.

    Args:
        graph: The graph; every name in it is looked at once.
    """

    def __init__(self, graph: GraphProto) -> None:
        self._taken = {each.name for each in chain(graph.input, graph.output, graph.initializer)}
        self._taken.update(sparse.values.name for sparse in graph.sparse_initializer)
        for node in graph.node:
            self._taken.update(node.output)
            self._taken.update(read_by(node))
        self._tries: Counter[str] = Counter()

    def take(self, wanted: str) -> str:
        """Return ``wanted``, with a number behind it if that is taken, and take it."""
        name = wanted
        while name in self._taken:
            self._tries[wanted] += 1
            name = f"{wanted}.{self._tries[wanted]}"
        self._taken.add(name)
        return name
