"""What is said of a tensor besides its name: the operator that writes it, and its shape."""

from __future__ import annotations

from memprof.ir import Graph, Value


def describe_value(value: Value, graph: Graph) -> str:
    """Return a tensor's operator and shape, ``Conv`` and 1 by 96 by 112 by 112, without what is not known.

    The operator's domain is left out: it is long, and the same for most.
    """
    op = "" if value.producer is None else graph.nodes[value.producer].op.rpartition(".")[2]
    shape = value.type.shape
    return " ".join(filter(None, (op, "" if shape is None else "\u00d7".join(map(str, shape)))))


def name_value(value: Value, graph: Graph) -> str:
    """Return what a tensor is called in few letters: without the type of the operation that writes it.

    Sessions of onnxruntime call what they fuse after both, ``features.0.2/com.microsoft.nchwc.Conv``.
    """
    if value.producer is None:
        return value.name
    return value.name.removesuffix(f"/{graph.nodes[value.producer].op}") or value.name
