"""Where jobs run: local processes, a SLURM cluster through submitit, or a Ray cluster. All are asked the same way.

    local                     processes of this machine (``workers``)
    submitit[:PARTITION]      one SLURM job for each candidate; ``submitit:local`` runs them here
    ray[:ADDRESS]             actors on a cluster, ``ray:auto`` for the one at hand; without one, one starts here

Whoever trains, the search decides the same: its choices follow from outcomes, and an outcome from its job. Weights
travel through the search's folder, which all machines must see at the same place; the journal stays in one.
The engine is asked for on the command line each time. It is not in the journal, which may come from somebody else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from memprof.base.errors import MissingExtraError, UsageError
from memprof.nas.jobs import Job, Outcome
from memprof.nas.searching.worker import TrainerFactory

MoreJobs = Callable[[], Iterable[Job]]


def nothing_more() -> Iterable[Job]:
    """Return no job: what is begun is all there is."""
    return ()


class Pool(Protocol):
    """Turns jobs into outcomes; a context manager whose end is that of everything it started."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...

    def run(
        self, jobs: Iterable[Job], deadline: float = float("inf"), more: MoreJobs = nothing_more
    ) -> Iterator[Outcome]:
        """Yield the outcome of each job as it comes; what was not begun at ``deadline`` has none.

        ``more`` is asked, after each outcome that was taken, for jobs that may begin now too.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What an engine needs to know of a search.

    Attributes:
        folder: The search's, which every machine sees.
        factories: Makes a trainer, one for each device of this machine.
        device: ``cpu``, ``cuda``, ...: what a candidate needs.
        workers: Candidates that train at once.
        threads: CPU threads of each.
        lanes: Candidates that one local process trains at once.
    """

    folder: Path
    factories: tuple[TrainerFactory, ...]
    device: str
    workers: int
    threads: int
    lanes: int


@dataclass(frozen=True, slots=True)
class Engine:
    """An engine and where it is.

    Attributes:
        name: A key of ``ENGINES``.
        place: What comes after the colon: a partition, an address; empty for none.
    """

    name: str = "local"
    place: str = ""

    @classmethod
    def parse(cls, text: str) -> Engine:
        """Return the engine that ``text`` names.

        Raises:
            UsageError: There is no such engine.

        >>> Engine.parse("ray:ray://head:10001")
        Engine(name='ray', place='ray://head:10001')
        """
        name, _, place = text.partition(":")
        if name not in ENGINES or (name == "local" and place):
            raise UsageError(f"There is no engine {text!r}.", "Use local, submitit[:PARTITION] or ray[:ADDRESS].")
        return cls(name, place)

    def check(self) -> None:
        """Raise before anything is written if what the engine needs is not installed.

        Raises:
            MissingExtraError: It is not.
        """
        if self.name != LOCAL.name:
            try:
                import_module(self.name)  # each library is called as its engine
            except ImportError as error:
                raise MissingExtraError(f"The engine {self.name}", self.name) from error

    def start(self, work: Work) -> Pool:
        """Return the engine's pool.

        Raises:
            MissingExtraError: What the engine needs is not installed.
        """
        module, _, function = ENGINES[self.name].partition(":")
        make: Callable[[Work, str], Pool] = getattr(import_module(module), function)
        return make(work, self.place)


LOCAL = Engine()

ENGINES: Mapping[str, str] = {
    "local": "memprof.nas.searching.workers:local_pool",
    "submitit": "memprof.nas.searching.submitting:submitit_pool",
    "ray": "memprof.nas.searching.raying:ray_pool",
}
"""Engine -> what makes its pool, by late name: the libraries are extras."""
