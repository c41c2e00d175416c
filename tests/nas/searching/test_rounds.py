"""The search decides the same whatever happens to its process; outcomes are made up, so nothing is trained here."""

from __future__ import annotations

import json
import random
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from memprof.errors import InputError, UsageError
from memprof.nas.jobs import Job, Outcome, derive_seed
from memprof.nas.rank.metric import Metric
from memprof.nas.record.forecast import forecast_seconds
from memprof.nas.record.journal import Event, Journal, read_journal
from memprof.nas.record.scores import front_of_search, leader, order_of_round, scores_of_round, worth
from memprof.nas.record.settings import Limits, Settings
from memprof.nas.record.state import SearchState, fold
from memprof.nas.record.summarizing import status, summarize
from memprof.nas.record.summary import SearchSummary
from memprof.nas.record.tournament import best_standing, standings
from memprof.nas.searching.rounds import Search
from memprof.nas.searching.run import resume, saved_search, search
from memprof.nas.space.budget import Budget
from memprof.nas.space.generator import generate
from memprof.nas.space.screening import count_macs, screen
from memprof.nas.train.recipe import Recipe
from tests.nas.networks import SMALL

SETTINGS = Settings(
    dataset="digits",
    template=SMALL,
    seed=3,
    metric=Metric(accuracy_weight=0.97),
    budget=Budget(),
    goal="metric",
    finalists=2,
    final_seeds=2,
    final_epochs=3,
    max_cells=3,
    sample=6,
    top_k=4,
    ranker="ridge",
    recipe=Recipe(epochs=4),
    rungs=(1, 2, 4),
)


ENDLESS = Limits()


def made_up(job: Job) -> Outcome:
    """Return an outcome that depends on the job alone, as training does; some candidates fail, at any rung."""
    rng = random.Random(derive_seed(job.seed, "outcome", job.rung))
    is_final = job.until == SETTINGS.final_epochs  # so that the tournament always has somebody to judge
    status = "diverged" if not is_final and derive_seed(job.seed, "fails", job.rung) % 6 == 0 else "ok"
    accuracy = 0.5 + 0.3 * rng.random() + 0.05 * job.rung if status == "ok" else 0.0
    return Outcome(
        candidate=job.candidate,
        rung=job.rung,
        status=status,  # type: ignore[arg-type]
        accuracy=accuracy,
        epochs=job.until,
        loss=None,
        seconds=1.0,
    )


def start(journal: Journal, settings: Settings = SETTINGS, limits: Limits = ENDLESS) -> None:
    journal.append("started", {"settings": settings.to_json(), "limits": limits.to_json()})


def drive(
    folder: Path,
    *,
    settings: Settings = SETTINGS,
    order: Callable[[list[Job]], None] = lambda jobs: None,
    stop_after: int | None = None,
) -> SearchState:
    """Run a search, perhaps only until some outcomes are told, as if its process were killed then."""
    told = 0
    with Journal(folder) as journal:
        if not journal.events():
            start(journal, settings)
        search = Search(folder, journal, lambda: 0.0)
        while jobs := search.ask():
            order(jobs)
            for job in jobs:
                if stop_after is not None and told >= stop_after:
                    return search.state
                search.tell(made_up(job))
                told += 1
        return search.state


def decisions(state: SearchState) -> list[object]:
    rounds = [(found.chosen, found.winner, found.score) for found in state.rounds]
    return [*rounds, *state.tournaments, best_standing(state)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> SearchState:
    return drive(tmp_path_factory.mktemp("whole"))


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

        def __init__(self, count: int, *_: object) -> None:
            seen.append(count)

        def __enter__(self) -> Pool:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def run(self, jobs: list[Job], deadline: float) -> Iterator[Outcome]:
            return (made_up(job) for job in jobs)

    monkeypatch.setattr("memprof.nas.searching.run.WorkerPool", Pool)
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

    def no_pool(*_: object) -> None:
        raise AssertionError("a worker was started")

    monkeypatch.setattr("memprof.nas.searching.run.WorkerPool", no_pool)
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


def test_another_search_is_refused_on_resume_with_both_values(tmp_path: Path) -> None:
    drive(tmp_path, stop_after=1)
    with pytest.raises(UsageError, match="seed is 3 here, 5 was asked for"):
        resume(tmp_path, Limits(), replace(SETTINGS, seed=5))


def test_a_folder_that_holds_a_search_is_not_started_again(tmp_path: Path) -> None:
    drive(tmp_path, stop_after=1)
    with pytest.raises(UsageError, match="already holds this search"):
        search(tmp_path, SETTINGS, Limits())


def test_two_processes_do_not_write_to_one_search(tmp_path: Path) -> None:
    with Journal(tmp_path), pytest.raises(UsageError, match="Another process"):
        Journal(tmp_path)


def test_a_folder_without_a_search_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="There is no search"):
        read_journal(tmp_path)


