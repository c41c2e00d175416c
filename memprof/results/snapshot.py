"""A report cut down to the numbers that two reports, or a report and a budget, can be compared by.

It is read from the report's JSON: a report of today and one saved a year ago are the same to whoever compares.
A saved report is a file from a stranger: every field is checked, what is not used is not looked at.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from memprof.errors import InputError
from memprof.results.report import ANALYSIS_SCHEMA, Report

_FAMILY, _, _VERSION = ANALYSIS_SCHEMA.rpartition("/")
_HINT = "Write it again with: memprof analyze MODEL -o report.json"


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

    @property
    def weight_bytes(self) -> int:
        """Parameters and foldable constants together."""
        return self.parameter_bytes + self.foldable_constant_bytes


def snapshot_report(report: Report) -> Snapshot:
    """Return the numbers of ``report``."""
    return snapshot_document(report.to_json(), report.model.path)


def snapshot_document(document: object, source: str) -> Snapshot:
    """Return the numbers of a report in JSON.

    Args:
        document: What ``json.load`` gave.
        source: Where it came from, for the error.

    Raises:
        InputError: It is no report of a version that is known here, or a field is missing or wrong.
    """
    schema = document.get("schema") if isinstance(document, dict) else None
    if schema != ANALYSIS_SCHEMA:
        known = isinstance(schema, str) and schema.startswith(f"{_FAMILY}/")
        reason = f"its schema is {schema!r}, and {ANALYSIS_SCHEMA!r} is known" if known else "it is no memprof report"
        raise InputError(f"{source} cannot be compared: {reason}.", _HINT)
    try:
        return _snapshot(document)
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{source} is a damaged report: {error} is missing or wrong.", _HINT) from error


def _snapshot(document: Any) -> Snapshot:
    model, runtimes = document["model"], document["runtimes"]
    if not runtimes:
        raise KeyError("runtimes")
    return Snapshot(
        path=_text(model, "path"),
        parameter_bytes=_count(model, "parameter_bytes"),
        foldable_constant_bytes=_count(model, "foldable_constant_bytes"),
        macs=_count_or_none(model, "macs"),
        runtimes=MappingProxyType({str(name): _peak(found) for name, found in runtimes.items()}),
    )


def _peak(found: Any) -> PeakSnapshot:
    return PeakSnapshot(
        peak_intermediate_bytes=_count_or_none(found, "peak_intermediate_bytes"),
        known_bytes_at_least=_count(found, "known_bytes_at_least"),
        total_bytes=_count_or_none(found, "total_bytes"),
        live=MappingProxyType(
            {_text(tensor, "name"): _count_or_none(tensor, "bytes") for tensor in found["peak"]["live"]}
        ),
    )


def _text(record: Any, field: str) -> str:
    value = record[field]
    if not isinstance(value, str):
        raise TypeError(repr(field))
    return value


def _count(record: Any, field: str) -> int:
    value = _count_or_none(record, field)
    if value is None:
        raise TypeError(repr(field))
    return value


def _count_or_none(record: Any, field: str) -> int | None:
    value = record[field]
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
        raise TypeError(repr(field))
    return value
