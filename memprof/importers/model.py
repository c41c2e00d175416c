"""What every importer returns: the graph, and where it came from."""

from __future__ import annotations

from dataclasses import dataclass

from memprof.ir import Graph
from memprof.ir.trace import Trace

OPTIMIZED_FORMAT = "onnx.optimized"
"""The format of a graph that onnxruntime optimised and wrote: its nodes are listed in the order in which it runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A network as it was read.

    Attributes:
        path: The file or name it came from, as the caller wrote it.
        format: ``onnx``, ``onnx.optimized``, ``onnx.unchanged`` (optimised, and the same as before), ``tflite``,
            ``torch.export``, ``torch.run`` (what ran, where export fails), ``torch.training`` or ``graph``.
        structure_sha256: Digest of what was read (weights are not), in hexadecimal; empty for a graph in memory.
        graph: The network.
        trace: What PyTorch did when it ran the network, ``None`` if it did not.
    """

    path: str
    format: str
    structure_sha256: str
    graph: Graph
    trace: Trace | None = None
