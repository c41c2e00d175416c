"""Images per second of one training on a GPU, in every way that ``benchmarks/gpu.py`` compares.

    stepwise   the trainer as it was: every kernel launched from Python, torch's SGD, one draw a step
    bare loop  the same without augmentation, on images that are ready: as fast as such a loop gets
    captured   the trainer: a whole step is one CUDA graph
    compiled   the same on a network that ``torch.compile`` has fused

All train in bfloat16 and channels_last; data are made up, shaped like CIFAR-10.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Container, Iterator
from dataclasses import replace
from itertools import islice
from statistics import median
from typing import Any

import torch
from torch import nn

from memprof.nas.space.architecture import CIFAR10, MEMNAS_CELLS, Architecture, Cell, Layer
from memprof.nas.train.augmentation import Pictures
from memprof.nas.train.data import TrainingData
from memprof.nas.train.images import Augmentation, Images
from memprof.nas.train.modules import Convolution, build_module
from memprof.nas.train.recipe import Recipe
from memprof.nas.train.steps import Steps, autocast, on_own_stream

NETWORKS: dict[str, Architecture] = {
    "one cell": CIFAR10.build([Cell(input1=0, input2=0, layer1=Layer.CONV_3X3, layer2=Layer.DEPTHWISE_3X3)]),
    "six cells": CIFAR10.build(MEMNAS_CELLS),
}
"""What a first round trains, and what the authors ended with; both five blocks of 64 filters."""

CHANGE = Augmentation(padding=4, flips=True, cutout=16)


def made_up(count: int) -> TrainingData:
    """Return random images and CIFAR-10's augmentation."""
    generator = torch.Generator().manual_seed(0)

    def draw(n: int) -> Images:
        pixels = torch.randint(0, 256, (n, 3, 32, 32), dtype=torch.uint8, generator=generator)
        return Images(pixels, torch.randint(0, 10, (n,), generator=generator))

    return TrainingData(name="made up", training=draw(count), validation=draw(1000), classes=10, augmentation=CHANGE)


def module_of(architecture: Architecture, device: torch.device) -> nn.Module:
    """Return fresh weights on the device, the same ones every time."""
    torch.manual_seed(0)
    return build_module(architecture).to(device).to(memory_format=_layout(device))


def unfused(module: nn.Module) -> nn.Module:
    """Return the module with torch's own batch norms and ReLUs, one kernel each, as it was before they were fused."""
    for name, child in module.named_children():
        setattr(module, name, nn.Sequential(*child) if isinstance(child, Convolution) else unfused(child))
    return module


def _layout(device: torch.device) -> torch.memory_format:
    return torch.channels_last if device.type == "cuda" else torch.contiguous_format


def captured_steps(
    module: nn.Module, pictures: Pictures, recipe: Recipe, device: torch.device, *, captures: bool = True
) -> Iterator[int]:
    """Yield the images of one step of the trainer at a time."""
    with on_own_stream(device):
        steps, epoch = Steps(module, pictures, recipe, captures), 0
        while True:
            steps.begin(0, epoch)
            for _ in range(steps.count):
                steps.take()
                yield steps.size
            epoch += 1


def stepwise_steps(module: nn.Module, pictures: Pictures, recipe: Recipe, device: torch.device) -> Iterator[int]:
    """Yield the images of one step at a time of the loop that the trainer had before it captured anything."""
    module = unfused(module)
    optimizer = torch.optim.SGD(module.parameters(), recipe.learning_rate, recipe.momentum)
    module.train()
    generator = torch.Generator(device).manual_seed(0)
    while True:
        plan = pictures.draw(generator)
        total = torch.zeros((), device=device)
        for start in range(0, len(pictures), recipe.batch):
            part = plan[:, start : start + recipe.batch]
            for group in optimizer.param_groups:
                group["lr"] = recipe.rate_at(0.0)
            with autocast(device):
                logits = module(pictures.changed(part))
                loss = nn.functional.cross_entropy(logits.float(), pictures.images.labels[part[0]])
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
            total += loss.detach() * part.shape[1]
            yield part.shape[1]


def bare_steps(module: nn.Module, pictures: Pictures, recipe: Recipe, device: torch.device) -> Iterator[int]:
    """Yield the images of one step at a time of a loop without augmentation or care."""
    module = unfused(module)
    images = pictures.normalized(pictures.images.pixels)
    labels = pictures.images.labels
    optimizer = torch.optim.SGD(module.parameters(), recipe.learning_rate, recipe.momentum)
    module.train()
    while True:
        order = torch.randperm(len(labels), device=device)
        for start in range(0, len(labels), recipe.batch):
            indices = order[start : start + recipe.batch]
            with autocast(device):
                loss = nn.functional.cross_entropy(module(images[indices]), labels[indices])
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
            yield len(indices)


Loop = Callable[[nn.Module, Pictures, Recipe, torch.device], Iterator[int]]


def rate_of(steps: Iterator[int], device: torch.device, seconds: float) -> dict[str, float]:
    """Return images per second: the median of three stretches after a warm-up, and the seconds the warm-up took."""
    began = time.perf_counter()
    for _ in islice(steps, 6):
        pass
    wait(device)
    warm = time.perf_counter() - began
    rates = []
    for _ in range(3):
        began, images = time.perf_counter(), 0
        while time.perf_counter() - began < seconds / 3:
            images += sum(islice(steps, 8))
            wait(device)
        rates.append(images / (time.perf_counter() - began))
    steps.close()  # type: ignore[attr-defined]
    return {"images_per_second": median(rates), "warm_up_seconds": warm, "spread": (max(rates) - min(rates))}