def test_a_file_that_is_no_journal_says_so(tmp_path: Path) -> None:
    (tmp_path / "search.db").write_bytes(b"not a database, and long enough to be looked at" * 100)
    with pytest.raises(InputError, match="not a search journal"):
        read_journal(tmp_path)


def test_a_transaction_that_was_torn_off_leaves_whole_events_only(tmp_path: Path) -> None:
    drive(tmp_path, stop_after=3)
    before = read_journal(tmp_path)[0]
    database = sqlite3.connect(tmp_path / "search.db")
    database.execute("BEGIN")
    database.execute("INSERT INTO events (kind, at, spent, data) VALUES ('outcome', 0, 0, '{')")
    database.close()  # never committed
    assert read_journal(tmp_path)[0] == before


def test_status_tells_running_from_interrupted_by_the_heartbeat(tmp_path: Path) -> None:
    drive(tmp_path, stop_after=2)
    events, beat = read_journal(tmp_path)
    soon, late = summarize(events, beat, beat + 1), summarize(events, beat, beat + 1000)
    stopped = summarize((*events, Event("stopped", beat, {})), beat, beat + 1000)
    assert [found.status for found in (soon, late, stopped) if found] == ["running", "interrupted", "stopped"]


def test_the_status_document_has_its_fields(whole: SearchState, tmp_path: Path) -> None:
    state = drive(tmp_path)
    events, beat = read_journal(tmp_path)
    found = summarize(events, beat, beat)
    assert found is not None
    data = found.to_json()
    assert data["schema"] == "memprof/nas-status/3"
    assert data["state"] == "finished"
    assert data["rounds"] == len(state.rounds)
    assert {"generated", "rejected", "trained", "failed"} <= set(data["candidates"])
    fields = {"architecture", "validation_accuracy", "parameter_bytes", "peak_intermediate_bytes", "score"}
    assert fields <= set(data["best"])
    assert all(fields - {"score"} <= set(one) for one in data["front"])
    assert data["candidates"]["failed"] > 0


def test_the_status_of_a_search_at_any_moment_comes_back_from_json(tmp_path: Path) -> None:
    drive(tmp_path)
    events, beat = read_journal(tmp_path)
    for end in range(1, len(events) + 1):
        found = summarize(events[:end], beat, beat)
        assert found is not None
        assert SearchSummary.from_json(json.loads(json.dumps(found.to_json()))) == found


def outcomes_by(accuracy: Callable[[Job, SearchState], float]) -> Callable[[Job, SearchState], Outcome]:
    def outcome(job: Job, state: SearchState) -> Outcome:
        return Outcome(
            candidate=job.candidate,
            rung=job.rung,
            status="ok",
            accuracy=accuracy(job, state),
            epochs=job.until,
            loss=None,
            seconds=1.0,
        )

    return outcome


def run_search(
    folder: Path, outcome: Callable[[Job, SearchState], Outcome], settings: Settings, limits: Limits = ENDLESS
) -> SearchState:
    with Journal(folder) as journal:
        start(journal, settings, limits)
        found = Search(folder, journal, lambda: 0.0)
        while jobs := found.ask():
            for job in jobs:
                found.tell(outcome(job, found.state))
        return found.state


def training_alone(job: Job, state: SearchState) -> float:
    """Return an accuracy that more epochs raise, inherited ones too, and the architecture does not."""
    behind = job.until + (state.epochs(state.rounds[-1].base) if job.parent and state.rounds[-1].base else 0)
    return 1 - 0.9**behind


