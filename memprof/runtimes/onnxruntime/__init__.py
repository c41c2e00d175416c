"""onnxruntime: what the CPU provider allocates in its first run, default settings, one thread, optimisation off.

rule                                                                    where
the order is a depth-first search backwards, not the file's             order
graph inputs belong to the caller and are not counted; outputs are
aliases, in-place operations, same-shape reuse with held gaps           plan, tables
``Constant`` nodes are initialisers; every other node runs, also one    tables
    that computes from constants alone
kernels take scratch from the same allocator while they run             scratch
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from operator import sub

from memprof.analysis import Lifetimes
from memprof.ir import Graph
from memprof.ir.model import OPTIMIZED_FORMAT, UNCHANGED_FORMAT, Model, Once
from memprof.ir.reorder import reorder
from memprof.runtimes.model import Measuring, Order, Ordering, RuntimeModel, fixed
from memprof.runtimes.onnxruntime.arranging import Arrangement, as_listed, as_planned
from memprof.runtimes.onnxruntime.default import default_lifetimes, default_lowered_by, session_frame, session_loading
from memprof.runtimes.onnxruntime.figures import runtime_figures
from memprof.runtimes.onnxruntime.frame import Frame, run_frame
from memprof.runtimes.onnxruntime.process import default_process
from memprof.runtimes.onnxruntime.proven import lowered_by, of_version


def onnxruntime_lifetimes(
    graph: Graph, order: Sequence[int] | None = None, *, ahead: Once[Graph] | None = None
) -> Lifetimes:
    """Return the lifetimes of a graph from a file as onnxruntime's planner makes them.

    Args:
        graph: Any graph.
        order: Node ids in the order in which a file lists them; the graph's own if left out. onnxruntime works out
            from it the order in which it runs them.
        ahead: The graph as onnxruntime knows it before a run, see ``Model.ahead``.

    Complexity: O(values + reads), edges of one node sorted.
    """
    return _lifetimes(run_frame(*_listed(graph, order, ahead), as_planned))


def optimized_lifetimes(
    graph: Graph, order: Sequence[int] | None = None, *, ahead: Once[Graph] | None = None
) -> Lifetimes:
    """Return the lifetimes of a graph that onnxruntime has optimised, written, and lists in the order it runs it.

    Args:
        graph: A graph of the format ``OPTIMIZED_FORMAT``.
        order: Node ids in running order; the graph's own if left out.
        ahead: As above.
    """
    return _lifetimes(run_frame(*_listed(graph, order, ahead), as_listed))


def _listed(graph: Graph, order: Sequence[int] | None, ahead: Once[Graph] | None) -> tuple[Graph, Graph | None]:
    """Return a graph, and the same as it is known before a run, both in ``order``."""
    known = None if ahead is None else ahead()
    if order is None:
        return graph, known
    return reorder(graph, order), None if known is None else reorder(known, order)


def _lifetimes(frame: Frame) -> Lifetimes:
    ran = frame.graph
    reserved = frame.reserved
    bare = frame.without_scratch.reserved if frame.bodies else (0,) * len(reserved)
    return Lifetimes(
        graph=ran,
        schedule=frame.schedule,
        buffers=frame.buffers,
        reserved=reserved if any(reserved) else (),
        scratch=tuple(map(sub, reserved, bare)) if frame.bodies else reserved,
        is_complete=frame.is_complete,
        unknown=frame.unknown,
    )


_COUNTED = (
    "its own order, aliases, in-place operations, buffers held for a later tensor of the same shape, kernel scratch; "
    "graph inputs are the caller's"
)


def _of_source(model: Model) -> RuntimeModel:
    return _as_optimized(model) if model.format == OPTIMIZED_FORMAT else _knowing(MODEL, model)


def _knowing(row: RuntimeModel, model: Model) -> RuntimeModel:
    """Return a row that runs what the file lists with what is known of ``model`` before a run."""
    ran = Once(partial(_frame_of, model, as_planned))
    return replace(
        row,
        lowered_by=of_version(lowered_by, model.installed),
        lifetimes=partial(_known_lifetimes, (model, ran), onnxruntime_lifetimes),
        figures=partial(runtime_figures, arrange=as_planned, ran=ran),
    )


def _frame_of(model: Model, arrange: Arrangement) -> Frame:
    return run_frame(model.graph, None if model.ahead is None else model.ahead(), arrange)


def _known_lifetimes(
    known: tuple[Model, Once[Frame]],
    rule: Callable[..., Lifetimes],
    graph: Graph,
    order: Sequence[int] | None = None,
) -> Lifetimes:
    """Return the lifetimes of a model's graph: in its own order from the frame that its figures are from too."""
    model, ran = known
    if order is None and graph is model.graph:
        return _lifetimes(ran())
    return rule(graph, order, ahead=model.ahead)


