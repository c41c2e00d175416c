"""A Report as JSON and back, schema ``memprof/analysis/2``; see docs/schemas.md.

The document holds every graph once, in columns, and what each runtime model makes of one: reading it back gives the
lifetimes, and from them all that can be shown. What a document says twice must agree, so that a page never shows one
number here and another there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from memprof.analysis.modules import ModuleRow
from memprof.base.fields import Fields, check_schema
from memprof.base.rows import Rows
from memprof.ir import Assumption, Graph, Unknown
from memprof.results.assumed import assumed_json, read_assumed
from memprof.results.columns import Made, graph_json, lifetimes_json, read_graph, read_lifetimes, read_text, repeated
from memprof.results.peak import LiveTensors, Peak, find_peak
from memprof.results.records import ModelSummary, RuntimeFacts, RuntimeReport
from memprof.runtimes import Figure, Grade, Process

ANALYSIS_SCHEMA = "memprof/analysis/2"
NUMBERS_ONLY_SCHEMA = "memprof/analysis/1"
"""The version before: it has the numbers and no buffers, so it can be compared and checked, not drawn."""

_GRADES: tuple[Grade, ...] = ("exact", "upper bound", "estimate", "measured")


Remarks = tuple[tuple[Unknown, ...], tuple[Assumption, ...], Process | None]
"""What a report says it does not know, what it assumed, and what the headline's process takes."""


def report_json(
    model: ModelSummary, runtimes: Mapping[str, RuntimeReport], modules: Sequence[ModuleRow], remarks: Remarks
) -> dict[str, Any]:
    """Return the parts of a report as one JSON-ready document; ``modules`` are folded to ``MODULE_DEPTH``."""
    unknown, assumed, process = remarks
    graphs: dict[int, Graph] = {id(found.lifetimes.graph): found.lifetimes.graph for found in runtimes.values()}
    made: Made = {}
    places = {key: place for place, key in enumerate(graphs)}
    return {
        "schema": ANALYSIS_SCHEMA,
        "model": {
            "path": model.path,
            "format": model.format,
            "structure_sha256": model.structure_sha256,
            "nodes": model.nodes,
            "parameter_bytes": model.parameter_bytes,
            "foldable_constant_bytes": model.foldable_constant_bytes,
            "stored_constant_bytes": model.stored_constant_bytes,
            "macs": model.macs,
            "bytes_by_dtype": dict(model.bytes_by_dtype),
            "has_known_weights": model.has_known_weights,
        },
        "headline": next(iter(runtimes)),
        "runtimes": {
            name: _runtime_json(found, places[id(found.lifetimes.graph)], made) for name, found in runtimes.items()
        },
        "modules": [
            {
                "path": row.path,
                "nodes": row.nodes,
                "parameter_bytes": row.parameter_bytes,
                "peak_bytes": row.peak_bytes,
                "share": round(row.share, 6),
                "highest_bytes": row.highest_bytes,
            }
            for row in modules
        ],
        "unknown": [{"kind": u.kind, "name": u.name, "reason": u.reason, "hint": u.hint} for u in unknown],
        "process": None if process is None else _process_json(process),
        "assumed": assumed_json(assumed),
        "graphs": [graph_json(graph) for graph in graphs.values()],
    }


def read_report(document: object, source: str) -> tuple[ModelSummary, Mapping[str, RuntimeReport], Remarks]:
    """Return the parts of the report that was saved as ``document``.

    Raises:
        InputError: It is no report that can be read, or a field is missing or wrong.
    """
    schema = check_schema(document, source, (NUMBERS_ONLY_SCHEMA, ANALYSIS_SCHEMA))
    found = Fields(document, source)
    if schema == NUMBERS_ONLY_SCHEMA:
        raise found.error(
            "graphs", "is missing: an older memprof saved numbers only, which 'compare' and 'check' can read"
        )
    graphs = [read_graph(graph) for graph in found.each("graphs")]
    runtimes = {name: _read_runtime(fields, name, graphs) for name, fields in found.named("runtimes")}
    headline = found.text("headline")
    if headline not in runtimes:
        raise found.error("headline", "names none of the runtimes")
    unknown = tuple(
        Unknown(kind=u.text("kind"), name=u.text("name"), reason=u.text("reason"), hint=u.text("hint"))
        for u in found.each("unknown")
    )
    remarks = (unknown, read_assumed(found), _read_process(found))
    return _read_model(found.fields("model")), {headline: runtimes[headline], **runtimes}, remarks


def _process_json(process: Process) -> dict[str, Any]:
    return {
        "bytes": process.size_bytes,
        "grade": None if process.size_bytes is None else "estimate",
        "parts": dict(process.parts),
        "error": process.error,
        "range_bytes": None if process.range_bytes is None else list(process.range_bytes),
    }


def _read_process(document: Fields) -> Process | None:
    if "process" not in document or document.is_null("process"):
        return None
    found = document.fields("process")
    parts = found.named_counts("parts")
    ends: tuple[int, ...] = ()
    if "range_bytes" in found and not found.is_null("range_bytes"):
        ends = found.counts("range_bytes")
        if len(ends) != 2 or ends[0] > ends[1]:
            raise found.error("range_bytes", "is no lower and upper end")
    return Process(found.count_or_none("bytes"), parts, found.text("error"), (ends[0], ends[1]) if ends else None)


