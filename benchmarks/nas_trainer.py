"""Images per second of ``memprof.nas``'s Trainer against a bare PyTorch loop, same network and data. Bound: 0.9.

    python benchmarks/nas_trainer.py --json cpu.json
    python benchmarks/nas_trainer.py --device cuda --json cuda.json

The bare loop is as fast as a loop gets: normalised images ready on the device, no augmentation, no validation, no
deadline, the same optimiser, mixed precision and memory layout. So the ratio is what the Trainer's augmentation and
care cost. Both train one epoch to warm up; then they take turns, an epoch each, and medians are compared. Data are
made up, shaped like CIFAR-10; the network is the block that the MemNAS authors found, at width 64 on a GPU.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from nas_record import write_record

from memprof.nas.space.architecture import CIFAR10, MEMNAS_CELLS
from memprof.nas.train.data import TrainingData
from memprof.nas.train.images import Augmentation, Images
from memprof.nas.train.modules import build_module, lay_out
from memprof.nas.train.recipe import Recipe
from memprof.nas.train.trainer import Checkpoint, Trainer

BOUND = 0.9
RECIPE = Recipe()
DEFAULTS = {"cpu": (16, 512), "cuda": (64, 25_600)}
"""Device -> width, images: an epoch takes seconds."""


def main() -> None:
    """Run the benchmark and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", type=Path, help="file to write")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--width", type=int)
    parser.add_argument("--images", type=int)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1, help="of the CPU")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    width, images = DEFAULTS[device.type]
    width, images = options.width or width, options.images or images
    data = made_up_images(images)
    loops = {"trainer": trainer_epochs(data, width, device), "bare loop": bare_epochs(data, width, device)}
    seconds: dict[str, list[float]] = {name: [] for name in loops}
    for epoch in range(options.epochs + 1):
        for name, loop in loops.items():
            took = next(loop)
            if epoch:
                seconds[name].append(took)
    rates = {name: images / statistics.median(runs) for name, runs in seconds.items()}
    ratio = rates["trainer"] / rates["bare loop"]
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    print(f"{name}, width {width}, {images:,} images, {options.epochs} epochs each in turn")
    for label, rate in rates.items():
        print(f"{label:<12}{rate:>12,.0f} images/s")
    print(f"ratio {ratio:.3f}, bound {BOUND}")
    results = {
        "device": name,
        "threads": torch.get_num_threads(),
        "width": width,
        "images": images,
        "batch": RECIPE.batch,
        "seconds": seconds,
        "images_per_second": rates,
        "ratio": ratio,
        "bound": BOUND,
    }
    write_record(options.json, results)


def made_up_images(count: int) -> TrainingData:
    """Return ``count`` random training images shaped like CIFAR-10's, and CIFAR-10's augmentation."""
    generator = torch.Generator().manual_seed(0)

    def draw(n: int) -> Images:
        pixels = torch.randint(0, 256, (n, 3, 32, 32), dtype=torch.uint8, generator=generator)
        return Images(pixels, torch.randint(0, 10, (n,), generator=generator))

    return TrainingData(
        name="made up",
        training=draw(count),
        validation=draw(10),
        classes=10,
        augmentation=Augmentation(padding=4, flips=True, cutout=16),
    )


def network(width: int) -> nn.Module:
    """Return the authors' searched network."""
    torch.manual_seed(0)
    return build_module(replace(CIFAR10, widths=(width,) * 5, stem_width=width).build(MEMNAS_CELLS))


def trainer_epochs(data: TrainingData, width: int, device: torch.device) -> Iterator[float]:
    """Yield the seconds of one epoch of the Trainer at a time: all that ``train`` does, its validation too."""
    trainer, module = Trainer(data, RECIPE, device), network(width)
    checkpoint: Checkpoint | None = None
    epoch = 0
    while True:
        epoch += 1
        began = time.perf_counter()
        training, checkpoint = trainer.train(module, seed=0, until=epoch, start=checkpoint)
        synchronize(device)
        assert training.status == "ok", training
        yield time.perf_counter() - began


def bare_epochs(data: TrainingData, width: int, device: torch.device) -> Iterator[float]:
    """Yield the seconds of one epoch of a bare loop at a time."""
    pixels = data.training.pixels.to(device).float().div_(255).sub_(0.5).div_(0.25)
    labels = data.training.labels.to(device)
    module = network(width).to(device)
    precision: Callable[[], Any] = nullcontext
    if device.type == "cuda":
        pixels = pixels.to(memory_format=torch.channels_last)
        module = module.to(memory_format=torch.channels_last)
        precision = lambda: torch.autocast("cuda", torch.bfloat16)  # noqa: E731 - one of two
    else:
        lay_out(module)
    optimizer = torch.optim.SGD(module.parameters(), RECIPE.learning_rate, RECIPE.momentum)
    module.train()
    while True:
        began = time.perf_counter()
        order = torch.randperm(len(labels), device=device)
        for i in range(0, len(labels), RECIPE.batch):
            indices = order[i : i + RECIPE.batch]
            with precision():
                loss = nn.functional.cross_entropy(module(pixels[indices]), labels[indices])
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
        synchronize(device)
        yield time.perf_counter() - began


def synchronize(device: torch.device) -> None:
    """Wait until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


if __name__ == "__main__":
    main()
