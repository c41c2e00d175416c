"""A pool on machines that somebody else's software looks after: each job is begun once and ends once.

    free place + waiting job -> begin -> ... -> an outcome, trouble of the machine, or lost with what ran it

What is lost is an outcome, ``crashed`` or ``timed out``, and its place is free again: no job begins twice.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, Self

from memprof.base.errors import RuntimeFailure
from memprof.base.text import safe_text
from memprof.nas.jobs import Job, Outcome, Status, failure
from memprof.nas.searching.engines import MoreJobs, nothing_more
from memprof.nas.searching.worker import TrainerFactory, Trouble, train

if TYPE_CHECKING:
    from memprof.nas.train.trainer import Trainer

GRACE_SECONDS = 30.0
"""How much longer than its job's own limit a candidate may be silent, on its machine and here."""

LOOK_SECONDS = 1.0
"""How long one wait for news lasts."""


@dataclass(frozen=True, slots=True)
class Lost:
    """What ran a job is gone.

    Attributes:
        reason: What its software says, in a line.
    """

    reason: str


class Fleet(Protocol):
    """Software that runs a job at a place and tells what came of it."""

    def begin(self, place: int, job: Job) -> None:
        """Start a job at a place that is free."""
        ...

    def news(self, seconds: float) -> list[tuple[int, Outcome | Trouble | Lost]]:
        """Return what ended, by its place; waits at most ``seconds`` for the first."""
        ...

    def drop(self, place: int) -> None:
        """End what runs at a place; there will be no news of it."""
        ...

    def close(self) -> None:
        """End whatever still runs."""
        ...


class FleetPool:
    """Evaluates jobs on a fleet; use it as a context manager.

    Args:
        fleet: What runs them.
        count: Places.
        clock: Seconds that only grow.
    """

    def __init__(self, fleet: Fleet, count: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._fleet = fleet
        self._count = count
        self._clock = clock

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._fleet.close()

    def run(
        self, jobs: Iterable[Job], deadline: float = float("inf"), more: MoreJobs = nothing_more
    ) -> Iterator[Outcome]:
        """Yield the outcome of each job as it comes, in no particular order.

        Args:
            jobs: What to train.
            deadline: Time after which nothing is begun; what was begun gives up, and has no outcome if it stays
                silent for longer than the grace.
            more: Asked after each outcome that was taken for jobs that may begin now too.

        Raises:
            RuntimeFailure: A machine cannot load its data or write to the disk.
        """
        waiting = deque(jobs)
        running: dict[int, tuple[Job, float]] = {}
        while (waiting and self._clock() < deadline) or running:
            for place in sorted(set(range(self._count)) - set(running)):
                left = deadline - self._clock()
                if waiting and left > 0:
                    job = waiting.popleft()
                    job = replace(job, seconds=min(job.seconds, left))
                    running[place] = job, self._clock()
                    self._fleet.begin(place, job)
            if self._clock() > deadline + GRACE_SECONDS:
                for place in running:
                    self._fleet.drop(place)
                return
            for place, found in self._fleet.news(LOOK_SECONDS):
                job, began = running.pop(place)
                yield self._outcome(job, found, self._clock() - began)
                waiting.extend(more())

    def _outcome(self, job: Job, found: Outcome | Trouble | Lost, seconds: float) -> Outcome:
        if isinstance(found, Trouble):
            raise RuntimeFailure(found.message, found.hint)
        if isinstance(found, Lost):
            status: Status = "timed out" if seconds > job.seconds else "crashed"
            return failure(job, status, safe_text(found.reason), seconds)
        return found


def train_there(factory: TrainerFactory, threads: int, job: Job) -> Outcome | Trouble:
    """Run one job in a process of its own: load, train, tell.

    Args:
        factory: Makes the trainer.
        threads: CPU threads.
        job: What to train.
    """
    import torch

    torch.set_num_threads(threads)
    try:
        trainer = factory()
    except Exception as error:  # what keeps one machine from loading keeps every other too
        return Trouble(
            f"A machine cannot load its data: {safe_text(f'{type(error).__name__}: {error}')}",
            "All machines must see the search's folder and its data at the same place.",
        )
    return train_watched(trainer, job)


def train_watched(trainer: Trainer, job: Job) -> Outcome | Trouble:
    """Train, and end the whole process if the job is silent for too long: nobody is there to kill it.

    Args:
        trainer: What ``factory`` made.
        job: What to train.
    """
    watch = threading.Timer(job.seconds + GRACE_SECONDS, os._exit, (75,))
    watch.daemon = True
    watch.start()
    try:
        return train(job, trainer)
    finally:
        watch.cancel()
