"""A progress bar for a search: the round, what is being trained, the best so far, and the time left. On stderr."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from memprof.render.search import format_duration

if TYPE_CHECKING:
    from memprof.nas.jobs import Outcome
    from memprof.nas.rounds import Search


class SearchProgress:
    """Watches a search; use it as a context manager. Silent where stderr is no terminal, but for a line per round."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        self._is_terminal = console.is_terminal
        self._console = console
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            TextColumn("{task.fields[best]}"),
            console=console,
            disable=not self._is_terminal,
        )
        self._task: TaskID | None = None
        self._round = -1
        self._done = 0
        self._best = 0.0

    def __enter__(self) -> SearchProgress:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def watch(self, search: Search, outcome: Outcome | None) -> None:
        """Take note of a decision (no outcome) or of what came of a job."""
        if not search.state.rounds:
            return
        found = search.state.rounds[-1]
        if found.index != self._round:
            self._open(found.index, len(found.chosen), found.generated, search)
        if outcome is not None and self._task is not None:
            if outcome.status == "ok":
                self._best = max(self._best, outcome.accuracy)
            else:
                self._progress.console.print(
                    f"candidate {outcome.candidate}: {outcome.status} ({outcome.message})", style="dim", markup=False
                )
            self._progress.update(
                self._task,
                advance=1 if outcome.rung == 0 else 0,
                best=f"best accuracy {self._best:.1%}",
                left=_left(search),
            )

    def _open(self, index: int, chosen: int, generated: int, search: Search) -> None:
        self._round = index
        if self._task is not None:
            self._progress.remove_task(self._task)
        text, left = f"round {index + 1}: {chosen} of {generated} candidates", _left(search)
        if not self._is_terminal:
            self._console.print(f"{text}{', ' if left else ''}{left}", markup=False, highlight=False)
        self._task = self._progress.add_task(text, total=chosen, best="", left=left)


def _left(search: Search) -> str:
    """Return about how long the search still takes, in words; nothing while nobody can know."""
    seconds = search.forecast
    return "" if seconds is None else f"about {format_duration(seconds)} left"


class TrainingProgress:
    """A bar over the epochs of one training; use it as a context manager."""

    def __init__(self, epochs: int) -> None:
        console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("epoch"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[loss]}"),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task("", total=epochs, loss="")

    def __enter__(self) -> TrainingProgress:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def watch(self, epoch: int, loss: float) -> None:
        """Take note of a finished epoch."""
        self._progress.update(self._task, completed=epoch, loss=f"loss {loss:.3f}")
