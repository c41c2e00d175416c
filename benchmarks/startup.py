"""How long ``memprof --help`` takes, against a Python process that only imports click. The bound is a ratio of 2.

    python benchmarks/startup.py [--json FILE] [--runs 30]

Both are whole processes, run in turn, so that what else the machine does hits both alike; medians are compared.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

BOUND = 2.0
COMMANDS = {
    "python -c 'import click'": [sys.executable, "-c", "import click"],
    "memprof --help": [sys.executable, "-m", "memprof", "--help"],
    "memprof analyze --help": [sys.executable, "-m", "memprof", "analyze", "--help"],
    "python -c 'import memprof'": [sys.executable, "-c", "import memprof"],
}
PEER = next(iter(COMMANDS))


def main() -> None:
    """Run the benchmark and print one line per command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", type=Path, help="file to write")
    parser.add_argument("--runs", type=int, default=30)
    options = parser.parse_args()
    seconds: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(options.runs):
        for name, command in COMMANDS.items():
            started = time.perf_counter()
            subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
            seconds[name].append(time.perf_counter() - started)
    medians = {name: statistics.median(runs) for name, runs in seconds.items()}
    rows = [
        {"command": name, "median_ms": round(median * 1000, 1), "ratio": round(median / medians[PEER], 3)}
        for name, median in medians.items()
    ]
    for row in rows:
        print(f"{row['command']:<28}{row['median_ms']:>8} ms  {row['ratio']:>6} x")
    print(f"bound for memprof --help: {BOUND} x")
    if options.json:
        record = {"environment": environment(), "runs": options.runs, "bound": BOUND, "rows": rows}
        options.json.write_text(json.dumps(record, indent=1) + "\n")


def environment() -> dict[str, str | int | None]:
    """Return what the numbers depend on."""
    root = Path(__file__).parents[1]
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True, check=False
    ).stdout.strip()
    return {
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
        "system": platform.system(),
        "python": platform.python_version(),
        "click": version("click"),
        "commit": commit,
    }


if __name__ == "__main__":
    main()
