"""Engines: every job ends once, whatever happens to what runs it, and a search chooses what it would have anyway."""

from __future__ import annotations

import os
import random
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")


from memprof.base.errors import MissingExtraError, RuntimeFailure, UsageError
from memprof.nas.jobs import Job, Outcome
from memprof.nas.record.journal import Journal
from memprof.nas.record.settings import Limits
from memprof.nas.record.state import SearchState
from memprof.nas.searching.engines import ENGINES, Engine, Work
from memprof.nas.searching.fleet import GRACE_SECONDS, FleetPool, Lost
from memprof.nas.searching.rounds import Search
from memprof.nas.searching.run import search
from memprof.nas.searching.worker import Trouble
from memprof.nas.space.architecture import CIFAR10
from memprof.nas.train.trainer import Checkpoint, Training
from tests.nas.searching.searches import SETTINGS, made_up, start

DEATHS = 50


def job(number: int, folder: Path, seconds: float = 600.0) -> Job:
    return Job(
        candidate=number,
        rung=0,
        architecture=CIFAR10.build([]).to_json(),
        seed=number,
        until=1,
        parent=None,
        resume_from="",
        checkpoint=str(folder / f"{number}.pt"),
        seconds=seconds,
    )


@pytest.mark.parametrize("name", ["submitit", "ray"])
def test_an_engine_that_is_not_installed_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtraError, match=f"engine {name}"):
        search(tmp_path / "run", SETTINGS, Limits(rounds=1), engine=Engine.parse(name))
    assert not (tmp_path / "run").exists()


class Frail:
    """A fleet in memory: what it runs ends in any order, and every second job takes its machine along."""

    def __init__(self, seed: int, deaths: int) -> None:
        self._rng = random.Random(seed)
        self._deaths = deaths
        self.running: dict[int, Job] = {}
        self.begun: list[int] = []
        self.most = 0

    def begin(self, place: int, job: Job) -> None:
        assert place not in self.running
        self.running[place] = job
        self.begun.append(job.candidate)
        self.most = max(self.most, len(self.running))

    def news(self, seconds: float) -> list[tuple[int, Outcome | Trouble | Lost]]:
        found: list[tuple[int, Outcome | Trouble | Lost]] = []
        for place in self._rng.sample(sorted(self.running), self._rng.randrange(len(self.running) + 1)):
            job = self.running.pop(place)
            if job.candidate % 2 and self._deaths:
                self._deaths -= 1
                found.append((place, Lost("the node is gone")))
            else:
                found.append((place, made_up(job)))
        return found

    def drop(self, place: int) -> None:
        del self.running[place]

    def close(self) -> None:
        assert not self.running


@pytest.mark.parametrize("seed", range(5))
def test_of_fifty_deaths_none_is_lost_and_no_job_begins_twice(tmp_path: Path, seed: int) -> None:
    fleet = Frail(seed, DEATHS)
    with FleetPool(fleet, 4) as pool:
        found = list(pool.run([job(i, tmp_path) for i in range(120)]))
    assert sorted(outcome.candidate for outcome in found) == sorted(fleet.begun) == list(range(120))
    assert sum(outcome.message == "the node is gone" for outcome in found) == DEATHS
    assert {outcome.status for outcome in found if outcome.message} == {"crashed"}
    assert fleet.most == 4


class Silent(Frail):
    """A fleet from which nothing is heard."""

    def news(self, seconds: float) -> list[tuple[int, Outcome | Trouble | Lost]]:
        return []


def test_what_stays_silent_past_the_deadline_is_dropped_and_nothing_more_begins(tmp_path: Path) -> None:
    ticks = iter(range(0, 10**6, 5))
    fleet = Silent(0, 0)
    with FleetPool(fleet, 2, clock=lambda: float(next(ticks))) as pool:
        assert list(pool.run([job(i, tmp_path) for i in range(9)], deadline=40.0)) == []
    assert fleet.begun == [0, 1]
    assert next(ticks) > 40 + GRACE_SECONDS


def test_a_machine_without_data_is_no_candidates_fault(tmp_path: Path) -> None:
    fleet = Silent(0, 0)
    fleet.news = lambda seconds: [(0, Trouble("There is no data set 'gone'.", "Choose another."))]  # type: ignore[method-assign]
    fleet.close = lambda: None  # type: ignore[method-assign]
    with FleetPool(fleet, 1) as pool, pytest.raises(RuntimeFailure, match="no data set 'gone'"):
        list(pool.run([job(0, tmp_path)]))


@pytest.mark.parametrize("text", ["slurm", "", "local:here", "ray "])
def test_an_engine_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="There is no engine"):
        Engine.parse(text)


def test_every_engine_is_one_that_can_be_asked_for() -> None:
    assert [Engine.parse(name).name for name in ENGINES] == ["local", "submitit", "ray"]


class Mortal:
    """Looks like a Trainer that costs nothing; every third seed kills its process."""

    def train(self, module: Any, *, seed: int, until: int, **_: Any) -> tuple[Training, Checkpoint]:
        if seed % 3 == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        accuracy = 0.5 + seed % 1000 / 4000
        return Training(status="ok", accuracy=accuracy, epochs=until, loss=1.0), Checkpoint(until, {}, {})


def searched(folder: Path, engine: Engine, workers: int) -> SearchState:
    """Return the state of a small search with a mortal trainer."""
    folder.mkdir()
    with Journal(folder) as journal:
        start(journal, SETTINGS, Limits(rounds=1))
        search = Search(folder, journal, lambda: 0.0)
        work = Work(folder=folder, factories=(Mortal,), device="cpu", workers=workers, threads=1, lanes=1)
        with engine.start(work) as pool:
            while jobs := search.ask():
                for outcome in pool.run(jobs):
                    search.tell(outcome)
        return search.state


def facts(state: SearchState) -> Iterator[tuple[int, list[tuple[str, float]]]]:
    for number, visits in sorted(state.outcomes.items()):
        # the kernel's kill has a name where its exit code is seen
        yield number, [("lost" if v.status != "ok" else "ok", v.accuracy) for v in visits]


@pytest.mark.slow
@pytest.mark.parametrize(("library", "text"), [("submitit", "submitit:local"), ("ray", "ray")])
def test_an_engine_chooses_what_local_workers_choose_and_loses_no_death(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: str, text: str
) -> None:
    pytest.importorskip(library)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).resolve().parents[3]))
    local = searched(tmp_path / "local", Engine(), 2)
    there = searched(tmp_path / "there", Engine.parse(text), 2)
    assert there.finished == local.finished
    assert list(facts(there)) == list(facts(local))
    assert Counter(status for _, visits in facts(there) for status, _ in visits)["lost"]
    assert [r.winner for r in there.rounds] == [r.winner for r in local.rounds]
    assert not list((tmp_path / "there").glob("submitted-*"))
