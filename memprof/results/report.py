"""The Report: everything memprof found out about a model, frozen. Renderers and plots are functions of it.

Lives here: the record, how it is made from lifetimes, and its JSON. Not here: formatting, files, the console.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from memprof.analysis import Buffer, Holder, Holders, Lifetimes
from memprof.analysis.categories import bytes_by_category, phase_at
from memprof.analysis.macs import count_macs
from memprof.analysis.modules import ModuleRow, module_rows
from memprof.importers.model import Model
from memprof.ir import Graph, Unknown
from memprof.ir.trace import Trace
from memprof.runtimes import Figure, Grade, RuntimeModel

if TYPE_CHECKING:
    from pathlib import Path

ANALYSIS_SCHEMA = "memprof/analysis/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSummary:
    """The model, before any runtime.

    Attributes:
        path: The file or name it came from.
        format: ``onnx``, ``torch.export``, ...
        structure_sha256: Digest of what was read; weights are not.
        nodes: Number of operations, bodies not counted.
        parameter_bytes: Initialisers, or a module's parameters and buffers, shared ones once.
        foldable_constant_bytes: Values computed from constants alone.
        macs: Multiply-accumulate operations of one run, ``None`` if an operation has no standard formula.
        bytes_by_dtype: Parameter bytes by element type.
    """

    path: str
    format: str
    structure_sha256: str
    nodes: int
    parameter_bytes: int
    foldable_constant_bytes: int
    macs: int | None
    bytes_by_dtype: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveTensor:
    """One buffer that is alive at the peak.

    Attributes:
        name: Name of the tensor; the first of those that share the buffer.
        size_bytes: Its bytes, ``None`` if not known.
        share: Its part of the peak, 0 to 1.
        producer: The operation that wrote it, ``None`` for a graph input.
        held_by: The last operation that reads it, ``None`` if it is a graph output or nobody reads it.
        is_output: Whether it holds a graph output, which stays to the end.
        held_steps: Steps after the peak for which it stays.
        module: Path of the module it belongs to.
        cause: One sentence: why it is there.
    """

    name: str
    size_bytes: int | None
    share: float
    producer: str | None
    held_by: str | None
    is_output: bool
    held_steps: int
    module: str
    cause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Peak:
    """The first step of the maximum.

    Attributes:
        step: Index of the step.
        nodes: The operations that run at it.
        reserved_bytes: Bytes that step needs besides the tensors: bodies of control flow, scratch.
        live: What is alive then, largest first.
    """

    step: int
    nodes: tuple[str, ...]
    reserved_bytes: int
    live: tuple[LiveTensor, ...]

    @property
    def node(self) -> str | None:
        """The operation that runs at the peak, ``None`` unless it is exactly one."""
        return self.nodes[0] if len(self.nodes) == 1 else None


@dataclass(frozen=True, kw_only=True)
class RuntimeReport:
    """One runtime model's answer.

    Attributes:
        runtime: The model's name, definition, grade and what it counts.
        peak_intermediate_bytes: The peak, ``None`` if some size is unknown.
        peak_without_io_bytes: The peak without graph inputs and outputs, ``None`` if some size is unknown.
        peak_without_scratch_bytes: The peak without what kernels take while they run, ``None`` if some size is
            unknown or the model knows no kernels.
        known_bytes_at_least: The peak with unknown sizes as zero.
        total_bytes: Parameters, foldable constants and the peak together, ``None`` if one of them is not known.
        peak: Where it is and who lives there.
        lifetimes: When each buffer lives.
        categories: Bytes at the peak by what they are for, parameters and inputs included; empty if not known.
        phase: Part of a run that the peak is in: ``forward``, ``backward`` or ``optimizer``; empty if not known.
        source: The graph that was analysed; ``lifetimes.graph`` is what the runtime makes of it.
    """

    runtime: RuntimeModel
    peak_intermediate_bytes: int | None
    peak_without_io_bytes: int | None
    peak_without_scratch_bytes: int | None
    known_bytes_at_least: int
    total_bytes: int | None
    peak: Peak
    lifetimes: Lifetimes
    categories: Mapping[str, int] = field(default_factory=dict)
    phase: str = ""
    source: Graph | None = None

    @cached_property
    def figures(self) -> tuple[Figure, ...]:
        """What else the runtime model knows, worked out on first use."""
        if self.runtime.figures is None or self.source is None:
            return ()
        return self.runtime.figures(self.source)

    @property
    def grade(self) -> Grade:
        """What the peak promises."""
        return self.runtime.grade

    @property
    def timeline(self) -> tuple[int, ...]:
        """Bytes alive at each step."""
        return self.lifetimes.timeline.step_bytes


@dataclass(frozen=True, kw_only=True)
class Report:
    """Everything memprof found out about a model.

    Attributes:
        model: The model, before any runtime.
        runtimes: One answer per runtime model, the headline first.
        unknown: What could not be learnt, with the flag that settles it.
    """

    model: ModelSummary
    runtimes: Mapping[str, RuntimeReport]
    unknown: tuple[Unknown, ...]

    @property
    def headline(self) -> RuntimeReport:
        """The answer of the first runtime model."""
        return next(iter(self.runtimes.values()))

    @property
    def peak_intermediate_bytes(self) -> int | None:
        """The headline's peak."""
        return self.headline.peak_intermediate_bytes

    @property
    def parameter_bytes(self) -> int:
        """Bytes of the parameters."""
        return self.model.parameter_bytes

    def module_rows(self, depth: int) -> tuple[ModuleRow, ...]:
        """Return the headline's bytes by module path, folded to ``depth`` parts."""
        return module_rows(self.headline.lifetimes, depth)

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON-ready values, schema ``memprof/analysis/1``."""
        return {
            "schema": ANALYSIS_SCHEMA,
            "model": {
                "path": self.model.path,
                "format": self.model.format,
                "structure_sha256": self.model.structure_sha256,
                "nodes": self.model.nodes,
                "parameter_bytes": self.model.parameter_bytes,
                "foldable_constant_bytes": self.model.foldable_constant_bytes,
                "macs": self.model.macs,
                "bytes_by_dtype": dict(self.model.bytes_by_dtype),
            },
            "runtimes": {name: _runtime_json(found) for name, found in self.runtimes.items()},
            "unknown": [{"kind": u.kind, "name": u.name, "reason": u.reason, "hint": u.hint} for u in self.unknown],
        }

    def plot(self, path: str | Path | None = None, runtime: str | None = None) -> Any:
        """Draw the lifetime plot of one runtime model, the headline's by default.

        Args:
            path: A .png, .svg or .pdf file to write; nothing is written if left out.
            runtime: Name of the runtime model.

        Returns:
            The ``matplotlib.figure.Figure``.
        """
        from memprof.plots import plot_lifetimes  # the one arrow that points up: a method people expect here

        return plot_lifetimes(self, path, runtime)

    def _repr_html_(self) -> str:
        from memprof.render.html import render_html  # as above

        return render_html(self)


def build_report(model: Model, runtimes: Mapping[str, RuntimeModel]) -> Report:
    """Return the report of ``model`` under each of ``runtimes``."""
    graph = model.graph
    macs, macs_unknown = count_macs(graph)
    weights = graph.parameter_bytes + graph.foldable_constant_bytes if graph.has_known_weights else None
    return Report(
        model=ModelSummary(
            path=model.path,
            format=model.format,
            structure_sha256=model.structure_sha256,
            nodes=len(graph.nodes),
            parameter_bytes=graph.parameter_bytes,
            foldable_constant_bytes=graph.foldable_constant_bytes,
            macs=macs,
            bytes_by_dtype=graph.parameter_bytes_by_dtype,
        ),
        runtimes={
            name: _with_categories(_runtime_report(graph, runtime, weights), model.trace)
            for name, runtime in runtimes.items()
        },
        unknown=graph.unknown + macs_unknown,
    )


def _with_categories(found: RuntimeReport, trace: Trace | None) -> RuntimeReport:
    """Add what a run shows of its bytes, to the answer that tells of that run."""
    if trace is None or found.lifetimes.graph is not trace.graph or not trace.is_training:
        return found
    categories = {category.value: size for category, size in bytes_by_category(trace, found.peak.step).items()}
    return replace(found, categories=categories, phase=phase_at(trace, found.peak.step))


def _runtime_report(graph: Graph, runtime: RuntimeModel, weight_bytes: int | None) -> RuntimeReport:
    lifetimes = runtime.lifetimes(graph)
    known = lifetimes.timeline.peak_bytes
    tensors = lifetimes.timeline_without_scratch
    peak_bytes = known if lifetimes.is_complete else None
    return RuntimeReport(
        runtime=runtime,
        source=graph,
        peak_intermediate_bytes=peak_bytes,
        peak_without_io_bytes=lifetimes.timeline_without_io.peak_bytes if lifetimes.is_complete else None,
        peak_without_scratch_bytes=tensors.peak_bytes if lifetimes.is_complete and tensors is not None else None,
        known_bytes_at_least=known,
        total_bytes=None if peak_bytes is None or weight_bytes is None else peak_bytes + weight_bytes,
        peak=_peak(lifetimes),
        lifetimes=lifetimes,
    )


def _peak(lifetimes: Lifetimes) -> Peak:
    step, total = lifetimes.timeline.peak_step, lifetimes.timeline.peak_bytes
    running = lifetimes.schedule.steps[step] if lifetimes.schedule.steps else ()
    holders = Holders(lifetimes)
    return Peak(
        step=step,
        nodes=tuple(lifetimes.graph.nodes[i].name for i in running),
        reserved_bytes=lifetimes.reserved[step] if lifetimes.reserved else 0,
        live=tuple(_live_tensor(lifetimes, b, holders.find(b), step, total) for b in lifetimes.alive_at(step)),
    )


def _live_tensor(lifetimes: Lifetimes, buffer: Buffer, holder: Holder, step: int, peak_bytes: int) -> LiveTensor:
    graph = lifetimes.graph
    first = graph.values[buffer.values[0]]
    reader = None if holder.is_output else holder.last_reader
    held_by = None if reader is None else graph.nodes[reader].name
    producer = None if holder.producer is None else graph.nodes[holder.producer].name
    waits = 0 if holder.last_read_step is None else holder.last_read_step - step
    return LiveTensor(
        name=first.name,
        size_bytes=buffer.size_bytes,
        share=(buffer.size_bytes or 0) / peak_bytes if peak_bytes else 0.0,
        producer=producer,
        held_by=held_by,
        is_output=holder.is_output,
        held_steps=buffer.stop - 1 - step,
        module=first.module,
        cause=_cause(producer, held_by, holder.is_output, waits, born_now=buffer.start == step),
    )


def _cause(producer: str | None, held_by: str | None, is_output: bool, waits: int, *, born_now: bool) -> str:
    born = (
        "given by the caller" if producer is None else f"{'being written' if born_now else 'written'} by {producer}"
    )
    if is_output:
        return f"{born}; a graph output, kept to the end"
    if held_by is None:
        return f"{born}; nobody reads it"
    if waits < 0:
        return f"{born}; read for the last time by {held_by}, and still held by the code that called it"
    if waits == 0:
        return f"{born}; being read for the last time, by {held_by}"
    return f"{born}; waits {waits} more {'step' if waits == 1 else 'steps'} for {held_by}"


def _runtime_json(found: RuntimeReport) -> dict[str, Any]:
    run: dict[str, Any] = {"by_category": dict(found.categories), "phase": found.phase} if found.categories else {}
    if found.figures:
        run["figures"] = {
            figure.name: {"bytes": figure.size_bytes, "grade": figure.grade, "definition": figure.definition}
            for figure in found.figures
        }
    return {
        "peak_intermediate_bytes": found.peak_intermediate_bytes,
        "peak_without_io_bytes": found.peak_without_io_bytes,
        "peak_without_scratch_bytes": found.peak_without_scratch_bytes,
        "known_bytes_at_least": found.known_bytes_at_least,
        "total_bytes": found.total_bytes,
        "counts_inputs": found.runtime.counts_inputs,
        "grade": found.grade,
        "definition": found.runtime.definition,
        "peak": {
            "step": found.peak.step,
            "node": found.peak.node,
            "nodes": list(found.peak.nodes),
            "reserved_bytes": found.peak.reserved_bytes,
            "live": [
                {
                    "name": live.name,
                    "bytes": live.size_bytes,
                    "share": round(live.share, 6),
                    "producer": live.producer,
                    "held_by": live.held_by,
                    "is_output": live.is_output,
                    "held_steps": live.held_steps,
                    "module": live.module,
                    "cause": live.cause,
                }
                for live in found.peak.live
            ],
        },
        "timeline": list(found.timeline),
        **run,
    }
