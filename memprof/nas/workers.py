"""Local processes that train candidates: one job each at a time, watched from outside.

    what happens to a worker                      outcome of its job       what the pool does
    training ends, well or not                    as told                  next job
    nothing is heard until the job's time is up   timed out                kills it, starts another
    the process dies (a crash, the OOM killer)    crashed, out of memory   starts another
    an exception that is no known result          crashed                  starts another
    the machine is in the way: data that cannot   none                     raises: it is no candidate's fault, and
      be loaded, a disk that is full                                         every other would fail alike

Workers are spawned, never forked: each loads the data once and holds it on its device. They ignore Ctrl-C, which is
the search's to handle, and end when their pipe closes or, in the middle of a job, when the search's process is gone:
none outlives a killed search.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, Any

from memprof.errors import MemprofError, RuntimeFailure
from memprof.nas.evaluation import evaluate
from memprof.nas.jobs import Job, Outcome, Status

if TYPE_CHECKING:
    from memprof.nas.trainer import Trainer

GRACE_SECONDS = 10.0
"""How much longer than its job's own limit a silent worker lives: training checks its clock between batches."""

START_SECONDS = 120.0
"""How long a fresh worker may take to load torch and the data."""

TrainerFactory = Callable[[], "Trainer"]
"""Picklable; called once in each worker."""


@dataclass(frozen=True, slots=True)
class _Trouble:
    """What a worker says when the machine, not the candidate, is at fault."""

    message: str
    hint: str


@dataclass
class _Worker:
    process: Any
    pipe: Connection
    job: Job | None = None
    began: float = 0.0
    deadline: float = 0.0
    is_ready: bool = False


class WorkerPool:
    """Evaluates jobs in ``count`` processes; use it as a context manager.

    Args:
        count: Number of processes.
        factory: Makes the trainer of a worker.
        threads: CPU threads of each worker.
    """

    def __init__(self, count: int, factory: TrainerFactory, threads: int = 1) -> None:
        self._context = multiprocessing.get_context("spawn")
        self._factory = factory
        self._threads = threads
        self._workers = [self._start() for _ in range(count)]

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            _end(worker)

    def run(self, jobs: Iterable[Job], deadline: float = float("inf")) -> Iterator[Outcome]:
        """Yield the outcome of each job as it comes, in no particular order.

        Args:
            jobs: What to train.
            deadline: ``time.monotonic()`` after which nothing is begun, and what was begun gives up; jobs that were
                not begun have no outcome.

        Raises:
            RuntimeFailure: A worker cannot load its data or write to the disk.
        """
        waiting = deque(jobs)
        while True:
            for worker in self._workers:
                left = deadline - time.monotonic()
                if worker.job is None and waiting and left > 0:
                    job = waiting.popleft()
                    self._assign(worker, replace(job, seconds=min(job.seconds, left)))
            if not any(worker.job for worker in self._workers):
                return
            yield from self._collect()

    def _start(self) -> _Worker:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_work, args=(theirs, self._factory, self._threads), daemon=True)
        # Ctrl-C is the search's to handle: blocked from a worker's first moment, its imports included. The tracker
        # that multiprocessing starts beside the first worker would unblock it, so it comes before.
        resource_tracker.ensure_running()
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        theirs.close()
        return _Worker(process, ours)

    def _assign(self, worker: _Worker, job: Job) -> None:
        worker.job = job
        worker.began = time.monotonic()
        worker.deadline = worker.began + job.seconds + GRACE_SECONDS + (0 if worker.is_ready else START_SECONDS)
        with suppress(OSError):  # it died while idle: _collect sees its closed pipe and says what became of the job
            worker.pipe.send(job)

    def _collect(self) -> list[Outcome]:
        busy = [worker for worker in self._workers if worker.job is not None]
        soonest = min(worker.deadline for worker in busy)
        ready = wait([worker.pipe for worker in busy], timeout=max(0.0, soonest - time.monotonic()))
        outcomes = []
        for worker in busy:
            if worker.pipe in ready:
                outcomes.append(self._receive(worker))
            elif time.monotonic() > worker.deadline:
                outcomes.append(_failed(worker, "timed out", "nothing was heard until the time was up"))
                self._replace(worker)
        return outcomes

    def _receive(self, worker: _Worker) -> Outcome:
        try:
            found: Outcome | _Trouble = worker.pipe.recv()
        except (EOFError, OSError):
            worker.process.join(GRACE_SECONDS)
            code = worker.process.exitcode
            self._replace(worker)
            if code == -signal.SIGKILL:
                return _failed(worker, "out of memory", "the process was killed, most likely for its memory")
            return _failed(worker, "crashed", f"the process ended with code {code}")
        if isinstance(found, _Trouble):
            raise RuntimeFailure(found.message, found.hint)
        if found.status == "crashed":  # what it left behind, a broken device perhaps, must not meet the next job
            self._replace(worker)
        worker.job = None
        worker.is_ready = True
        return found

    def _replace(self, worker: _Worker) -> None:
        _end(worker)
        self._workers[self._workers.index(worker)] = self._start()


def _end(worker: _Worker) -> None:
    worker.pipe.close()
    worker.process.kill()
    worker.process.join()


def _failed(worker: _Worker, status: Status, message: str) -> Outcome:
    assert worker.job is not None, "only a worker with a job can fail one"
    return _failure(worker.job, status, message, time.monotonic() - worker.began)


def _failure(job: Job, status: Status, message: str, seconds: float) -> Outcome:
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


def _work(pipe: Connection, factory: TrainerFactory, threads: int) -> None:
    """Run in a worker: load once, then one job after the other until the pipe closes."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    import torch

    torch.set_num_threads(threads)
    trainer: Trainer | None = None
    while True:
        try:
            job = pipe.recv()
        except (EOFError, OSError):
            return
        began = time.monotonic()
        try:
            trainer = trainer or factory()
            found: Outcome | _Trouble = evaluate(job, trainer)
        except MemprofError as error:
            found = _Trouble(error.message, error.hint)
        except OSError as error:
            found = _Trouble(f"A worker cannot go on: {error}.", "Make room or access, then resume the search.")
        except Exception as error:  # a candidate that fails in a new way is a result, and the search goes on
            message = f"{type(error).__name__}: {error}".splitlines()[0]
            found = _failure(job, "crashed", message, time.monotonic() - began)
        pipe.send(found)


def _end_with_parent() -> None:
    """Wait for the search's process to be gone, and end this one at once, whatever it is doing."""
    parent = multiprocessing.parent_process()
    assert parent is not None, "a worker is a child of the search"
    parent.join()
    os._exit(1)
