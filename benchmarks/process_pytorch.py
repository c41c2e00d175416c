"""The process of a PyTorch module on the CPU: predicted in parts, and the growth of a fresh process that runs it.

    python benchmarks/process_pytorch.py --json process.json
    python benchmarks/process_pytorch.py --models resnet18,vit_b_16

    predicted    the row pytorch's process: weights, inputs, tensors at their peak, kernels, libraries
    measured     the most resident bytes up to the third run, less those before the module was made; one thread,
                 PyTorch imported and one small convolution run before

Linux alone: /proc/self/clear_refs sets the high-water mark back.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from memprof.api import load
from memprof.importers.request import Request
from memprof.importers.torch.training import Training
from memprof.runtimes import choose_runtimes

INFERENCE = (
    "alexnet densenet121 efficientnet_b0 googlenet mnasnet1_0 mobilenet_v2 mobilenet_v3_small regnet_y_400mf resnet18"
    " resnet50 shufflenet_v2_x1_0 squeezenet1_1 swin_t vgg11 vit_b_16"
)
TRAINING = "densenet121 efficientnet_b0 mobilenet_v2 resnet18 squeezenet1_1 vit_b_16"
SHAPES: Mapping[str | None, tuple[int, ...]] = {None: (1, 3, 224, 224), "adam": (2, 3, 224, 224)}

_CHILD = """
import sys, gc
sys.path.insert(0, sys.argv[4])
import torch, torchvision
from memprof.importers.torch.calls import Call
from memprof.importers.torch.tracked import Step
from memprof.importers.torch.training import Training
torch.set_num_threads(1)
def status(key):
    return next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith(key))
small = torch.nn.Sequential(torch.nn.Conv2d(16, 16, 3), torch.nn.Flatten(), torch.nn.Linear(16 * 36, 8))
for _ in range(2):
    small(torch.randn(1, 16, 8, 8)).sum().backward()
gc.collect()
open("/proc/self/clear_refs", "w").write("5")
before = status("VmRSS")
name, optimizer = sys.argv[1], sys.argv[2]
module = torchvision.models.get_model(name, weights=None)
shape = tuple(map(int, sys.argv[3].split("x")))
step = Step(module, Call((torch.randn(shape),)), Training(optimizer) if optimizer else None)
for _ in range(3):
    held = step.run()
    del held
    module.zero_grad(set_to_none=True)
print(status("VmHWM") - before)
"""


def measured(name: str, optimizer: str | None, shape: tuple[int, ...]) -> int:
    """Return the growth of a fresh process."""
    root = str(Path(__file__).resolve().parents[1])
    arguments = [name, optimizer or "", "x".join(map(str, shape)), root]
    done = subprocess.run([sys.executable, "-c", _CHILD, *arguments], capture_output=True, text=True, check=True)
    return int(done.stdout.split()[-1])


def predicted(name: str, optimizer: str | None, shape: tuple[int, ...]) -> Mapping[str, int]:
    """Return the parts of the process."""
    training = Training(optimizer) if optimizer else None
    model = load(Request(source=f"torchvision:{name}", inputs={"": shape}, training=training))
    (row,) = choose_runtimes(["pytorch"], model).values()
    assert row.process is not None, "a run has a process"
    return row.process(model.graph).parts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", help="some of them, separated by commas")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    chosen = set(options.models.split(",")) if options.models else None
    rows: list[dict[str, Any]] = []
    for optimizer, names in ((None, INFERENCE), ("adam", TRAINING)):
        for name in names.split():
            if chosen is None or name in chosen:
                shape = SHAPES[optimizer]
                parts, found = dict(predicted(name, optimizer, shape)), measured(name, optimizer, shape)
                total = sum(parts.values())
                rows.append({"model": name, "optimizer": optimizer, "parts": parts, "measured": found})
                print(
                    f"{name:22}{optimizer or 'inference':10}{total:14,}{found:14,}{total / found - 1:+8.1%}  {parts}",
                    flush=True,
                )
    for mode in (None, "adam"):
        errors = [abs(sum(r["parts"].values()) / r["measured"] - 1) for r in rows if r["optimizer"] == mode]
        if errors:
            print(f"{mode or 'inference'}: median {statistics.median(errors):.1%}, largest {max(errors):.1%}")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
