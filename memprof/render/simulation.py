"""What simulated strategies reached, for people; and a bar while they run. 80 columns."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from memprof.render.terminal import open_screen

if TYPE_CHECKING:
    from memprof.nas.rank.simulate import Curve, Simulation

_COLUMNS = 4
"""Counts of trained networks that the table shows: a quarter, a half, three quarters, all."""


def render_simulation(found: Simulation, stream: TextIO) -> None:
    """Write the mean regret of each strategy at some counts, its band at the last, and what it lacks of memprof's."""
    screen = open_screen(stream)
    goal = "the front" if found.accuracy_weight is None else f"lambda {found.accuracy_weight:g}"
    seeds, has_band = ("1 seed", False) if found.seeds == 1 else (f"{found.seeds} seeds", True)
    screen.show(
        f"Regret on {screen.clean(found.table)}, {found.networks:,} networks, {seeds}; goal: {goal}",
        "Share of the front's area that is missing"
        if found.accuracy_weight is None
        else "Best score of the table less the best found",
    )
    screen.show()
    steps = len(found.counts)
    shown = sorted({max(0, round(steps * (i + 1) / _COLUMNS) - 1) for i in range(_COLUMNS)})
    table = Table(box=None, pad_edge=False)
    table.add_column("trained")
    for i in shown:
        table.add_column(f"{found.counts[i]:,}", justify="right")
    table.add_column("95 % of means", justify="right")
    table.add_column("more than memnas", justify="right")
    for name, curve in found.curves.items():
        table.add_row(
            name,
            *(f"{curve.means[i]:.4f}" for i in shown),
            f"{curve.lows[-1]:.4f}-{curve.highs[-1]:.4f}" if has_band else "one seed",
            "" if name == "memnas" else _behind(curve, has_band),
        )
    screen.show(table)


def _behind(curve: Curve, has_band: bool) -> str:
    mean, low, high = curve.lead
    return f"{mean:+.4f} ({low:+.4f} to {high:+.4f})" if has_band else f"{mean:+.4f}"


class SimulationProgress:
    """A bar over the runs of a simulation, on a terminal only; use it as a context manager."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("run"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
            auto_refresh=False,
        )
        self._task = self._progress.add_task("", total=None)

    def __enter__(self) -> SimulationProgress:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def refresh(self) -> None:
        """Draw the bar anew."""
        self._progress.refresh()

    def watch(self, done: int, of: int) -> None:
        """Take note of a finished run."""
        self._progress.update(self._task, completed=done, total=of, refresh=True)
