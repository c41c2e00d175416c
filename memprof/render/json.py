"""Report -> JSON, schema ``memprof/analysis/2``: readable by people, columns on one line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TextIO

from memprof.base.collector import paused_collector

if TYPE_CHECKING:
    from memprof.results.report import Report

_INLINE = frozenset({str, int, float, bool, list, type(None)})
_encode = json.JSONEncoder(allow_nan=False).encode  # one for all: a report of many tensors has as many small values


def render_json(report: Report, stream: TextIO) -> None:
    """Write ``report`` to ``stream`` as one JSON document."""
    with paused_collector():
        write_document(report.to_json(), stream)


def write_document(document: dict[str, Any], stream: TextIO) -> None:
    """Write any JSON document of ours: ASCII only, two spaces per level, a list without objects on one line."""
    stream.writelines(_parts(document, "\n"))  # all of them made before the first is written
    stream.write("\n")


def format_document(document: dict[str, Any]) -> str:
    """Return any JSON document of ours as ``write_document`` writes it."""
    return "".join(_parts(document, "\n")) + "\n"


def _parts(value: Any, newline: str) -> list[str]:
    """Return the text of ``value`` in pieces: joined on each level, a large report would be in memory many times."""
    deeper = newline + "  "
    if isinstance(value, dict) and value:
        if _INLINE.issuperset(map(type, value.values())):
            rows = [f"{_encode(key)}: {_encode(item)}" for key, item in value.items()]
            return [f"{{{deeper}{(',' + deeper).join(rows)}{newline}}}"]
        pieces, before = [], "{"
        for key, item in value.items():
            pieces.append(f"{before}{deeper}{_encode(key)}: ")
            pieces += _parts(item, deeper)
            before = ","
        return [*pieces, f"{newline}}}"]
    if isinstance(value, list) and not _INLINE.issuperset(map(type, value)):
        pieces, before = [], "["
        for item in value:
            first, *rest = _parts(item, deeper)
            pieces.append(f"{before}{deeper}{first}")
            pieces += rest
            before = ","
        return [*pieces, f"{newline}]"]
    return [_encode(value)]
