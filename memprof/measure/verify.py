"""One model, predicted and run: where the runtime models and the measurements meet.

runtime                  predicted by                          measured by
onnxruntime-default      its model, as a report does: from     the second run of a session with all optimisations, by
                         the graph that a session optimised    the traced allocator
onnxruntime              its model, from the file alone        the traced allocator; the profile's counters beside it
onnxruntime-optimized    its model, from the graph that the    the same, in the session that wrote the graph
                         session wrote before it ran
pytorch                  the module run on meta tensors        the module run for real under the same tracker

The rows of ``RUNTIMES`` name these functions (``measuring``): each takes a Request and the limits of the child
process and returns a Verification.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from importlib.util import find_spec
from typing import Any

from memprof.analysis import Lifetimes
from memprof.base.errors import InputError, MissingExtraError, RuntimeFailure
from memprof.base.folders import scratch_folder
from memprof.importers.onnx import read_onnx
from memprof.importers.onnxruntime_dump import read_optimized
from memprof.importers.request import Request
from memprof.ir import Graph
from memprof.ir.model import Model
from memprof.measure.child import Limits
from memprof.measure.feeds import input_specs
from memprof.measure.kept import installed_version
from memprof.measure.measurement import Measurement
from memprof.measure.onnxruntime import (
    FULLY_OPTIMIZED,
    NOT_OPTIMIZED,
    Allocations,
    measure_allocations,
    measure_counters,
    measure_process,
    require_onnxruntime,
)
from memprof.measure.sessions import with_session
from memprof.measure.threads import session_threads
from memprof.results.verification import NamedPair, Verification, pair_steps
from memprof.runtimes import RuntimeModel, as_read, choose_runtimes
from memprof.runtimes.onnxruntime import DEFAULT_MODEL, MODEL, OPTIMIZED_MODEL
from memprof.runtimes.onnxruntime.default import session_frame, session_loading
from memprof.runtimes.onnxruntime.frame import Frame
from memprof.runtimes.onnxruntime.process import STAGES, growths, middle

_FIRST = "first run, by the traced allocator"
_LATER = "second run with the same shapes, by the traced allocator"
_BLOCK = "taken at once before the second run's first kernel, by the traced allocator"
_ARENA = "what the session's arena holds of the system, by onnxruntime's own profile"
_PAGES = "growth of a fresh process by resident pages, each stage beyond the one before; ten runs in all"
_SESSION = "of the growth while the session is made: pages of files, what is taken of the heap, other pages"
_BARE = "without kernel scratch, by the counters of onnxruntime's own profile"


def verify_default(request: Request, limits: Limits) -> Verification:
    """Compare what a report on the file leads with, and what belongs to it, with what a default session allocates.

    Arguments and errors as ``verify_onnxruntime``. The session that the prediction is from is not the one that runs.
    """
    require_onnxruntime("Verifying a prediction")
    model = with_session(read_onnx(request), request)
    graph, row = model.graph, as_read(DEFAULT_MODEL, model)
    specs, threads = input_specs(graph, request.values), session_threads(request)
    found = measure_allocations(request.name, specs, limits, level=FULLY_OPTIMIZED, threads=threads)
    counters = _counters(request.name, specs, limits, FULLY_OPTIMIZED)
    lifetimes = row.lifetimes(graph)
    grade = row.promise(lifetimes).grade or ""
    frame = session_frame(model)
    first, bare, block = _beside(frame)
    later = found.later
    return Verification(
        path=request.name,
        runtime=later.runtime,
        version=later.version,
        optimization="all",
        predicted_bytes=lifetimes.timeline.peak_bytes if lifetimes.is_complete else None,
        measured_bytes=later.peak_bytes,
        counts=later.counts,
        method=later.method,
        steps=pair_steps(_predicted(lifetimes), _measured(later)),
        others=(
            NamedPair("later_runs_block", block, found.block_bytes, _BLOCK, grade),
            NamedPair("first_run_peak", first, found.measurement.peak_bytes, _FIRST, grade),
            NamedPair("first_run_without_scratch", bare, None if counters is None else counters.peak_bytes, _BARE),
            *process_pairs(model, frame, measure_process(request.name, specs, limits, threads=threads)),
        ),
        runtime_model=DEFAULT_MODEL.name,
        grade=grade,
    )


def process_pairs(model: Model, frame: Frame, found: Mapping[str, int | None]) -> Iterator[NamedPair]:
    """Yield what a process grows by, predicted and measured, stage by stage.

    Args:
        model: The file, with its session.
        frame: What the session runs of it.
        found: What ``measure_process`` returned.
    """
    asked = growths(model.graph, frame, session_loading(model))
    growth = middle(asked) if asked else None
    stages: Mapping[str, int] = {} if growth is None else growth.stages
    arena = (None, None) if growth is None else growth.arena_bytes
    for name, predicted in zip(("arena_first_run", "arena_later_runs"), arena, strict=True):
        yield NamedPair(name, predicted, found[name], _ARENA, "estimate")
    for name, predicted in ({} if growth is None else growth.of_session).items():
        yield NamedPair(f"process_{name}", predicted, found[name], _SESSION, "estimate")
    measured = {name: found[name] for name in STAGES}
    for name in STAGES:
        yield NamedPair(f"process_{name}", stages.get(name), measured[name], _PAGES, "estimate")
    total = sum(size or 0 for size in measured.values())
    yield NamedPair("process", sum(stages.values()) if stages else None, total, _PAGES, "estimate")


def _beside(frame: Frame) -> tuple[int | None, int | None, int | None]:
    """Return the peak of the first run, the same without scratch, and the block of later runs, if all is known."""
    if not frame.is_complete:
        return None, None, None
    outputs = frame.graph.outputs
    first = max(frame.first_pass(outputs), default=0)
    return first, max(frame.without_scratch.first_pass(outputs), default=0), frame.pattern_bytes


def verify_onnxruntime(request: Request, limits: Limits) -> Verification:
    """Compare what is predicted from the file with what onnxruntime allocates, optimisation off.

    Raises:
        RuntimeFailure: onnxruntime refused the model, crashed, hung or ran out of memory.
        MissingExtraError: onnxruntime is not installed.
        InputError: The file is missing or invalid.
        UsageError: An input's shape is open.
    """
    require_onnxruntime("Verifying a prediction")
    model = replace(read_onnx(request), installed=installed_version() or "")
    graph = model.graph
    specs = input_specs(graph, request.values)
    found = measure_allocations(request.name, specs, limits)
    counters = _counters(request.name, specs, limits, NOT_OPTIMIZED)
    return _verification(request.name, as_read(MODEL, model), graph, found, counters, "off")


def verify_optimized(request: Request, limits: Limits) -> Verification:
    """Compare what is predicted from the graph that onnxruntime optimised with what it allocates for it.

    Arguments and errors as ``verify_onnxruntime``. One session writes the graph and then runs it: two sessions may
    list the same nodes in another order.
    """
    require_onnxruntime("Verifying a prediction")
    specs = input_specs(read_onnx(request).graph, request.values)
    with scratch_folder() as folder:
        target = folder / "optimized.onnx"
        found = measure_allocations(request.name, specs, limits, level=FULLY_OPTIMIZED, target=target)
        model = replace(read_optimized(target, request), installed=installed_version() or "")
    counters = _counters(request.name, specs, limits, FULLY_OPTIMIZED)
    (row,) = choose_runtimes(["onnxruntime"], model).values()  # a graph that was left alone is not optimised
    row = replace(row, name=OPTIMIZED_MODEL.name)
    return _verification(request.name, row, model.graph, found, counters, "all")


def verify_pytorch(request: Request, limits: Limits) -> Verification:
    """Compare the prediction of a PyTorch module with a real run of it.

    Args:
        request: The module by name.
        limits: What the child process may use.

    Raises:
        RuntimeFailure: The run crashed, hung or ran out of memory.
        MissingExtraError: PyTorch is not installed.
        InputError: There is no such module, or it cannot be made.
        UsageError: A shape does not fit.
    """
    if find_spec("torch") is None:
        raise MissingExtraError("Running a PyTorch module", "torch")
    from memprof.importers.torch.loading import read_name
    from memprof.measure.pytorch import measure_tensors

    try:
        model = read_name(request)
    except InputError:  # a run has the values that a prediction lacks; if it fails too, its own error counts
        model = None
    found = measure_tensors(request, limits)
    if model is None:
        return Verification(
            path=request.name,
            runtime=found.runtime,
            version=found.version,
            optimization="none",
            predicted_bytes=None,
            measured_bytes=found.peak_bytes,
            counts=found.counts,
            method=found.method,
            steps=(),
        )
    (row,) = choose_runtimes(["pytorch"], model).values()
    lifetimes = row.lifetimes(model.graph)
    return Verification(
        path=request.name,
        runtime=found.runtime,
        version=found.version,
        optimization="none",
        predicted_bytes=lifetimes.timeline.peak_bytes if lifetimes.is_complete else None,
        measured_bytes=found.peak_bytes,
        counts=found.counts,
        method=found.method,
        steps=pair_steps(_predicted(lifetimes), _measured(found)),
    )


def _counters(path: str, specs: Any, limits: Limits, level: int) -> Measurement | None:
    """Return the second measurement, ``None`` where this version of onnxruntime does not count."""
    try:
        return measure_counters(path, specs, limits, level=level)
    except RuntimeFailure as error:
        if "does not count" not in error.message:
            raise
        return None


def _verification(
    path: str,
    runtime: RuntimeModel,
    graph: Graph,
    found: Allocations,
    counters: Measurement | None,
    optimization: str,
) -> Verification:
    lifetimes = runtime.lifetimes(graph)
    figures = {} if runtime.figures is None else {figure.name: figure.size_bytes for figure in runtime.figures(graph)}
    bare = lifetimes.timeline_without_scratch
    bare_bytes = bare.peak_bytes if bare is not None and lifetimes.is_complete else None
    measured = found.measurement
    return Verification(
        path=path,
        runtime=measured.runtime,
        version=measured.version,
        optimization=optimization,
        predicted_bytes=lifetimes.timeline.peak_bytes if lifetimes.is_complete else None,
        measured_bytes=measured.peak_bytes,
        counts=measured.counts,
        method=measured.method,
        steps=pair_steps(_predicted(lifetimes), _measured(measured)),
        others=(
            NamedPair("without_scratch", bare_bytes, None if counters is None else counters.peak_bytes, _BARE),
            NamedPair("later_runs_peak", figures.get("later_runs_peak"), found.second_run_bytes, _LATER),
            NamedPair("later_runs_block", figures.get("later_runs_block"), found.block_bytes, _BLOCK),
        ),
        runtime_model=runtime.name,
        grade=runtime.promise(lifetimes).grade or "",
    )


def _predicted(lifetimes: Lifetimes) -> list[tuple[str, str, int]]:
    nodes = lifetimes.graph.nodes
    return [
        (nodes[step[0]].name, nodes[step[0]].op, size)
        for step, size in zip(lifetimes.schedule.steps, lifetimes.timeline.step_bytes, strict=False)
    ]


def _measured(found: Measurement) -> list[tuple[str, str, int]]:
    return [
        (step.node, step.op, step.live_bytes if step.most_bytes is None else step.most_bytes) for step in found.steps
    ]