@pytest.mark.parametrize("goal", ["front", "metric"])
def test_more_training_alone_gains_nothing(tmp_path: Path, goal: str) -> None:
    settings = replace(SETTINGS, goal=goal, rungs=(4,))  # type: ignore[arg-type]
    state = run_search(tmp_path, outcomes_by(training_alone), settings, Limits(rounds=5))
    assert len(state.rounds) == 5
    assert max(state.epochs(number) for number in state.outcomes) > 4
    assert {round(found.accuracy, 9) for found in worth(state).values()} == {round(1 - 0.9**4, 9)}
    assert {found.accuracy for found in standings(state)} == {1 - 0.9**3}
    best = best_standing(state)
    assert best is not None
    assert best.total_bytes == min(found.total_bytes for found in standings(state))


def test_the_base_trains_on_as_the_first_of_its_round_and_goes_all_the_way(whole: SearchState) -> None:
    for found in whole.rounds[1:]:
        base, *others = found.chosen
        assert base.is_base
        assert not any(c.is_base for c in others)
        assert found.base is not None
        assert base.architecture == whole.chosen[found.base].architecture
        visits = whole.outcomes[base.candidate]
        assert len(visits) == 3 or visits[-1].status != "ok"
        if visits[-1].status == "ok":
            assert scores_of_round(whole, found)[base.candidate] == 0.0


def test_without_inherited_weights_no_base_trains_on(tmp_path: Path) -> None:
    state = drive(tmp_path, settings=replace(SETTINGS, inherits=False))
    assert not any(chosen.is_base for chosen in state.chosen.values())
    assert all(state.epochs(n) <= 4 for n in state.outcomes)


def test_a_search_goes_back_to_its_base_when_nothing_pays(tmp_path: Path) -> None:
    first = outcomes_by(lambda job, state: 0.9 if len(state.rounds) < 2 or not job.parent else 0.5)

    def outcome(job: Job, state: SearchState) -> Outcome:
        found = first(job, state)
        is_base = state.chosen[job.candidate].is_base
        return replace(found, accuracy=0.9) if is_base else found

    settings = replace(SETTINGS, metric=Metric(accuracy_weight=1.0), rungs=(4,), sample=4)
    state = run_search(tmp_path, outcome, settings, Limits(rounds=3))
    for found in state.rounds[1:]:
        assert found.winner is not None
        assert state.chosen[found.winner].is_base
    assert len({state.origin(found.base) for found in state.rounds[1:] if found.base is not None}) == 1


def test_a_front_keeps_more_than_one_base(tmp_path: Path) -> None:
    settings = replace(SETTINGS, goal="front", rungs=(4,), sample=8)
    state = run_search(
        tmp_path,
        outcomes_by(lambda job, state: min(1.0, 0.3 + state.chosen[job.candidate].parameter_bytes / 1e5)),
        settings,
        Limits(rounds=4),
    )
    assert len({state.origin(found.base) for found in state.rounds[1:] if found.base is not None}) > 1


def test_what_cannot_win_without_an_error_is_not_trained_and_counted(tmp_path: Path) -> None:
    settings = replace(SETTINGS, metric=Metric(accuracy_weight=0.5), rungs=(4,))
    state = run_search(tmp_path, outcomes_by(lambda job, state: 0.95), settings, Limits(rounds=2))
    second = state.rounds[1]
    assert second.pruned > 100
    assert state.rounds[0].pruned == 0
    base = state.measures(second.base or 0)
    assert base is not None
    for chosen in second.chosen[1:]:
        flawless = replace(base, accuracy=1.0, parameter_bytes=chosen.parameter_bytes)
        flawless = replace(flawless, peak_intermediate_bytes=chosen.peak_intermediate_bytes)
        assert settings.metric.score(flawless, base) > 0


def test_a_trim_that_saves_neither_a_byte_nor_a_mac_is_no_candidate(whole: SearchState) -> None:
    assert sum(found.idle for found in whole.rounds) > 0
    trims = 0
    for found in whole.rounds[1:]:
        base = found.chosen[0] if found.chosen else None
        for chosen in found.chosen[1:]:
            assert base is not None
            if chosen.architecture.slots == base.architecture.slots:
                trims += 1
                assert (
                    chosen.parameter_bytes < base.parameter_bytes
                    or chosen.peak_intermediate_bytes < base.peak_intermediate_bytes
                    or count_macs(chosen.architecture) < count_macs(base.architecture)
                )
    assert trims > 0


