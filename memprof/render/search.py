"""What a search found, for people: the state and the best network first, the next command last. 80 columns."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, TextIO

from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from memprof.base.text import safe_text
from memprof.base.units import format_bytes
from memprof.render.terminal import Screen, open_screen

if TYPE_CHECKING:
    from memprof.nas.rank.bench import ControllerBench
    from memprof.nas.record.summary import CandidateSummary, SearchSummary
    from memprof.nas.record.sweep import LambdaSweep
    from memprof.nas.record.tournament import Standing


def render_search(summary: SearchSummary, folder: str, stream: TextIO) -> None:
    """Write a summary: state, best network, rounds, Pareto front, and the next command."""
    screen = open_screen(stream)
    screen.show(*(Text(line, style="bold") for line in _headline(summary, screen)))
    totals = summary.to_json()["candidates"]
    screen.show(
        f"{totals['generated']:,} candidates considered, {totals['rejected']:,} over budget, "
        f"{totals['trained']:,} trained, {totals['failed']:,} failed",
        *([_describe_left_out(totals)] if totals["pruned"] or totals["idle"] else []),
        describe_time(summary),
    )
    if summary.best is not None:
        screen.show(*(Text(line, style="bold") for line in _best(summary.best)))
        screen.show(f"Metric against the first round's winner, trained alike: {summary.best.score:+.4f}")
        if summary.best.accuracy < 2 / summary.settings.template.classes:
            screen.show("Hardly better than chance: a higher --lambda weighs accuracy more.")
    elif summary.leader is not None:
        screen.show(*(Text(line, style="bold") for line in _leader(summary.leader, summary.undecided)))
    screen.show()
    screen.show(_rounds(summary))
    if summary.standings:
        screen.show()
        screen.show(_standings(summary))
    if summary.front:
        screen.show()
        screen.show(_front(summary))
        screen.show(Text(_WORTH, style="dim"))
    screen.show()
    screen.show(Text(_next_command(summary, folder)), keep_lines=True)


def _describe_left_out(totals: Mapping[str, int]) -> str:
    """Return how many candidates were none: too many bytes to win, or none saved."""
    return (
        f"{totals['pruned']:,} left out that could not win without an error, "
        f"{totals['idle']:,} trims that save nothing"
    )


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
        if found.repeats > 1:
            spans = (found.intervals[name][column] for column in found.bands)
            table.add_row(Text("  95 %", style="dim"), *(f"{low:.2f}-{high:.2f}" for low, high in spans))
    table.add_row("95 % of chance, from", *(f"{band.low:.3f}" for band in found.bands.values()))
    table.add_row("to", *(f"{band.high:.3f}" for band in found.bands.values()))
    screen.show(table)


def render_sweep(found: LambdaSweep, stream: TextIO) -> None:
    """Write what each lambda chooses of a search's networks."""
    screen = open_screen(stream)
    screen.show(
        f"{found.pool:,} networks trained to the end, each lambda's choice; the metric is against candidate "
        f"{found.yardstick}, the first round's winner"
    )
    screen.show()
    table = _table("lambda", "candidate", "worth", "parameters", "peak", "metric")
    for point in found.points:
        table.add_row(
            f"{point.accuracy_weight:g}",
            str(point.candidate),
            f"{point.accuracy:.2%}",
            format_bytes(point.parameter_bytes),
            format_bytes(point.peak_intermediate_bytes),
            f"{point.score:+.4f}",
        )
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


def _best(found: Standing) -> tuple[str, str]:
    return (
        f"Best: candidate {found.candidate}, {describe_accuracy(found)},",
        f"      {format_bytes(found.parameter_bytes)} of parameters, "
        f"peak {format_bytes(found.peak_intermediate_bytes)}",
    )


def _leader(found: CandidateSummary, undecided: str) -> tuple[str, str, str]:
    return (
        f"Leading: candidate {found.candidate};",
        f"         {undecided};",
        f"         {format_bytes(found.parameter_bytes)} of parameters, "
        f"peak {format_bytes(found.peak_intermediate_bytes)}",
    )


def describe_accuracy(found: Standing) -> str:
    """Return a mean with its standard error, and of how many trainings it is."""
    error, count = found.standard_error, len(found.accuracies)
    if error is None:
        return f"{found.accuracy:.2%} (1 training of {_epochs(found)})"
    return f"{found.accuracy:.2%} +- {error:.2%} ({count} trainings of {_epochs(found)})"


def _epochs(found: Standing) -> str:
    return "1 epoch" if found.epochs == 1 else f"{found.epochs} epochs"


def _standings(summary: SearchSummary) -> Table:
    table = _table("tournament", "accuracy", "+-", "parameters", "peak", "metric", "trainings")
    for found in summary.standings:
        error = found.standard_error
        table.add_row(
            f"candidate {found.candidate}",
            f"{found.accuracy:.2%}",
            "" if error is None else f"{error:.2%}",
            format_bytes(found.parameter_bytes),
            format_bytes(found.peak_intermediate_bytes),
            f"{found.score:+.4f}",
            f"{len(found.accuracies)} x {found.epochs}",
        )
    return table


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
    table = _table("Pareto front", "worth", "parameters", "peak", "epochs")
    for found in summary.front:
        table.add_row(
            f"candidate {found.candidate}",
            "" if found.worth is None else f"{found.worth:.2%}",
            format_bytes(found.parameter_bytes),
            format_bytes(found.peak_intermediate_bytes),
            str(found.epochs_in_all),
        )
    return table


_WORTH = (
    "Worth is accuracy during the search, where weights are inherited: that of the base, and what was gained "
    "over it. Which is best is told by the tournament, where all train from fresh weights."
)


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
            lead, words = "Next", ["export", folder] if summary.found else ["status", folder, "--json"]
    return f"{lead}: {safe_text(shlex.join(['memprof', 'nas', *words]), limit=2000)}"


def format_duration(seconds: float) -> str:
    """Return a time as people say it.

    >>> format_duration(0.42), format_duration(92.3), format_duration(4000), format_duration(1_000_000)
    ('0.4 s', '1 min 32 s', '1 h 6 min', '11 d 13 h')
    """
    if 0 < seconds < 9.95:  # "0 s of training" would say that nothing trained
        return f"{max(seconds, 0.1):.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    if whole < 48 * 3600:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86_400} d {whole % 86_400 // 3600} h"
