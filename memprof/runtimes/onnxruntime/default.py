"""A default session of onnxruntime from its second run on: all optimisations, memory pattern and arena, many threads.

    what runs     the graph as the installed onnxruntime optimised it (``Model.session``), which ran nothing; where
                  nobody asked it, what rules make of the graph of the file (``optimizing``), as an estimate
    what counts   the block that holds all inner tensors, taken at once; graph outputs; scratch of what runs

The block is laid out in the first run, is a little larger than what is alive in it at once, and stays taken to the
end of each run: what nothing lives in at a step is reserved and held, and the peak is the step that fills it most.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from memprof.analysis import Lifetimes
from memprof.analysis.bounds import taken_at_largest
from memprof.ir import Graph, Unknown
from memprof.ir.model import OPTIMIZED_FORMAT, Loading, Model, Session
from memprof.runtimes.onnxruntime.arranging import as_estimated, as_listed, as_planned
from memprof.runtimes.onnxruntime.frame import Frame, most_bytes, run_frame
from memprof.runtimes.onnxruntime.proven import lowered_by
from memprof.runtimes.onnxruntime.unsettled import block_sizes
from memprof.runtimes.onnxruntime.windows import LEAVING

_MAX_BUFFERS = 20_000  # the block is laid out in O(buffers x buffers alive)


_PROVEN_ALONE = frozenset(("LSTM", "GRU", "RNN"))
"""Operations whose scratch is proven for one thread."""

_LAID_OUT = "a block laid out at the largest sizes"
"""Each buffer takes the smallest gap that holds it: smaller ones may fall otherwise, and need a larger block."""

_UNASKED = Session(reason="nobody asked onnxruntime")


def session_frame(model: Model) -> Frame:
    """Return what a default session runs of ``model``, and how."""
    session = _session(model)
    found = session.model or model
    asked = as_listed if found.format == OPTIMIZED_FORMAT else as_planned
    arrange = as_estimated if session.model is None else asked
    known = found.folded if arrange is as_estimated else found.ahead
    return run_frame(found.graph, None if known is None else known(), arrange, threads=session.threads)


def session_loading(model: Model) -> Loading | None:
    """Return what making a default session of ``model`` takes, ``None`` if nobody can say."""
    loading = _session(model).loading
    return None if loading is None else loading()


def _session(model: Model) -> Session:
    return _UNASKED if model.session is None else model.session()


def default_lifetimes(model: Model, frame: Frame) -> Lifetimes:
    """Return the lifetimes of the second run, and of all after it, in a default session.

    Args:
        model: The model.
        frame: What the session runs of it, see ``session_frame``.
    """
    schedule = frame.schedule
    session = _session(model)
    ops = frame.graph.ops if session.threads > 1 else frozenset[str]()
    alone = [f"{op} with {session.threads} threads" for op in sorted(ops & _PROVEN_ALONE)]
    laid_out = (_LAID_OUT,) if taken_at_largest(model.graph) else ()
    bare = Lifetimes(
        graph=frame.graph,
        schedule=schedule,
        buffers=frame.buffers,
        is_complete=frame.is_complete,
        unknown=_unknown(model.graph, frame),
        without=(*filter(None, (session.reason,)), *alone, *laid_out),
    )
    if not frame.is_complete or len(frame.plan.owned) > _MAX_BUFFERS:
        return bare
    taken = frame.later_pass(frame.graph.outputs)
    alive = bare.timeline.step_bytes
    reserved = tuple([total - held if total > held else 0 for total, held in zip(taken, alive, strict=False)])
    if not any(reserved):
        return bare
    scratch = most_bytes(frame.uses)
    held = tuple([total - own if total > own else 0 for total, own in zip(reserved, frame.reserved, strict=True)])
    return replace(bare, reserved=reserved, scratch=tuple(scratch), held=held)


def _unknown(graph: Graph, frame: Frame) -> tuple[Unknown, ...]:
    """Return what is not known of the graph that runs, beyond what is listed of the file."""
    if frame.is_complete:
        return ()
    listed = set(graph.unknown)
    return tuple(unknown for unknown in (*frame.source.unknown, *frame.unknown) if unknown not in listed)


def default_lowered_by(lifetimes: Lifetimes, ran: Callable[[], Frame] | None = None) -> tuple[str, ...]:
    """Return what keeps the answer from being exact: what was not asked, and operations that are not proven.

    Args:
        lifetimes: What a default session runs.
        ran: How it runs it; left out, nobody can say what another order would take.
    """
    nodes = lifetimes.graph.nodes
    has_bodies = bool(lifetimes.graph.bodies)
    bodies = dict.fromkeys(node.op for node in nodes if node.bodies) if has_bodies else {}  # second run: not proven
    unordered = (found,) if (found := _by_order(lifetimes, ran)) else ()
    return (*lifetimes.without, *lowered_by(lifetimes), *bodies, *unordered)


def _by_order(lifetimes: Lifetimes, ran: Callable[[], Frame] | None) -> str:
    """Return what another order of a session would change, nothing where all take the same, see ``unsettled``."""
    graph = lifetimes.graph
    if LEAVING not in graph.ops or sum(node.op == LEAVING for node in graph.nodes) < 2:
        return ""
    if lifetimes.without or not lifetimes.is_complete or ran is None:
        return LEAVING
    frame = ran()
    sizes = block_sizes(frame)
    if sizes is None:
        return LEAVING
    if len(sizes) == 1:
        return ""
    rest = lifetimes.timeline.peak_bytes - frame.pattern_bytes
    return f"{LEAVING}: {min(sizes) + rest:,} to {max(sizes) + rest:,} bytes, by the order of a session"
