"""A progress bar for a search: the round, its epochs, the time left, and the best so far. On stderr, 80 columns."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from memprof.base.text import safe_text

if TYPE_CHECKING:
    from memprof.nas.jobs import Outcome
    from memprof.nas.record import forecast


class SearchProgress:
    """Watches a search; use it as a context manager.

    A line for each round and each failure stays; under them, on a terminal only, the bar of the open round.

    Args:
        console: Where to; stderr if left out.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[epochs]}"),
            TextColumn("{task.fields[left]}"),
            TextColumn("{task.fields[best]}"),
            console=self._console,
            disable=not self._console.is_terminal,
            expand=True,
            auto_refresh=False,
        )
        self._task: TaskID = self._bar.add_task("preparing", total=None, epochs="", left="", best="")
        self._round = (-1, False)

    def __enter__(self) -> SearchProgress:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def refresh(self) -> None:
        """Draw the bar anew."""
        self._bar.refresh()

    def watch(self, progress: forecast.Progress, outcome: Outcome | None) -> None:
        """Show how far a search is, after a decision (no outcome) or after what came of a job."""
        if (progress.index, progress.is_final) != self._round:
            self._open(progress)
        if outcome is not None and outcome.status != "ok":
            self._print(f"candidate {outcome.candidate}: {outcome.status} ({safe_text(outcome.message)})", "dim")
        self._bar.update(self._task, refresh=True, **_bar_of(progress))

    def _open(self, progress: forecast.Progress) -> None:
        self._round = (progress.index, progress.is_final)
        left = describe_time_left(progress)
        name = "tournament" if progress.is_final else f"round {progress.index + 1}"
        facts = f"{name}: {progress.chosen:,} of {progress.generated:,} candidates"
        if progress.is_final:
            facts = f"{name}: the front from fresh weights"
        self._print(f"{facts}, {left}" if left else facts)
        self._bar.remove_task(self._task)
        self._task = self._bar.add_task(name, **_bar_of(progress))

    def _print(self, text: str, style: str = "") -> None:
        self._console.print(Text(text, style=style), soft_wrap=True)


def _bar_of(progress: forecast.Progress) -> dict[str, Any]:
    """Return what the bar shows."""
    return {
        "completed": progress.epochs_done,
        "total": progress.epochs_done + progress.epochs_left,
        "epochs": f"{progress.epochs_done:.0f}/{progress.epochs_done + progress.epochs_left:.0f} epochs",
        "left": describe_time_left(progress),
        "best": _describe_leading(progress),
    }


def _describe_leading(progress: forecast.Progress) -> str:
    """Return how accurate the network is that leads the round; only a tournament says which one is best."""
    if progress.leading is None:
        return ""
    return f"{'best' if progress.is_final else 'leads'} {progress.leading:.1%}"


def describe_time_left(progress: forecast.Progress) -> str:
    """Return about how long it still takes, in words; nothing while nobody can know."""
    if progress.seconds_left is None:
        return ""
    time = _roughly(max(0.0, progress.seconds_left))
    match progress.scope:
        case "round":
            return f"{time} left in this round"
        case "search":
            return f"{time} left"
        case "at most":
            return f"at most {time} left"


def _roughly(seconds: float) -> str:
    """Return a time no finer than anybody can know it.

    >>> _roughly(3), _roughly(47), _roughly(125), _roughly(8000), _roughly(200_000)
    ('a few seconds', 'about 50 s', 'about 2 min', 'about 2.2 h', 'about 2.3 days')
    """
    if seconds < 5:
        return "a few seconds"
    if seconds < 95:
        return f"about {max(10, 10 * round(seconds / 10))} s"
    if seconds < 5400:
        return f"about {seconds / 60:.0f} min"
    return f"about {seconds / 3600:.1f} h" if seconds < 172_800 else f"about {seconds / 86_400:.1f} days"


class TrainingProgress:
    """A bar over the epochs of one training; use it as a context manager."""

    def __init__(self, epochs: int) -> None:
        console = Console(stderr=True)
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("epoch"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[loss]}"),
            console=console,
            disable=not console.is_terminal,
            auto_refresh=False,
        )
        self._task = self._progress.add_task("", total=epochs, loss="")

    def __enter__(self) -> TrainingProgress:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def refresh(self) -> None:
        """Draw the bar anew."""
        self._progress.refresh()

    def watch(self, epoch: int, loss: float) -> None:
        """Take note of a finished epoch."""
        self._progress.update(self._task, completed=epoch, loss=f"loss {loss:.3f}", refresh=True)
