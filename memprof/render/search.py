"""What a search found, for people: the state and the best network first, the next command last. 80 columns."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, TextIO

from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from memprof.render.terminal import Screen, open_screen
from memprof.text import safe_text
from memprof.units import format_bytes

if TYPE_CHECKING:
    from memprof.nas.rank.bench import ControllerBench
    from memprof.nas.record.summary import CandidateSummary, SearchSummary


def render_search(summary: SearchSummary, folder: str, stream: TextIO) -> None:
    """Write a summary: state, best network, rounds, Pareto front, and the next command."""
    screen = open_screen(stream)
    screen.show(*(Text(line, style="bold") for line in _headline(summary, screen)))
    totals = summary.to_json()["candidates"]
    screen.show(
        f"{totals['generated']:,} candidates considered, {totals['rejected']:,} over budget, "
        f"{totals['trained']:,} trained, {totals['failed']:,} failed",
        describe_time(summary),
    )
    if summary.best is not None:
        screen.show(*(Text(line, style="bold") for line in _best(summary.best)))
        screen.show(f"Metric against the first round's winner: {summary.best_score:+.4f}")
        if (summary.best.validation_accuracy or 0.0) < 2 / summary.settings.template.classes:
            screen.show("Hardly better than chance: a higher --lambda weighs accuracy more.")
    screen.show()
    screen.show(_rounds(summary))
    if summary.front:
        screen.show()
        screen.show(_front(summary))
    screen.show()
    screen.show(Text(_next_command(summary, folder)), keep_lines=True)


def describe_time(summary: SearchSummary) -> str:
    """Return in a line how long a search ran and how long it trained what."""
    epochs = sum(found.epochs for found in summary.candidates)
    training = format_duration(sum(found.seconds for found in summary.candidates))
    return f"{format_duration(summary.seconds)} in all, {training} of training over all workers, {epochs:,} epochs"


def render_controllers(found: ControllerBench, stream: TextIO) -> None:
    """Write what each ranker scored, and under it what chance alone scores."""
    screen = open_screen(stream)
    table = _table("ranker", *found.bands)
    for name, scores in found.scores.items():
        table.add_row(name, *(f"{scores[column]:.3f}" for column in found.bands))
    table.add_row("95 % of chance, from", *(f"{band.low:.3f}" for band in found.bands.values()))
    table.add_row("to", *(f"{band.high:.3f}" for band in found.bands.values()))
    screen.show(table)


def _headline(summary: SearchSummary, screen: Screen) -> list[str]:
    """Return the state in one line, and the reason in one of its own where both do not fit."""
    count = len(summary.rounds)
    text = f"Search {summary.status}: {count} {'round' if count == 1 else 'rounds'} on "
    text += screen.fit(safe_text(summary.settings.dataset), screen.width - len(text))
    if not summary.reason:
        return [text]
    reason = f"({screen.clean(summary.reason)})"
    return [f"{text} {reason}"] if cell_len(text) + cell_len(reason) < screen.width else [text, reason]


def _best(found: CandidateSummary) -> tuple[str, str]:
    accuracy = "?" if found.validation_accuracy is None else f"{found.validation_accuracy:.2%}"
    return (
        f"Best: candidate {found.candidate}, {accuracy} on validation images,",
        f"      {format_bytes(found.parameter_bytes)} of parameters, "
        f"peak {format_bytes(found.peak_intermediate_bytes)}",
    )


def _rounds(summary: SearchSummary) -> Table:
    table = _table("round", "considered", "over budget", "trained", "failed", "winner", "accuracy", "vs base")
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
    match summary.status:
        case "running":
            lead, words = "Watch it", ["status", folder]
        case "stopped" | "interrupted":
            lead, words = "Go on", ["resume", folder]
        case "finished":
            lead, words = "Next", ["export", folder] if summary.best else ["status", folder, "--json"]
    return f"{lead}: {safe_text(shlex.join(['memprof', 'nas', *words]), limit=2000)}"


def format_duration(seconds: float) -> str:
    """Return a time as people say it.

    >>> format_duration(92.3), format_duration(4000), format_duration(1_000_000)
    ('1 min 32 s', '1 h 6 min', '11 d 13 h')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    if whole < 48 * 3600:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86_400} d {whole % 86_400 // 3600} h"
