"""Arenas of .tflite files: predicted, planned and as the runtimes count them, beside other tools, in one run.

    python benchmarks/boards.py FILE... [--tensorscope PROGRAM] [--mcufit PROGRAM] [--plan] [--json FILE]

    head       TensorFlow Lite Micro's own count (extra ``tflm``) against memprof, tensorscope and mcufit
    tail       memprof's estimate for pointers of 4 bytes against what mcufit's 32-bit build of the runtime takes
    litert     the span of LiteRT's addresses (extra ``litert``) against memprof
    plan       with --plan: the head of the planned file, loaded, outputs compared bit for bit
    seconds    each tool as a whole command, in turn, one after the other: ratios to memprof

A file that the runtime does not load has no head to compare and is counted apart. Other tools are programs of other
environments: ``mcufit`` 0.5.2 runs the runtime as WebAssembly, ``tensorscope`` 0.5.0 computes.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from nas_record import write_record

import memprof
from memprof.base.errors import MemprofError

WIDTHS = (10, 10, 11, 10, 7, 7)

READS_HIGH_BYTES = 2128
"""What mcufit says its build of the runtime takes more than one on an ESP32, whatever the model."""


def main() -> int:
    """Compare, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--tensorscope")
    parser.add_argument("--mcufit")
    parser.add_argument("--plan", action="store_true")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    rows = []
    titles = ("head", "memprof", "tensorscope", "mcufit", "tail", "mcufit")
    print("file".ljust(34), *[title.rjust(width) for title, width in zip(titles, WIDTHS, strict=True)], " litert")
    for path in asked.files:
        row = compare(path, asked)
        rows.append(row)
        cells = [row.get(key) for key in ("head", "memprof", "tensorscope", "mcufit", "tail", "mcufit_tail")]
        shown = " ".join(
            f"{'-' if cell is None else cell:>{width}}" for cell, width in zip(cells, WIDTHS, strict=True)
        )
        print(f"{path.name[:34]:34} {shown}  {row['litert']} {row.get('plan', '')}", flush=True)
    summarise(rows)
    if asked.json:
        write_record(asked.json, {"rows": rows})
    return 0


def compare(path: Path, asked: argparse.Namespace) -> dict[str, Any]:
    """Return what each tool says of one file."""
    row: dict[str, Any] = {"file": path.name, "litert": verified(path, "litert")}
    began = time.perf_counter()
    document = run([sys.executable, "-m", "memprof", "analyze", str(path), "--json"])
    row["memprof_s"] = time.perf_counter() - began
    if document is not None:
        row["memprof"] = document["runtimes"]["tflm"]["head_bytes"]
        row["tail"] = document["runtimes"]["tflm"]["tail_bytes"]
    try:
        row["head"] = memprof.verify(str(path), runtime="tflm").measured_bytes
    except MemprofError:
        row["head"] = None
    if asked.tensorscope:
        began = time.perf_counter()
        found = run([asked.tensorscope, "analyze", str(path), "--json"])
        row["tensorscope_s"] = time.perf_counter() - began
        row["tensorscope"] = None if found is None else found["arena_head"]["bytes"]
    if asked.mcufit:
        began = time.perf_counter()
        found = run([asked.mcufit, "check", str(path), "--board", "nano33ble", "--exact", "--json"])
        row["mcufit_s"] = time.perf_counter() - began
        estimate = {} if found is None else found.get("estimate", {})
        if "wasm" in str(estimate.get("method", "")):
            row["mcufit"], row["mcufit_tail"] = estimate["peak_activation_bytes"], estimate["overhead_bytes"]
    if asked.plan and row["head"] is not None:
        row["plan"] = planned(path)
    return row


def planned(path: Path) -> str:
    """Return what became of the planned file."""
    with tempfile.TemporaryDirectory() as folder:
        target = str(Path(folder) / "planned.tflite")
        command = [sys.executable, "-m", "memprof", "plan", str(path), "-o", target, "--measure", "--json"]
        found = run(command)
    if found is None:
        return "plan refused"
    measured = found["measured"]
    is_kept = measured["after"]["head_bytes"] == found["head_bytes"]
    is_smaller = measured["smallest_after_bytes"] <= measured["smallest_before_bytes"]
    verdict = "same outputs" if measured["is_same"] and is_kept and is_smaller else "WRONG"
    arenas = f"{measured['smallest_before_bytes']} -> {measured['smallest_after_bytes']}"
    return f"plan {found['head_before_bytes']} -> {found['head_bytes']}, arena {arenas}, {verdict}"


def verified(path: Path, runtime: str) -> str:
    """Return how a prediction stands against a runtime."""
    try:
        found = memprof.verify(str(path), runtime=runtime)
    except MemprofError as error:
        return error.message[:40]
    return "exact" if found.is_exact else f"{found.predicted_bytes} for {found.measured_bytes}"


def run(command: list[str]) -> Any:
    """Return the JSON document that a command prints, ``None`` if it prints none."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        return json.loads(done.stdout)
    except ValueError:
        return None


def summarise(rows: list[dict[str, Any]]) -> None:
    """Print how often each tool is right, and how long it takes beside memprof."""
    loaded = [row for row in rows if row["head"] is not None]
    print(f"\n{len(loaded)} of {len(rows)} files load in TensorFlow Lite Micro")
    for tool in ("memprof", "tensorscope", "mcufit"):
        said = [row for row in loaded if row.get(tool) is not None]
        right = sum(row[tool] == row["head"] for row in said)
        low = sum(row[tool] < row["head"] for row in said)
        print(f"{tool:12} answers {len(said)}, right {right}, too low {low}", end="")
        times = [row[f"{tool}_s"] / row["memprof_s"] for row in rows if f"{tool}_s" in row]
        print(f", {statistics.median(times):.2f} times memprof's seconds" if times else "")
    tails = [(row["tail"], row["mcufit_tail"] - READS_HIGH_BYTES) for row in rows if row.get("mcufit_tail")]
    errors = [abs(ours / theirs - 1) for ours, theirs in tails]
    if errors:
        print(f"tail against the 32-bit build: median {statistics.median(errors):.1%}, worst {max(errors):.1%}")
    print(f"litert exact: {sum(row['litert'] == 'exact' for row in rows)} of {len(rows)}")


if __name__ == "__main__":
    sys.exit(main())
