"""Run one job in this process: build the network, fill it, train it, score it, keep its weights."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from threading import Lock
from typing import Any
from zipfile import ZIP_STORED, ZipFile

import torch
from torch import Tensor

from memprof.base.errors import InputError, MemprofError
from memprof.base.text import first_line, safe_text
from memprof.nas.given.inside import create_anew, inside, open_inside
from memprof.nas.given.values import read_record, read_value
from memprof.nas.jobs import Job, Outcome
from memprof.nas.space.architecture import Architecture
from memprof.nas.space.screening import refuse_giant
from memprof.nas.train.inheritance import inherit
from memprof.nas.train.modules import build_module
from memprof.nas.train.trainer import Checkpoint, Trainer

_DRAWING = Lock()
"""Fresh weights come from torch's one generator: threads that train side by side draw in turn."""

MOST_CHECKPOINT_BYTES = 8 * 1024**3


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
    architecture = Architecture.from_json(job.architecture)
    refuse_giant(architecture)
    with _DRAWING:
        torch.default_generator.manual_seed(job.seed % 2**63)  # the CPU's: a GPU's may be in another lane's capture
        module = build_module(architecture, trainer.builders)
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
    place = inside(path.parent, path.name)
    passing = place.with_suffix(f".{os.getpid()}.part")
    data = {
        "epoch": checkpoint.epoch,
        "weights": checkpoint.weights,
        "momentum": checkpoint.momentum,
        "outcome": None if outcome is None else outcome.to_json(),
    }
    buffer = BytesIO()  # torch.save hides a full disk behind an error of its own
    torch.save(data, buffer)
    with create_anew(passing) as file:
        file.write(buffer.getbuffer())
        file.flush()
        os.fsync(file.fileno())
    passing.replace(place)
    folder = os.open(place.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the name too must be on the disk before the journal speaks of it
    finally:
        os.close(folder)


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint onto the CPU; tensors and plain values only, nothing else is unpickled.

    Raises:
        InputError: The file is missing, damaged or no plain file.
    """
    data = _read(path)
    with _own_errors(path):
        weights = data["weights"]
        if not isinstance(weights, dict) or not all(_is_tensor(value) for value in weights.values()):
            raise ValueError("the weights are no tensors")
        momentum = data["momentum"]
        if not isinstance(momentum, dict):
            raise ValueError("the momentum is none of an optimiser's")
        return Checkpoint(read_value(int, data["epoch"]), weights, momentum)


def _is_tensor(value: object) -> bool:
    return isinstance(value, Tensor) and value.layout is torch.strided and not value.is_quantized


def _outcome_in(path: Path, job: Job) -> Outcome | None:
    """Return what a checkpoint says of this very visit; ``None`` if there is none."""
    if not inside(path.parent, path.name).is_file():
        return None
    data = _read(path)
    with _own_errors(path):
        outcome = read_record(Outcome, data["outcome"])
        if (outcome.candidate, outcome.rung, outcome.status) != (job.candidate, job.rung, "ok"):
            raise ValueError("it is another visit's")
    return outcome


def _read(path: Path) -> Mapping[str, Any]:
    """Return what a checkpoint holds. Unpickled are tensors and plain values alone, from a file that is as large as
    it says: packed numbers, not compressed ones, which a few kilobytes could blow up to the whole memory."""
    with _own_errors(path), open_inside(path.parent, path.name, most_bytes=MOST_CHECKPOINT_BYTES) as file:
        with ZipFile(file) as archive:
            if any(part.compress_type != ZIP_STORED for part in archive.infolist()):
                raise ValueError("it is compressed")
            if sum(part.file_size for part in archive.infolist()) > 2 * os.fstat(file.fileno()).st_size:
                raise ValueError("it claims to hold more than it has")
        file.seek(0)
        data: Any = torch.load(file, map_location="cpu", weights_only=True)
        if not isinstance(data, dict):
            raise ValueError("it is no checkpoint")
        return data


@contextmanager
def _own_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except MemprofError:
        raise
    except Exception as error:  # whatever a damaged file brings the readers of archives and tensors to say
        reason = safe_text(first_line(error))
        raise InputError(
            f"The weights in {safe_text(str(path))} cannot be read: {reason}.", "Search again in a new folder."
        ) from error
