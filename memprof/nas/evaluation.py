"""Run one job in this process: build the network, fill it, train it, score it, keep its weights."""

from __future__ import annotations

import os
import time
from pathlib import Path

import torch

from memprof.nas.inheritance import inherit
from memprof.nas.jobs import Job, Outcome
from memprof.nas.modules import build_module
from memprof.nas.space import Architecture
from memprof.nas.trainer import Checkpoint, Trainer


def evaluate(job: Job, trainer: Trainer) -> Outcome:
    """Train and score one candidate; write its checkpoint whole or not at all.

    NaN, a lack of memory and a lack of time are outcomes. Anything else is a bug and is raised.
    """
    began = time.monotonic()
    torch.manual_seed(job.seed % 2**63)
    architecture = Architecture.from_json(job.architecture)
    module = build_module(architecture)
    start = None
    if job.resume_from:
        start = load_checkpoint(Path(job.resume_from))
    elif job.parent is not None:
        weights = load_checkpoint(Path(job.parent.checkpoint)).weights
        inherit(module, architecture, weights, Architecture.from_json(job.parent.architecture))
    training, checkpoint = trainer.train(
        module, seed=job.seed, until=job.until, start=start, deadline=began + job.seconds
    )
    if training.status == "ok":
        save_checkpoint(checkpoint, Path(job.checkpoint))
    return Outcome(
        candidate=job.candidate,
        rung=job.rung,
        status=training.status,
        accuracy=training.accuracy,
        epochs=training.epochs,
        loss=training.loss if training.loss == training.loss else None,
        seconds=time.monotonic() - began,
        message=training.message,
    )


def save_checkpoint(checkpoint: Checkpoint, path: Path) -> None:
    """Write a checkpoint under a passing name, flush it to the disk, and only then give it its own name."""
    passing = path.with_suffix(f".{os.getpid()}.part")
    with passing.open("wb") as file:
        torch.save({"epoch": checkpoint.epoch, "weights": checkpoint.weights, "momentum": checkpoint.momentum}, file)
        file.flush()
        os.fsync(file.fileno())
    passing.replace(path)


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint onto the CPU; tensors and plain values only, nothing else is unpickled."""
    data = torch.load(path, map_location="cpu", weights_only=True)
    return Checkpoint(data["epoch"], data["weights"], data["momentum"])
