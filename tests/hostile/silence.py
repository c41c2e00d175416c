"""What a report must not keep quiet: each number that is null has a reason, which names it or its row."""

from __future__ import annotations

from typing import Any


def assert_nothing_is_silent(report: Any) -> None:
    """Raise ``AssertionError`` if a row has no number and nothing that is listed as unknown says why."""
    for name, row in report.runtimes.items():
        reasons = [entry for entry in report.unknown if is_about(entry, name)]
        for figure in ("peak_intermediate_bytes", "peak_without_io_bytes"):
            assert getattr(row, figure) is not None or reasons, f"{name}: {figure} is null and nothing is unknown"
        assert row.peak_intermediate_bytes is None or row.peak_intermediate_bytes >= row.known_bytes_at_least
    assert all(entry.name and entry.reason for entry in report.unknown), "an unknown without a name or a reason"


def is_about(entry: Any, row: str) -> bool:
    """Tell whether an unknown may leave a row without a number: those that name other rows alone may not."""
    if entry.kind == "macs":
        return False
    said = entry.reason.partition(": ")[0]
    return not said.startswith("under ") or row in said.removeprefix("under ").split(", ")
