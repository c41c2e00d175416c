"""Orders of real models: the peak of the order that a file ships with, and that of the planned one, proven or not.

    python benchmarks/shipped.py FOLDER [--seconds 5] [--size 64]

FOLDER holds .onnx files. Dimensions that a file leaves open all get ``--size``; what is not known then is left out.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import memprof
from memprof.base.errors import MemprofError
from memprof.ir import Graph


def main() -> None:
    """Print one row of a Markdown table per model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--size", type=int, default=64)
    options = parser.parse_args()
    print("| model | operations | shipped | planned | times | proven |\n|---|---|---|---|---|---|")
    for path in sorted(options.folder.rglob("*.onnx")):
        try:
            sizes = dict.fromkeys(_open_dimensions(memprof.load(path).graph), options.size)
            order = memprof.plan(path, dims=sizes, options=memprof.PlanOptions(seconds=options.seconds)).order
        except MemprofError as error:
            print(f"| {path.name} | {type(error).__name__} |")
            continue
        assert order is not None, "a model has an order"
        before, after = order.before_bytes / 1e6, order.peak_bytes / 1e6
        proven = "yes" if order.is_optimal else f"within {order.peak_bytes / max(1, order.lower_bound_bytes) - 1:.1%}"
        row = f"{len(order.nodes)} | {before:.2f} MB | {after:.2f} MB | {before / max(after, 1e-9):.2f} | {proven}"
        print(f"| {path.stem} | {row} |", flush=True)


def _open_dimensions(graph: Graph) -> list[str]:
    return [note.name.partition("=")[0] for note in graph.assumed if note.kind == "dimension"]


if __name__ == "__main__":
    main()
