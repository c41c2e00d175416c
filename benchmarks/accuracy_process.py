"""What a process takes for a default onnxruntime session, predicted and measured: the process columns of the page.

    python benchmarks/accuracy_process.py [--models FOLDER] [--zoo FOLDER] [--only WORD] [--count N]
    python benchmarks/accuracy_process.py --predict FOLDER    what is simulated, anew, of structures in a folder

The models are those of the accuracy page, found in ``--models`` or written. Each is measured in three fresh processes
and predicted in two ways: with what the installed onnxruntime says of making the session, and from the file alone.
What is in benchmarks/results/accuracy_process.json is not run again; ``accuracy.py --page`` writes the page from it.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from accuracy import ROOT, VALUES, environment
from accuracy_models import catalogue

from memprof.importers.onnx import read_onnx
from memprof.importers.onnx.read import parse
from memprof.importers.request import Request
from memprof.measure.child import Limits
from memprof.measure.feeds import input_specs
from memprof.measure.onnxruntime import measure_process
from memprof.measure.sessions import with_session
from memprof.measure.stand_in import write_look_alike
from memprof.measure.threads import session_threads
from memprof.measure.verify import process_pairs
from memprof.runtimes.onnxruntime.default import session_frame, session_loading
from memprof.runtimes.onnxruntime.process import Growth, growths, middle, process_growth

RESULTS = ROOT / "benchmarks/results/accuracy_process.json"
_SECONDS = 240
_PROCESSES = 3


def main() -> None:
    """Measure what has no result yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, help="a folder of .onnx files that need not be written")
    parser.add_argument("--zoo", type=Path, help="a folder of folders of .onnx files from public packages")
    parser.add_argument("--only", default="", help="a word in the name")
    parser.add_argument("--count", type=int, default=0, help="stop after so many models; 0 for all")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument(
        "--predict", type=Path, help="predict anew, of kept structures in a folder, and measure nothing"
    )
    asked = parser.parse_args()
    document: dict[str, Any] = {"machine": environment(), "models": {}}
    if asked.results.exists():
        document["models"] = json.loads(asked.results.read_text(encoding="utf-8"))["models"]
    rows = document["models"]
    if asked.predict:
        for name, row in rows.items():
            if "error" not in row and (asked.predict / f"{name}.onnx").exists():
                predict(row, asked.predict / f"{name}.onnx")
        asked.results.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        return
    todo = {name: write for name, write in catalogue(asked.zoo).items() if name not in rows and asked.only in name}
    for name, write in list(todo.items())[: asked.count or None]:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"{name}.onnx"
            try:
                if asked.models is not None and (asked.models / path.name).exists():
                    path = asked.models / path.name
                else:
                    write(path)
                rows[name] = measure(path)
            except Exception as error:  # a model that cannot be written or run is a row that says so
                rows[name] = {"error": f"{type(error).__name__}: {error}".replace(f"{folder}/", "")[:300]}
        print(name, _line(rows[name]), flush=True)
        asked.results.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def predict(row: dict[str, Any], structure: Path) -> None:
    """Put what is predicted of one model's process now in place of what was; what was measured stays.

    Args:
        row: Its result.
        structure: Its structure; onnxruntime is asked about a file with zeros where the model has weights.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / structure.with_suffix(".onnx").name
        write_look_alike(parse(structure)[0], path)
        growth = _alone(path)
        row["file_alone"] = None if growth is None else growth.size_bytes
        request = _request(path)
        model = with_session(read_onnx(request), request)
        loading = session_loading(model)
        asked = growths(model.graph, session_frame(model), loading)
    row["asked"] = loading is not None
    row["range"] = [asked[0].size_bytes, asked[-1].size_bytes] if len(asked) > 1 else None
    if not asked:
        return
    growth = middle(asked)
    parts = {**growth.stages, **growth.of_session, "": growth.size_bytes}
    found = {f"process_{name}".rstrip("_"): size for name, size in parts.items()}
    found |= dict(zip(("arena_first_run", "arena_later_runs"), growth.arena_bytes, strict=True))
    for name, size in found.items():
        row["process"][name]["predicted"] = size


def _alone(path: Path) -> Growth | None:
    request = replace(_request(path), from_file=True)
    bare = with_session(read_onnx(request), request)
    return process_growth(bare.graph, session_frame(bare))


def _request(path: Path) -> Request:
    given = next((found for word, found in VALUES.items() if word in path.name), {})
    names = {value.name for value in read_onnx(Request(source=path)).graph.values}
    return Request(source=path, values={name: value for name, value in given.items() if name in names})


def measure(path: Path) -> dict[str, Any]:
    """Return what is predicted of one model's process, in both ways, and what was measured, as JSON-ready values."""
    request = _request(path)
    model = with_session(read_onnx(request), request)
    frame, specs = session_frame(model), input_specs(model.graph, request.values)
    found: dict[str, dict[str, Any]] = {}
    for _ in range(_PROCESSES):
        again = measure_process(str(path), specs, Limits(seconds=_SECONDS), threads=session_threads(request))
        for pair in process_pairs(model, frame, again):
            row = found.setdefault(pair.name, {"predicted": pair.predicted_bytes, "measured": []})
            row["measured"].append(pair.measured_bytes)
    growth = _alone(path)
    return {
        "asked": session_loading(model) is not None,
        "process": found,
        "file_alone": None if growth is None else sum(growth.parts.values()),
    }


def _line(row: Mapping[str, Any]) -> str:
    if "error" in row:
        return str(row["error"])
    found = row["process"]["process"]
    measured = sorted(found["measured"])
    middle = measured[len(measured) // 2]
    off = "not known" if found["predicted"] is None else f"{found['predicted'] / middle - 1:+.1%}"
    alone = "not known" if row["file_alone"] is None else f"{row['file_alone'] / middle - 1:+.1%}"
    return f"{middle:,} {off}; from the file alone {alone}; {measured[0]:,} to {measured[-1]:,}"


if __name__ == "__main__":
    main()
