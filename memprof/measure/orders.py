"""What a reordered model gains in onnxruntime: its peak before and after, in the default order and in the file's.

onnxruntime does not run nodes in the order of the file unless it is told to (``ExecutionOrder.PRIORITY_BASED``), and
even then it runs Shape and Size first. So each run's own order is read from its profile and compared with the file's.
Optimisation is off: it would fuse and move nodes. Each run is a child process.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from memprof.importers.onnx import read_onnx
from memprof.importers.request import Request
from memprof.ir import Graph
from memprof.measure.child import Limits
from memprof.measure.feeds import input_specs
from memprof.measure.onnxruntime import measure_counters

_RUN_FIRST = frozenset({"Shape", "Size"})
EXECUTION_ORDERS = ("DEFAULT", "PRIORITY_BASED")


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredOrder:
    """One run.

    Attributes:
        is_reordered: Whether the reordered model ran, or the one it was made from.
        execution_order: Member of ``onnxruntime.ExecutionOrder`` that the session was given.
        version: onnxruntime's version.
        peak_bytes: Most bytes of tensors alive, as its counters say; inputs excluded, outputs included.
        nodes: Names of the operations in the order they ran.
        keeps_file_order: Whether that is the file's order, Shape and Size excepted; ``None`` if names do not tell.
    """

    is_reordered: bool
    execution_order: str
    version: str
    peak_bytes: int
    nodes: tuple[str, ...]
    keeps_file_order: bool | None

    def to_json(self) -> dict[str, Any]:
        """Return the run as JSON-ready values."""
        return {
            "model": "after" if self.is_reordered else "before",
            "execution_order": self.execution_order,
            "onnxruntime": self.version,
            "peak_bytes": self.peak_bytes,
            "keeps_file_order": self.keeps_file_order,
            "nodes": list(self.nodes),
        }


def measure_orders(request: Request, after: Path, graph: Graph, limits: Limits) -> tuple[MeasuredOrder, ...]:
    """Run both models, each in both execution orders.

    Args:
        request: The model, and what its inputs hold.
        after: The same with its nodes reordered.
        graph: The model's graph, every input bound.
        limits: What each child process may use.

    Raises:
        RuntimeFailure: onnxruntime refused a model, crashed, hung or ran out of memory.
        MissingExtraError: onnxruntime is not installed.
        UsageError: An input holds no plain numbers.
    """
    inputs = input_specs(graph, request.values)
    found = []
    for is_reordered, path in ((False, request.path), (True, after)):
        # Names from the file that runs: a node without one is named after its place, here and by onnxruntime.
        nodes = read_onnx(Request(source=path)).graph.nodes
        names = [node.name for node in nodes if node.op not in _RUN_FIRST]
        for execution_order in EXECUTION_ORDERS:
            measured = measure_counters(str(path), inputs, limits, execution_order=execution_order)
            ran = tuple(step.node for step in measured.steps)
            found.append(
                MeasuredOrder(
                    is_reordered=is_reordered,
                    execution_order=execution_order,
                    version=measured.version,
                    peak_bytes=measured.peak_bytes,
                    nodes=ran,
                    keeps_file_order=keeps_order(names, ran),
                )
            )
    return tuple(found)


def keeps_order(planned: Sequence[str], ran: Sequence[str]) -> bool | None:
    """Return whether what is in both comes in one order; ``None`` if names are shared or nothing is in both.

    >>> keeps_order(["a", "b", "c"], ["x", "a", "c"]), keeps_order(["a", "b"], ["b", "a"]), keeps_order(["a"], ["b"])
    (True, False, None)
    """
    if max(Counter(planned).values(), default=0) > 1 or max(Counter(ran).values(), default=0) > 1:
        return None
    common = set(planned) & set(ran)
    if not common:
        return None
    return [name for name in planned if name in common] == [name for name in ran if name in common]
