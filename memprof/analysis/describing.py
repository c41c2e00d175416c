"""What is said of a tensor besides its name: the operator that writes it, and its shape."""

from __future__ import annotations

import re

from memprof.ir import Graph, Value

_NUMBERED = re.compile(r"reorder(_token_[0-9]+)?")


def describe_value(value: Value, graph: Graph) -> str:
    """Return a tensor's operator and shape, ``Conv`` and 1 by 96 by 112 by 112, without what is not known.

    The operator's domain is left out: it is long, and the same for most.
    """
    op = "" if value.producer is None else graph.nodes[value.producer].op.rpartition(".")[2]
    shape = value.type.shape
    return " ".join(filter(None, (op, "" if shape is None else "\u00d7".join(map(str, shape)))))


def name_value(value: Value, graph: Graph) -> str:
    """Return what a person calls a tensor; one that a session of onnxruntime made, after the operation it is from.

    The session calls it by a number, ``reorder_token_6``, or adds the type of the operation that writes it.
    """
    if value.producer is None:
        return value.name
    node = graph.nodes[value.producer]
    if _NUMBERED.fullmatch(value.name):
        return node.name.removesuffix("_nchwc") or value.name
    return value.name.removesuffix(f"/{node.op}") or value.name
