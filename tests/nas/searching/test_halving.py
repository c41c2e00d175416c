"""Halving as outcomes come: nobody waits for a rung, and who goes on does not depend on who was faster."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from memprof.nas.jobs import Job, Outcome
from memprof.nas.record.halving import count_survivors
from memprof.nas.record.journal import Journal
from memprof.nas.record.settings import Goal, Settings
from memprof.nas.record.state import SearchState
from memprof.nas.searching.rounds import Search
from tests.nas.searching.searches import SETTINGS, decisions, made_up, start

AS_THEY_COME = replace(SETTINGS, halving="as they come", sample=8)


class Farm:
    """Workers that take from 1 to 9 ticks for a job, and the beginnings and ends of all of them in order."""

    def __init__(self, workers: int, seed: int) -> None:
        self.events: list[tuple[str, int, int]] = []
        self.idle = 0
        self._workers = workers
        self._rng = random.Random(seed)

    def run(self, folder: Path, settings: Settings, *, stop_after: int | None = None) -> SearchState:
        """Drive a search to its end, or stop after some outcomes as if the process were killed."""
        told = 0
        with Journal(folder) as journal:
            if not journal.events():
                start(journal, settings)
            search = Search(folder, journal, lambda: 0.0)
            while jobs := search.ask():
                waiting, more = list(jobs), search.newly_ready(jobs)
                running: list[tuple[int, Job]] = []
                while waiting or running:
                    while waiting and len(running) < self._workers:
                        job = waiting.pop(0)
                        running.append((self._rng.randint(1, 9), job))
                        self.events.append(("begin", job.candidate, job.rung))
                    first = min(range(len(running)), key=lambda i: running[i][0])
                    ticks, done = running.pop(first)
                    self.idle += ticks * (self._workers - 1 - len(running))
                    running = [(left - ticks, job) for left, job in running]
                    if told == stop_after:
                        return search.state
                    search.tell(_told(done))
                    told += 1
                    self.events.append(("end", done.candidate, done.rung))
                    waiting += more()
            return search.state


def _told(job: Job) -> Outcome:
    return made_up(job)


@pytest.mark.parametrize("goal", ["metric", "front"])
def test_choices_do_not_depend_on_who_is_faster_or_on_kills(tmp_path: Path, goal: Goal) -> None:
    settings = replace(AS_THEY_COME, goal=goal)
    wanted = decisions(Farm(1, 0).run(tmp_path / "alone", settings))
    for seed, workers in ((2, 3), (3, 7)):
        assert decisions(Farm(workers, seed).run(tmp_path / str(seed), settings)) == wanted
    place, stop = tmp_path / "killed", 0
    while stop < 60:
        stop += 13
        Farm(3, stop).run(place, settings, stop_after=13)
    assert decisions(Farm(3, 99).run(place, settings)) == wanted


def test_a_better_half_begins_before_the_rung_is_done_and_workers_idle_less(tmp_path: Path) -> None:
    eager, patient = Farm(3, 5), Farm(3, 5)
    state = eager.run(tmp_path / "eager", AS_THEY_COME)
    patient.run(tmp_path / "patient", replace(AS_THEY_COME, halving="by rung"))
    first = [chosen.candidate for chosen in state.rounds[0].chosen]
    began = [i for i, (what, n, rung) in enumerate(eager.events) if what == "begin" and n in first and rung == 1]
    ended = [i for i, (what, n, rung) in enumerate(eager.events) if what == "end" and n in first and rung == 0]
    assert began[0] < ended[-1]
    assert eager.idle / len(eager.events) < patient.idle / len(patient.events)


def test_each_beginning_of_a_rung_sends_on_its_better_half(tmp_path: Path) -> None:
    state = Farm(2, 0).run(tmp_path, AS_THEY_COME)
    found = state.rounds[0]
    numbers = [chosen.candidate for chosen in found.chosen]
    gone_on = {n for n in numbers if any(o.rung == 1 for o in state.outcomes[n])}
    measured = {n: state.outcomes[n][0].accuracy for n in numbers if state.outcomes[n][0].status == "ok"}
    assert count_survivors(len(numbers)) <= len(gone_on) < len(measured)
    assert max(measured, key=lambda n: measured[n]) in gone_on or AS_THEY_COME.goal == "metric"
