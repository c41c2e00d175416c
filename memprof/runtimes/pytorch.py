"""pytorch: eager PyTorch. From a trace of a run: what really lived when. From a graph alone: the module-call rule.

    from a trace                                                consequence
    every storage lives from the operation that makes it to     Python's variables, module calls and autograd's saved
    the moment its last reference goes                             tensors are all in it
    parameters, buffers and what the caller gave do not count   they are lines of their own
    graph outputs count                                         the caller gets them
    memory inside one operation does not count                  oneDNN's copies, a kernel's scratch
    gradients and optimiser state count                         a training step needs them beside the parameters

    from a graph                                                consequence
    a view shares storage; an operation whose name ends in      ``relu_`` adds no bytes
    ``_`` writes on its first input
    what a module's operations read from outside lives until    the call's arguments are held by its frame
    the module's call returns
    the rest lives to its last reader, outputs to the end       Python locals that hold more are not seen: an estimate

Pure: the trace was made by an importer. O(values + reads + depth of modules).
"""

from __future__ import annotations

from memprof.analysis import Buffer, Lifetimes, Schedule
from memprof.ir.trace import Trace


def trace_lifetimes(trace: Trace) -> Lifetimes:
    """Return the lifetimes that ``trace`` recorded, without parameters and what the caller gave."""
    members = trace.graph.storage_members
    return Lifetimes(
        graph=trace.graph,
        schedule=Schedule.sequential(range(len(trace.graph.nodes))),
        buffers=tuple(
            Buffer(members[life.value], life.size_bytes, life.start, life.stop) for life in trace.counted()
        ),
    )