def _read_model(found: Fields) -> ModelSummary:
    return ModelSummary(
        path=found.text("path"),
        format=found.text("format"),
        structure_sha256=found.text("structure_sha256"),
        nodes=found.count("nodes"),
        parameter_bytes=found.count("parameter_bytes"),
        foldable_constant_bytes=found.count("foldable_constant_bytes"),
        stored_constant_bytes=found.count("stored_constant_bytes") if "stored_constant_bytes" in found else 0,
        macs=found.count_or_none("macs"),
        bytes_by_dtype=found.named_counts("bytes_by_dtype"),
        has_known_weights=found.flag("has_known_weights") if "has_known_weights" in found else True,
    )


_ARENA_FIGURES = frozenset({"head_bytes", "tail_bytes", "arena_bytes", "planned_bytes"})
"""Figures that a runtime with an arena is asked for first: beside the peak too."""


def _runtime_json(found: RuntimeReport, place: int, made: Made) -> dict[str, Any]:
    return {
        "peak_intermediate_bytes": found.peak_intermediate_bytes,
        "peak_without_io_bytes": found.peak_without_io_bytes,
        "peak_without_scratch_bytes": found.peak_without_scratch_bytes,
        "known_bytes_at_least": found.known_bytes_at_least,
        "total_bytes": found.total_bytes,
        "counts_inputs": found.runtime.counts_inputs,
        "grade": found.grade,
        "lowered_by": list(found.lowered_by),
        "definition": found.runtime.definition,
        "summary": found.runtime.summary,
        "peak": _peak_json(found.peak, made),
        "timeline": list(found.timeline),
        "by_category": dict(found.categories),
        "phase": found.phase,
        "buffer_kinds": repeated(found.buffer_kinds) if found.buffer_kinds else None,
        "figures": {
            figure.name: {"bytes": figure.size_bytes, "grade": figure.grade, "definition": figure.definition}
            for figure in found.figures
        },
        **{figure.name: figure.size_bytes for figure in found.figures if figure.name in _ARENA_FIGURES},
        "graph": place,
        "lifetimes": lifetimes_json(found.lifetimes, made),
    }


_LIVE_FIELDS = ("name", "bytes", "share", "producer", "held_by", "is_output", "held_steps", "module", "cause")
"""Names of the fields of a ``LiveTensor``."""


def _live_rows(live: LiveTensors) -> Iterator[tuple[Any, ...]]:
    for name, size_bytes, share, *rest in live:
        yield (name, size_bytes, round(share, 6), *rest)


def _peak_json(peak: Peak, made: Made) -> dict[str, Any]:
    if peak.live.origin not in made:
        live = Rows(fields=_LIVE_FIELDS, count=len(peak.live), make=partial(_live_rows, peak.live))
        made[peak.live.origin] = live
    return {
        "step": peak.step,
        "node": peak.node,
        "nodes": list(peak.nodes),
        "reserved_bytes": peak.reserved_bytes,
        "held_bytes": peak.held_bytes,
        "live": made[peak.live.origin],
    }


def _read_runtime(found: Fields, name: str, graphs: list[Graph]) -> RuntimeReport:
    place = found.count("graph")
    if place >= len(graphs):
        raise found.error("graph", "names no graph")
    lifetimes = read_lifetimes(found.fields("lifetimes"), graphs[place])
    known = lifetimes.timeline.peak_bytes
    peak_bytes = known if lifetimes.is_complete else None
    if found.count("known_bytes_at_least") != known or found.count_or_none("peak_intermediate_bytes") != peak_bytes:
        raise found.error("peak_intermediate_bytes", f"is not the {known} bytes that its buffers add up to")
    return RuntimeReport(
        runtime=RuntimeFacts(
            name=name,
            definition=found.text("definition"),
            grade=_read_grade(found),
            counts_inputs=found.flag("counts_inputs"),
            summary=found.text("summary"),
            lowered_by=found.texts("lowered_by") if "lowered_by" in found else (),
        ),
        peak_intermediate_bytes=peak_bytes,
        peak_without_io_bytes=found.count_or_none("peak_without_io_bytes"),
        peak_without_scratch_bytes=found.count_or_none("peak_without_scratch_bytes"),
        known_bytes_at_least=known,
        total_bytes=found.count_or_none("total_bytes"),
        peak=find_peak(lifetimes),
        lifetimes=lifetimes,
        categories=found.named_counts("by_category"),
        phase=found.text("phase"),
        buffer_kinds=_read_kinds(found, len(lifetimes.buffers)),
        saved_figures=tuple(
            Figure(figure, fields.count_or_none("bytes"), _read_grade(fields), fields.text("definition"))
            for figure, fields in found.named("figures")
        ),
    )


def _read_kinds(found: Fields, count: int) -> tuple[str, ...]:
    if found.is_null("buffer_kinds"):
        return ()
    kinds = found.repeated("buffer_kinds", read_text)
    if len(kinds) != count:
        raise found.error("buffer_kinds", "has not one entry for each buffer")
    return kinds


def _read_grade(found: Fields) -> Grade | None:
    if found.is_null("grade"):
        return None
    grade = found.text("grade")
    for known in _GRADES:
        if grade == known:
            return known
    raise found.error("grade", f"is none of {', '.join(_GRADES)}")
