"""Weights that lie in attributes: trees, support vectors, coefficients, vocabularies.

What scikit-learn and its like export has few initialisers or none: an operation of ``ai.onnx.ml`` holds what was
learnt in lists, and a word counter its words. Each list is a weight that its node reads.
"""

from __future__ import annotations

from collections.abc import Iterator

from memprof.importers.onnx.library import AttributeProto, NodeProto
from memprof.importers.onnx.types import TypeTable
from memprof.ir import TensorType

_LISTS = {
    AttributeProto.FLOATS: ("floats", "float32"),
    AttributeProto.INTS: ("ints", "int64"),
    AttributeProto.STRINGS: ("strings", "string"),
}


def has_tables(node: NodeProto) -> bool:
    """Tell whether attributes of ``node`` are weights."""
    return node.domain == "ai.onnx.ml" or node.op_type == "TfIdfVectorizer"


def tables(node: NodeProto, types: TypeTable) -> Iterator[tuple[str, TensorType]]:
    """Yield the name and the type of each attribute of ``node`` that is a weight.

    Args:
        node: Any node.
        types: Where types are made.
    """
    if not has_tables(node):
        return
    for attribute in node.attribute:
        if attribute.type in _LISTS:
            field, dtype = _LISTS[attribute.type]
            yield attribute.name, types.of(dtype, (len(getattr(attribute, field)),))
        elif attribute.type == AttributeProto.TENSOR:
            yield attribute.name, types.of_tensor(attribute.t)
