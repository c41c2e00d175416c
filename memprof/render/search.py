"""What a search found, for people: the state and the best network first, the next command last. 80 columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

from rich.table import Table
from rich.text import Text

from memprof.render.terminal import open_screen
from memprof.text import safe_text
from memprof.units import format_bytes

if TYPE_CHECKING:
    from memprof.nas.controller_bench import ControllerBench
    from memprof.nas.summary import CandidateSummary, SearchSummary


def render_search(summary: SearchSummary, folder: str, stream: TextIO) -> None:
    """Write a summary: state, best network, rounds, Pareto front, and the next command."""
    screen = open_screen(stream)
    screen.show(Text(_headline(summary), style="bold"))
    totals = summary.to_json()["candidates"]
    screen.show(
        Text(
            f"{totals['generated']:,} candidates considered, {totals['rejected']:,} over budget, "
            f"{totals['trained']} trained, {totals['failed']} failed; {format_duration(summary.seconds)}"
        )
    )
    if summary.best is not None:
        screen.show(Text(f"Best: {_describe(summary.best)}", style="bold"))
        screen.show(Text(f"Metric against the first round's winner: {summary.best_score:+.4f}"))
    screen.show()
    screen.show(_rounds(summary))
    if summary.front:
        screen.show()
        screen.show(_front(summary))
    screen.show()
    screen.show(Text(_next_command(summary, folder)), keep_lines=True)


def render_controllers(found: ControllerBench, stream: TextIO) -> None:
    """Write what each ranker scored, and under it what chance alone scores."""
    screen = open_screen(stream)
    table = _table("ranker", *found.bands)
    for name, scores in found.scores.items():
        table.add_row(name, *(f"{scores[column]:.3f}" for column in found.bands))
    table.add_row("95 % of chance, from", *(f"{band.low:.3f}" for band in found.bands.values()))
    table.add_row("to", *(f"{band.high:.3f}" for band in found.bands.values()))
    screen.show(table)


def _headline(summary: SearchSummary) -> str:
    count = len(summary.rounds)
    text = f"Search {summary.status}: {count} {'round' if count == 1 else 'rounds'} on {summary.settings.dataset}"
    return safe_text(f"{text} ({summary.reason})" if summary.reason else text)


def _describe(found: CandidateSummary) -> str:
    accuracy = "?" if found.validation_accuracy is None else f"{found.validation_accuracy:.2%}"
    return (
        f"candidate {found.candidate}, {accuracy} on validation images, "
        f"{format_bytes(found.parameter_bytes)} of parameters, "
        f"peak {format_bytes(found.peak_intermediate_bytes)}"
    )


def _rounds(summary: SearchSummary) -> Table:
    table = _table("round", "considered", "rejected", "trained", "failed", "winner", "accuracy", "metric")
    accuracy = {found.candidate: found.validation_accuracy for found in summary.candidates}
    for found in summary.rounds:
        won = None if found.winner is None else accuracy[found.winner]
        table.add_row(
            str(found.index + 1),
            f"{found.generated:,}",
            f"{found.rejected:,}",
            f"{found.trained}/{found.chosen}",
            str(found.failed),
            "" if found.winner is None else str(found.winner),
            "" if won is None else f"{won:.2%}",
            "" if found.score is None else f"{found.score:+.4f}",
        )
    return table


def _front(summary: SearchSummary) -> Table:
    table = _table("Pareto front", "accuracy", "parameters", "peak", "epochs")
    for found in summary.front:
        table.add_row(
            f"candidate {found.candidate}",
            "" if found.validation_accuracy is None else f"{found.validation_accuracy:.2%}",
            format_bytes(found.parameter_bytes),
            format_bytes(found.peak_intermediate_bytes),
            str(found.epochs),
        )
    return table


def _table(first: str, *columns: str) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column(first)
    for column in columns:
        table.add_column(column, justify="right")
    return table


def _next_command(summary: SearchSummary, folder: str) -> str:
    place = safe_text(folder)
    match summary.status:
        case "running":
            return f"Watch it: memprof nas status {place}"
        case "stopped" | "interrupted":
            return f"Go on: memprof nas resume {place}"
        case "finished":
            return f"Next: memprof nas export {place}" if summary.best else f"Next: memprof nas status {place} --json"


def format_duration(seconds: float) -> str:
    """Return a time as people say it.

    >>> format_duration(92.3), format_duration(4000)
    ('1 min 32 s', '1 h 6 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
