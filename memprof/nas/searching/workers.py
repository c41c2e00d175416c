"""Local processes that train candidates, watched from outside: one job each at a time, or one in each of its lanes.

    what happens to a worker                      outcome of its job       what the pool does
    training ends, well or not                    as told                  next job
    nothing is heard until the job's time is up   timed out                kills it, starts another
    the process dies (a crash, the OOM killer)    crashed, out of memory   starts another
    an exception that is no known result          crashed                  starts another
    the machine is in the way: data that cannot   none                     raises: it is no candidate's fault, and
      be loaded, a disk that is full, a death                                every other would fail alike
      before the first job

A process with several lanes takes their jobs along when it goes. Where one job was known to be at fault, or was
alone, that is its outcome, and the others begin anew. Where nobody knows whose fault it was, each begins anew once,
alone; so does one that lacked memory beside others.

Workers are fresh interpreters (``memprof.base.processes``): each loads the data once and holds it on its device.
They know no working folder, lead sessions of their own, so that Ctrl-C is the search's to handle, and die with it.
"""

from __future__ import annotations

import signal
import socket
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from pathlib import Path

from memprof.base.errors import RuntimeFailure
from memprof.base.folders import scratch_folder
from memprof.base.processes import Bounds, ChildProcess, start_python
from memprof.base.text import safe_text
from memprof.nas.jobs import Job, Outcome, Status, failure
from memprof.nas.searching.engines import MoreJobs, Work, nothing_more
from memprof.nas.searching.worker import LOOK_AT_DATA, TrainerFactory, Trouble

GRACE_SECONDS = 10.0
"""How much longer than its job's own limit a silent worker lives: training checks its clock between batches."""

START_SECONDS = 1800.0
"""How long a fresh worker may take to load torch and the data, images to decode among them."""

LOOK_SECONDS = 1.0
"""How often the pool looks at the clock, which may have stood still or leapt while nobody spoke."""


