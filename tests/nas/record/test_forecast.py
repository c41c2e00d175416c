"""How far a search is: epochs that are still to be trained are those of candidates that still can be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch")


from memprof.nas.jobs import Job, Outcome, Status, derive_seed
from memprof.nas.rank.metric import Metric
from memprof.nas.record.forecast import (
    forecast_scope,
    forecast_seconds,
    measure_progress,
    plan_tournament,
    reserved_seconds,
)
from memprof.nas.record.journal import Journal
from memprof.nas.record.settings import Limits, Settings
from memprof.nas.record.state import Chosen, Round, SearchState
from memprof.nas.searching.rounds import Search
from memprof.nas.space.budget import Budget
from memprof.nas.space.generator import grow
from memprof.nas.train.recipe import Recipe
from tests.nas.networks import SMALL

SETTINGS = Settings(
    dataset="digits",
    template=SMALL,
    metric=Metric(accuracy_weight=1.0),
    budget=Budget(),
    goal="metric",
    finalists=0,
    max_cells=2,
    sample=6,
    top_k=4,
    ranker="ridge",
    recipe=Recipe(epochs=4),
    rungs=(1, 2, 4),
)
"""Six candidates a round: 6 + 3 + 2 epochs."""
ONE_ROUND = Limits(rounds=1)
NETWORK = next(grow(SMALL.build([])))


def visit(candidate: int, rung: int, status: Status = "ok", seconds: float | None = None) -> Outcome:
    """Return a visit that went as far as its rung, or failed at once; lower numbers are more accurate."""
    is_ok = status == "ok"
    until = SETTINGS.rungs[rung]
    return Outcome(
        candidate=candidate,
        rung=rung,
        status=status,
        accuracy=0.9 - 0.01 * candidate if is_ok else 0.0,
        epochs=until if is_ok else 0,
        loss=None,
        seconds=until - (0, *SETTINGS.rungs)[rung] if seconds is None else seconds,
    )


def state_of(
    *visits: Outcome,
    settings: Settings = SETTINGS,
    limits: Limits = ONE_ROUND,
    cut: frozenset[int] = frozenset(),
) -> SearchState:
    """Return a search in its first round of six candidates, after some visits; an epoch takes a second."""
    chosen = tuple(
        Chosen(candidate=i, architecture=NETWORK, parameter_bytes=1, peak_intermediate_bytes=1, predicted=None)
        for i in range(6)
    )
    opened = Round(index=0, base=None, generated=56, rejected=0, chosen=chosen, cut=cut)
    candidates = {found.candidate for found in visits}
    outcomes = {c: tuple(found for found in visits if found.candidate == c) for c in candidates}
    return SearchState(settings=settings, limits=limits, rounds=(opened,), outcomes=outcomes)


def first_rung(failed: frozenset[int] = frozenset()) -> list[Outcome]:
    return [visit(i, 0, "diverged" if i in failed else "ok") for i in range(6)]


def test_nobody_knows_before_a_visit_has_ended_well() -> None:
    assert forecast_seconds(SearchState()) is None
    assert forecast_seconds(state_of()) is None
    assert forecast_seconds(state_of(visit(0, 0, "crashed"))) is None


def test_what_is_left_is_the_rest_of_this_rung_and_the_better_half_of_it_in_later_ones() -> None:
    assert forecast_seconds(state_of(visit(0, 0))) == pytest.approx(5 + 3 + 2)
    assert forecast_seconds(state_of(*first_rung())) == pytest.approx(3 + 2)
    assert forecast_seconds(state_of(*first_rung(), visit(0, 1))) == pytest.approx(2 + 2)


def test_a_candidate_that_failed_or_was_cut_trains_no_more() -> None:
    assert forecast_seconds(state_of(*first_rung(frozenset({1, 2, 3, 4, 5})))) == pytest.approx(1 + 2)
    assert forecast_seconds(state_of(visit(0, 0), *(visit(i, 0, "crashed") for i in range(1, 5)))) == 1 + 2 * 1 + 2
    assert forecast_seconds(state_of(*first_rung(), visit(0, 1), visit(1, 1), visit(2, 1, "crashed"))) == 2
    assert forecast_seconds(state_of(visit(0, 0), cut=frozenset(range(1, 6)))) == pytest.approx(1 + 2)


def test_one_that_hung_does_not_make_the_others_slower() -> None:
    hung = visit(5, 0, "timed out", seconds=3600)
    assert forecast_seconds(state_of(visit(0, 0), hung)) == pytest.approx(4 + 3 + 2)


def test_workers_share_what_is_left() -> None:
    assert forecast_seconds(state_of(*first_rung(), limits=Limits(rounds=1, workers=2))) == pytest.approx(2.5)


@pytest.mark.parametrize(
    ("changes", "candidates"),
    [
        ({"sample": None}, 210),  # twice the inputs of the first round, and what grows is counted
        ({"sample": None, "mirror_images": True}, 392),
        ({"sample": 300}, 210),
        ({"first_rounds": 1}, 4),  # the top k
    ],
)
def test_a_later_round_is_as_large_as_it_may_be_if_that_many_can_grow(
    changes: dict[str, object], candidates: int
) -> None:
    settings = replace(SETTINGS, rungs=(4,), **changes)  # type: ignore[arg-type]
    state = state_of(*(visit(i, 0, seconds=1) for i in range(6)), settings=settings, limits=Limits(rounds=2))
    assert forecast_seconds(state) == pytest.approx((candidates + 1) * 4)  # and the base, which trains on


def test_the_share_that_is_over_the_budget_counts_for_later_rounds_too() -> None:
    settings = replace(SETTINGS, sample=None, rungs=(4,))
    state = state_of(*(visit(i, 0, seconds=1) for i in range(6)), settings=settings, limits=Limits(rounds=2))
    state = replace(state, rounds=(replace(state.rounds[0], rejected=28),))
    assert forecast_seconds(state) == pytest.approx((105 + 1) * 4)


def test_the_forecast_says_what_it_is_of() -> None:
    assert forecast_scope(state_of(limits=Limits())) == "round"
    assert forecast_scope(state_of(limits=Limits(seconds=9))) == "search"
    assert forecast_scope(state_of(limits=Limits(rounds=2))) == "search"
    assert forecast_scope(state_of(limits=Limits(rounds=3))) == "at most"  # two cells may be grown in two rounds


def test_a_tournament_costs_what_its_own_entrants_cost() -> None:
    """Half of the candidates are slow and not on the front: what they took says nothing about those that enter."""
    settings = replace(SETTINGS, goal="front", finalists=3, final_seeds=3, final_epochs=8, rungs=(4,))
    visits = [replace(visit(i, 0), epochs=4, seconds=4.0 if i < 3 else 400.0) for i in range(6)]
    limits = Limits(seconds=1000, workers=2)
    state = state_of(*visits, settings=settings, limits=limits)
    sizes = tuple(replace(c, parameter_bytes=(30, 20, 10, 10, 10, 10)[c.candidate]) for c in state.rounds[0].chosen)
    state = replace(state, rounds=(replace(state.rounds[0], chosen=sizes, winner=0, is_closed=True),))
    needed = 1.15 * 8 * (3 * 3 + 1) / 2  # nine trainings of eight seconds on two workers, and one that ends alone
    assert reserved_seconds(state, 1000) == pytest.approx(needed)
    assert plan_tournament(state, needed) == ([0, 2, 1], 3, 8)
    assert plan_tournament(state, 0.9 * needed) == ([0, 2], 3, 8)
    # the smallest field is two who train once: where eight epochs of each do not fit, four do, as a rung has
    smallest = 1.15 * (2 + 1) / 2
    assert plan_tournament(state, 8 * smallest)[1:] == (1, 8)
    assert plan_tournament(state, 4.5 * smallest)[1:] == (1, 4)
    assert plan_tournament(state, 0.1 * smallest) == ([], 0, 0)
    assert reserved_seconds(state_of(), 1000) == 0
    assert reserved_seconds(state_of(settings=settings), 1000) == 400


def test_a_search_for_the_front_ends_with_its_rounds_whatever_its_cells() -> None:
    settings = replace(SETTINGS, goal="front")
    assert forecast_scope(state_of(settings=settings, limits=Limits(rounds=3))) == "search"


def run(
    folder: Path, status_of: Callable[[Job], Status], watch: Callable[[Search, list[Job], float], None]
) -> SearchState:
    """Run a search of two rounds at a second an epoch; ``watch`` sees it before each visit."""
    with Journal(folder) as journal:
        journal.append("started", {"settings": SETTINGS.to_json(), "limits": Limits(rounds=2).to_json()})
        search = Search(folder, journal, lambda: 0.0)
        trained = 0.0
        while jobs := search.ask():
            for i, job in enumerate(jobs):
                watch(search, jobs[i:], trained)
                outcome = visit(job.candidate, job.rung, status_of(job))
                trained += outcome.seconds if outcome.status == "ok" else 0
                search.tell(outcome)
        return search.state


def test_the_forecast_of_a_search_without_failures_is_what_it_then_takes(tmp_path: Path) -> None:
    seen: list[tuple[float, float]] = []

    def watch(search: Search, jobs: list[Job], trained: float) -> None:
        left = forecast_seconds(search.state)
        if left is not None:
            seen.append((trained, left))

    state = run(tmp_path, lambda job: "ok", watch)
    assert {trained + left for trained, left in seen} == {2 * (6 + 3 + 2) + 4}
    assert forecast_seconds(state) == 0


@pytest.mark.parametrize("seed", range(4))
def test_whatever_fails_the_epochs_left_cover_the_jobs_and_end_at_none(tmp_path: Path, seed: int) -> None:
    def status_of(job: Job) -> Status:
        return "diverged" if derive_seed(seed, job.candidate, job.rung) % 3 == 0 else "ok"

    def watch(search: Search, jobs: list[Job], trained: float) -> None:
        progress = measure_progress(search.state, None)
        least = sum(job.until - (0, *SETTINGS.rungs)[job.rung] for job in jobs)
        kept = SETTINGS.rungs.index(jobs[0].until) + 1 < len(SETTINGS.rungs)
        assert progress.epochs_left >= least + kept
        assert progress.epochs_left == least or kept

    state = run(tmp_path, status_of, watch)
    assert forecast_seconds(state) == 0
    assert measure_progress(state, 0.0).epochs_left == 0


def test_progress_is_a_function_of_the_state_so_a_resumed_search_shows_what_it_has() -> None:
    progress = measure_progress(state_of(*first_rung(frozenset({5})), visit(0, 1)), 7.0)
    assert (progress.index, progress.generated, progress.chosen) == (0, 56, 6)
    assert (progress.epochs_done, progress.epochs_left) == (6, 2 + 2)
    assert progress.leading == pytest.approx(0.9)
    assert progress.seconds_left == 7.0
