"""A report cut down to the numbers that two reports, or a report and a budget, can be compared by.

A report of today and one saved a year ago are the same to whoever compares: a saved one needs no buffers for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from memprof.results.fields import Fields, check_schema
from memprof.results.report import Report
from memprof.results.saving import ANALYSIS_SCHEMA, NUMBERS_ONLY_SCHEMA


@dataclass(frozen=True, slots=True, kw_only=True)
class PeakSnapshot:
    """What one runtime model said.

    Attributes:
        peak_intermediate_bytes: The peak, ``None`` if some size was unknown.
        known_bytes_at_least: The peak with unknown sizes as zero.
        total_bytes: Weights and peak together, ``None`` if one of them was unknown.
        live: Bytes of each tensor alive at the peak by name, ``None`` where unknown.
    """

    peak_intermediate_bytes: int | None
    known_bytes_at_least: int
    total_bytes: int | None
    live: Mapping[str, int | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The numbers of one report.

    Attributes:
        path: The model, as the report names it.
        parameter_bytes: Bytes of the parameters.
        foldable_constant_bytes: Bytes of values computed from constants alone.
        macs: Multiply-accumulate operations, ``None`` if unknown.
        runtimes: What each runtime model said, the headline first.
    """

    path: str
    parameter_bytes: int
    foldable_constant_bytes: int
    macs: int | None
    runtimes: Mapping[str, PeakSnapshot]

    def to_json(self) -> dict[str, Any]:
        """Return the numbers as JSON-ready values, shaped as in a report."""
        return {
            "model": {
                "path": self.path,
                "parameter_bytes": self.parameter_bytes,
                "foldable_constant_bytes": self.foldable_constant_bytes,
                "macs": self.macs,
            },
            "runtimes": {
                name: {
                    "peak_intermediate_bytes": found.peak_intermediate_bytes,
                    "known_bytes_at_least": found.known_bytes_at_least,
                    "total_bytes": found.total_bytes,
                    "peak": {"live": [{"name": tensor, "bytes": size} for tensor, size in found.live.items()]},
                }
                for name, found in self.runtimes.items()
            },
        }

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
        macs=report.model.macs,
        runtimes={
            name: PeakSnapshot(
                peak_intermediate_bytes=found.peak_intermediate_bytes,
                known_bytes_at_least=found.known_bytes_at_least,
                total_bytes=found.total_bytes,
                live={tensor.name: tensor.size_bytes for tensor in found.peak.live},
            )
            for name, found in report.runtimes.items()
        },
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
    return read_snapshot(Fields(document, source))


def read_snapshot(found: Fields) -> Snapshot:
    """Return the numbers of a report, or of what ``Snapshot.to_json`` gave.

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
        macs=model.count_or_none("macs"),
        runtimes=runtimes,
    )


def _read_peak(found: Fields) -> PeakSnapshot:
    return PeakSnapshot(
        peak_intermediate_bytes=found.count_or_none("peak_intermediate_bytes"),
        known_bytes_at_least=found.count("known_bytes_at_least"),
        total_bytes=found.count_or_none("total_bytes"),
        live={tensor.text("name"): tensor.count_or_none("bytes") for tensor in found.fields("peak").each("live")},
    )
