"""What every importer returns: the graph, and where it came from."""

from __future__ import annotations

from dataclasses import dataclass

from memprof.ir import Graph


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A network as it was read.

    Attributes:
        path: The file or name it came from, as the caller wrote it.
        format: ``onnx``, ``torch.export``, ``torch``, ``networkx`` or ``graph``.
        structure_sha256: Digest of what was read (weights are not), in hexadecimal; empty for a graph in memory.
        graph: The network.
    """

    path: str
    format: str
    structure_sha256: str
    graph: Graph
