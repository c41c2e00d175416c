"""CUDA: predicted peaks of ten torchvision models, inference and training, against PyTorch's caching allocator.

    python benchmarks/accuracy_cuda.py --json cuda.json        on a machine with a GPU
    python benchmarks/accuracy_cuda.py --device cpu --quick    anywhere, to see that the script works

Per model and mode, in one process per allocator setting:

    predicted_bytes    the module run on fake tensors that say they are on the device; no memory, no kernel
    tensor_bytes       the same tracker on real tensors: what the operations' own tensors need
    requested_bytes    peak of what was asked of the caching allocator: tensors and kernels' workspaces
    allocated_bytes    torch.cuda.max_memory_allocated(): the same in blocks of 512 bytes; a large block is split
                       only if more than 1 MiB is left, unless segments are expandable
    workspace          the operation whose own workspace reaches highest, and how high

All peaks are above the bytes allocated before the run (weights, inputs, optimiser state, cuBLAS workspace), which is
measured after one run to warm up; a prediction counts the optimiser's state, so it is taken off again here.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torchvision
from torch.utils._python_dispatch import TorchDispatchMode

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from memprof.importers.torch.calls import Call
from memprof.importers.torch.resolve import resolve
from memprof.importers.torch.traces import build_trace
from memprof.importers.torch.tracked import Step, run_tracked, run_without_data
from memprof.importers.torch.training import Training
from memprof.ir.trace import Category, Trace

MODELS = (
    "resnet18",
    "resnet50",
    "mobilenet_v2",
    "efficientnet_b0",
    "densenet121",
    "regnet_y_400mf",
    "vgg16",
    "convnext_tiny",
    "vit_b_16",
    "swin_t",
)
QUICK_MODELS = ("resnet18", "mobilenet_v2")
MODES: Mapping[str, Training | None] = {
    "inference": None,
    "training, no optimizer": Training(),
    "training, sgd": Training(optimizer="sgd"),
    "training, adam": Training(optimizer="adam"),
}
BATCH = 8
BLOCK_BYTES = 512
"""The caching allocator rounds every request up to a multiple of this."""

ALLOCATORS: Mapping[str, str] = {"default": "", "expandable segments": "expandable_segments:True"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--json", type=Path, help="file to write")
    parser.add_argument("--quick", action="store_true", help="two models, small inputs")
    parser.add_argument("--only", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        sys.exit("No GPU: use --device cpu for a dry run.")
    if options.only is not None:
        for row in measure_all(options.device, quick=options.quick, allocator=options.only):
            print(json.dumps(row), flush=True)
        return
    rows: list[dict[str, Any]] = []
    for allocator in ALLOCATORS if options.device == "cuda" else ("default",):
        rows += run_child(allocator, options.device, quick=options.quick)
    print_table(rows)
    if options.json:
        text = json.dumps({"environment": environment(options.device), "batch": BATCH, "rows": rows}, indent=1)
        options.json.write_text(text + "\n")


def run_child(allocator: str, device: str, *, quick: bool) -> list[dict[str, Any]]:
    """Measure in a process of its own: the allocator reads its settings once."""
    settings = {"PYTORCH_CUDA_ALLOC_CONF": ALLOCATORS[allocator]} if ALLOCATORS[allocator] else {}
    command = [sys.executable, __file__, "--device", device, "--only", allocator, *(["--quick"] if quick else [])]
    rows = []
    with subprocess.Popen(command, env={**os.environ, **settings}, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        for line in child.stdout:
            if line.startswith("{"):
                rows.append(json.loads(line))
                print(".", end="", file=sys.stderr, flush=True)
    print(f" {allocator}: exit code {child.returncode}", file=sys.stderr)
    return rows


def measure_all(device: str, *, quick: bool, allocator: str) -> list[dict[str, Any]]:
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    rows = []
    shape = (2, 3, 64, 64) if quick else (BATCH, 3, 224, 224)
    for name in QUICK_MODELS if quick else MODELS:
        for mode, training in MODES.items():
            row: dict[str, Any] = {"model": name, "mode": mode, "allocator": allocator, "device": device}
            try:
                row |= predict(name, shape, training, device)
                row |= measure(name, shape, training, device)
            except Exception as error:  # one model that fails must not lose the others; the row says what happened
                row["error"] = f"{type(error).__name__}: {error}".splitlines()[0][:300]
            rows.append(row)
            gc.collect()
            if device == "cuda":
                torch.cuda.empty_cache()
    return rows


def predict(name: str, shape: tuple[int, ...], training: Training | None, device: str) -> dict[str, Any]:
    module = resolve(f"torchvision:{name}").module  # without memory where its code allows that
    call = Call((torch.empty(shape, device="meta"),))
    trace = build_trace(run_without_data(module, call, training=training, device=device, name=name))
    return {
        "predicted_bytes": peak_of(trace, 1),
        "predicted_block_bytes": peak_of(trace, BLOCK_BYTES),
        "tensors": trace.tensors,
        "caveat": trace.caveat,
    }


def measure(name: str, shape: tuple[int, ...], training: Training | None, device: str) -> dict[str, Any]:
    torch.manual_seed(0)
    module = torchvision.models.get_model(name, weights=None).to(device)
    module.train(training is not None)
    call = Call((torch.randn(shape, device=device),))
    tracked = build_trace(run_tracked(module, call, training=training, name=name, device=device, tensors="real"))
    row: dict[str, Any] = {"tensor_bytes": peak_of(tracked, 1), "tensor_block_bytes": peak_of(tracked, BLOCK_BYTES)}
    del tracked
    module.zero_grad(set_to_none=True)
    if device != "cuda":
        return row
    step = Step(module, call, training)
    step.run()  # warm up: library workspaces and the optimiser's state come to life
    module.zero_grad(set_to_none=True)
    gc.collect()
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_stats()
    held = step.run()
    torch.cuda.synchronize()
    after = torch.cuda.memory_stats()
    row["allocated_bytes"] = after["allocated_bytes.all.peak"] - before["allocated_bytes.all.current"]
    row["requested_bytes"] = after["requested_bytes.all.peak"] - before["requested_bytes.all.current"]
    row["reserved_bytes"] = after["reserved_bytes.all.peak"]
    module.zero_grad(set_to_none=True)
    del held
    with WorkspaceWatch() as watch:
        held = step.run()
    row["workspace"] = watch.highest(before["requested_bytes.all.current"])
    del held
    module.zero_grad(set_to_none=True)
    return row


class WorkspaceWatch(TorchDispatchMode):
    """Finds, operation by operation, what a kernel takes and gives back inside it."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._found: list[tuple[int, int, str]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_stats()["requested_bytes.all.current"]
        result = func(*args, **(kwargs or {}))
        stats = torch.cuda.memory_stats()
        after, peak = stats["requested_bytes.all.current"], stats["requested_bytes.all.peak"]
        self._found.append((peak, peak - max(before, after), func._schema.name.replace("::", ".")))
        return result

    def highest(self, base_bytes: int) -> dict[str, Any]:
        """Return the operation at the peak of requested bytes and its workspace, and the largest workspace of all."""
        peak, workspace, op = max(self._found)
        _, largest, largest_op = max(self._found, key=lambda found: found[1])
        return {
            "peak_bytes": peak - base_bytes,
            "at_peak_bytes": workspace,
            "at_peak_op": op,
            "largest_bytes": largest,
            "largest_op": largest_op,
        }


