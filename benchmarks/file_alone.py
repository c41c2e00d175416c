"""Rules from the file alone against the installed onnxruntime: operations of the optimised graph, and the peak.

    python benchmarks/file_alone.py FOLDER [--only WORD] [--json FILE]

For each .onnx file of a folder (``accuracy.py --keep`` writes some; structures without weights do): what onnxruntime
makes of it, asked once and kept, beside what the rules make of it. A line for each file that differs: the error of
the peak, and the operations of which there are other numbers, ours / onnxruntime's.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from memprof.base.errors import MemprofError
from memprof.importers.onnx import read_onnx
from memprof.importers.request import Request
from memprof.ir import Graph
from memprof.ir.model import Model
from memprof.measure.sessions import with_session
from memprof.runtimes import as_read
from memprof.runtimes.onnxruntime import DEFAULT_MODEL
from memprof.runtimes.onnxruntime.default import session_frame


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One file.

    Attributes:
        name: Its name.
        ruled_bytes: Peak by rules, ``None`` if it is not known.
        asked_bytes: Peak of the graph that onnxruntime made.
        differing: By operation how many there are by rules and in onnxruntime's graph, where these differ.
    """

    name: str
    ruled_bytes: int | None
    asked_bytes: int | None
    differing: dict[str, tuple[int, int]]

    @property
    def error(self) -> float | None:
        """How far the rules are off."""
        return None if self.ruled_bytes is None or not self.asked_bytes else self.ruled_bytes / self.asked_bytes - 1


def compare(path: Path) -> Compared | None:
    """Compare one file; ``None`` if onnxruntime was not asked."""
    request = Request(source=path)
    model = with_session(read_onnx(request), request)
    session = None if model.session is None else model.session()
    if session is None or session.model is None:
        return None
    alone = replace(request, from_file=True)
    ruled = with_session(read_onnx(alone), alone)
    ours, theirs = operations(session_frame(ruled).graph), operations(session.model.graph)
    return Compared(
        name=path.stem,
        ruled_bytes=_peak(ruled),
        asked_bytes=_peak(model),
        differing={op: (ours[op], theirs[op]) for op in sorted(ours.keys() | theirs) if ours[op] != theirs[op]},
    )


def operations(graph: Graph) -> Counter[str]:
    """Return how many operations of each kind run, bodies not counted."""
    return Counter(node.op for node in graph.nodes if node.op != "Constant")


def _peak(model: Model) -> int | None:
    lifetimes = as_read(DEFAULT_MODEL, model).lifetimes(model.graph)
    return lifetimes.timeline.peak_bytes if lifetimes.is_complete else None


def summary(found: list[Compared]) -> dict[str, Any]:
    """Return how many files are how far off."""
    errors = [abs(one.error) for one in found if one.error is not None]
    return {
        "files": len(found),
        "equal": sum(error == 0 for error in errors),
        "within 1 %": sum(error <= 0.01 for error in errors),
        "within 10 %": sum(error <= 0.1 for error in errors),
        "same operations": sum(not one.differing for one in found),
        "not known": len(found) - len(errors),
    }


def main() -> None:
    """Compare all files of a folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", default="", help="a word in the name")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    found = []
    for path in sorted(asked.folder.glob("*.onnx")):
        if asked.only not in path.stem:
            continue
        try:
            one = compare(path)
        except MemprofError as error:
            print(path.stem, error.message[:200])
            continue
        if one is None:
            continue
        found.append(one)
        if one.error != 0 or one.differing:
            shown = "not known" if one.error is None else f"{one.error:+.1%}"
            print(one.name, shown, " ".join(f"{op}:{a}/{b}" for op, (a, b) in one.differing.items()))
    print(json.dumps(summary(found), indent=1))
    if asked.json is not None:
        document = {"summary": summary(found), "files": [asdict(one) for one in found]}
        asked.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
