"""The numbers that a project saved to be compared with: a file to commit, schema ``memprof/baseline/1``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from memprof.base.errors import InputError
from memprof.base.fields import Fields, check_schema
from memprof.importers.saved import read_saved_report
from memprof.results.snapshot import Snapshot, read_snapshot

BASELINE_SCHEMA = "memprof/baseline/1"
UPDATE = "memprof check --update-baseline"
"""The command that writes it."""


def read_baseline(path: Path, update: str = UPDATE) -> dict[str, Snapshot]:
    """Return the saved numbers by name of the model; none if there is no file yet.

    Args:
        path: The file.
        update: The command that writes it.

    Raises:
        InputError: The file is no baseline, or damaged.
    """
    if not path.exists():
        return {}
    document = read_saved_report(path)
    try:
        check_schema(document, str(path), (BASELINE_SCHEMA,))
        return {name: read_snapshot(found) for name, found in Fields(document, str(path)).named("models")}
    except InputError as error:
        raise InputError(error.message, f"Write it with: {update}") from error


def format_baseline(snapshots: Mapping[str, Snapshot]) -> str:
    """Return the text of a baseline: sorted, so that a change of one model is a change of its lines alone."""
    document: dict[str, Any] = {
        "schema": BASELINE_SCHEMA,
        "models": {name: found.to_json() for name, found in sorted(snapshots.items())},
    }
    return json.dumps(document, indent=1, allow_nan=False) + "\n"