def peak_of(trace: Trace, block_bytes: int) -> int:
    """Return the peak of a trace without the optimiser's state, every storage rounded up to whole blocks."""
    change = [0] * (len(trace.graph.nodes) + 2)
    for life in trace.counted():
        if life.category is not Category.OPTIMIZER_STATE:
            size = -(-life.size_bytes // block_bytes) * block_bytes
            change[life.start] += size
            change[life.stop] -= size
    peak = alive = 0
    for delta in change:
        alive += delta
        peak = max(peak, alive)
    return peak


def print_table(rows: list[dict[str, Any]]) -> None:
    print(
        f"{'model':18}{'mode':24}{'allocator':22}{'predicted':>14}{'tensors':>14}{'requested':>14}{'allocated':>14}  "
    )
    for row in rows:
        cells = [row.get(key) for key in ("predicted_bytes", "tensor_bytes", "requested_bytes", "allocated_bytes")]
        numbers = "".join(f"{'-' if cell is None else f'{cell:,}':>14}" for cell in cells)
        tail = row.get("error") or row.get("caveat") or ""
        if row.get("allocated_bytes"):
            tail = f"{row['predicted_block_bytes'] / row['allocated_bytes']:.4f} of allocated {tail}"
        print(f"{row['model']:18}{row['mode']:24}{row['allocator']:22}{numbers}  {tail}")


def environment(device: str) -> dict[str, Any]:
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=Path(__file__).parent, capture_output=True, text=True, check=False
    )
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version() if device == "cuda" else None,  # type: ignore[no-untyped-call]
        "gpu": torch.cuda.get_device_name() if device == "cuda" else None,
        "commit": commit.stdout.strip(),
    }


if __name__ == "__main__":
    main()
