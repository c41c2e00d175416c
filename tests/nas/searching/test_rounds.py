"""The search decides the same whatever happens to its process; outcomes are made up, so nothing is trained here."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch")


from memprof.base.errors import InputError
from memprof.nas.jobs import Job, Outcome
from memprof.nas.record.forecast import forecast_seconds
from memprof.nas.record.journal import Journal, read_journal
from memprof.nas.record.scores import front_of_search, leader, scores_of_round, worth
from memprof.nas.record.settings import Limits
from memprof.nas.record.state import SearchState, fold
from memprof.nas.record.summarizing import status
from memprof.nas.record.tournament import best_standing
from memprof.nas.searching.rounds import _LAST, Search
from memprof.nas.searching.run import resume, saved_search, search
from memprof.nas.space.budget import Budget
from memprof.nas.space.generator import generate
from memprof.nas.space.screening import count_macs, screen
from tests.nas.networks import SMALL
from tests.nas.searching.searches import ENDLESS, SETTINGS, decisions, drive, made_up, start


def test_a_search_ends_when_the_chosen_network_has_all_its_cells(whole: SearchState) -> None:
    assert whole.finished == "the chosen network has 3 cells"
    assert [sum(not c.is_base for c in found.chosen) for found in whole.rounds[:2]] == [6, 6]
    assert all(sum(not c.is_base for c in found.chosen) <= 4 for found in whole.rounds[2:])


def test_only_the_better_half_of_a_rung_goes_on(whole: SearchState) -> None:
    visits = sorted(len(whole.outcomes[c.candidate]) for c in whole.rounds[0].chosen)
    assert visits.count(3) == 1
    assert len(visits) == 6


def test_the_order_in_which_outcomes_come_changes_nothing(whole: SearchState, tmp_path: Path) -> None:
    for seed in range(3):
        shuffled = drive(tmp_path / str(seed), order=random.Random(seed).shuffle)
        assert decisions(shuffled) == decisions(whole)


def test_a_search_that_is_killed_again_and_again_chooses_the_same(whole: SearchState, tmp_path: Path) -> None:
    rng = random.Random(0)
    state = SearchState()
    while not state.finished:
        state = drive(tmp_path, stop_after=rng.randrange(4))
    assert decisions(state) == decisions(whole)


def test_no_finished_visit_is_repeated_or_lost(tmp_path: Path) -> None:
    rng = random.Random(1)
    while not drive(tmp_path, stop_after=rng.randrange(5)).finished:
        pass
    told = [(e.data["candidate"], e.data["rung"]) for e in read_journal(tmp_path)[0] if e.kind == "outcome"]
    assert len(set(told)) == len(told)


def test_another_seed_is_another_search(whole: SearchState, tmp_path: Path) -> None:
    assert decisions(drive(tmp_path, settings=replace(SETTINGS, seed=4))) != decisions(whole)


def test_settings_come_back_from_the_journal(whole: SearchState) -> None:
    assert whole.settings == SETTINGS


def test_a_candidate_over_the_budget_is_never_trained(tmp_path: Path) -> None:
    budget = Budget(peak_bytes=30_000, parameter_bytes=20_000)
    state = drive(tmp_path, settings=replace(SETTINGS, budget=budget))
    assert sum(found.rejected for found in state.rounds) > 0
    assert all(c.peak_intermediate_bytes <= 30_000 and c.parameter_bytes <= 20_000 for c in state.chosen.values())


def test_a_budget_that_nothing_meets_ends_the_search_and_says_why(tmp_path: Path) -> None:
    state = drive(tmp_path, settings=replace(SETTINGS, budget=Budget(peak_bytes=1)))
    assert state.finished.startswith("all 56 candidates are over the budget: the least peak is ")
    least = min(screen(candidate).peak_intermediate_bytes for candidate in generate(SMALL.build([])))
    assert f"{least:,} B (float32, reference)" in state.finished
    assert best_standing(state) is None
    assert state.tournaments == ()


def test_a_time_budget_writes_down_what_it_cuts_off(tmp_path: Path) -> None:
    now = [0.0]
    with Journal(tmp_path) as journal:
        start(journal, limits=Limits(seconds=10))
        search = Search(tmp_path, journal, lambda: now[0])
        jobs = search.ask()
        for job in jobs[:2]:
            search.tell(made_up(job))
        now[0] = 11.0
        search.tell(replace(made_up(jobs[2]), status="timed out"))
        assert search.ask() == []
    state = fold(read_journal(tmp_path)[0])
    assert state.finished == "the time is up"
    assert state.rounds[0].cut == {job.candidate for job in jobs[2:]}
    assert state.rounds[0].winner in {job.candidate for job in jobs[:2]}


def test_what_time_leaves_of_a_round_is_no_larger_than_the_rest(tmp_path: Path) -> None:
    """Only the last few begin with the longest: a search that is cut off early had trained its largest alone."""
    with Journal(tmp_path) as journal:
        start(journal, replace(SETTINGS, sample=24))
        search = Search(tmp_path, journal, lambda: 0.0)
        jobs = search.ask()
    numbers = [job.candidate for job in jobs]
    macs = [count_macs(search.state.chosen[number].architecture) for number in numbers]
    assert len(jobs) > 2 * _LAST
    assert numbers[:-_LAST] == sorted(numbers)[:-_LAST]
    assert macs[-_LAST:] == sorted(macs[-_LAST:], reverse=True)
    assert macs != sorted(macs, reverse=True)


def test_a_round_that_time_cut_off_goes_on_when_there_is_more(whole: SearchState, tmp_path: Path) -> None:
    """Cut before anything was trained, then after three visits: with time enough it chooses what it always does."""
    now = [0.0]
    for told in (0, 3):
        folder = tmp_path / str(told)
        now[0] = 0.0
        with Journal(folder) as journal:
            start(journal, limits=Limits(seconds=10))
            found = Search(folder, journal, lambda: now[0])
            for job in found.ask()[:told]:
                found.tell(made_up(job))
            now[0] = 11.0
            assert found.ask() == []
            assert found.state.finished == "the time is up"
            journal.append("resumed", {"limits": ENDLESS.to_json()})
        assert decisions(drive(folder)) == decisions(whole)


def test_what_comes_of_a_later_rung_changes_no_ranking_at_an_earlier_one(tmp_path: Path) -> None:
    state = drive(tmp_path)
    seen = 0
    for found in state.rounds:
        for rung in (0, 1):
            told = {c.candidate for c in found.chosen if any(o.rung == rung for o in state.outcomes[c.candidate])}
            failed = {n for n in told if next(o for o in state.outcomes[n] if o.rung == rung).status != "ok"}
            later = {n for n in told - failed if any(o.status != "ok" for o in state.outcomes[n])}
            assert set(scores_of_round(state, found, rung)) == told - failed
            seen += len(later)
    assert seen > 0


def test_when_time_ends_the_first_rung_a_network_leads_and_none_is_the_best(tmp_path: Path) -> None:
    state = drive(tmp_path, stop_after=3)
    now = [0.0]
    with Journal(tmp_path) as journal:
        journal.append("resumed", {"limits": Limits(seconds=state.seconds + 10).to_json()})
        search = Search(tmp_path, journal, lambda: now[0])
        now[0] = 11.0
        assert search.ask() == []
    assert leader(search.state) == search.state.rounds[0].winner is not None
    assert best_standing(search.state) is None


@pytest.mark.parametrize(
    ("kind", "data"),
    [("outcome", "{"), ("nonsense", "{}"), ("closed", "{}"), ("started", '{"settings": {}}'), ("round", "[]")],
)
def test_a_damaged_event_is_one_clear_error(tmp_path: Path, kind: str, data: str) -> None:
    drive(tmp_path, stop_after=1)
    database = sqlite3.connect(tmp_path / "search.db", isolation_level=None)
    database.execute("INSERT INTO events (kind, at, spent, data) VALUES (?, 0, 0, ?)", (kind, data))
    database.close()
    with pytest.raises(InputError, match="event"):
        status(tmp_path)


def test_a_resumed_search_keeps_its_limits_unless_others_are_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    class Pool:
        """Trains nothing and takes note of what it was made for."""

        def __init__(self, count: int, *_: object, **__: object) -> None:
            seen.append(count)

        def __enter__(self) -> Pool:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def run(self, jobs: list[Job], deadline: float, more: object) -> Iterator[Outcome]:
            return (made_up(job) for job in jobs)

    monkeypatch.setattr("memprof.nas.searching.workers.WorkerPool", Pool)
    state = search(tmp_path, SETTINGS, Limits(rounds=1, workers=3))
    assert (len(state.rounds), state.finished) == (1, "1 round is done")
    assert len(resume(tmp_path).rounds) == 1
    assert saved_search(tmp_path) == (SETTINGS, Limits(rounds=1, workers=3))
    assert len(resume(tmp_path, Limits(rounds=2, workers=2)).rounds) == 2
    assert saved_search(tmp_path) == (SETTINGS, Limits(rounds=2, workers=2))
    assert seen == [3, 2]


def test_an_outcome_that_is_told_twice_counts_once(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        start(journal)
        found = Search(tmp_path, journal, lambda: 0.0)
        outcome = made_up(found.ask()[0])
        assert found.tell(outcome)
        assert not found.tell(outcome)
        assert sum(event.kind == "outcome" for event in journal.events()) == 1


def test_a_search_that_is_over_starts_no_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    finished = drive(tmp_path)

    def no_pool(*_: object, **__: object) -> None:
        raise AssertionError("a worker was started")

    monkeypatch.setattr("memprof.nas.searching.workers.WorkerPool", no_pool)
    assert resume(tmp_path).finished == finished.finished


def test_weights_of_an_earlier_rung_go_when_the_later_ones_are_told(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        start(journal)
        found = Search(tmp_path, journal, lambda: 0.0)
        (tmp_path / "weights" / "7-0.123.part").touch()
        while len(found.state.rounds) < 2 and (jobs := found.ask()):
            for job in jobs:
                Path(job.checkpoint).touch()
                assert not job.resume_from or Path(job.resume_from).is_file()
                assert job.parent is None or Path(job.parent.checkpoint).is_file()
                found.tell(made_up(job))
        kept = {path.name for path in (tmp_path / "weights").glob("*.pt")}
        assert {found.checkpoint(n).name for n in found.state.chosen if found.state.measures(n)} <= kept
        assert found.state.outcomes
        assert not any(
            f"{n}-{rung}.pt" in kept
            for n, visits in found.state.outcomes.items()
            for rung in range(sum(o.status == "ok" for o in visits) - 1)
        )
        Search(tmp_path, journal, lambda: 0.0)
        assert not list((tmp_path / "weights").glob("*.part"))


def test_the_forecast_counts_the_epochs_that_are_left_and_keeps_to_the_time_budget(tmp_path: Path) -> None:
    """Six candidates and rungs of 1, 2 and 4 epochs: 6 + 3 + 2 epochs a round, a second each here."""
    state = drive(tmp_path, stop_after=6)
    final = 3 * 2 * 3  # the first round's winner and two more, two seeds of three epochs
    assert forecast_seconds(replace(state, limits=Limits(rounds=1))) == pytest.approx(3 + 2 + final)
    assert forecast_seconds(replace(state, limits=Limits(rounds=2))) == pytest.approx(5 + 11 + 4 + final)
    assert forecast_seconds(replace(state, limits=Limits(rounds=2, workers=2))) == pytest.approx((20 + final) / 2)
    assert forecast_seconds(SearchState()) is None
    with Journal(tmp_path) as journal:
        journal.append("resumed", {"limits": Limits(rounds=2, seconds=9).to_json()})
        assert Search(tmp_path, journal, lambda: 0.0).forecast == pytest.approx(9, abs=0.5)


def test_the_front_holds_who_is_not_beaten_in_all_three(whole: SearchState) -> None:
    def triple(number: int) -> tuple[float, int, int]:
        found = worths[number]
        return -found.accuracy, found.parameter_bytes, found.peak_intermediate_bytes

    worths = worth(whole)
    trained = list(worths)
    expected = {
        a
        for a in trained
        if not any(
            all(x <= y for x, y in zip(triple(b), triple(a), strict=True)) and triple(b) != triple(a) for b in trained
        )
    }
    assert set(front_of_search(whole)) == expected
