"""The accuracy page: what a default onnxruntime session takes, predicted and measured, on a catalogue of models.

    python benchmarks/accuracy.py --jobs 1 [--only WORD] [--models FOLDER] [--zoo FOLDER]
    python benchmarks/accuracy.py --predict FOLDER    predict anew, of kept structures, beside what was measured
    python benchmarks/accuracy.py --page       write docs/accuracy.md from what was measured

A model is written into a scratch folder (``accuracy_models.catalogue``; or found in ``--models``), measured in a
process of its own and removed. Results are kept one by one in benchmarks/results/accuracy.json: what is there is not
run again. What cannot be written or run is listed with the reason and is in no percentage.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from accuracy_models import catalogue
from accuracy_page import page

from memprof.base.errors import MemprofError
from memprof.importers.onnx import read_onnx
from memprof.importers.onnx.read import parse
from memprof.importers.request import Request
from memprof.ir.model import Model
from memprof.measure.child import Limits
from memprof.measure.feeds import input_specs
from memprof.measure.onnxruntime import measure_process
from memprof.measure.sessions import with_session
from memprof.measure.threads import session_threads
from memprof.measure.verify import process_pairs, verify_default
from memprof.runtimes import as_read
from memprof.runtimes.onnxruntime import DEFAULT_MODEL
from memprof.runtimes.onnxruntime.default import session_frame
from memprof.runtimes.onnxruntime.proven import kernels

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks/results/accuracy.json"
PAGE = ROOT / "docs/accuracy.md"
VALUES: Mapping[str, Mapping[str, float]] = {"silero": {"sr": 16000}}
_SECONDS = 240
_PROCESSES = 3


def main() -> None:
    """Measure what has no result yet, then write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=0, help="models at a time; 0 runs nothing")
    parser.add_argument("--only", default="", help="a word in the name")
    parser.add_argument("--models", type=Path, help="a folder of .onnx files that need not be written again")
    parser.add_argument("--zoo", type=Path, help="a folder of folders of .onnx files from public packages")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--again", action="store_true", help="try again what failed")
    parser.add_argument("--page", action="store_true", help="write docs/accuracy.md")
    parser.add_argument("--predict", type=Path, help="predict anew, of kept structures in a folder")
    parser.add_argument("--keep", type=Path, help="keep the structure of each model, without weights, in a folder")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(measure_named(asked.one, asked.models, asked.zoo, asked.keep)))
        return
    if asked.jobs:
        _run(asked)
    if asked.predict:
        _predict(asked)
    if asked.page:
        PAGE.write_text(page(json.loads(asked.results.read_text(encoding="utf-8"))), encoding="utf-8")


def _run(asked: argparse.Namespace) -> None:
    document: dict[str, Any] = {"machines": {}, "models": {}}
    if asked.results.exists():
        document = json.loads(asked.results.read_text(encoding="utf-8"))
    rows, about = document["models"], environment()
    machine = f"{about['processor']}, {about['threads']} threads"
    document["machines"][machine] = about
    names = [name for name in catalogue(asked.zoo) if asked.only in name]
    todo = [name for name in names if name not in rows or (asked.again and "error" in rows[name])]
    with ThreadPoolExecutor(asked.jobs) as pool:
        futures = {pool.submit(_in_process, name, asked): name for name in todo}
        for future in as_completed(futures):
            name = futures[future]
            rows[name] = row = {**future.result(), "machine": machine}
            print(name, _line(row), flush=True)
            draft = asked.results.with_suffix(".part")
            draft.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n", encoding="utf-8")
            draft.replace(asked.results)


def _predict(asked: argparse.Namespace) -> None:
    """Predict the headline, its grade and the file alone anew; what was measured stays, and of which day it is."""
    document = json.loads(asked.results.read_text(encoding="utf-8"))
    about = environment()
    for name, row in document["models"].items():
        path = asked.predict / f"{name}.onnx"
        if "error" in row or not path.exists():
            continue
        request = _request(path)
        model = with_session(read_onnx(request), request)
        if model.session is None or model.session().model is None:
            print(name, "was not asked", flush=True)
            row["file_alone"] = _alone(request)
            continue
        row.update(_graded(model), predicted={"date": about["date"], "commit": about["commit"]})
        row["headline"]["predicted"] = row.pop("peak")
        row["file_alone"] = _alone(request)
        print(name, row["headline"], row["file_alone"], flush=True)
    asked.results.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def _graded(model: Model) -> dict[str, Any]:
    row = as_read(DEFAULT_MODEL, model)
    lifetimes = row.lifetimes(model.graph)
    promise = row.promise(lifetimes)
    return {
        "peak": lifetimes.timeline.peak_bytes if lifetimes.is_complete else None,
        "grade": promise.grade,
        "lowered_by": list(promise.lowered_by),
        "kernels": " ".join(sorted(f"{op}:{letter}" for op, letter in kernels(lifetimes.graph))),
    }


