"""Candidates on a Ray cluster: one actor for each place, which loads the data once; none is started again by Ray."""

from __future__ import annotations

from typing import Any

from memprof.base.errors import MissingExtraError, RuntimeFailure
from memprof.base.text import first_line, safe_text
from memprof.nas.jobs import Job, Outcome
from memprof.nas.searching.engines import Work
from memprof.nas.searching.fleet import FleetPool, Lost, train_watched
from memprof.nas.searching.worker import TrainerFactory, Trouble


def ray_pool(work: Work, place: str) -> FleetPool:
    """Return a pool of Ray actors.

    Args:
        work: The search's.
        place: Address of the cluster; empty to start one on this machine.

    Raises:
        MissingExtraError: ray is not installed.
        RuntimeFailure: There is no cluster at the address.
    """
    return FleetPool(_Actors(work, place), work.workers)


class _There:
    """An actor: what is made from it lives in a process of the cluster."""

    def __init__(self, factory: TrainerFactory, threads: int) -> None:
        import torch

        torch.set_num_threads(threads)
        self._trainer = factory()

    def train(self, job: Job) -> Outcome | Trouble:
        return train_watched(self._trainer, job)


class _Actors:
    def __init__(self, work: Work, place: str) -> None:
        try:
            import ray
        except ImportError as error:
            raise MissingExtraError("The engine ray", "ray") from error
        self._ray: Any = ray
        self._work = work
        try:
            ray.init(
                address=place or "local",
                **({} if place else {"num_cpus": work.workers * work.threads, "include_dashboard": False}),
                log_to_driver=False,
                logging_level="ERROR",
            )
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise RuntimeFailure(
                f"There is no Ray cluster at {safe_text(place) or 'this machine'}: {safe_text(first_line(error))}.",
                "Leave the address out to start one here.",
            ) from error
        gpus = 0 if work.device == "cpu" else 1
        options = {"num_cpus": work.threads, "num_gpus": gpus, "max_restarts": 0, "max_task_retries": 0}
        self._make: Any = ray.remote(**options)(_There)
        self._actors: dict[int, Any] = {}
        self._futures: dict[Any, int] = {}

    def begin(self, place: int, job: Job) -> None:
        if place not in self._actors:
            self._actors[place] = self._make.remote(self._work.factories[0], self._work.threads)
        self._futures[self._actors[place].train.remote(job)] = place

    def news(self, seconds: float) -> list[tuple[int, Outcome | Trouble | Lost]]:
        ended, _ = self._ray.wait(list(self._futures), timeout=seconds)
        places = [self._futures.pop(future) for future in ended]
        return [(place, self._result(place, future)) for place, future in zip(places, ended, strict=True)]

    def _result(self, place: int, future: Any) -> Outcome | Trouble | Lost:
        try:
            found: Outcome | Trouble = self._ray.get(future)
        except self._ray.exceptions.ActorDiedError as error:
            self._actors.pop(place)
            reason = first_line(error)
            if "__init__" in str(error):  # it never began: no candidate's fault
                return Trouble(f"A machine cannot load its data: {safe_text(reason)}", "Look at the data there.")
            return Lost(f"the actor was lost: {reason}")
        except self._ray.exceptions.RayError as error:
            self._ray.kill(self._actors.pop(place))
            return Lost(f"the actor was lost: {first_line(error)}")
        return found

    def drop(self, place: int) -> None:
        self._futures = {future: other for future, other in self._futures.items() if other != place}
        self._ray.kill(self._actors.pop(place))

    def close(self) -> None:
        for actor in self._actors.values():
            self._ray.kill(actor)
        self._ray.shutdown()
