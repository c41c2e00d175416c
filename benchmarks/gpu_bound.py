"""A public speed record's idea as a bound: airbench (Jordan, arXiv 2404.00498), in our own writing.

A frozen first layer whitens 2x2 patches; three blocks of two convolutions follow, widths 64, 256 and 256, with batch
norm of long memory and GELU; the logits are scaled down. One triangle of the learning rate, Nesterov momentum, label
smoothing 0.2, mirrored in turns and moved by up to two pixels. What it leaves of the original's care (averaged
weights, a bias rate of its own, scoring with mirror images) costs no time worth counting.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from gpu_images import training_data
from gpu_rates import made_up, wait
from torch import Tensor, nn

from memprof.nas.train.data import TrainingData
from memprof.nas.train.steps import autocast

BATCH, EPOCHS = 1000, 10
RATE, MOMENTUM, DECAY = 0.2, 0.85, 5e-4


class SpeedNetwork(nn.Module):
    """Whitening, three blocks, a scaled linear layer."""

    def __init__(self, images: Tensor, classes: int) -> None:
        super().__init__()
        self.whiten = nn.Conv2d(3, 24, 2, bias=False)
        self.whiten.weight.data = _whitening(images)
        self.whiten.weight.requires_grad_(False)
        layers: list[nn.Module] = [nn.GELU()]
        channels = 24
        for width in (64, 256, 256):
            layers += [nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.MaxPool2d(2)]
            layers += [nn.BatchNorm2d(width, momentum=0.4), nn.GELU()]
            layers += [nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width, momentum=0.4)]
            layers.append(nn.GELU())
            channels = width
        self.body = nn.Sequential(*layers, nn.MaxPool2d(3), nn.Flatten())
        self.head = nn.Linear(256, classes, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits."""
        logits: Tensor = self.head(self.body(self.whiten(images))) / 9
        return logits


def _whitening(images: Tensor) -> Tensor:
    """Return 2x2 filters that make patches of ``images`` uncorrelated, and their negatives."""
    patches = images.unfold(2, 2, 1).unfold(3, 2, 1).transpose(1, 3).reshape(-1, 12).float()
    values, vectors = torch.linalg.eigh(torch.cov(patches.T))
    filters = (vectors / (values + 5e-4).sqrt()).T.reshape(12, 3, 2, 2).flip(0)
    return torch.cat([filters, -filters])


def speed_recipe(
    device: torch.device, archive: Path | None, images_made_up: int, say: Callable[[str], None]
) -> dict[str, Any]:
    """Train twice, the first time to warm up; return images per second and the accuracy on validation images."""
    data = training_data(archive) if archive else made_up(images_made_up)
    mean = data.training.pixels[:2000].float().mean((0, 2, 3)).view(1, -1, 1, 1).to(device)
    deviation = data.training.pixels[:2000].float().std((0, 2, 3)).view(1, -1, 1, 1).to(device)
    images = ((data.training.pixels.to(device).float() - mean) / deviation).to(memory_format=torch.channels_last)
    found: dict[str, Any] = {}
    network = SpeedNetwork(images[:5000], data.classes).to(device).to(memory_format=torch.channels_last)
    network.compile()
    fresh = {name: value.clone() for name, value in network.state_dict().items()}
    for run in ("with compilation", "warm"):
        network.load_state_dict(fresh)
        began = time.perf_counter()
        _train(network, images, data.training.labels.to(device), device)
        wait(device)
        seconds = time.perf_counter() - began
        rate = EPOCHS * len(images) / seconds
        found |= {f"seconds {run}": seconds, f"images_per_second {run}": rate}
        say(f"speed recipe, {EPOCHS} epochs {run}: {seconds:.2f} s, {rate:,.0f} images/s")
    found["accuracy"] = _accuracy(network, data, mean, deviation, device)
    say(f"speed recipe, accuracy on validation images: {found['accuracy']:.2%}")
    return found


def _train(network: nn.Module, images: Tensor, labels: Tensor, device: torch.device) -> None:
    learnt = [p for p in network.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(
        learnt, RATE, MOMENTUM, weight_decay=DECAY, nesterov=True, fused=device.type == "cuda"
    )
    network.train()
    count = len(images)
    steps, step = EPOCHS * (count // BATCH), 0
    padded = nn.functional.pad(images, (2,) * 4, "reflect")
    crops = padded.unfold(2, 32, 1).unfold(3, 32, 1)
    is_mirrored = torch.rand(count, device=device) < 0.5
    for epoch in range(EPOCHS):
        moves = torch.randint(0, 5, (2, count), device=device)
        order = torch.randperm(count, device=device)
        for start in range(0, count - BATCH + 1, BATCH):
            chosen = order[start : start + BATCH]
            batch = crops[chosen, :, moves[0, chosen], moves[1, chosen]]
            mirror = (is_mirrored[chosen] ^ bool(epoch % 2)).view(-1, 1, 1, 1)
            batch = torch.where(mirror, batch.flip(3), batch).to(memory_format=torch.channels_last)
            for group in optimizer.param_groups:
                group["lr"] = RATE * min(step / (0.23 * steps), (steps - step) / (0.77 * steps))
            with autocast(device):
                loss = nn.functional.cross_entropy(network(batch).float(), labels[chosen], label_smoothing=0.2)
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
            step += 1


def _accuracy(network: nn.Module, data: TrainingData, mean: Tensor, deviation: Tensor, device: torch.device) -> float:
    network.eval()
    right = 0
    with torch.inference_mode(), autocast(device):
        for start in range(0, len(data.validation), BATCH):
            pixels = data.validation.pixels[start : start + BATCH].to(device).float()
            batch = ((pixels - mean) / deviation).to(memory_format=torch.channels_last)
            labels = data.validation.labels[start : start + BATCH].to(device)
            right += int((network(batch).argmax(1) == labels).sum())
    return right / len(data.validation)
