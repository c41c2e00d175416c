"""What runs in a worker process: one trainer, loaded once, and a lane for each pipe that hands it jobs.

On a GPU several lanes keep the card busy, each a thread with a stream of its own; on a CPU there is one.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

from memprof.base.errors import MemprofError
from memprof.base.text import first_line, safe_text
from memprof.nas.jobs import Job, Outcome, failure
from memprof.nas.train.evaluation import evaluate

if TYPE_CHECKING:
    from memprof.nas.train.trainer import Trainer

LOOK_AT_DATA = "Look at the data and the device; what makes the trainer is imported from a module, not from a script."

TrainerFactory = Callable[[], "Trainer"]
"""Picklable, from a module that can be imported; called once in each worker."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """What a worker says when the machine, not the candidate, is at fault."""

    message: str
    hint: str


def work(*handles: str) -> None:
    """Run in a worker: load once, then one job after the other in each lane until the first lane's pipe closes.

    Args:
        handles: Number of the worker's end of each lane's pipe; what it needs to start comes through the first.
    """
    pipes = [Connection(int(handle)) for handle in handles]
    sys.path += [path for path in pipes[0].recv() if path not in sys.path]  # where the factory's module may lie
    trainer = _load(pipes[0])
    if trainer is None:
        return
    for pipe in pipes[1:]:
        threading.Thread(target=_serve, args=(pipe, trainer), daemon=True).start()
    _serve(pipes[0], trainer)


def _load(pipe: Connection) -> Trainer | None:
    """Return the trainer; ``None`` when it could not be made, which has been said."""
    try:
        factory, threads = pipe.recv()
    except Exception as error:  # a factory that cannot be found here is nowhere else either
        pipe.send(Trouble(f"A worker cannot load its trainer: {_describe(error)}.", LOOK_AT_DATA))
        return None
    import torch

    torch.set_num_threads(threads)
    try:
        trainer: Trainer = factory()
    except MemprofError as error:
        pipe.send(Trouble(error.message, error.hint))
    except Exception as error:  # whatever keeps a worker from loading keeps every other one too
        pipe.send(Trouble(f"A worker cannot load its data: {_describe(error)}.", LOOK_AT_DATA))
    else:
        return trainer
    return None


def _serve(pipe: Connection, trainer: Trainer) -> None:
    pipe.send(None)  # ready
    while True:
        try:
            job = pipe.recv()
        except (EOFError, OSError):
            return
        pipe.send(train(job, trainer))


def train(job: Job, trainer: Trainer) -> Outcome | Trouble:
    """Return what came of a job, or what of the machine was in its way; raises nothing."""
    began = time.monotonic()
    try:
        return evaluate(job, trainer)
    except MemprofError as error:
        return Trouble(error.message, error.hint)
    except OSError as error:
        return Trouble(f"A worker cannot go on: {error}.", "Make room or access, then resume the search.")
    except Exception as error:  # a candidate that fails in a new way is a result, and the search goes on
        return failure(job, "crashed", _describe(error), time.monotonic() - began)


def _describe(error: Exception) -> str:
    return safe_text(f"{type(error).__name__}: {first_line(error)}")
