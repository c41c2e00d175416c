"""Bytes that kernels take while they run, and give back before the next one: one table, by operation.

A rule sees one node and returns bytes beyond what the node writes at the moment when both together are most. What is
not in the table takes none: found by running single operations under a traced allocator, see docs/runtimes.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from memprof.analysis.alike import alike
from memprof.ir import Graph, Node
from memprof.runtimes.onnxruntime.scratch import (
    attention,
    classical,
    convolution,
    dense,
    einsum,
    quantized,
    recurrent,
)
from memprof.runtimes.onnxruntime.scratch.dense import VARIADIC, variadic_before
from memprof.runtimes.onnxruntime.scratch.kernel import Kernel, OpenSize

_NEWEST_OPSET = 1000

MISFITS = (IndexError, TypeError, ValueError, ZeroDivisionError)
"""What a rule raises where ranks, counts or values are none that its kernel takes: onnxruntime refuses such a node.
The caller lists it, so that a rule of ours that is wrong about a valid node shows."""

SCRATCH: Mapping[str, Callable[[Kernel], int]] = MappingProxyType(
    {
        **convolution.SCRATCH,
        **dense.SCRATCH,
        **recurrent.SCRATCH,
        **einsum.SCRATCH,
        **quantized.SCRATCH,
        **attention.SCRATCH,
        **classical.SCRATCH,
    }
)
"""Rules by operation."""


def scratch_bytes(graph: Graph, node: Node, threads: int = 1) -> int | None:
    """Return the scratch of ``node``'s kernel, ``None`` if a size that decides it is not known or does not fit.

    Args:
        graph: The graph that the node is in.
        node: The node.
        threads: Threads that the kernel may use.
    """
    if node.is_malformed:
        return None
    rule = SCRATCH.get(node.op)
    if rule is None:
        return 0
    try:
        found = rule(Kernel(graph, node, graph.opset or _NEWEST_OPSET, threads))
    except (OpenSize, *MISFITS):
        return None
    return found if found >= 0 else None


def scratch_by_step(graph: Graph, order: Sequence[int], threads: int = 1) -> tuple[int | None, ...]:
    """Return the scratch of all nodes in the order in which they run.

    A rule is asked once about nodes that are alike.
    """
    if graph.ops.isdisjoint(SCRATCH) and not graph.has_malformed:
        return (0,) * len(order)
    kinds = graph.derived(alike)
    known: dict[int, int | None] = {}
    for node_id in order:
        if kinds[node_id] not in known:
            known[kinds[node_id]] = scratch_bytes(graph, graph.nodes[node_id], threads)
    return tuple([known[kinds[node_id]] for node_id in order])


def early_by_step(graph: Graph, order: Sequence[int]) -> Mapping[int, int]:
    """Return by step what kernels take before they ask for their output, where that is more than beside it.

    In a first run the output does not exist yet then; in later ones it does, in the block that is taken at once.
    """
    found: dict[int, int] = {}
    if graph.ops.isdisjoint(VARIADIC):
        return found
    outputs = set(graph.outputs)
    for step, node_id in enumerate(order):
        node = graph.nodes[node_id]
        if node.op not in VARIADIC or node.is_malformed or not outputs.isdisjoint(node.writes):
            continue
        try:
            size = variadic_before(Kernel(graph, node, graph.opset or _NEWEST_OPSET))
        except (OpenSize, *MISFITS):
            continue
        if size:
            found[step] = size
    return found


__all__ = ["SCRATCH", "early_by_step", "scratch_by_step", "scratch_bytes"]