def test_a_sample_holds_as_many_trims_as_growths_where_there_are_so_many(whole: SearchState) -> None:
    second = whole.rounds[1]
    base, *others = second.chosen
    trims = sum(chosen.architecture.slots == base.architecture.slots for chosen in others)
    assert trims == 3
    assert len(others) == 6


def test_a_tournament_trains_its_entrants_equally_from_fresh_weights(tmp_path: Path) -> None:
    seen: list[Job] = []

    def outcome(job: Job, state: SearchState) -> Outcome:
        seen.append(job)
        return made_up(job) if not state.tournaments else replace(made_up(job), status="ok", accuracy=0.6)

    state = run_search(tmp_path, outcome, SETTINGS)
    (final,) = state.tournaments
    numbers = [chosen.candidate for chosen in final.chosen]
    jobs = [job for job in seen if job.candidate in numbers]
    assert sorted(job.candidate for job in jobs) == numbers
    assert all(job.parent is None and not job.resume_from and job.until == 3 for job in jobs)
    assert len({job.seed for job in jobs}) == len(jobs) == 2 * len(final.entrants)
    assert final.yardstick == state.rounds[0].winner
    assert all(len(found.accuracies) == 2 for found in standings(state))
    assert [found.score for found in standings(state) if found.candidate == final.yardstick] == [0.0]


def test_only_repeats_that_all_have_done_count_and_who_fails_is_out(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        start(journal)
        found = Search(tmp_path, journal, lambda: 0.0)
        while not found.state.tournaments:
            jobs = found.ask()
            if not found.state.tournaments:
                for job in jobs:
                    found.tell(made_up(job))
        final = found.state.tournaments[0]
        ok = outcomes_by(lambda job, state: 0.5 + job.candidate / 1e4)
        half = len(final.entrants)
        for job in jobs[: half - 1]:
            found.tell(ok(job, found.state))
        assert standings(found.state) == ()
        found.tell(ok(jobs[half - 1], found.state))
        assert all(len(s.accuracies) == 1 and s.standard_error is None for s in standings(found.state))
        found.tell(replace(ok(jobs[half], found.state), status="diverged", accuracy=0.0))
        assert final.entrants[0] not in {s.candidate for s in standings(found.state)}
        for job in found.ask():
            found.tell(ok(job, found.state))
        assert found.ask() == []
        assert all(len(s.accuracies) == 2 and s.standard_error is not None for s in standings(found.state))


def test_a_search_with_more_time_goes_on_and_holds_another_tournament(tmp_path: Path) -> None:
    first = run_search(tmp_path, lambda job, state: made_up(job), SETTINGS, Limits(rounds=1))
    assert [t.after for t in first.tournaments] == [1]
    with Journal(tmp_path) as journal:
        journal.append("resumed", {"limits": Limits(rounds=2).to_json()})
        found = Search(tmp_path, journal, lambda: 0.0)
        while jobs := found.ask():
            for job in jobs:
                found.tell(made_up(job))
    assert [t.after for t in found.state.tournaments] == [1, 2]
    assert len({c.candidate for t in found.state.tournaments for c in t.chosen}) == 2 * sum(
        len(t.entrants) for t in found.state.tournaments
    )


def test_a_time_budget_keeps_a_part_for_the_tournament(tmp_path: Path) -> None:
    now = [0.0]
    with Journal(tmp_path) as journal:
        start(journal, replace(SETTINGS, max_cells=9), Limits(seconds=100))
        found = Search(tmp_path, journal, lambda: now[0])
        while jobs := found.ask():
            for job in jobs:
                now[0] += 1.0
                found.tell(made_up(job))
    (final,) = found.state.tournaments
    assert found.state.finished == "the time is up"
    assert all(chosen.candidate in found.state.outcomes for chosen in final.chosen if standings(found.state))
    assert now[0] <= 100 + 1


def test_rounds_are_ordered_by_fronts_where_the_front_is_the_goal(whole: SearchState) -> None:
    settings = replace(SETTINGS, goal="front")
    state = replace(whole, settings=settings)
    for found in state.rounds:
        ordered = order_of_round(state, found)
        measures = [state.measures(number) for number in ordered]
        for place, one in enumerate(measures):
            assert one is not None
            for later in measures[place + 1 :]:
                assert later is not None
                assert not (
                    later.accuracy > one.accuracy
                    and later.parameter_bytes <= one.parameter_bytes
                    and later.peak_intermediate_bytes <= one.peak_intermediate_bytes
                )