@dataclass(eq=False)
class _Worker:
    """One lane of a process."""

    place: int
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
        factory: Makes the trainer of a worker; of several, one for each device, the processes take turns.
        threads: CPU threads of each worker.
        clock: Seconds that only grow.
        lanes: Jobs that each process trains at once.
    """

    def __init__(
        self,
        count: int,
        factory: TrainerFactory | Sequence[TrainerFactory],
        threads: int = 1,
        clock: Callable[[], float] = time.monotonic,
        lanes: int = 1,
    ) -> None:
        self._factories = [factory] if callable(factory) else list(factory)
        self._threads = threads
        self._clock = clock
        self._lanes = lanes
        self._workers: list[_Worker] = []
        self._waiting: deque[Job] = deque()
        self._alone: set[tuple[int, int]] = set()
        self._closing = ExitStack()
        self._folder = self._closing.enter_context(scratch_folder())
        try:
            for place in range(count):
                self._workers += self._start(place)
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

    def run(
        self, jobs: Iterable[Job], deadline: float = float("inf"), more: MoreJobs = nothing_more
    ) -> Iterator[Outcome]:
        """Yield the outcome of each job as it comes, in no particular order.

        Args:
            jobs: What to train.
            deadline: ``time.monotonic()`` after which nothing is begun, and what was begun gives up; jobs that were
            deadline: ``time.monotonic()`` after which nothing is begun, and what was begun gives up; jobs that were
                not begun have no outcome.
            more: Asked after each outcome that was taken for jobs that may begin now too.

        Raises:
            RuntimeFailure: A worker cannot load its data or write to the disk.
        """
        waiting = self._waiting = deque(jobs)
        while True:
            for worker in list(self._workers):
                left = deadline - self._clock()
                if waiting and left > 0 and self._may_begin(worker, waiting[0]):
                    self._assign(worker, replace(waiting[0], seconds=min(waiting[0].seconds, left)))
                    if worker.job is not None:
                        waiting.popleft()
            is_busy = any(worker.job for worker in self._workers)
            if not is_busy and (not waiting or self._clock() >= deadline):
                return
            for outcome in self._collect(deadline):
                yield outcome
                waiting.extend(more())

    def _may_begin(self, worker: _Worker, job: Job) -> bool:
        """Return whether a lane is free for a job: one that must be alone waits until its whole process is."""
        beside = self._jobs_beside(worker)
        is_apart = bool(beside) and any(_name(each) in self._alone for each in (job, *beside))
        return worker.is_ready and worker.job is None and not is_apart

    def _beside(self, worker: _Worker) -> list[_Worker]:
        return [lane for lane in self._workers if lane.process is worker.process and lane is not worker]

    def _jobs_beside(self, worker: _Worker) -> list[Job]:
        return [lane.job for lane in self._beside(worker) if lane.job is not None]

    def _start(self, place: int) -> list[_Worker]:
        pairs = [socket.socketpair() for _ in range(self._lanes)]
        with ExitStack() as closing:
            handles = [closing.enter_context(theirs).fileno() for _, theirs in pairs]
            process = start_python(
                "memprof.nas.searching.worker:work",
                tuple(map(str, handles)),
                folder=self._folder,
                bounds=Bounds(),
                pass_fds=tuple(handles),
            )
        until = self._clock() + START_SECONDS
        lanes = [_Worker(place, process, Connection(ours.detach()), deadline=until) for ours, _ in pairs]
        with suppress(OSError):  # it died at once: whoever waits for it is told
            lanes[0].pipe.send(tuple(path for path in sys.path if Path(path).is_absolute()))
            lanes[0].pipe.send((self._factories[place % len(self._factories)], self._threads))
        return lanes

    def _assign(self, worker: _Worker, job: Job) -> None:
        """Give a job to a worker; one that died while it was idle is replaced, and the job has not begun."""
        began = self._clock()  # before the worker knows: what it takes from then on is the job's
        try:
            if worker.process.exit_code is not None:
                raise BrokenPipeError
            worker.pipe.send(job)
        except OSError:
            self._replace(worker)
            return
        worker.began = began
        worker.deadline = began + job.seconds + GRACE_SECONDS
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
            if worker not in self._workers:  # its process went with another lane's job
                continue
            if worker.pipe in heard:
                outcome = self._receive(worker)
                if outcome is not None:
                    yield outcome
            elif self._clock() > worker.deadline:
                if worker.job is None:
                    raise RuntimeFailure(f"A worker was not ready after {START_SECONDS:g} s.", LOOK_AT_DATA)
                outcome = self._failed(worker, "timed out", "nothing was heard until the time was up")
                self._replace(worker)
                yield outcome

    def _receive(self, worker: _Worker) -> Outcome | None:
        """Return what a worker says of its job; ``None`` if it says that it is ready."""
        try:
            found: Outcome | Trouble | None = worker.pipe.recv()
        except (EOFError, OSError):
            return self._bury(worker)
        if isinstance(found, Trouble):
            raise RuntimeFailure(found.message, found.hint)
        if found is not None and found.status == "crashed":
            return self._crashed(worker, found)  # what it left behind, a broken device perhaps, meets no other job
        job, worker.job, worker.is_ready = worker.job, None, True
        if job is not None and found is not None and found.status == "out of memory" and self._jobs_beside(worker):
            self._waiting.appendleft(job)
            self._alone.add(_name(job))
            return None
        return found

    def _bury(self, worker: _Worker) -> Outcome | None:
        """Return what came of the job of a worker that died, and start another."""
        code = worker.process.wait(GRACE_SECONDS)
        if worker.job is None and self._jobs_beside(worker):  # those lanes tell
            return None
        if worker.job is None:
            said = safe_text(worker.process.last_line())
            raise RuntimeFailure(
                f"A worker ended with code {code} before it was ready to train{': ' + said if said else '.'}",
                LOOK_AT_DATA,
            )
        if code == -signal.SIGKILL:
            said = "the process was killed, most likely for its memory"
            return self._crashed(worker, self._failed(worker, "out of memory", said))
        return self._crashed(worker, self._failed(worker, "crashed", f"the process ended with code {code}"))

    def _crashed(self, worker: _Worker, found: Outcome) -> Outcome | None:
        """Replace a process; return the outcome of its job, ``None`` where another lane's may have been at fault."""
        beside = self._jobs_beside(worker)
        assert worker.job is not None, "only a worker with a job can fail one"
        if beside:
            self._waiting.appendleft(worker.job)
            self._alone |= {_name(job) for job in (worker.job, *beside)}
        self._replace(worker)
        return None if beside else found

    def _replace(self, worker: _Worker) -> None:
        """End a worker's process and start another; jobs of its other lanes begin anew."""
        beside = self._beside(worker)
        self._waiting.extendleft(self._jobs_beside(worker))
        for lane in (worker, *beside):
            lane.pipe.close()
        worker.process.stop()
        at = min(self._workers.index(lane) for lane in (worker, *beside))
        self._workers[at : at + self._lanes] = self._start(worker.place)

    def _failed(self, worker: _Worker, status: Status, message: str) -> Outcome:
        """Return a failure of a worker's job."""
        assert worker.job is not None, "only a worker with a job can fail one"
        return failure(worker.job, status, message, self._clock() - worker.began)


def local_pool(work: Work, place: str) -> WorkerPool:
    """Return processes of this machine.

    Args:
        work: The search's.
        place: Nothing: there is one such place.
    """
    assert not place, "this machine has no other name"
    return WorkerPool(-(-work.workers // work.lanes), work.factories, work.threads, lanes=work.lanes)


def _end(worker: _Worker) -> None:
    worker.pipe.close()
    worker.process.stop()


def _name(job: Job) -> tuple[int, int]:
    return job.candidate, job.rung
