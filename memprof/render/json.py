"""Report -> JSON, schema ``memprof/analysis/2``: readable by people, columns on one line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from memprof.results.report import Report

_INLINE = frozenset({str, int, float, bool, list, type(None)})
_encode = json.JSONEncoder(allow_nan=False).encode  # one for all: a report of many tensors has as many small values


def render_json(report: Report, stream: TextIO) -> None:
    """Write ``report`` to ``stream`` as one JSON document."""
    write_document(report.to_json(), stream)


def write_document(document: dict[str, Any], stream: TextIO) -> None:
    """Write any JSON document of ours: ASCII only, two spaces per level, a list without objects on one line."""
    stream.write(format_document(document))


def format_document(document: dict[str, Any]) -> str:
    """Return any JSON document of ours as ``write_document`` writes it."""
    return _format(document, "\n") + "\n"


def _format(value: Any, newline: str) -> str:
    deeper = newline + "  "
    if isinstance(value, dict) and value:
        rows = [f"{_encode(key)}: {_format(item, deeper)}" for key, item in value.items()]
        return f"{{{deeper}{(',' + deeper).join(rows)}{newline}}}"
    if isinstance(value, list) and not _INLINE.issuperset(map(type, value)):
        return f"[{deeper}{(',' + deeper).join([_format(item, deeper) for item in value])}{newline}]"
    return _encode(value)
