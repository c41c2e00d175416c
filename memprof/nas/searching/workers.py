"""Local processes that train candidates: one job each at a time, watched from outside.

    what happens to a worker                      outcome of its job       what the pool does
    training ends, well or not                    as told                  next job
    nothing is heard until the job's time is up   timed out                kills it, starts another
    the process dies (a crash, the OOM killer)    crashed, out of memory   starts another
    an exception that is no known result          crashed                  starts another
    the machine is in the way: data that cannot   none                     raises: it is no candidate's fault, and
      be loaded, a disk that is full, a death                                every other would fail alike
      before the first job

Workers are fresh interpreters (``memprof.base.processes``): each loads the data once and holds it on its device.
They know no working folder, lead sessions of their own, so that Ctrl-C is the search's to handle, and die with it.
"""

from __future__ import annotations

import signal
import socket
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import TYPE_CHECKING

from memprof.base.errors import MemprofError, RuntimeFailure
from memprof.base.folders import scratch_folder
from memprof.base.processes import Bounds, ChildProcess, start_python
from memprof.base.text import first_line, safe_text
from memprof.nas.jobs import Job, Outcome, Status
from memprof.nas.train.evaluation import evaluate

if TYPE_CHECKING:
    from memprof.nas.train.trainer import Trainer

GRACE_SECONDS = 10.0
"""How much longer than its job's own limit a silent worker lives: training checks its clock between batches."""

START_SECONDS = 1800.0
"""How long a fresh worker may take to load torch and the data, images to decode among them."""

LOOK_SECONDS = 1.0
"""How often the pool looks at the clock, which may have stood still or leapt while nobody spoke."""

_LOOK_AT_DATA = (
    "Look at the data and the device; what makes the trainer is imported from a module, not from a script."
)

TrainerFactory = Callable[[], "Trainer"]
"""Picklable, from a module that can be imported; called once in each worker."""


@dataclass(frozen=True, slots=True)
class _Trouble:
    """What a worker says when the machine, not the candidate, is at fault."""

    message: str
    hint: str


@dataclass
class _Worker:
    process: ChildProcess
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
        clock: Seconds that only grow.
    """

    def __init__(
        self,
        count: int,
        factory: TrainerFactory,
        threads: int = 1,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._factory = factory
        self._threads = threads
        self._clock = clock
        self._workers: list[_Worker] = []
        self._closing = ExitStack()
        self._folder = self._closing.enter_context(scratch_folder())
        try:
            self._workers += [self._start() for _ in range(count)]
        except BaseException:
            self._close()
            raise

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def _close(self) -> None:
        for worker in self._workers:
            _end(worker)
        self._closing.close()

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
                left = deadline - self._clock()
                if worker.is_ready and worker.job is None and waiting and left > 0:
                    self._assign(worker, replace(waiting[0], seconds=min(waiting[0].seconds, left)))
                    if worker.job is not None:
                        waiting.popleft()
            is_busy = any(worker.job for worker in self._workers)
            if not is_busy and (not waiting or self._clock() >= deadline):
                return
            yield from self._collect(deadline)

    def _start(self) -> _Worker:
        ours, theirs = socket.socketpair()
        with theirs:
            process = start_python(
                "memprof.nas.searching.workers:work",
                (str(theirs.fileno()),),
                folder=self._folder,
                bounds=Bounds(),
                pass_fds=(theirs.fileno(),),
            )
        pipe = Connection(ours.detach())
        worker = _Worker(process, pipe, deadline=self._clock() + START_SECONDS)
        try:
            pipe.send(tuple(path for path in sys.path if Path(path).is_absolute()))
            pipe.send((self._factory, self._threads))
        except OSError:  # it died at once: whoever waits for it is told
            pass
        return worker

    def _assign(self, worker: _Worker, job: Job) -> None:
        """Give a job to a worker; one that died while it was idle is replaced, and the job has not begun."""
        try:
            if worker.process.exit_code is not None:
                raise BrokenPipeError
            worker.pipe.send(job)
        except OSError:
            self._replace(worker)
            return
        worker.began = self._clock()
        worker.deadline = worker.began + job.seconds + GRACE_SECONDS
        worker.job = job

    def _collect(self, deadline: float) -> Iterator[Outcome]:
        """Wait until a worker says something, or has been silent for too long, and yield what came of its job."""
        watched = [worker for worker in self._workers if worker.job is not None or not worker.is_ready]
        soonest = min(worker.deadline for worker in watched)
        if not any(worker.job for worker in watched):  # all are still loading: nothing can begin after the deadline
            soonest = min(soonest, deadline)
        patience = min(LOOK_SECONDS, max(0.0, soonest - self._clock()))
        heard = wait([worker.pipe for worker in watched], timeout=patience)
        for worker in watched:
            if worker.pipe in heard:
                outcome = self._receive(worker)
                if outcome is not None:
                    yield outcome
            elif self._clock() > worker.deadline:
                if worker.job is None:
                    raise RuntimeFailure(f"A worker was not ready after {START_SECONDS:g} s.", _LOOK_AT_DATA)
                outcome = self._failed(worker, "timed out", "nothing was heard until the time was up")
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
        code = worker.process.wait(GRACE_SECONDS)
        if worker.job is None:
            said = safe_text(worker.process.last_line())
            raise RuntimeFailure(
                f"A worker ended with code {code} before it was ready to train{': ' + said if said else '.'}",
                _LOOK_AT_DATA,
            )
        self._replace(worker)
        if code == -signal.SIGKILL:
            return self._failed(worker, "out of memory", "the process was killed, most likely for its memory")
        return self._failed(worker, "crashed", f"the process ended with code {code}")

    def _replace(self, worker: _Worker) -> None:
        _end(worker)
        self._workers[self._workers.index(worker)] = self._start()

    def _failed(self, worker: _Worker, status: Status, message: str) -> Outcome:
        assert worker.job is not None, "only a worker with a job can fail one"
        return _failure(worker.job, status, message, self._clock() - worker.began)


def _end(worker: _Worker) -> None:
    worker.pipe.close()
    worker.process.stop()


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


def work(handle: str) -> None:
    """Run in a worker: load once, then one job after the other until the pipe closes.

    Args:
        handle: Number of the worker's end of the pipe.
    """
    pipe = Connection(int(handle))
    sys.path += [path for path in pipe.recv() if path not in sys.path]  # where the factory's module may lie
    try:
        factory, threads = pipe.recv()
    except Exception as error:  # a factory that cannot be found here is nowhere else either
        pipe.send(_Trouble(f"A worker cannot load its trainer: {_describe(error)}.", _LOOK_AT_DATA))
        return
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
    return safe_text(f"{type(error).__name__}: {first_line(error)}")
