"""The honest yardstick: the base trains on, more training alone gains nothing, a tournament judges."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch")


from memprof.nas.jobs import Job, Outcome
from memprof.nas.rank.metric import Metric
from memprof.nas.record.journal import Journal
from memprof.nas.record.scores import order_of_round, scores_of_round, worth
from memprof.nas.record.settings import Limits
from memprof.nas.record.state import SearchState
from memprof.nas.record.tournament import best_standing, standings
from memprof.nas.searching.rounds import Search
from memprof.nas.space.generator import grow
from memprof.nas.space.screening import Footprint, count_macs, measure
from tests.nas.searching.searches import SETTINGS, drive, made_up, outcomes_by, run_search, start


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


def test_a_first_sample_holds_a_smallest_network_and_some_of_every_size(whole: SearchState) -> None:
    empty = SETTINGS.template.build([])
    everybody = sorted(size_of(measure(found, SETTINGS.budget)) for found in grow(empty, mirror_images=False))
    sample = sorted(c.parameter_bytes + c.peak_intermediate_bytes for c in whole.rounds[0].chosen)
    assert len(sample) == SETTINGS.sample
    assert sample[0] == everybody[0]
    parts = [everybody[1 + (len(everybody) - 1) * i // 5] for i in range(5)] + [everybody[-1]]
    assert all(low <= found <= high for found, low, high in zip(sample[1:], parts, parts[1:], strict=False))


def size_of(found: Footprint) -> int:
    return found.parameter_bytes + found.peak_intermediate_bytes


def test_a_front_may_start_from_nothing_again(tmp_path: Path) -> None:
    """What grows from a cell gains nothing here, so the cells that the first sample left out promise more."""
    settings = replace(SETTINGS, goal="front", rungs=(4,), sample=6, ranker="blend")

    def accuracy(job: Job, state: SearchState) -> float:
        found = state.chosen[job.candidate].architecture
        return 0.6 if found.slots == 1 and job.parent is None else 0.3

    state = run_search(tmp_path, outcomes_by(accuracy), settings, Limits(rounds=4))
    again = [found for found in state.rounds[1:] if found.base is None]
    assert again
    assert all(c.architecture.slots == 1 and not c.is_base for found in again for c in found.chosen)
    assert all(worth(state)[found.winner].accuracy == 0.6 for found in again if found.winner is not None)


def test_a_front_goes_on_from_others_when_one_has_all_its_cells(tmp_path: Path) -> None:
    settings = replace(SETTINGS, goal="front", rungs=(4,), max_cells=2)
    grown = outcomes_by(lambda job, state: 0.4 + 0.2 * state.chosen[job.candidate].architecture.slots)
    state = run_search(tmp_path, grown, settings, Limits(rounds=5))
    assert len(state.rounds) == 5
    assert (
        max(state.chosen[found.winner].architecture.slots for found in state.rounds if found.winner is not None) == 2
    )


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


def test_a_trim_that_saves_neither_a_byte_nor_a_mac_is_no_candidate(tmp_path: Path) -> None:
    whole = drive(tmp_path, settings=replace(SETTINGS, seed=4))
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
        (failed,) = (entrant for entrant in final.entrants if jobs[half].candidate in final.trainings(entrant))
        assert failed not in {s.candidate for s in standings(found.state)}
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


@pytest.mark.parametrize("is_killed", [False, True])
@pytest.mark.parametrize(("rounds", "seconds"), [(1, 30), (2, 78)], ids=["round cut off", "rounds done"])
def test_a_short_tournament_is_held_anew_once_there_is_time_for_a_fuller_one(
    tmp_path: Path, rounds: int, seconds: int, is_killed: bool
) -> None:
    now, settings = [0.0], replace(SETTINGS, finalists=3, final_seeds=2)
    whole = run_search(
        tmp_path / "whole", lambda job, state: made_up(job), settings, Limits(rounds=rounds, seconds=1e4)
    )
    folder = tmp_path / "short"
    with Journal(folder) as journal:
        start(journal, settings, Limits(rounds=rounds, seconds=seconds))
        found = Search(folder, journal, lambda: now[0])
        while (jobs := found.ask()) and not (is_killed and found.state.final):
            for job in jobs:
                now[0] += 4.0
                found.tell(made_up(job))
    (short,) = found.state.tournaments
    for _ in range(2):  # the second time there is nothing to add
        with Journal(folder) as journal:
            journal.append("resumed", {"limits": Limits(rounds=rounds, seconds=1e4).to_json()})
            found = Search(folder, journal, lambda: 0.0)
            while jobs := found.ask():
                for job in jobs:
                    found.tell(made_up(job))
    assert len(found.state.tournaments) == 2
    full, expected = found.state.tournaments[-1], whole.tournaments[-1]
    assert len(short.chosen) * short.epochs < len(full.chosen) * full.epochs
    assert (full.entrants, full.repeats, full.epochs) == (expected.entrants, expected.repeats, expected.epochs)
    assert {s.candidate for s in standings(found.state)} == {s.candidate for s in standings(whole)}
    assert found.state.finished


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
