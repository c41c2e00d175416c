"""Why a node reads what nothing before it writes: said in full, since exporters get it wrong in three ways."""

from __future__ import annotations

from onnx import GraphProto, NodeProto

from memprof.errors import InputError


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
