"""The seam where candidates are trained: a job is asked for, an outcome is told. Plain values on both sides.

    search --Job--> pool of evaluators --Outcome--> search

A job says everything that its training depends on, so that it may run anywhere, in any order, and again: the
architecture, the seed, the epochs, and the files it starts from and writes. ``evaluate`` runs one job in this
process; ``memprof.nas.workers`` runs many in processes of this machine; another machine needs no more than these
types and the folder of weights.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from memprof.nas.inheritance import inherit
from memprof.nas.modules import build_module
from memprof.nas.space import Architecture
from memprof.nas.trainer import Checkpoint, Status, Trainer


@dataclass(frozen=True, slots=True)
class Parent:
    """The network that a candidate starts from.

    Attributes:
        architecture: ``Architecture.to_json()``.
        checkpoint: File of its weights.
    """

    architecture: Mapping[str, Any]
    checkpoint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One candidate to train to one epoch.

    Attributes:
        candidate: Its number in the search.
        rung: Which visit this is: 0 the first, then higher ones for those that go on.
        architecture: ``Architecture.to_json()``.
        seed: Of weights, image order and augmentation.
        until: Epochs in all, earlier visits included.
        parent: Network whose weights it inherits; ``None`` for fresh weights.
        resume_from: Checkpoint of the visit before; empty for none.
        checkpoint: File to write.
        seconds: Time after which training gives up.
    """

    candidate: int
    rung: int
    architecture: Mapping[str, Any]
    seed: int
    until: int
    parent: Parent | None
    resume_from: str
    checkpoint: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a job.

    Attributes:
        candidate: As in the job.
        rung: As in the job.
        status: ``ok``, or what went wrong.
        accuracy: On validation images; 0 if not ``ok``.
        epochs: Epochs done.
        loss: Mean training loss of the last epoch; ``None`` if it is not a number.
        seconds: Time it took.
        message: What went wrong, in one line.
    """

    candidate: int
    rung: int
    status: Status
    accuracy: float
    epochs: int
    loss: float | None
    seconds: float
    message: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the outcome as JSON-ready values."""
        return asdict(self)


def derive_seed(*parts: int | str) -> int:
    """Return a seed below 2^62 that depends on all ``parts`` and on nothing else.

    >>> derive_seed(7, "candidate", 3) == derive_seed(7, "candidate", 3) != derive_seed(7, "candidate", 4)
    True
    """
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 2


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
