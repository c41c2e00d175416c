"""Run one job in this process: build the network, fill it, train it, score it, keep its weights."""

from __future__ import annotations

import os
import time
from io import BytesIO
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from memprof.errors import InputError
from memprof.nas.jobs import Job, Outcome
from memprof.nas.space.architecture import Architecture
from memprof.nas.train.inheritance import inherit
from memprof.nas.train.modules import build_module
from memprof.nas.train.trainer import Checkpoint, Trainer
from memprof.text import first_line


def evaluate(job: Job, trainer: Trainer) -> Outcome:
    """Train and score one candidate; write its checkpoint, its outcome inside, whole or not at all.

    NaN, a lack of memory and a lack of time are outcomes. Anything else is a bug and is raised. A job whose
    checkpoint is there was done by a process that died before it could tell: its outcome is told now.

    Args:
        job: What to train.
        trainer: The data, the recipe and the device.

    Raises:
        InputError: A checkpoint that the job starts from is missing or damaged.
        OSError: The checkpoint cannot be written.
    """
    began = time.monotonic()
    if (done := _outcome_in(Path(job.checkpoint), job)) is not None:
        return done
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
    outcome = Outcome(
        candidate=job.candidate,
        rung=job.rung,
        status=training.status,
        accuracy=training.accuracy,
        epochs=training.epochs,
        loss=training.loss if training.loss == training.loss else None,
        seconds=time.monotonic() - began,
        message=training.message,
    )
    if training.status == "ok":
        save_checkpoint(checkpoint, Path(job.checkpoint), outcome)
    return outcome


def save_checkpoint(checkpoint: Checkpoint, path: Path, outcome: Outcome | None = None) -> None:
    """Write a checkpoint under a passing name, flush it to the disk, and only then give it its own name."""
    passing = path.with_suffix(f".{os.getpid()}.part")
    data = {
        "epoch": checkpoint.epoch,
        "weights": checkpoint.weights,
        "momentum": checkpoint.momentum,
        "outcome": None if outcome is None else outcome.to_json(),
    }
    buffer = BytesIO()  # torch.save hides a full disk behind an error of its own
    torch.save(data, buffer)
    with passing.open("wb") as file:
        file.write(buffer.getbuffer())
        file.flush()
        os.fsync(file.fileno())
    passing.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the name too must be on the disk before the journal speaks of it
    finally:
        os.close(folder)


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint onto the CPU; tensors and plain values only, nothing else is unpickled.

    Raises:
        InputError: The file is missing or damaged.
    """
    data = _read(path)
    return Checkpoint(data["epoch"], data["weights"], data["momentum"])


def _outcome_in(path: Path, job: Job) -> Outcome | None:
    """Return what a checkpoint says of this very visit; ``None`` if there is none."""
    if not path.is_file():
        return None
    outcome = Outcome(**_read(path)["outcome"])
    assert (outcome.candidate, outcome.rung) == (job.candidate, job.rung), "a checkpoint's name is its visit"
    return outcome


def _read(path: Path) -> dict[str, Any]:
    try:
        data: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, UnpicklingError) as error:
        raise InputError(
            f"The weights in {path} cannot be read: {first_line(error)}.", "Search again in a new folder."
        ) from error
    return data
