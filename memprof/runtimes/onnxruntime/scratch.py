"""Bytes that kernels take while they run, and give back before the next one."""

from __future__ import annotations

from math import prod

from memprof.ir import Graph, Node


def scratch_bytes(graph: Graph, node: Node) -> int:
    """Return the scratch of ``node``'s kernel."""
    if node.op == "Conv":
        w = graph.values[node.inputs[1]].type.shape
        y = graph.values[node.outputs[0]].type.shape
        a = node.attributes
        if w is None or y is None or not all(isinstance(d, int) for d in (*w, *y)):
            return 0
        k = w[2:]
        pads = a.get("pads", (0,) * (2 * len(k)))
        strides = a.get("strides", (1,) * len(k))
        if all(d == 1 for d in (*k, *strides)) and not any(pads):
            return 0
        group = a.get("group", 1)
        if w[0] // group > prod(y[2:]):
            return prod(w[1:]) * prod(y[2:]) * 4
        return 65536
    return 0
