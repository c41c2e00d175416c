"""One SLURM job for each candidate, through submitit; with the partition ``local``, one process of this machine.

What submitit writes and reads lies in a folder of its own inside the search's, made for this run and gone after it:
results are pickles, and none is read that this run did not ask for.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from functools import partial
from math import ceil
from pathlib import Path
from typing import Any

from memprof.base.errors import MissingExtraError
from memprof.base.text import first_line
from memprof.nas.jobs import Job, Outcome
from memprof.nas.searching.engines import Work
from memprof.nas.searching.fleet import GRACE_SECONDS, FleetPool, Lost, train_there
from memprof.nas.searching.worker import Trouble

START_MINUTES = 30
"""What loading torch and the data may take, of the time that SLURM is asked for."""

_LOOKS_A_SECOND = 5.0


def submitit_pool(work: Work, place: str) -> FleetPool:
    """Return a pool of SLURM jobs.

    Args:
        work: The search's.
        place: Partition; ``local`` for this machine, empty for what submitit finds.

    Raises:
        MissingExtraError: submitit is not installed.
    """
    return FleetPool(_Submitted(work, place), work.workers)


class _Submitted:
    def __init__(self, work: Work, place: str) -> None:
        try:
            import submitit
        except ImportError as error:
            raise MissingExtraError("The engine submitit", "submitit") from error
        self._work = work
        self._folder = Path(tempfile.mkdtemp(prefix="submitted-", dir=work.folder)).resolve()
        self._executor: Any = submitit.AutoExecutor(self._folder, cluster="local" if place == "local" else None)
        named = {"slurm_partition": place} if place not in {"", "local"} else {}
        gpus = {} if work.device == "cpu" else {"gpus_per_node": 1}
        self._executor.update_parameters(name="memprof", cpus_per_task=work.threads, **gpus, **named)
        self._jobs: dict[int, Any] = {}

    def begin(self, place: int, job: Job) -> None:
        minutes = START_MINUTES + ceil((job.seconds + GRACE_SECONDS) / 60)
        self._executor.update_parameters(timeout_min=minutes)
        self._jobs[place] = self._executor.submit(
            partial(train_there, self._work.factories[0], self._work.threads, job)
        )

    def news(self, seconds: float) -> list[tuple[int, Outcome | Trouble | Lost]]:
        until = time.monotonic() + seconds
        while True:
            ended = [place for place, job in self._jobs.items() if job.done()]
            if ended or time.monotonic() >= until:
                return [(place, _result(self._jobs.pop(place))) for place in ended]
            time.sleep(1 / _LOOKS_A_SECOND)  # submitit has no event to wait for

    def drop(self, place: int) -> None:
        self._jobs.pop(place).cancel(check=False)

    def close(self) -> None:
        for place in list(self._jobs):
            self.drop(place)
        shutil.rmtree(self._folder, ignore_errors=True)


def _result(job: Any) -> Outcome | Trouble | Lost:
    try:
        found: Outcome | Trouble = job.result()
    except Exception as error:  # whatever ended it, it is gone
        return Lost(f"the job was lost: {first_line(error)}")
    return found
