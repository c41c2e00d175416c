"""What a process takes for a default session: its growth from before the session is made to after the tenth run.

    part              bytes
    runtime           12,726,000: the library's own, once
    weights           2.06 times the initialisers of what runs: copies in kernels' layouts, what the allocator keeps
    graph objects     7,550 for each node
    first run         the peak of the first run: its pages stay
    later runs        the block, outputs and scratch of the runs after it, which lie beside those pages
    inputs            the caller's graph inputs

The last three follow from the model; the first three are a least-squares fit of relative errors over 18 models of
public packages, each in a fresh process (onnxruntime 1.32, x86-64, glibc, one thread). Leaving each model out in turn
the median error was 6.6 %, the largest 33 %: how much of the weights a session copies is not modelled yet.
"""

from __future__ import annotations

from memprof.ir import Role
from memprof.runtimes.model import Process
from memprof.runtimes.onnxruntime.frame import Frame

_RUNTIME_BYTES = 12_726_000
_NODE_BYTES = 7_550
_WEIGHT_PERCENT = 206
_ERROR = "median 7 %, largest 33 %, on 18 models it was not fitted to, one left out in turn"


def default_process(frame: Frame) -> Process:
    """Return what a process takes for a default session that runs ``frame``."""
    ran, sizes = frame.graph, frame.graph.value_bytes
    constants = {i for node in ran.nodes if node.op == "Constant" for i in node.writes}
    weights = sum(
        sizes[i] or 0 for i, value in enumerate(ran.values) if value.role is Role.PARAMETER or i in constants
    )
    inputs = [sizes[i] for i in ran.inputs]
    parts = {
        "runtime": _RUNTIME_BYTES,
        "weights": weights * _WEIGHT_PERCENT // 100,
        "graph_objects": _NODE_BYTES * len(ran.nodes),
        "first_run": max(frame.first_pass(ran.outputs), default=0),
        "later_runs": max(frame.later_pass(ran.outputs), default=0),
        "inputs": sum(size or 0 for size in inputs),
    }
    is_known = frame.is_complete and None not in inputs
    return Process(sum(parts.values()) if is_known else None, parts if is_known else {}, _ERROR)
