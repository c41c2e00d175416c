"""The next round is prepared while the last one trains: nobody waits for the ranker, and no choice changes by it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch")

from memprof.nas.jobs import Job
from memprof.nas.rank.blend import Belief
from memprof.nas.rank.rankers import Candidate, History
from memprof.nas.record.journal import Journal
from memprof.nas.record.settings import Goal, Limits, Settings
from memprof.nas.record.state import SearchState
from memprof.nas.searching import offering
from memprof.nas.searching.aside import Aside
from memprof.nas.searching.rounds import Search
from memprof.nas.space.architecture import Architecture
from tests.nas.searching.searches import SETTINGS, made_up, start

QUICK = replace(SETTINGS, first_rounds=1, finalists=0, goal="front", metric=replace(SETTINGS.metric))
Beliefs = Callable[[Sequence[Candidate]], Belief]


def drive(folder: Path, settings: Settings, watch: Callable[[Search, Job], None], rounds: int = 3) -> SearchState:
    with Journal(folder) as journal:
        start(journal, settings, Limits(rounds=rounds))
        search = Search(folder, journal, lambda: 0.0)
        while jobs := search.ask():
            for job in jobs:
                watch(search, job)
                search.tell(made_up(job))
        return search.state


def test_what_is_prepared_is_what_would_be_done_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    learnt: list[str] = []
    believe = offering.believe

    def counted(ranker: str, history: History, seed: int) -> Beliefs:
        learnt.append(threading.current_thread().name)
        return believe(ranker, history, seed)

    monkeypatch.setattr(offering, "believe", counted)
    for goal in ("front", "metric"):
        settings = replace(QUICK, goal=goal)  # type: ignore[arg-type]
        ahead = drive(tmp_path / f"{goal}-ahead", settings, lambda search, job: None)
        assert len(learnt) == len(ahead.rounds) - 1  # once a round, however many bases were weighed
        learnt.clear()
        with monkeypatch.context() as changed:
            changed.setattr(offering.Offers, "prepare", lambda self, state: None)
            late = drive(tmp_path / f"{goal}-late", settings, lambda search, job: None)
        assert set(learnt) == {"MainThread"}
        learnt.clear()
        assert [found.chosen for found in ahead.rounds] == [found.chosen for found in late.rounds]


@pytest.mark.parametrize(("goal", "mirrors"), [("front", False), ("metric", True)])
def test_what_is_kept_of_a_base_is_what_counting_anew_gives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, goal: Goal, mirrors: bool
) -> None:
    settings = replace(QUICK, goal=goal, mirror_images=mirrors)
    kept = drive(tmp_path / "kept", settings, lambda search, job: None, rounds=4)
    taken: list[int] = []
    near = offering._near

    def counted(asked: Settings, parent: Architecture) -> offering._Near:
        taken.append(parent.slots)
        return near(asked, parent)

    monkeypatch.setattr(offering, "_near", counted)
    monkeypatch.setattr(offering.Offers, "prepare", lambda self, state: None)
    drive(tmp_path / "counted", settings, lambda search, job: None, rounds=4)
    few, forget = len(taken), Aside.forget
    monkeypatch.setattr(Aside, "forget", lambda self, keep=(): forget(self))
    anew = drive(tmp_path / "anew", settings, lambda search, job: None, rounds=4)
    assert [(f.base, f.chosen, f.generated, f.idle) for f in kept.rounds] == [
        (f.base, f.chosen, f.generated, f.idle) for f in anew.rounds
    ]
    assert few <= len(taken) - few
    assert goal == "metric" or few < len(taken) - few


def test_jobs_are_asked_for_and_told_while_the_ranker_learns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    learning, may_end = threading.Event(), threading.Event()
    believe = offering.believe

    def slow(ranker: str, history: History, seed: int) -> Beliefs:
        learning.set()
        assert may_end.wait(30)
        return believe(ranker, history, seed)

    monkeypatch.setattr(offering, "believe", slow)
    later: list[int] = []

    def watch(search: Search, job: Job) -> None:
        if job.rung:
            assert learning.wait(30)
            later.append(job.rung)
            if job.rung == len(QUICK.rungs) - 1:
                may_end.set()

    state = drive(tmp_path, QUICK, watch)
    assert len(state.rounds) == 3
    assert {1, 2} <= set(later)


def test_what_is_done_aside_is_done_once_and_tells_what_went_wrong() -> None:
    aside, began, may_end = Aside(), threading.Event(), threading.Event()
    done: list[str] = []

    def note(name: str) -> str:
        done.append(name)
        return name

    def wait() -> str:
        began.set()
        may_end.wait(30)
        return note("first")

    aside.begin("first", wait)
    assert began.wait(30)
    aside.begin("second", lambda: note("second"))
    aside.begin("second", lambda: note("twice"))
    assert aside.take("second", lambda: note("by who asked")) == "by who asked"  # it stood in line
    may_end.set()
    assert aside.take("first", lambda: note("again")) == "first"
    assert aside.take("third", lambda: note("third")) == "third"
    aside.begin("fails", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        aside.take("fails", lambda: 1 / 0)
    aside.forget()
    assert aside.take("first", lambda: note("anew")) == "anew"
    assert sorted(done) == ["anew", "by who asked", "first", "third"]
