"""How long a prediction from the file alone takes, against creating onnxruntime's default session on the same file.

    python benchmarks/predict_speed.py --cache DIR --json benchmarks/results/predict_speed.json

Both in one process, warm file cache, the best of several rounds that take turns; models of 20 MB and more. The bound
is one third. Reading the file, building the graph and the onnxruntime model's peak are in the prediction.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from pathlib import Path
from time import perf_counter

from memprof.api import analyze

SMALLEST_BYTES = 20_000_000


def main() -> None:
    """Time every model of the cache and print the ratios."""
    import onnxruntime

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, required=True, help="folder of .onnx files")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    rows = []
    for path in sorted(arguments.cache.glob("*.onnx")):
        if path.stat().st_size < SMALLEST_BYTES:
            continue
        predict_s, session_s = [], []
        for _ in range(arguments.rounds):
            start = perf_counter()
            peak_bytes = analyze(path, runtimes=("onnxruntime",)).peak_intermediate_bytes
            predict_s.append(perf_counter() - start)
            options = onnxruntime.SessionOptions()
            options.log_severity_level = 4
            start = perf_counter()
            onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
            session_s.append(perf_counter() - start)
        row = {
            "model": path.stem,
            "file_bytes": path.stat().st_size,
            "peak_bytes": peak_bytes,
            "predict_ms": round(min(predict_s) * 1000, 2),
            "session_ms": round(min(session_s) * 1000, 2),
            "ratio": round(min(predict_s) / min(session_s), 4),
        }
        rows.append(row)
        print(
            f"{row['model']:<32} {row['predict_ms']:9.1f} ms {row['session_ms']:9.1f} ms  {row['ratio']:.3f}",
            flush=True,
        )
    worst = max((row["ratio"] for row in rows), default=0.0)
    print(f"{len(rows)} models, worst ratio {worst:.3f}, bound 0.333: {'met' if worst < 1 / 3 else 'NOT met'}")
    if arguments.json is not None:
        document = {
            "environment": {
                "onnxruntime": onnxruntime.__version__,
                "python": platform.python_version(),
                "system": f"{platform.system()} {platform.machine()}",
                "processors": os.cpu_count(),
            },
            "rows": rows,
        }
        arguments.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
