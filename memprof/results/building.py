"""A Report from a Model: every runtime model asked once, and what all of them say put side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from memprof.analysis.bounds import is_bounded, taken_at_largest
from memprof.analysis.categories import bytes_by_category, phase_at
from memprof.analysis.macs import count_macs
from memprof.ir import Graph, Unknown
from memprof.ir.model import Model
from memprof.ir.trace import Category
from memprof.results.peak import find_peak
from memprof.results.records import ModelSummary, RuntimeFacts, RuntimeReport
from memprof.results.report import Report
from memprof.runtimes import Promise, RuntimeModel


def build_report(model: Model, runtimes: Mapping[str, RuntimeModel]) -> Report:
    """Return the report of ``model`` under each of ``runtimes``."""
    graph = model.graph
    macs, macs_unknown = count_macs(graph)
    weights = model.parameter_bytes + graph.foldable_constant_bytes if graph.has_known_weights else None
    rows = {
        name: _with_categories(_runtime_report(graph, runtime, weights), model) for name, runtime in runtimes.items()
    }
    return Report(
        model=ModelSummary(
            path=model.path,
            format=model.format,
            structure_sha256=model.structure_sha256,
            nodes=len(graph.nodes),
            parameter_bytes=model.parameter_bytes,
            foldable_constant_bytes=graph.foldable_constant_bytes,
            stored_constant_bytes=graph.stored_constant_bytes,
            macs=macs,
            has_known_weights=graph.has_known_weights,
            bytes_by_dtype=graph.parameter_bytes_by_dtype if model.stored is None else dict(model.stored),
        ),
        runtimes=rows,
        unknown=graph.unknown + _own_unknown(rows) + macs_unknown,
        assumed=graph.assumed,
        process=None if (leads := next(iter(runtimes.values()))).process is None else leads.process(graph),
    )


def _own_unknown(rows: Mapping[str, RuntimeReport]) -> tuple[Unknown, ...]:
    """Return what single runtime models do not know: each says which, since others may show a number beside it."""
    names: dict[Unknown, list[str]] = {}
    for name, row in rows.items():
        for unknown in dict.fromkeys(row.lifetimes.unknown):
            names.setdefault(unknown, []).append(name)
    return tuple(replace(unknown, reason=f"under {', '.join(of)}: {unknown.reason}") for unknown, of in names.items())


def _with_categories(found: RuntimeReport, model: Model) -> RuntimeReport:
    """Add what a run shows of its bytes, to the answer that tells of that run."""
    trace = model.trace
    if trace is None or found.lifetimes.graph is not trace.graph or not (trace.is_training or trace.has_cache):
        return found
    categories = {category.value: size for category, size in bytes_by_category(trace, found.peak.step).items()}
    if model.stored is not None:
        categories[Category.PARAMETER.value] = model.parameter_bytes
    kinds = tuple(life.category.value for life in trace.counted())
    if len(kinds) != len(found.lifetimes.buffers):  # a model that counts other storages than the trace's own
        kinds = ()
    return replace(found, categories=categories, phase=phase_at(trace, found.peak.step), buffer_kinds=kinds)


def lowered(promise: Promise, graph: Graph) -> Promise:
    """Return what is left of a promise where the source contradicts itself, or a size was taken at its largest.

    A malformed node contradicts what the file records of its outputs.
    """
    contradicted = tuple(note.name for note in graph.assumed if note.kind in ("shape", "dtype"))
    contradicted += tuple(_malformed(graph))
    largest = taken_at_largest(graph)
    if promise.grade is None or not (contradicted or largest):
        return promise
    is_estimate = promise.grade == "estimate" or contradicted or not is_bounded(graph)
    return Promise("estimate" if is_estimate else "upper bound", (*promise.lowered_by, *contradicted, *largest))


def _malformed(graph: Graph) -> Iterator[str]:
    """Yield the names of nodes that their operations do not allow, those of bodies too."""
    for node in graph.nodes if graph.has_malformed or graph.bodies else ():
        if node.is_malformed:
            yield node.name
        for body in node.bodies:
            yield from _malformed(body)


def _runtime_report(graph: Graph, runtime: RuntimeModel, weight_bytes: int | None) -> RuntimeReport:
    lifetimes = runtime.lifetimes(graph)
    promise = lowered(runtime.promise(lifetimes), graph)
    known = lifetimes.timeline.peak_bytes
    tensors = lifetimes.timeline_without_scratch
    peak_bytes = known if lifetimes.is_complete else None
    return RuntimeReport(
        runtime=RuntimeFacts(
            name=runtime.name,
            definition=runtime.definition,
            grade=promise.grade,
            counts_inputs=runtime.counts_inputs,
            summary=runtime.summary,
            lowered_by=promise.lowered_by,
        ),
        source=graph,
        find_figures=runtime.figures,
        peak_intermediate_bytes=peak_bytes,
        peak_without_io_bytes=lifetimes.timeline_without_io.peak_bytes if lifetimes.is_complete else None,
        peak_without_scratch_bytes=tensors.peak_bytes if lifetimes.is_complete and tensors is not None else None,
        known_bytes_at_least=known,
        total_bytes=None if peak_bytes is None or weight_bytes is None else peak_bytes + weight_bytes,
        peak=find_peak(lifetimes),
        lifetimes=lifetimes,
    )
