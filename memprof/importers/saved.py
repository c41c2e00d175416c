"""A report that was saved as JSON, back as values. What they mean is ``memprof.results.snapshot``'s business."""

from __future__ import annotations

from pathlib import Path

from memprof.base.errors import InputError
from memprof.base.files import read_plain
from memprof.base.text import safe_text
from memprof.importers.documents import parse_json

MAX_BYTES = 2**28


def read_saved_report(path: Path) -> object:
    """Return the JSON document in ``path``.

    Raises:
        InputError: The file is missing, unreadable or no JSON.
        LimitError: It is larger than any report.
    """
    hint = "Give a report written with: memprof analyze MODEL -o report.json"
    if not path.is_file():
        raise InputError(f"{path} is {'not a file' if path.exists() else 'missing'}.", hint)
    try:
        document: object = parse_json(read_plain(path, MAX_BYTES, "a report"))
    except ValueError as error:
        raise InputError(f"{path} is no JSON of a report: {safe_text(str(error), limit=200)}.", hint) from error
    return document
