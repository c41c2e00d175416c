"""What a process takes for a default session, as a sum of parts; each is what the process grows by, in this order.

    part             what it is
    library          the library's own code and tables, once for a process: alike for all models but for the code that
                     registers, checks and makes each kind of operation
    graph_objects    what a session keeps of each operation beside its tensors, as far as it needs new pages
    weights          the weights as they end up: in the file's layout, blocked, or packed by kernels
    left_by_loading  what creating the session took on its way and does not give back: holes of the heap
    inputs           the caller's graph inputs, where they do not fit into such holes
    first_run        what the arena grows by in the first run, as far as it is written to and needs new pages; the
                     code of the kernels, which is read then
    later_runs       the same in the runs after it: the block of the memory pattern

Where the installed onnxruntime was asked, the first four are those of a process that made the session with zeros for
weights (``ir.model.Loading``), and its heap is where the runs go on. Else they are simulated: the requests of loading
in a model of the C library's heap, and measured numbers for the library's bytes and those of a graph and of a node.
The last three are simulated in both: requests of a model of onnxruntime's arena in that heap. Where several orders of
equal loading are possible, onnxruntime's own hash tables choose, and processes of one model differ.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import compress

from memprof.ir import Graph
from memprof.ir.model import Loading
from memprof.runtimes.model import Process
from memprof.runtimes.onnxruntime.control_flow import BodiesUse
from memprof.runtimes.onnxruntime.frame import Frame
from memprof.runtimes.onnxruntime.process.arena import Arena
from memprof.runtimes.onnxruntime.process.heap import Heap
from memprof.runtimes.onnxruntime.process.loading import held_by_attributes, load
from memprof.runtimes.onnxruntime.scratch.pieces import scratch_pieces

STAGES = ("session", "inputs", "first_run", "later_runs")
"""What a caller does, one after the other."""

_LIBRARY_BYTES = 8_630_000
_KIND_BYTES = 23_000  # fitted with the line above to 194 models: off by 140,000 on average
_KERNELS_BYTES = 550_000  # 390,000 to 920,000 on 35 models
_GRAPH_BYTES = 1_400_000
_NODE_BYTES = 5_000
_CONSTANT_BYTES = 1_200
_SCALING = frozenset(("DequantizeLinear", "QuantizeLinear"))
_SCALE_BYTES = 3_800  # a scale or a zero point; 3,400 to 5,200 on the eight models by which it was found
_SCALING_BYTES = 270_000  # the code that joins operations on 8 bits; 170,000 to 420,000
_TABLE_KEPT, _TABLE_LEFT = 1.8, 2.7  # of what lies in attributes; together 4.2 to 4.8 on ten forests and the like
_MAX_BUFFERS = 20_000
_LATER_RUNS = 2  # the second takes what the first gave back
_ERROR = "median 0.9 %, within 5 % on 93 % of 318 models; two processes of one model may differ by two fifths"
_SIMULATED_ERROR = "median 2.7 %, within 5 % on 70 % of 318 models, largest 61 %"


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """What a process grows by, simulated.

    Attributes:
        parts: By part, in the order in which they come about.
        arena_bytes: What the session's arena holds after the first run and after later ones, packed weights included.
    """

    parts: Mapping[str, int]
    arena_bytes: tuple[int, int]

    @property
    def size_bytes(self) -> int:
        """All of it."""
        return sum(self.parts.values())

    @property
    def stages(self) -> dict[str, int]:
        """The same by what a caller does: make the session and the inputs, run once, run again."""
        found = dict.fromkeys(STAGES, 0)
        for part, size in self.parts.items():
            found[part if part in found else "session"] += size
        return found

    @property
    def of_session(self) -> dict[str, int]:
        """What making the session takes, as a process can tell it apart."""
        parts = self.parts
        return {
            "session_library": parts["library"],
            "session_kept": parts["graph_objects"] + parts["weights"],
            "session_left": parts["left_by_loading"],
        }


def default_process(graph: Graph, frame: Frame, loading: Loading | None = None) -> Process:
    """Return what a process takes for a default session of ``graph`` that runs ``frame``.

    Args:
        graph: The graph of the file.
        frame: What the session runs of it.
        loading: What making the session takes, where somebody asked.
    """
    error = _SIMULATED_ERROR if loading is None else _ERROR
    found = growths(graph, frame, loading)
    if not found:
        return Process(None, {}, error)
    growth = middle(found)
    ends = (found[0].size_bytes, found[-1].size_bytes) if len(found) > 1 else None
    return Process(growth.size_bytes, growth.parts, error, ends)


def middle(found: Sequence[Growth]) -> Growth:
    """Return the growth that counts of several, the smallest first."""
    return found[(len(found) - 1) // 2]


def growths(graph: Graph, frame: Frame, loading: Loading | None = None) -> list[Growth]:
    """Return what each of the processes that were asked grows by, the smallest first, none where it is not known.

    Arguments as ``default_process``.
    """
    asked = (loading,) if loading is None else (loading, *loading.others)
    found = []
    for one in asked:
        growth = process_growth(graph, frame, one)
        if growth is None:
            return []
        found.append(growth)
    return sorted(found, key=lambda growth: growth.size_bytes)


def process_growth(graph: Graph, frame: Frame, loading: Loading | None = None) -> Growth | None:
    """Return the same part by part, ``None`` if a size is not known or there are too many to simulate.

    Arguments as ``default_process``.
    """
    inputs = [frame.graph.value_bytes[i] for i in frame.graph.inputs]
    if not frame.is_complete or None in inputs or len(frame.plan.owned) > _MAX_BUFFERS:
        return None
    heap = Heap()
    weights = load(heap, graph, frame.graph)
    live = weights.kept_bytes + weights.packed_bytes
    session, arena = _simulated(graph, live, heap.resident_bytes), weights.arena
    if loading is not None:
        session, heap = _rehearsed(loading, live), Heap.after(loading)
        arena = arena.moved_to(heap)
    loaded = heap.resident_bytes
    for size in inputs:
        if size:
            heap.take(size)
    fed = heap.resident_bytes
    _first_run(arena, frame)
    ran, held = heap.resident_bytes, arena.held_bytes
    for _ in range(_LATER_RUNS):
        before = arena.held_bytes
        _later_run(arena, frame)
        if arena.held_bytes == before:  # all was given back, so the next run does the same
            break
    parts = {
        **session,
        "inputs": fed - loaded,
        "first_run": _KERNELS_BYTES + ran - fed,
        "later_runs": heap.resident_bytes - ran,
    }
    beside = weights.beside_bytes
    return Growth(parts=parts, arena_bytes=(beside + held, beside + arena.held_bytes))


def _rehearsed(loading: Loading, weights: int) -> dict[str, int]:
    kept = min(loading.taken_bytes, loading.anonymous_bytes)  # the rest lies in pages that the process had before
    weights = min(weights, kept)
    return {
        "library": loading.library_bytes,
        "graph_objects": kept - weights,
        "weights": weights,
        "left_by_loading": loading.anonymous_bytes - kept,
    }


def _simulated(graph: Graph, weights: int, resident: int) -> dict[str, int]:
    tables = [sum(graph.value_bytes[i] or 0 for i in ids) for ids in held_by_attributes(graph)]
    # What reading one operation leaves is there for the next.
    return {
        "library": _LIBRARY_BYTES + _KIND_BYTES * len(graph.ops) + (_SCALING_BYTES if _is_scaled(graph) else 0),
        "graph_objects": _graph_bytes(graph) + int(_TABLE_KEPT * sum(tables)),
        "weights": weights,
        "left_by_loading": max(0, resident - weights) + int(_TABLE_LEFT * max(tables, default=0)),
    }


def _graph_bytes(graph: Graph) -> int:
    constants = sum(node.op == "Constant" for node in graph.nodes) if "Constant" in graph.ops else 0
    nodes = (len(graph.nodes) - constants) * _NODE_BYTES
    return _GRAPH_BYTES + constants * _CONSTANT_BYTES + nodes + len(_scales(graph)) * _SCALE_BYTES


def _is_scaled(graph: Graph) -> bool:
    return not graph.ops.isdisjoint(_SCALING)


def _scales(graph: Graph) -> set[int]:
    """Return what scales tensors of 8 bits: as many small weights as a graph may have operations."""
    if not _is_scaled(graph):
        return set()
    return {i for node in graph.nodes if node.op in _SCALING for i in node.inputs[1:] if i is not None}


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
    kinds = dict(zip(map(id, uses), uses, strict=True))
    is_busy = {key: use is not None and use.most_bytes > 0 for key, use in kinds.items()}
    busy = compress(range(len(uses)), map(is_busy.__getitem__, map(id, uses))) if any(is_busy.values()) else ()
    fits = set[tuple[int, ...]]()  # scratch that left the arena as it was, since a buffer came or went
    for step in sorted({*begin, *end, *busy} - {len(uses)}):  # nothing happens at any other
        use = uses[step]
        before = use.before_bytes if use is not None else 0
        beside = _beside(frame, step, use)
        if step in begin or step in end:
            fits.clear()
        elif (before, *beside) in fits:
            continue
        held = arena.held_bytes
        for value_id in end.pop(step, ()):
            arena.give(alive.pop(value_id))
        scratch = [arena.take(before)] if before else []
        for value_id in begin.pop(step, ()):
            alive[value_id] = arena.take(frame.graph.value_bytes[value_id] or 0)
        scratch += map(arena.take, beside)
        for address in scratch:
            arena.give(address)
        if arena.held_bytes == held:
            fits.add((before, *beside))
    for address in alive.values():
        arena.give(address)


def _beside(frame: Frame, step: int, use: BodiesUse | None) -> tuple[int, ...]:
    """Return what runs at a step takes beside what it writes, in the order of its requests."""
    if use is None or not use.beside_bytes:
        return ()
    return scratch_pieces(frame.graph, frame.graph.nodes[frame.plan.order[step]], use.beside_bytes)
