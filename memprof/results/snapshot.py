"""A report cut down to the numbers that two reports, or a report and a budget, can be compared by.

A report of today and one saved a year ago are the same to whoever compares: a saved one needs no buffers for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from memprof.base.fields import Fields, check_schema
from memprof.ir import Assumption
from memprof.results.assumed import assumed_json, read_assumed
from memprof.results.report import Report
from memprof.results.saving import ANALYSIS_SCHEMA, NUMBERS_ONLY_SCHEMA
from memprof.results.sections import MODULE_DEPTH


@dataclass(frozen=True, slots=True, kw_only=True)
class PeakSnapshot:
    """What one runtime model said.

    Attributes:
        peak_intermediate_bytes: The peak, ``None`` if some size was unknown.
        known_bytes_at_least: The peak with unknown sizes as zero.
        total_bytes: Weights and peak together, ``None`` if one of them was unknown.
        live: Bytes of each tensor alive at the peak by name, ``None`` where unknown.
        node: The operation that runs at the peak; empty if it is not exactly one, or not known.
    """

    peak_intermediate_bytes: int | None
    known_bytes_at_least: int
    total_bytes: int | None
    live: Mapping[str, int | None]
    node: str = ""


@dataclass(frozen=True, slots=True)
class ModuleBytes:
    """Bytes of one module's parameters, and of what it wrote that is alive at the peak."""

    parameter_bytes: int
    peak_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The numbers of one report.

    Attributes:
        path: The model, as the report names it.
        parameter_bytes: Bytes of the parameters.
        foldable_constant_bytes: Bytes of values computed from constants alone.
        stored_constant_bytes: Of these, tensors that the source holds in Constant operations.
        has_known_weights: Whether these are all; where not, they are at least so many.
        macs: Multiply-accumulate operations, ``None`` if unknown.
        runtimes: What each runtime model said, the headline first.
        modules: Bytes of parameters and bytes at the headline's peak by module path, folded; empty if not known.
        assumed: What was taken otherwise than the source says, or for what it leaves open, with what changes it.
    """

    path: str
    parameter_bytes: int
    foldable_constant_bytes: int
    macs: int | None
    runtimes: Mapping[str, PeakSnapshot]
    modules: Mapping[str, ModuleBytes] = field(default_factory=dict)
    assumed: tuple[Assumption, ...] = ()
    stored_constant_bytes: int = 0
    has_known_weights: bool = True

    def to_json(self) -> dict[str, Any]:
        """Return the numbers as JSON-ready values, shaped as in a report."""
        return {
            "model": {
                "path": self.path,
                "parameter_bytes": self.parameter_bytes,
                "foldable_constant_bytes": self.foldable_constant_bytes,
                "stored_constant_bytes": self.stored_constant_bytes,
                "macs": self.macs,
                "has_known_weights": self.has_known_weights,
            },
            "runtimes": {
                name: {
                    "peak_intermediate_bytes": found.peak_intermediate_bytes,
                    "known_bytes_at_least": found.known_bytes_at_least,
                    "total_bytes": found.total_bytes,
                    "peak": {
                        "node": found.node or None,
                        "live": [{"name": tensor, "bytes": size} for tensor, size in found.live.items()],
                    },
                }
                for name, found in self.runtimes.items()
            },
            "modules": [
                {"path": path, "parameter_bytes": found.parameter_bytes, "peak_bytes": found.peak_bytes}
                for path, found in self.modules.items()
            ],
            "assumed": assumed_json(self.assumed),
        }

    @classmethod
    def from_json(cls, document: object, source: str = "the document") -> Snapshot:
        """Return the numbers that ``to_json`` gave as ``document``; a whole report is read by ``memprof.snapshot``.

        Raises:
            InputError: A field is missing or wrong.
        """
        return read_snapshot(Fields(document, source))

    @property
    def stored_bytes(self) -> int:
        """Parameters, those among them that the source writes as Constant operations too: what ``params`` limits."""
        return self.parameter_bytes + self.stored_constant_bytes

    @property
    def weight_bytes(self) -> int:
        """Parameters and foldable constants together."""
        return self.parameter_bytes + self.foldable_constant_bytes


def snapshot_report(report: Report) -> Snapshot:
    """Return the numbers of ``report``."""
    return Snapshot(
        path=report.model.path,
        parameter_bytes=report.model.parameter_bytes,
        foldable_constant_bytes=report.model.foldable_constant_bytes,
        stored_constant_bytes=report.model.stored_constant_bytes,
        has_known_weights=report.model.has_known_weights,
        macs=report.model.macs,
        runtimes={
            name: PeakSnapshot(
                peak_intermediate_bytes=found.peak_intermediate_bytes,
                known_bytes_at_least=found.known_bytes_at_least,
                total_bytes=found.total_bytes,
                live={tensor.name: tensor.size_bytes for tensor in found.peak.live},
                node=found.peak.node or "",
            )
            for name, found in report.runtimes.items()
        },
        modules=_named_modules(
            (row.path, ModuleBytes(row.parameter_bytes, row.peak_bytes)) for row in report.module_rows(MODULE_DEPTH)
        ),
        assumed=report.assumed,
    )


def snapshot_document(document: object, source: str) -> Snapshot:
    """Return the numbers of a report in JSON.

    Args:
        document: What ``json.load`` gave.
        source: Where it came from, for the error.

    Raises:
        InputError: It is no report of a version that is known here, or a field is missing or wrong.
    """
    check_schema(document, source, (NUMBERS_ONLY_SCHEMA, ANALYSIS_SCHEMA))
    found = read_snapshot(Fields(document, source))
    return replace(found, modules=_named_modules(found.modules.items()))


def read_snapshot(found: Fields) -> Snapshot:
    """Return the numbers that ``Snapshot.to_json`` gave; those of a report are at the same places.

    Raises:
        InputError: A field is missing or wrong.
    """
    model = found.fields("model")
    runtimes = {name: _read_peak(fields) for name, fields in found.named("runtimes")}
    if not runtimes:
        raise found.error("runtimes")
    return Snapshot(
        path=model.text("path"),
        parameter_bytes=model.count("parameter_bytes"),
        foldable_constant_bytes=model.count("foldable_constant_bytes"),
        stored_constant_bytes=model.count("stored_constant_bytes") if "stored_constant_bytes" in model else 0,
        macs=model.count_or_none("macs"),
        has_known_weights=model.flag("has_known_weights") if "has_known_weights" in model else True,
        runtimes=runtimes,
        modules={
            row.text("path"): ModuleBytes(row.count("parameter_bytes"), row.count("peak_bytes"))
            for row in (found.each("modules") if "modules" in found else ())
        },
        assumed=read_assumed(found) if "assumed" in found else (),  # an older file says nothing of it
    )


def _named_modules(rows: Iterable[tuple[str, ModuleBytes]]) -> dict[str, ModuleBytes]:
    """Return the modules that hold anything; what belongs to none is left out."""
    return {path: found for path, found in rows if path and (found.parameter_bytes or found.peak_bytes)}


def _read_peak(found: Fields) -> PeakSnapshot:
    peak = found.fields("peak")
    return PeakSnapshot(
        peak_intermediate_bytes=found.count_or_none("peak_intermediate_bytes"),
        known_bytes_at_least=found.count("known_bytes_at_least"),
        total_bytes=found.count_or_none("total_bytes"),
        live={tensor.text("name"): tensor.count_or_none("bytes") for tensor in peak.each("live")},
        node=(peak.text_or_none("node") or "") if "node" in peak else "",
    )
