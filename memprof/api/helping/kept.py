"""What would help, as it was found before: it takes as long as the analysis itself, and the next one asks again.

It follows from the file's structure, the request, the report, the code here and the packages that it calls; the key
names them all. An answer that lacks something since a tool broke or was stopped is not kept.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from memprof.base.fields import Fields
from memprof.importers.request import Request
from memprof.measure.kept import keep_bytes, kept_path, package_stamp, read_kept
from memprof.results.helped import Helped
from memprof.results.report import Report

_PACKAGES = ("networkx", "numba", "numpy", "onnx", "onnxruntime")
"""What evaluates, plans and changes files."""

_PACKAGE = Path(__file__).parents[2]


def kept_help(request: Request, report: Report, find: Callable[[], Helped]) -> Helped:
    """Return what ``find`` gives, or gave before for the same request, report, file and code."""
    if report.model.format != "onnx":
        return find()
    rows = [f"{name}={row.peak_intermediate_bytes}" for name, row in report.runtimes.items()]
    key = (report.model.structure_sha256, repr(request), *rows, code_stamp(), package_stamp(*_PACKAGES))
    path = kept_path("help", *key, suffix=".json")
    found = read_kept(path)
    if found is not None:
        return Helped.from_json(Fields(json.loads(found), str(path)))
    answer = find()
    if path is not None and not answer.was_cut:
        keep_bytes(json.dumps(answer.to_json()).encode(), path)
    return answer


def code_stamp() -> str:
    """Return what changes when a file of this package does: a copy that is being worked on must not answer for it."""
    return repr(sorted(_stamps(str(_PACKAGE))))


def _stamps(folder: str) -> Iterator[tuple[str, int, int]]:
    with os.scandir(folder) as entries:  # pathlib would take as long as what is saved
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                if entry.name != "__pycache__":
                    yield from _stamps(entry.path)
            elif entry.name.endswith(".py"):
                status = entry.stat()
                yield entry.path, status.st_mtime_ns, status.st_size
