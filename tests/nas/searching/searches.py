"""Searches whose outcomes are made up: what the tests of rounds, folders and tournaments share."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

from memprof.nas.jobs import Job, Outcome, derive_seed
from memprof.nas.rank.metric import Metric
from memprof.nas.record.journal import Journal
from memprof.nas.record.settings import Limits, Settings
from memprof.nas.record.state import SearchState
from memprof.nas.record.tournament import best_standing
from memprof.nas.searching.rounds import Search
from memprof.nas.space.budget import Budget
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