def wait(device: torch.device) -> None:
    """Wait until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def variants(device: torch.device) -> dict[str, tuple[int, Loop, bool]]:
    """Return name -> batch, loop, whether cuDNN tries its kernels first."""
    stepwise = captured_steps_without
    return {
        "stepwise 128": (128, stepwise_steps, False),
        "bare loop 128": (128, bare_steps, False),
        "trainer, not captured 128": (128, stepwise, False),
        "captured 128": (128, captured_steps, False),
        "captured 512": (512, captured_steps, False),
        "captured 512, cuDNN tries": (512, captured_steps, True),
        "captured 1024": (1024, captured_steps, False),
        "bare loop 512": (512, bare_steps, False),
    }


def captured_steps_without(
    module: nn.Module, pictures: Pictures, recipe: Recipe, device: torch.device
) -> Iterator[int]:
    """Yield steps of the trainer that captures nothing."""
    return captured_steps(module, pictures, recipe, device, captures=False)


BRIEF = ("stepwise 128", "captured 512", "captured 1024")


def measure_rates(
    device: torch.device, seconds: float, images: int, say: Callable[[str], None], only: Container[str] | None = None
) -> dict[str, Any]:
    """Return images per second of each variant of each network, and print them as they come.

    Args:
        device: Where.
        seconds: Of each measurement.
        images: Made up to train on.
        say: What prints.
        only: Variants to measure; all if left out.
    """
    pictures = Pictures(made_up(images).training, CHANGE, device, _layout(device))
    found: dict[str, Any] = {}
    for name, architecture in NETWORKS.items():
        today = None
        for label, (batch, loop, tries) in variants(device).items():
            if only is not None and label not in only:
                continue
            torch.backends.cudnn.benchmark = tries
            rate = rate_of(
                loop(module_of(architecture, device), pictures, Recipe(batch=batch), device), device, seconds
            )
            torch.backends.cudnn.benchmark = False
            gc.collect()
            found[f"{name}, {label}"] = rate
            today = today or rate["images_per_second"]
            say(f"{name:<10}{label:<28}{_described(rate, today)}")
        found[f"{name}, stepwise"] = today
    return found


def measure_compiled(
    device: torch.device, name: str, batch: int, seconds: float, images: int, say: Callable[[str], None]
) -> dict[str, float]:
    """Return images per second of a network that torch has compiled, and what that took."""
    pictures = Pictures(made_up(images).training, CHANGE, device, _layout(device))
    module = module_of(NETWORKS[name], device)
    module.compile()
    rate = rate_of(captured_steps(module, pictures, Recipe(batch=batch), device), device, seconds)
    say(f"{name:<10}{f'compiled, captured {batch}':<28}{_described(rate, None)}")
    return rate


def _described(rate: dict[str, float], today: float | None) -> str:
    ratio = "" if today is None else f"{rate['images_per_second'] / today:6.2f} x stepwise 128"
    return (
        f"{rate['images_per_second']:>10,.0f} images/s +- {rate['spread'] / 2:,.0f}, "
        f"warm in {rate['warm_up_seconds']:.2f} s {ratio}"
    )


def parity(device: torch.device, steps: int = 12) -> dict[str, float]:
    """Return how far weights are apart after some steps: captured and not, two runs of which none is captured, and
    with torch's own batch norm."""
    pictures = Pictures(made_up(4 * 128).training, CHANGE, device, _layout(device))
    recipe = Recipe(batch=128, learning_rate=0.01, label_smoothing=0.1, weight_decay=5e-4, nesterov=True)

    def weights(*, captures: bool, built: Callable[[nn.Module], nn.Module] = lambda module: module) -> torch.Tensor:
        module = built(module_of(NETWORKS["one cell"], device))
        trained = captured_steps(module, pictures, recipe, device, captures=captures)
        sum(islice(trained, steps))
        trained.close()  # type: ignore[attr-defined]
        wait(device)
        return torch.cat([value.detach().float().flatten() for value in module.state_dict().values()])

    stepwise, again, captured = weights(captures=False), weights(captures=False), weights(captures=True)
    size = float(stepwise.norm())
    torchs_own = weights(captures=False, built=unfused)
    return {
        "fused_from_torchs_own": float((torchs_own - stepwise).norm()) / size,
        "captured_from_stepwise": float((captured - stepwise).norm()) / size,
        "stepwise_from_itself": float((again - stepwise).norm()) / size,
    }


def kernels(device: torch.device, name: str, batch: int = 512, rows: int = 14) -> list[tuple[str, float, int]]:
    """Return the kernels that take most of a step: name, microseconds a step, calls a step."""
    from torch.profiler import ProfilerActivity, profile

    pictures = Pictures(made_up(batch * 4).training, CHANGE, device, _layout(device))
    steps = captured_steps(module_of(NETWORKS[name], device), pictures, Recipe(batch=batch), device, captures=False)
    sum(islice(steps, 4))
    wait(device)
    with profile(activities=[ProfilerActivity.CUDA]) as profiled:
        sum(islice(steps, 4))
        wait(device)
    steps.close()  # type: ignore[attr-defined]
    found = [(row.key, row.self_device_time_total / 4, row.count // 4) for row in profiled.key_averages()]
    return sorted(found, key=lambda row: -row[1])[:rows]


def narrow(architecture: Architecture, width: int) -> Architecture:
    """Return an architecture with ``width`` filters everywhere."""
    blocks = tuple(replace(block, width=width) for block in architecture.blocks)
    return replace(architecture, blocks=blocks, stem_width=width)
