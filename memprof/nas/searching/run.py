"""Start, resume and drive a search with an engine that trains."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from memprof.base.errors import InputError, MemprofError, RuntimeFailure, UsageError
from memprof.nas.given.inside import inside
from memprof.nas.jobs import Outcome
from memprof.nas.record.journal import Journal, has_search, read_journal
from memprof.nas.record.settings import Limits, Settings
from memprof.nas.record.state import SearchState, fold
from memprof.nas.searching.engines import LOCAL, Engine, Work
from memprof.nas.searching.rounds import Search

if TYPE_CHECKING:
    from memprof.nas.train.trainer import Trainer

DATA = "data"
"""Folder of downloaded images inside a search's folder."""

Part = Literal["training", "all"]
"""What is trained on: the training images, or the validation images too, once there is nothing left to choose."""

OnOutcome = Callable[[Search, Outcome | None], None]
"""Called after every decision and outcome; the outcome is ``None`` after a decision."""


@dataclass(frozen=True, slots=True)
class TrainerRecipe:
    """Makes the trainer of a worker process; picklable.

    Attributes:
        settings: What the search does.
        root: Folder that data are downloaded to.
        device: Where to train.
        part: What to train on.
    """

    settings: Settings
    root: str
    device: str
    part: Part = "training"

    def __call__(self) -> Trainer:
        """Load the data and return a ``memprof.nas.train.trainer.Trainer``."""
        import torch

        from memprof.nas.train.data import load_training
        from memprof.nas.train.trainer import Trainer

        settings = self.settings
        data = load_training(
            settings.dataset, root=Path(self.root), limit=settings.image_limit, side=settings.image_side
        )
        if self.part == "all":
            data = data.with_validation
        return Trainer(data, settings.recipe, torch.device(self.device))


def search(
    folder: Path | str,
    settings: Settings,
    limits: Limits,
    on_outcome: OnOutcome = lambda search, outcome: None,
    engine: Engine = LOCAL,
) -> SearchState:
    """Start a new search in ``folder`` and run it to its end.

    Args:
        folder: Folder to make; the journal, the weights and downloaded data go there.
        settings: What the search does.
        limits: How long and where it runs.
        on_outcome: Called after every decision and outcome.
        engine: What trains.

    Raises:
        UsageError: The folder holds a search already, or another process runs it.
        KeyboardInterrupt: Ctrl-C; everything that was finished is in the journal.
    """
    folder = Path(folder)
    if has_search(folder):
        saved_search(folder)[0].refuse_other(settings)
        raise UsageError(
            f"{folder} already holds this search.",
            f"Go on with it: {shlex.join(['memprof', 'nas', 'resume', str(folder)])}",
        )
    with Journal(folder) as journal:
        journal.append("started", {"settings": settings.to_json(), "limits": limits.to_json()})
        return _drive(folder, journal, on_outcome, engine)


def resume(
    folder: Path | str,
    limits: Limits | None = None,
    settings: Settings | None = None,
    on_outcome: OnOutcome = lambda search, outcome: None,
    engine: Engine = LOCAL,
) -> SearchState:
    """Go on with the search in ``folder``; finished candidates are not trained again.

    Args:
        folder: Folder of the search.
        limits: How long and where it runs from here on; ``None`` for those it had.
        settings: What the caller thinks the search does; ``None`` to take what it was started with.
        on_outcome: Called after every decision and outcome.
        engine: What trains.

    Raises:
        InputError: There is no search in the folder.
        UsageError: ``settings`` differ from those it was started with, or another process runs it.
        RuntimeFailure: The machine is in the way: data that cannot be loaded, a full disk. No candidate is blamed.
        KeyboardInterrupt: Ctrl-C; everything that was finished is in the journal.
    """
    folder = Path(folder)
    saved_settings, saved_limits = saved_search(folder)
    if settings is not None:
        saved_settings.refuse_other(settings)
    with Journal(folder) as journal:
        journal.append("resumed", {"limits": (limits or saved_limits).to_json()})
        return _drive(folder, journal, on_outcome, engine)


def saved_search(folder: Path) -> tuple[Settings, Limits]:
    """Return what the search in ``folder`` does, and how long and where it last ran.

    Raises:
        InputError: There is no search in the folder.
    """
    state = fold(read_journal(folder)[0])
    if state.settings is None:
        raise InputError(f"The search in {folder} never started.", "Start it: memprof nas search --output DIR")
    return state.settings, state.limits


def _drive(folder: Path, journal: Journal, on_outcome: OnOutcome, engine: Engine) -> SearchState:
    decisions = Search(folder, journal, time.monotonic)
    if not decisions.ask():  # over already: no worker need start
        return decisions.state
    limits = decisions.limits
    root = str(inside(folder.resolve(), DATA))
    work = Work(
        folder=folder.resolve(),
        factories=tuple(TrainerRecipe(decisions.settings, root, device) for device in limits.devices),
        device=limits.device,
        workers=limits.workers,
        threads=limits.threads,
        lanes=limits.lanes,
    )
    try:
        with engine.start(work) as pool:
            while jobs := decisions.ask():
                on_outcome(decisions, None)
                more = decisions.newly_ready(jobs)
                for outcome in pool.run(jobs, time.monotonic() + decisions.round_seconds_left, more):
                    if decisions.tell(outcome):
                        on_outcome(decisions, outcome)
    except (KeyboardInterrupt, MemprofError):
        with suppress(RuntimeFailure):  # a disk that is full takes no farewell either
            decisions.stop()
        raise
    return decisions.state
