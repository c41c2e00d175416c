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
from memprof.base.text import safe_text
from memprof.nas.given.inside import inside
from memprof.nas.jobs import Outcome
from memprof.nas.record.journal import Journal, has_search, read_journal
from memprof.nas.record.settings import Limits, Settings
from memprof.nas.record.space_file import read_space
from memprof.nas.record.state import SearchState, fold
from memprof.nas.searching.engines import LOCAL, Engine, Work
from memprof.nas.searching.rounds import Search

if TYPE_CHECKING:
    from memprof.nas.train.modules import Builders
    from memprof.nas.train.sharing import Share
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
        space_file: What declares layers of one's own whose modules are code that may run; ``None`` for no such code.
        share: What of a training is this process's; ``None`` for all.
    """

    settings: Settings
    root: str
    device: str
    part: Part = "training"
    space_file: Path | None = None
    share: Share | None = None

    def __call__(self) -> Trainer:
        """Load the data and return a ``memprof.nas.train.trainer.Trainer``."""
        import torch

        from memprof.nas.train.data import load_training
        from memprof.nas.train.sharing import ALONE
        from memprof.nas.train.trainer import Trainer

        settings = self.settings
        data = load_training(
            settings.dataset, root=Path(self.root), limit=settings.image_limit, side=settings.image_side
        )
        if self.part == "all":
            data = data.with_validation
        builders = builders_of(settings, self.space_file)
        return Trainer(data, settings.recipe, torch.device(self.device), builders=builders, share=self.share or ALONE)


def builders_of(settings: Settings, space_file: Path | None) -> Builders:
    """Return what makes the modules of a search's own layers; none where no code may run.

    Args:
        settings: What the search does.
        space_file: What declares the layers; their code runs.
    """
    from memprof.nas.train.modules import NO_BUILDERS
    from memprof.nas.train.own_modules import load_builders

    return NO_BUILDERS if space_file is None else load_builders(space_file, settings.own_layers)


def trusted(space_file: Path | None, settings: Settings) -> Path | None:
    """Return the file whose code makes modules of a search's own layers, checked; ``None`` where no code is needed.

    Args:
        space_file: The file that the user named and trusts; ``None`` for none.
        settings: What the search does.

    Raises:
        UsageError: A layer is made by code, and no file was named.
        InputError: The file declares other layers, or a module is not what its layer declares.
    """
    coded = [layer for layer in settings.own_layers if layer.module]
    if not coded:
        return None
    if space_file is None:
        raise UsageError(
            f"Layer {coded[0].name} is made by code of yours, {coded[0].module}, which is not at hand.",
            "Name its space file, and say that its code may run: --space FILE --trust.",
        )
    from memprof.nas.train.own_modules import check_builders

    declared = read_space(space_file).own
    if other := [layer for layer in settings.own_layers if layer not in declared]:
        raise InputError(
            f"{safe_text(str(space_file))} declares layer {other[0].name} in another way than the search, or not.",
            "Name the file that the search was started with.",
        )
    check_builders(coded, builders_of(settings, space_file))
    return space_file.resolve()


def search(
    folder: Path | str,
    settings: Settings,
    limits: Limits,
    on_outcome: OnOutcome = lambda search, outcome: None,
    engine: Engine = LOCAL,
    space_file: Path | None = None,
) -> SearchState:
    """Start a new search in ``folder`` and run it to its end.

    Args:
        folder: Folder to make; the journal, the weights and downloaded data go there.
        settings: What the search does.
        limits: How long and where it runs.
        on_outcome: Called after every decision and outcome.
        engine: What trains.
        space_file: What declares layers of one's own that code makes; that code runs.

    Raises:
        UsageError: The folder holds a search already, or another process runs it.
        MissingExtraError: The engine's library is not installed; nothing was written.
        KeyboardInterrupt: Ctrl-C; everything that was finished is in the journal.
    """
    folder = Path(folder)
    if has_search(folder):
        saved_search(folder)[0].refuse_other(settings)
        raise UsageError(
            f"{folder} already holds this search.",
            f"Go on with it: {shlex.join(['memprof', 'nas', 'resume', str(folder)])}",
        )
    engine.check()
    code = trusted(space_file, settings)
    with Journal(folder) as journal:
        journal.append("started", {"settings": settings.to_json(), "limits": limits.to_json()})
        return _drive(folder, journal, on_outcome, engine, code)


def resume(
    folder: Path | str,
    limits: Limits | None = None,
    settings: Settings | None = None,
    on_outcome: OnOutcome = lambda search, outcome: None,
    engine: Engine = LOCAL,
    space_file: Path | None = None,
) -> SearchState:
    """Go on with the search in ``folder``; finished candidates are not trained again.

    Args:
        folder: Folder of the search.
        limits: How long and where it runs from here on; ``None`` for those it had.
        settings: What the caller thinks the search does; ``None`` to take what it was started with.
        on_outcome: Called after every decision and outcome.
        engine: What trains.
        space_file: As for ``search``: a folder from somebody else names no code.

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
    engine.check()
    code = trusted(space_file, saved_settings)
    with Journal(folder) as journal:
        journal.append("resumed", {"limits": (limits or saved_limits).to_json()})
        return _drive(folder, journal, on_outcome, engine, code)


def saved_search(folder: Path) -> tuple[Settings, Limits]:
    """Return what the search in ``folder`` does, and how long and where it last ran.

    Raises:
        InputError: There is no search in the folder.
    """
    state = fold(read_journal(folder)[0])
    if state.settings is None:
        raise InputError(f"The search in {folder} never started.", "Start it: memprof nas search --output DIR")
    return state.settings, state.limits


def _drive(folder: Path, journal: Journal, on_outcome: OnOutcome, engine: Engine, code: Path | None) -> SearchState:
    decisions = Search(folder, journal, time.monotonic)
    try:
        if decisions.ask():  # else it is over already, and no worker need start
            with engine.start(_work(folder, decisions, code)) as pool:
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


def _work(folder: Path, decisions: Search, code: Path | None) -> Work:
    """Return what the engine of a search is to train with."""
    limits = decisions.limits
    root = str(inside(folder.resolve(), DATA))
    return Work(
        folder=folder.resolve(),
        factories=tuple(
            TrainerRecipe(decisions.settings, root, device, space_file=code) for device in limits.devices
        ),
        device=limits.device,
        workers=limits.workers,
        threads=limits.threads,
        lanes=limits.lanes,
    )
