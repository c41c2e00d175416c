"""PyTorch's own samples of its operators: predicted against tracked bytes, step by step, on the CPU.

    python benchmarks/accuracy_torch_ops.py                 one sample of every operator, minutes
    python benchmarks/accuracy_torch_ops.py --stride 20     every twentieth

Each sample of ``torch.testing._internal.common_methods_invocations.op_db`` (float32) is a module of one call; PyTorch
wants ``expecttest`` for it. It is run on fake tensors and on real ones; a prediction that is not what was tracked is
printed. A sample that cannot run without data (it asks for values, or makes shapes of them) is counted, not compared.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from memprof.base.errors import MemprofError
from memprof.importers.torch.calls import Call
from memprof.importers.torch.traces import build_trace
from memprof.importers.torch.tracked import run_tracked, run_without_data
from memprof.runtimes.pytorch import trace_lifetimes


class Operator(torch.nn.Module):
    """One call of one operator."""

    def __init__(self, op: Any) -> None:
        super().__init__()
        self.op = op

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.op(*args, **kwargs)


def samples(stride: int, first: int = 0) -> Iterator[tuple[str, Operator, Call]]:
    """Yield name, module and call of the first sample of every ``stride``-th operator."""
    from torch.testing._internal.common_methods_invocations import op_db

    chosen: list[Any] = op_db[first::stride]  # not typed
    for op in chosen:
        try:
            sample = next(iter(op.sample_inputs("cpu", torch.float32)), None)
        except Exception:
            sample = None
        if sample is not None:
            name = f"{op.name}.{op.variant_test_name}".rstrip(".")
            yield name, Operator(op.op), Call((sample.input, *sample.args), dict(sample.kwargs))


def outcome(module: Operator, call: Call) -> str:
    """Return how prediction and run of one sample compare."""
    try:
        real = build_trace(run_tracked(module, call, training=None, name="", device="cpu", tensors="real"))
    except Exception:
        return "does not run"
    try:
        predicted = build_trace(run_without_data(module, call))
    except MemprofError:
        return "not predicted"
    grade = "estimate" if predicted.caveat else "exact"
    mine, found = (trace_lifetimes(trace).timeline for trace in (predicted, real))
    if mine.peak_bytes == found.peak_bytes:
        return f"equal, graded {grade}"
    return f"WRONG, graded {grade}: {mine.peak_bytes:,} said, {found.peak_bytes:,} taken"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stride", type=int, default=1)
    parser.add_argument("--first", type=int, default=0)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    counts: Counter[str] = Counter()
    for name, module, call in samples(options.stride, options.first):
        found = outcome(module, call)
        counts[found.partition(":")[0]] += 1
        if found.startswith("WRONG"):
            print(f"{name}: {found}", flush=True)
    for kind, count in counts.most_common():
        print(f"{count:5} {kind}")


if __name__ == "__main__":
    main()
