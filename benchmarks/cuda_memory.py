"""A GPU's memory in parts, predicted without a GPU and measured on one: training steps and inference of torchvision.

    python benchmarks/cuda_memory.py                  on a machine with a GPU, under a minute
    python benchmarks/cuda_memory.py --dry            anywhere: the predictions alone
    python benchmarks/cuda_memory.py --json cuda.json

    tensors      peak of the run on fake tensors, weights and inputs included
    allocated    predicted: in the allocator's blocks, with cuBLAS's workspace; torch.cuda.max_memory_allocated()
    reserved     predicted: the allocator replayed for two steps; torch.cuda.max_memory_reserved()
    kernels      measured: the most that one operation took and gave back, cuDNN's workspace above all
    context      what the driver says is used, less what PyTorch reserved

Every figure is of one process; cuBLAS's workspace is taken anew for every row.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import torch
import torchvision

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from memprof.importers.torch.calls import Call
from memprof.importers.torch.resolve import resolve
from memprof.importers.torch.traces import build_trace
from memprof.importers.torch.tracked import Step, run_without_data
from memprof.importers.torch.training import Training
from memprof.runtimes.pytorch.cuda import CUBLAS_BYTES, CUBLAS_HOPPER_BYTES, device_parts

ROWS = (
    ("resnet18", Training("sgd"), 16),
    ("resnet50", Training("adam"), 16),
    ("mobilenet_v2", Training("adam"), 16),
    ("vgg11", Training("sgd"), 8),
    ("vit_b_16", Training("adamw"), 8),
    ("convnext_tiny", Training("adam"), 8),
    ("resnet50", None, 16),
    ("vit_b_16", None, 16),
)
_SECONDS = 50.0
_MEGA = 10**6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dry", action="store_true", help="predict only")
    parser.add_argument("--json", type=Path, help="file to write")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    if not options.dry and not torch.cuda.is_available():
        sys.exit("No GPU: use --dry.")
    began = time.perf_counter()
    about: dict[str, Any] = {"torch": torch.__version__, "torchvision": torchvision.__version__}
    cublas = CUBLAS_BYTES
    if not options.dry:
        about |= start_device()
        cublas = CUBLAS_HOPPER_BYTES if about["capability"] >= [9, 0] else CUBLAS_BYTES
    print(json.dumps(about))
    print(f"{'MB':38}{'tensors':>9}{'allocated':>11}{'measured':>10}{'':>8}{'reserved':>10}{'measured':>10}", end="")
    print(f"{'':>8}{'kernels':>9}")
    rows = []
    for name, training, batch in ROWS:
        if time.perf_counter() - began > _SECONDS:
            print("the rest is left out: time is up")
            break
        row = {"model": name, "optimizer": training.optimizer if training else None, "batch": batch}
        row |= predict(name, training, batch, cublas)
        if not options.dry:
            row |= measure(name, training, batch)
        rows.append(row)
        show(row)
    if options.json:
        options.json.write_text(json.dumps({"about": about, "rows": rows}, indent=1) + "\n")


def start_device() -> dict[str, Any]:
    """Start CUDA; return what the device is and what the context takes of it."""
    torch.zeros(1, device="cuda").add_(1)
    torch.cuda.synchronize()
    free, total = torch.cuda.mem_get_info()
    return {
        "gpu": torch.cuda.get_device_name(),
        "capability": list(torch.cuda.get_device_capability()),
        "context_bytes": total - free - torch.cuda.memory_reserved(),
    }


def predict(name: str, training: Training | None, batch: int, cublas: int) -> dict[str, Any]:
    module = resolve(f"torchvision:{name}").module
    call = Call((torch.empty((batch, 3, 224, 224), device="meta"),))
    trace = build_trace(run_without_data(module, call, training=training, device="cuda", name=name))
    parts = device_parts(trace, cublas)
    return {
        "tensors": parts["tensors"],
        "allocated": sum(parts.values()) - parts["segments"],
        "reserved": sum(parts.values()),
        "parts": dict(parts),
        "caveat": trace.caveat,
    }


def measure(name: str, training: Training | None, batch: int) -> dict[str, Any]:
    gc.collect()
    torch._C._cuda_clearCublasWorkspaces()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    left = torch.cuda.memory_allocated()
    module = torchvision.models.get_model(name, weights=None).to("cuda")
    step = Step(module, Call((torch.randn(batch, 3, 224, 224, device="cuda"),)), training)
    for _ in range(2):
        held = step.run()
        torch.cuda.synchronize()
        del held
        module.zero_grad(set_to_none=True)
    free, total = torch.cuda.mem_get_info()
    return {
        "measured_allocated": torch.cuda.max_memory_allocated() - left,
        "measured_reserved": torch.cuda.max_memory_reserved(),
        "measured_context": total - free - torch.cuda.memory_reserved(),
        "kernels": largest_kernel(step, module),
    }


def largest_kernel(step: Step, module: torch.nn.Module) -> int:
    """Return the most bytes that one operation took and gave back in one more step."""
    from torch.utils._python_dispatch import TorchDispatchMode

    most = [0]

    class Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated()
            result = func(*args, **(kwargs or {}))
            most[0] = max(most[0], torch.cuda.max_memory_allocated() - max(before, torch.cuda.memory_allocated()))
            return result

    with Watch():  # type: ignore[no-untyped-call]
        held = step.run()
    del held
    module.zero_grad(set_to_none=True)
    return most[0]


def show(row: dict[str, Any]) -> None:
    title = f"{row['model']}, {row['optimizer'] or 'inference'}, batch {row['batch']}"
    cells = f"{title:38}{row['tensors'] / _MEGA:9.1f}"
    for name, width in (("allocated", 11), ("reserved", 10)):
        cells += f"{row[name] / _MEGA:{width}.1f}"
        found = row.get(f"measured_{name}")
        cells += f"{found / _MEGA:10.1f}{row[name] / found - 1:+8.2%}" if found else f"{'-':>10}{'':8}"
    kernels = row.get("kernels")
    print(cells + (f"{kernels / _MEGA:9.1f}" if kernels is not None else f"{'-':>9}"), flush=True)


if __name__ == "__main__":
    main()
