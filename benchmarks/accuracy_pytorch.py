"""PyTorch on the CPU: predicted against measured bytes, inference and training, for CNNs, transformers and others.

    python benchmarks/accuracy_pytorch.py --json pytorch.json
    python benchmarks/accuracy_pytorch.py --models resnet18,gpt

Per model and mode (inference; forward and backward; with Adam):

    predicted_bytes   the module run on fake tensors: no kernel, no memory
    measured_bytes    the same module with real weights and data, every storage tracked
    same_curve        whether all bytes alive agree, change by change, not the peak alone
    process_estimate  inference: the runtime model pytorch-process, which adds what kernels are known to take
    process_bytes     peak of all that PyTorch's allocator handed out (its profiler), kernels' own memory included
    kernel            the operation at that peak, and the memory it took and gave back
    estimate_bytes    inference by the graph alone (the rule for .pt2 files)
    predict_s         seconds for the prediction; run_s for the real run of the same process

Every model runs in a process of its own; weights are random.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import time
import warnings
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from memprof.importers.torch.training import Training

IMAGE = (3, 224, 224)
MODELS: Mapping[str, tuple[str, tuple[int, ...] | None]] = {
    **{
        f"torchvision:{name}": ("cnn", IMAGE)
        for name in (
            "alexnet",
            "convnext_tiny",
            "densenet121",
            "efficientnet_b0",
            "efficientnet_v2_s",
            "googlenet",
            "mnasnet1_0",
            "mobilenet_v2",
            "mobilenet_v3_large",
            "mobilenet_v3_small",
            "regnet_x_800mf",
            "regnet_y_400mf",
            "resnet18",
            "resnet50",
            "resnext50_32x4d",
            "shufflenet_v2_x1_0",
            "squeezenet1_1",
            "vgg11_bn",
        )
    },
    "torchvision:inception_v3": ("cnn", (3, 299, 299)),
    **{f"torchvision:{name}": ("transformer", IMAGE) for name in ("maxvit_t", "swin_t", "swin_v2_t", "vit_b_16")},
    "torchvision:lraspp_mobilenet_v3_large": ("segmentation", (3, 128, 128)),
    "torchvision:deeplabv3_mobilenet_v3_large": ("segmentation", (3, 128, 128)),
    "torch_modules:unet": ("cnn", None),
    "torch_modules:mixer": ("transformer", None),
    "torch_modules:gpt": ("transformer", None),
    "torch_modules:transformer_encoder": ("transformer", None),
    "torch_modules:text_lstm": ("recurrent", None),
    "torch_modules:text_lstm_bidirectional": ("recurrent", None),
    "torch_modules:speech_gru": ("recurrent", None),
}
MODES: Mapping[str, Training | None] = {
    "inference": None,
    "training": Training(),
    "training, adam": Training("adam"),
}
BATCH = {"inference": 1, "training": 2, "training, adam": 2}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="file to write")
    parser.add_argument("--models", help="comma-separated names, all if left out")
    parser.add_argument("--only", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        warnings.simplefilter("ignore")
        for mode in MODES:
            print(json.dumps(accuracy(options.only, mode)), flush=True)
        return
    wanted = options.models.split(",") if options.models else None
    names = [name for name in MODELS if wanted is None or name.partition(":")[2] in wanted]
    rows = [row for name in names for row in run_child(name)]
    print_summary(rows)
    if options.json:
        options.json.write_text(json.dumps({"environment": environment(), "rows": rows}, indent=1) + "\n")


def run_child(name: str) -> list[dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, __file__, "--only", name], capture_output=True, text=True, check=False, timeout=900
    )
    rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["?"])[-1][:300]
        rows.append({"model": name, "family": MODELS[name][0], "mode": "?", "error": reason})
    for row in rows:
        print(describe(row), flush=True)
    return rows


def accuracy(name: str, mode: str) -> dict[str, Any]:
    """Return one row: prediction and measurement of one model in one mode."""
    from memprof.importers.request import Request
    from memprof.importers.torch.loading import read_module
    from memprof.importers.torch.resolve import resolve
    from memprof.measure.pytorch import child_arguments
    from memprof.runtimes import choose_runtimes
    from memprof.runtimes.pytorch import held_lifetimes, trace_lifetimes

    family, shape = MODELS[name]
    row: dict[str, Any] = {"model": name, "family": family, "mode": mode}
    shapes = {} if shape is None else {"": (BATCH[mode], *shape)}
    training = MODES[mode]
    found = resolve(name)
    request = Request(source=name, inputs=shapes, training=training)
    began = time.perf_counter()
    model = read_module(found.module, found.call, request)
    row["predict_s"] = round(time.perf_counter() - began, 3)
    if model.trace is None:
        return row | {"error": "no trace"}
    predicted = trace_lifetimes(model.trace).timeline
    row |= {"format": model.format, "tensors": model.trace.tensors, "caveat": model.trace.caveat}
    if training is None:
        row["estimate_bytes"] = held_lifetimes(model.graph).timeline.peak_bytes
        process = choose_runtimes(["pytorch-process"], model)["pytorch-process"]
        row["process_estimate"] = process.lifetimes(model.graph).timeline.peak_bytes
    return row | compare(child_arguments(request), predicted.step_bytes)


def compare(asked: Mapping[str, Any], predicted: Sequence[int]) -> dict[str, Any]:
    from memprof.measure.pytorch import allocations_of_run, tensors_of_run

    began = time.perf_counter()
    tensors = tensors_of_run(asked)
    run_s = time.perf_counter() - began
    measured = [live for _, _, live in tensors["steps"]]
    process = allocations_of_run(asked)
    node, op, after, most = max(process["steps"], key=lambda step: step[3])
    return {
        "predicted_bytes": max(predicted),
        "measured_bytes": tensors["peak_bytes"],
        "same_curve": changes(predicted) == changes(measured),
        "process_bytes": process["peak_bytes"],
        "kernel": {"node": node, "op": op, "gave_back_bytes": most - after},
        "run_s": round(run_s, 3),
    }


def changes(curve: Sequence[int]) -> list[int]:
    """Return a curve without repetitions: operations that neither take nor free memory do not matter."""
    return [value for value, _ in groupby(curve)]


def describe(row: Mapping[str, Any]) -> str:
    if "error" in row:
        return f"{row['model']:42}{row['mode']:16} ERROR {row['error']}"
    error = row["predicted_bytes"] / row["measured_bytes"] - 1
    process = row["process_bytes"] / row["measured_bytes"] - 1
    predicted = ""
    if "process_estimate" in row:
        predicted = f" (pytorch-process {row['process_estimate'] / row['process_bytes'] - 1:+.2%})"
    return (
        f"{row['model']:42}{row['mode']:16}{row['predicted_bytes']:>14,}{row['measured_bytes']:>14,} {error:+8.2%} "
        f"{'same curve' if row['same_curve'] else '          '} process {process:+8.2%}{predicted} "
        f"{row['kernel']['op']} {row['predict_s']:.2f} s"
    )


def print_summary(rows: Sequence[Mapping[str, Any]]) -> None:
    for mode in MODES:
        for family in dict.fromkeys(family for family, _ in MODELS.values()):
            chosen = [row for row in rows if row["mode"] == mode and row["family"] == family]
            equal = [
                row
                for row in chosen
                if row.get("predicted_bytes") == row.get("measured_bytes") and "error" not in row
            ]
            if chosen:
                print(f"{mode:16} {family:14} equal {len(equal)} of {len(chosen)}")


def environment() -> dict[str, Any]:
    import torch
    import torchvision

    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=Path(__file__).parent, capture_output=True, text=True, check=False
    )
    return {
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {torch.backends.cpu.get_cpu_capability()}",
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "onednn": torch.backends.mkldnn.is_available(),  # type: ignore[no-untyped-call]
        "commit": commit.stdout.strip(),
    }


if __name__ == "__main__":
    main()