def _refuse_unoptimized(model: Model) -> str:
    is_optimized = model.format in (OPTIMIZED_FORMAT, UNCHANGED_FORMAT)
    return "" if is_optimized else "it reads ONNX files that onnxruntime optimises, see --optimized"


def _as_optimized(model: Model) -> RuntimeModel:
    if model.format == UNCHANGED_FORMAT:
        return _knowing(OPTIMIZED_MODEL, model)
    ran = Once(partial(_frame_of, model, as_listed))
    return replace(
        OPTIMIZED_MODEL,
        lowered_by=of_version(lowered_by, model.installed),
        lifetimes=partial(_known_lifetimes, (model, ran), optimized_lifetimes),
        figures=partial(runtime_figures, arrange=as_listed, ran=ran),
    )


def _default_of(model: Model) -> RuntimeModel:
    ran = Once(partial(session_frame, model))
    return replace(
        DEFAULT_MODEL,
        lowered_by=of_version(partial(default_lowered_by, ran=ran), model.installed),
        lifetimes=fixed(lambda _: default_lifetimes(model, ran()), DEFAULT_MODEL.name),
        process=lambda graph: default_process(graph, ran(), session_loading(model)),
    )


def _default_unasked(graph: Graph) -> Lifetimes:
    return default_lifetimes(unasked := Model.of(graph), session_frame(unasked))


MODEL = RuntimeModel(
    name="onnxruntime",
    definition=f"what onnxruntime allocates on a CPU in its first run, optimisation off, one thread: {_COUNTED}",
    summary="CPU, no optimisation",
    best_grade="exact",
    lowered_by=lowered_by,
    counts_inputs=False,
    lifetimes=onnxruntime_lifetimes,
    order=Order.OWN,
    default_for=frozenset({"onnx"}),
    ordering=Ordering(
        bound="memprof.planning.ordering.kinds:onnxruntime_floor_problem",
        related=(
            "memprof.planning.ordering.kinds:contracted_problem",
            "memprof.planning.ordering.kinds:reference_problem",
        ),
    ),
    of_source=_of_source,
    measuring=Measuring("memprof.measure.verify:verify_onnxruntime", frozenset({"onnx"})),
    figures=partial(runtime_figures, arrange=as_planned),
)

DEFAULT_MODEL = RuntimeModel(
    name="onnxruntime-default",
    definition="what onnxruntime allocates on a CPU in a default session from its second run on: all optimisations, "
    "the block of its memory pattern, graph outputs, kernel scratch; graph inputs are the caller's",
    summary="default session, run 2 on",
    best_grade="exact",
    lowered_by=default_lowered_by,
    counts_inputs=False,
    lifetimes=fixed(_default_unasked, "onnxruntime-default"),
    order=Order.GIVEN,
    default_for=frozenset({"onnx"}),
    leads=frozenset({"onnx"}),
    judges_graphs=False,  # nobody has optimised such a graph
    measuring=Measuring("memprof.measure.verify:verify_default", frozenset({"onnx"})),
    of_source=_default_of,
)

OPTIMIZED_MODEL = RuntimeModel(
    name="onnxruntime-optimized",
    definition=f"what onnxruntime allocates on a CPU in its first run of this graph, which it optimised itself, one "
    f"thread: {_COUNTED}",
    summary="CPU, optimised by it",
    best_grade="exact",
    lowered_by=lowered_by,
    counts_inputs=False,
    lifetimes=optimized_lifetimes,
    default_for=frozenset({OPTIMIZED_FORMAT, UNCHANGED_FORMAT}),
    refusal=_refuse_unoptimized,
    of_source=_as_optimized,
    needs="optimized",
    judges_graphs=False,  # nobody has optimised such a graph
    measuring=Measuring("memprof.measure.verify:verify_optimized", frozenset({"onnx"})),
    figures=partial(runtime_figures, arrange=as_listed),
)
