"""Bytes that kernels take while they run, and give back before the next one: one table, by operation.

A rule sees one node and returns bytes beyond what the node writes at the moment when both together are most. What is
not in the table takes none: found by running single operations under a traced allocator, see docs/runtimes.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from memprof.ir import Graph, Node
from memprof.runtimes.onnxruntime.scratch import attention, convolution, dense, einsum, quantized, recurrent
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


__all__ = ["SCRATCH", "scratch_bytes"]
