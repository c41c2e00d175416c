"""A gate for the programs of a CI system: SARIF 2.1.0, GitHub's workflow commands, JUnit XML.

    SARIF    one result for each model that does not fit; rules are the statuses
    GitHub   one annotation each: ``::error title=...::...``; what only informs is a notice
    JUnit    one test case a model: a failure is over, an error could not be judged, what only informs is skipped

A name from a model or a file passes ``safe_text`` and the escapes of its format.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

from memprof.base.text import safe_text
from memprof.render.gate import explain, summarize
from memprof.render.json import write_document
from memprof.results.gate import STATUSES, Gate, GateRow, Status

SARIF_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"

_RULES: Mapping[Status, tuple[str, str, str]] = {
    "over": ("memory-over-budget", "A model needs more memory than its budget allows.", "error"),
    "failed": ("memory-not-analysed", "A model with a memory budget could not be analysed.", "error"),
    "undecided": ("memory-undecided", "Whether a model fits its memory budget is not known.", "warning"),
}
"""From a status to its rule: id, sentence, level."""

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def render_sarif(found: Gate, stream: TextIO, *, version: str) -> None:
    """Write a SARIF log: one result for each model that does not fit.

    Args:
        found: The gate.
        stream: Where to write.
        version: memprof's version.
    """
    rules = [status for status in STATUSES if status in _RULES]
    results = [_sarif_result(row, rules, found.config) for row in found.rows if row.status in _RULES]
    driver = {
        "name": "memprof",
        "version": version,
        "rules": [
            {
                "id": _RULES[status][0],
                "shortDescription": {"text": _RULES[status][1]},
                "defaultConfiguration": {"level": _RULES[status][2]},
            }
            for status in rules
        ],
    }
    run = {"tool": {"driver": driver}, "columnKind": "utf16CodeUnits", "results": results}
    write_document({"$schema": SARIF_SCHEMA, "version": "2.1.0", "runs": [run]}, stream)


def _sarif_result(row: GateRow, rules: list[Status], config: str) -> dict[str, Any]:
    rule, _, level = _RULES[row.status]
    location = {"physicalLocation": {"artifactLocation": {"uri": _uri(_file_of(row, config))}}}
    return {
        "ruleId": rule,
        "ruleIndex": rules.index(row.status),
        "level": "note" if row.is_informational else level,
        "message": {"text": f"{safe_text(row.name)}: {explain(row)}"},
        "locations": [location],
        "partialFingerprints": {"memprofModel/v1": safe_text(row.name)},
    }


def _file_of(row: GateRow, config: str) -> str:
    """Return the file that a result is shown at: the model, or for a module the file that watches it."""
    return row.source if Path(row.source).exists() or not config else config


def _uri(path: str) -> str:
    """Return a path as a URI reference, relative to the working folder where it lies below it."""
    try:
        shown = Path(path).resolve().relative_to(Path.cwd()).as_posix()
    except (ValueError, OSError):
        shown = Path(path).as_posix()
    return quote(shown, safe="/-._~")


def render_github(found: Gate, stream: TextIO) -> None:
    """Write a workflow command for each model that does not fit, and the last line for the log."""
    for row in found.rows:
        if row.status not in _RULES:
            continue
        level = "notice" if row.is_informational else _RULES[row.status][2]
        path = os.path.relpath(_file_of(row, found.config))
        properties = f"file={_property(path)},title={_property(f'Memory: {row.name} {row.status}')}"
        stream.write(f"::{level} {properties}::{_data(f'{row.name}: {explain(row)}')}\n")
    stream.write(f"{summarize(found)}\n")


def _data(text: str) -> str:
    return safe_text(text, limit=2000).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def render_junit(found: Gate, stream: TextIO, *, made_at: str) -> None:
    """Write a JUnit report: one test case a model.

    Args:
        found: The gate.
        stream: Where to write.
        made_at: When it was judged, as ``2026-01-31T12:00:00``: Ant's schema asks for it. It asks for seconds too,
            and for a host; nothing was timed, and a host is nobody's business.
    """
    counts = {kind: sum(_junit_kind(row) == kind for row in found.rows) for kind in ("failure", "error", "skipped")}
    totals = f'tests="{len(found.rows)}" failures="{counts["failure"]}" errors="{counts["error"]}"'
    stream.write('<?xml version="1.0" encoding="UTF-8"?>\n')
    about = f'id="0" package="memprof" hostname="localhost" timestamp={_xml(made_at)} time="0"'
    stream.write("<testsuites>\n")
    stream.write(f'  <testsuite name="memprof check" {totals} skipped="{counts["skipped"]}" {about}>\n')
    stream.write("    <properties/>\n")
    for row in found.rows:
        case = f'    <testcase classname={_xml("memprof.check")} name={_xml(row.name)} time="0"'
        kind = _junit_kind(row)
        if not kind:
            stream.write(f"{case}/>\n")
            continue
        kind_of = "" if kind == "skipped" else f" type={_xml(row.status)}"
        stream.write(f"{case}>\n      <{kind} message={_xml(explain(row))}{kind_of}/>\n    </testcase>\n")
    stream.write("    <system-out/>\n    <system-err/>\n  </testsuite>\n</testsuites>\n")


def _junit_kind(row: GateRow) -> str:
    if row.is_informational:
        return "" if row.status == "fits" else "skipped"
    return {"over": "failure", "failed": "error", "undecided": "error", "fits": ""}[row.status]


def _xml(text: str) -> str:
    return quoteattr(_NOT_XML.sub("?", safe_text(text, limit=2000)))
