"""What a process takes for a default session, as a sum of parts; each is what the process grows by, in this order.

    part             what it is
    library          the library's own code and tables, once for a process; the same for all models
    graph_objects    what a session keeps of each operation beside its tensors
    weights          the weights as they end up: in the file's layout, blocked, or packed by kernels
    left_by_loading  what creating the session took on its way and does not give back: holes of the heap
    inputs           the caller's graph inputs, where they do not fit into such holes
    first_run        what the arena grows by in the first run, as far as it is written to and needs new pages
    later_runs       the same in the runs after it: the block of the memory pattern

The last five come out of one simulation: the requests that loading and running make, of a model of onnxruntime's
arena in a model of the C library's heap. Three numbers are measured (onnxruntime 1.32, Linux, x86-64, glibc 2.36) and
the same for all models: the library's bytes and those of a graph and of a node. Where several orders of equal loading
are possible, onnxruntime's own hash tables choose, and processes of one model differ.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from memprof.ir import Graph
from memprof.runtimes.model import Process
from memprof.runtimes.onnxruntime.control_flow import BodiesUse
from memprof.runtimes.onnxruntime.frame import Frame
from memprof.runtimes.onnxruntime.process.arena import Arena
from memprof.runtimes.onnxruntime.process.heap import Heap
from memprof.runtimes.onnxruntime.process.loading import load

_LIBRARY_BYTES = 9_300_000
_GRAPH_BYTES = 1_400_000
_NODE_BYTES = 5_000
_CONSTANT_BYTES = 1_200
_MAX_BUFFERS = 20_000
_ERROR = "not measured yet"


def default_process(graph: Graph, frame: Frame) -> Process:
    """Return what a process takes for a default session of ``graph`` that runs ``frame``."""
    inputs = [frame.graph.value_bytes[i] for i in frame.graph.inputs]
    if not frame.is_complete or None in inputs or len(frame.plan.owned) > _MAX_BUFFERS:
        return Process(None, {}, _ERROR)
    parts = _parts(graph, frame, [size or 0 for size in inputs])
    return Process(sum(parts.values()), parts, _ERROR)


def _parts(graph: Graph, frame: Frame, inputs: Sequence[int]) -> dict[str, int]:
    heap = Heap()
    weights = load(heap, graph, frame.graph)
    loaded = heap.resident_bytes
    for size in inputs:
        if size:
            heap.take(size)
    fed = heap.resident_bytes
    arena = Arena(heap)
    _first_run(arena, frame)
    ran = heap.resident_bytes
    for _ in range(2):
        _later_run(arena, frame)
    return {
        "library": _LIBRARY_BYTES,
        "graph_objects": _GRAPH_BYTES + sum(_NODE_BYTES if node.op != "Constant" else _CONSTANT_BYTES for node in graph.nodes),
        "weights": weights,
        "left_by_loading": max(0, loaded - weights),
        "inputs": fed - loaded,
        "first_run": ran - fed,
        "later_runs": heap.resident_bytes - ran,
    }


def _first_run(arena: Arena, frame: Frame) -> None:
    """Take and give back every buffer where its tensor comes and goes."""
    _run(arena, frame, frame.plan.owned, frame.uses)


def _later_run(arena: Arena, frame: Frame) -> None:
    """Take the block, then outputs and scratch."""
    if not frame.has_pattern:
        _first_run(arena, frame)
        return
    block = arena.take(frame.pattern_bytes) if frame.pattern_bytes else None
    outputs = [i for i in frame.plan.owned if i in frame.outputs]
    _run(arena, frame, outputs, frame.later_uses)
    if block is not None:
        arena.give(block)


def _run(arena: Arena, frame: Frame, owned: Sequence[int], uses: Sequence[BodiesUse | None]) -> None:
    begin, end = defaultdict[int, list[int]](list), defaultdict[int, list[int]](list)
    for value_id in owned:
        if frame.graph.value_bytes[value_id]:
            begin[frame.plan.start[value_id]].append(value_id)
            end[min(frame.plan.stop[value_id], len(uses))].append(value_id)
    alive: dict[int, tuple[int, int]] = {}
    for step, use in enumerate(uses):
        for value_id in end.pop(step, ()):
            arena.give(alive.pop(value_id))
        before = 0 if use is None else use.before_bytes
        scratch = [arena.take(before)] if before else []
        for value_id in begin.pop(step, ()):
            alive[value_id] = arena.take(frame.graph.value_bytes[value_id] or 0)
        if use is not None and use.beside_bytes:
            scratch.append(arena.take(use.beside_bytes))
        for address in scratch:
            arena.give(address)
    for address in alive.values():
        arena.give(address)