def _alone(request: Request) -> int | None:
    alone = replace(request, from_file=True)
    bare = with_session(read_onnx(alone), alone)
    estimate = as_read(DEFAULT_MODEL, bare).lifetimes(bare.graph)
    return estimate.timeline.peak_bytes if estimate.is_complete else None


def _request(path: Path) -> Request:
    values = next((found for word, found in VALUES.items() if word in path.name), {})
    request = Request(source=path)
    names = {value.name for value in read_onnx(request).graph.values}
    return Request(source=path, values={name: value for name, value in values.items() if name in names})


def _line(row: Mapping[str, Any]) -> str:
    if "error" in row:
        return str(row["error"])[:200]
    process = row["process"]["process"]
    measured = sorted(process["measured"])[len(process["measured"]) // 2]
    return (
        f"headline {row['headline']['predicted']}/{row['headline']['measured']} "
        f"file {row['file_alone']} process {process['predicted']}/{measured}"
    )


def _in_process(name: str, asked: argparse.Namespace) -> dict[str, Any]:
    command = [sys.executable, __file__, "--one", name]
    command += ["--models", str(asked.models)] if asked.models else []
    command += ["--zoo", str(asked.zoo)] if asked.zoo else []
    command += ["--keep", str(asked.keep)] if asked.keep else []
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return {"error": f"not done within {_SECONDS} s"}
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        return {"error": lines[-1][:300] if lines else f"exit code {done.returncode}"}
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def measure_named(name: str, models: Path | None, zoo: Path | None, keep: Path | None) -> dict[str, Any]:
    """Write a model, measure it and remove it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{name}.onnx"
        if models is not None and (models / path.name).exists():
            path = models / path.name
        else:
            catalogue(zoo)[name](path)
        if keep is not None:
            keep.mkdir(parents=True, exist_ok=True)
            (keep / path.name).write_bytes(parse(path)[0].SerializeToString())
        return measure(path)


def measure(path: Path) -> dict[str, Any]:
    """Return what is predicted of one model and what was measured, as JSON-ready values."""
    try:
        return _measured(_request(path), Limits(seconds=_SECONDS))
    except MemprofError as error:
        return {"error": error.message.replace(str(path), path.name)}


def _measured(request: Request, limits: Limits) -> dict[str, Any]:
    found = verify_default(request, limits)
    model = with_session(read_onnx(request), request)
    graded = _graded(model)
    del graded["peak"]  # as verify says it
    others = {pair.name: pair for pair in found.others}
    process = {name: pair for name, pair in others.items() if name.startswith(("process", "arena"))}
    measured = {name: [pair.measured_bytes] for name, pair in process.items()}
    frame, specs = session_frame(model), input_specs(model.graph, request.values)
    for _ in range(_PROCESSES - 1):
        again = measure_process(request.name, specs, limits, threads=session_threads(request))
        for pair in process_pairs(model, frame, again):
            measured[pair.name].append(pair.measured_bytes)
    first = found.first_difference
    return {
        "operations": len(model.graph.nodes),
        "weights": model.graph.parameter_bytes,
        **graded,
        "headline": {"predicted": found.predicted_bytes, "measured": found.measured_bytes},
        "first_run": _pair(others["first_run_peak"]),
        "block": _pair(others["later_runs_block"]),
        "first_difference": None if first is None else first.op,
        "file_alone": _alone(request),
        "process": {n: {"predicted": pair.predicted_bytes, "measured": measured[n]} for n, pair in process.items()},
    }


def _pair(pair: Any) -> dict[str, int | None]:
    return {"predicted": pair.predicted_bytes, "measured": pair.measured_bytes}


def environment() -> dict[str, Any]:
    """Return versions, processor and commit."""
    import onnx
    import onnxruntime

    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if Path("/proc/cpuinfo").exists() else []
    flags = next((line for line in lines if line.startswith("flags")), "")
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return {
        "onnxruntime": onnxruntime.__version__,
        "onnx": onnx.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), ""),
        "vectors": "AVX-512" if "avx512f" in flags else "AVX2" if "avx2" in flags else "",
        "threads": session_threads(Request(source="any.onnx")),
        "commit": commit.stdout.strip(),
        "date": datetime.now(UTC).date().isoformat(),
    }


if __name__ == "__main__":
    main()
