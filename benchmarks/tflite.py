"""Opening and analysing a .tflite file of 2 MB: the processor seconds of the whole command, against a bound of 0.4.

    python benchmarks/tflite.py [FILE...] [--runs 10] [--json FILE]

Without a FILE one is written: 2 MB, 300 operators, 8-bit convolutions and branches. Each command is a process of its
own, with compiled modules as an installation has them. In turn with it, what a Python process takes that imports
click alone. Medians; the exit code is 1 if one is over the bound.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from nas_record import write_record

from tests.tflite_models import Graph, Number, Operator, Tensor, model, weight

BOUND_S = 0.4
_OPERATORS = 300
_CHANNELS = 27


def main() -> int:
    """Run the benchmark and print a line per file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = asked.files or [write_stand_in(folder / "stand_in.tflite")]
        rows = [measure(path, folder, asked.runs) for path in files]
    for row in rows:
        print(
            f"{row['file']}, {row['bytes'] / 1e6:.1f} MB: {row['analyze_s']:.3f} s of a processor for analyze, "
            f"{row['click_s']:.3f} s to import click; bound {BOUND_S} s"
        )
    if asked.json:
        write_record(asked.json, {"bound_s": BOUND_S, "runs": asked.runs, "rows": rows})
    return int(any(row["analyze_s"] > BOUND_S for row in rows))


def measure(path: Path, folder: Path, runs: int) -> dict[str, Any]:
    """Return the median processor seconds of both kinds of process."""
    command = [sys.executable, "-m", "memprof", "analyze", str(path)]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    environment["PYTHONPYCACHEPREFIX"] = str(folder)
    kinds = {"analyze_s": command, "click_s": [sys.executable, "-c", "import click"]}
    spent: dict[str, list[float]] = {name: [] for name in kinds}
    processor_seconds(command, environment)  # compiles the modules
    for _ in range(runs):
        for name, words in kinds.items():
            spent[name].append(processor_seconds(words, environment))
    medians = {name: round(statistics.median(found), 4) for name, found in spent.items()}
    return {"file": path.name, "bytes": path.stat().st_size, **medians}


def processor_seconds(command: list[str], environment: dict[str, str]) -> float:
    """Return what a process and those it started take of processors."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def write_stand_in(path: Path) -> Path:
    """Write a file of 2 MB: a third of its operators joins what the two before it wrote."""
    tensors, operators = [Tensor("t0", (1, 24, 24, _CHANNELS))], []
    for i in range(_OPERATORS):
        name, before = f"t{i + 1}", f"t{i}"
        tensors.append(Tensor(name, (1, 24, 24, _CHANNELS)))
        if i % 3 == 2:
            operators.append(Operator("ADD", [f"t{i - 1}", before], [name], {0: Number("b", 0)}, union=11))
            continue
        tensors.append(weight(f"w{i}", _CHANNELS, 3, 5, _CHANNELS, scales=_CHANNELS))
        options = {0: Number("b", 0), 1: Number("i", 1), 2: Number("i", 1)}
        operators.append(Operator("CONV_2D", [before, f"w{i}"], [name], options))
    path.write_bytes(model(Graph(tensors, operators, ["t0"], [f"t{_OPERATORS}"])))
    return path


if __name__ == "__main__":
    sys.exit(main())
