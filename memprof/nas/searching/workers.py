"""Local processes that train candidates: one job each at a time, watched from outside.

    what happens to a worker                      outcome of its job       what the pool does
    training ends, well or not                    as told                  next job
    nothing is heard until the job's time is up   timed out                kills it, starts another
    the process dies (a crash, the OOM killer)    crashed, out of memory   starts another
    an exception that is no known result          crashed                  starts another
    the machine is in the way: data that cannot   none                     raises: it is no candidate's fault, and
      be loaded, a disk that is full, a death                                every other would fail alike
      before the first job

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
from dataclasses import dataclass, replace
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, Any

from memprof.errors import MemprofError, RuntimeFailure
from memprof.nas.jobs import Job, Outcome, Status
from memprof.nas.train.evaluation import evaluate
from memprof.text import first_line

if TYPE_CHECKING:
    from memprof.nas.train.trainer import Trainer

GRACE_SECONDS = 10.0
"""How much longer than its job's own limit a silent worker lives: training checks its clock between batches."""

START_SECONDS = 1800.0
"""How long a fresh worker may take to load torch and the data, images to decode among them."""

_LOOK_AT_DATA = "Look at the data and the device; a script that searches needs: if __name__ == '__main__'."

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
            for worker in list(self._workers):
                left = deadline - time.monotonic()
                if worker.is_ready and worker.job is None and waiting and left > 0:
                    self._assign(worker, replace(waiting[0], seconds=min(waiting[0].seconds, left)))
                    if worker.job is not None:
                        waiting.popleft()
            is_busy = any(worker.job for worker in self._workers)
            if not is_busy and (not waiting or time.monotonic() >= deadline):
                return
            yield from self._collect(deadline)

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
        return _Worker(process, ours, deadline=time.monotonic() + START_SECONDS)

    def _assign(self, worker: _Worker, job: Job) -> None:
        """Give a job to a worker; one that died while it was idle is replaced, and the job has not begun."""
        try:
            if not worker.process.is_alive():
                raise BrokenPipeError
            worker.pipe.send(job)
        except OSError:
            self._replace(worker)
            return
        worker.job = job
        worker.began = time.monotonic()
        worker.deadline = worker.began + job.seconds + GRACE_SECONDS

    def _collect(self, deadline: float) -> Iterator[Outcome]:
        """Wait until a worker says something, or has been silent for too long, and yield what came of its job."""
        watched = [worker for worker in self._workers if worker.job is not None or not worker.is_ready]
        soonest = min(worker.deadline for worker in watched)
        if not any(worker.job for worker in watched):  # all are still loading: nothing can begin after the deadline
            soonest = min(soonest, deadline)
        heard = wait([worker.pipe for worker in watched], timeout=max(0.0, soonest - time.monotonic()))
        for worker in watched:
            if worker.pipe in heard:
                outcome = self._receive(worker)
                if outcome is not None:
                    yield outcome
            elif time.monotonic() > worker.deadline:
                if worker.job is None:
                    raise RuntimeFailure(f"A worker was not ready after {START_SECONDS:g} s.", _LOOK_AT_DATA)
                outcome = _failed(worker, "timed out", "nothing was heard until the time was up")
                self._replace(worker)
                yield outcome

    def _receive(self, worker: _Worker) -> Outcome | None:
        """Return what a worker says of its job; ``None`` if it says that it is ready."""
        try:
            found: Outcome | _Trouble | None = worker.pipe.recv()
        except (EOFError, OSError):
            return self._bury(worker)
        if isinstance(found, _Trouble):
            raise RuntimeFailure(found.message, found.hint)
        if found is not None and found.status == "crashed":
            self._replace(worker)  # what it left behind, a broken device perhaps, must not meet the next job
        worker.job = None
        worker.is_ready = True
        return found

    def _bury(self, worker: _Worker) -> Outcome:
        """Return what came of the job of a worker that died, and start another."""
        worker.process.join(GRACE_SECONDS)
        code = worker.process.exitcode
        if worker.job is None:
            raise RuntimeFailure(f"A worker ended with code {code} before it was ready to train.", _LOOK_AT_DATA)
        self._replace(worker)
        if code == -signal.SIGKILL:
            return _failed(worker, "out of memory", "the process was killed, most likely for its memory")
        return _failed(worker, "crashed", f"the process ended with code {code}")

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
    try:
        trainer = factory()
    except MemprofError as error:
        pipe.send(_Trouble(error.message, error.hint))
        return
    except Exception as error:  # whatever keeps a worker from loading keeps every other one too
        pipe.send(_Trouble(f"A worker cannot load its data: {_describe(error)}.", _LOOK_AT_DATA))
        return
    pipe.send(None)  # ready
    while True:
        try:
            job = pipe.recv()
        except (EOFError, OSError):
            return
        pipe.send(_train(job, trainer))


def _train(job: Job, trainer: Trainer) -> Outcome | _Trouble:
    began = time.monotonic()
    try:
        return evaluate(job, trainer)
    except MemprofError as error:
        return _Trouble(error.message, error.hint)
    except OSError as error:
        return _Trouble(f"A worker cannot go on: {error}.", "Make room or access, then resume the search.")
    except Exception as error:  # a candidate that fails in a new way is a result, and the search goes on
        return _failure(job, "crashed", _describe(error), time.monotonic() - began)


def _describe(error: Exception) -> str:
    return f"{type(error).__name__}: {first_line(error)}"


def _end_with_parent() -> None:
    """Wait for the search's process to be gone, and end this one at once, whatever it is doing."""
    parent = multiprocessing.parent_process()
    assert parent is not None, "a worker is a child of the search"
    parent.join()
    os._exit(1)
