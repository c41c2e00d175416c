"""The seam where candidates are trained: a job is asked for, an outcome is told. Plain values, no torch.

    search --Job--> pool of evaluators --Outcome--> search

A job says what sets it apart from the others of its search, so that it may run anywhere, in any order, and again: the
architecture, the seed, the epochs, and the files it starts from and writes. The data, the recipe and the device are
the trainer's, which is the same for all (``memprof.nas.TrainerRecipe`` makes it). ``memprof.nas.train.evaluation``
runs one job in its process, ``memprof.nas.searching.workers`` many in local processes; another machine needs
these types, the search's settings, and the folder of weights at the same place.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

Status = Literal["ok", "diverged", "out of memory", "timed out", "crashed"]
"""What can come of training."""


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

    def __post_init__(self) -> None:
        if min(self.candidate, self.rung, self.epochs, self.seconds) < 0 or not 0 <= self.accuracy <= 1:
            raise ValueError("an outcome has a candidate and a rung, epochs and seconds, and an accuracy of 0 to 1")

    def to_json(self) -> dict[str, Any]:
        """Return the outcome as JSON-ready values."""
        return asdict(self)


def failure(job: Job, status: Status, message: str, seconds: float) -> Outcome:
    """Return the outcome of a job that came to nothing.

    Args:
        job: What was to be trained.
        status: What went wrong, in a word.
        message: In a line.
        seconds: Time it took.
    """
    return Outcome(
        candidate=job.candidate,
        rung=job.rung,
        status=status,
        accuracy=0.0,
        epochs=0,
        loss=None,
        seconds=seconds,
        message=message,
    )


def derive_seed(*parts: int | str) -> int:
    """Return a seed below 2^62 that depends on all ``parts`` and on nothing else.

    >>> derive_seed(7, "candidate", 3) == derive_seed(7, "candidate", 3) != derive_seed(7, "candidate", 4)
    True
    """
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 2
