"""A Markdown page about a search: what it found, how, and what it cost; the pictures lie beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO

from memprof.render.markdown import prose
from memprof.render.search import format_duration
from memprof.units import format_bytes

if TYPE_CHECKING:
    from memprof.nas.summary import CandidateSummary, SearchSummary


@dataclass(frozen=True, slots=True, kw_only=True)
class Pictures:
    """File names of the pictures beside the page.

    Attributes:
        rounds: Accuracy and bytes over rounds.
        front: The Pareto front.
        weights: Accuracy against lambda.
        architecture: The best network's blocks; ``None`` if there is none yet.
    """

    rounds: str
    front: str
    weights: str
    architecture: str | None


def render_page(
    summaries: Sequence[SearchSummary],
    trainings: Sequence[Mapping[str, Any]],
    pictures: Pictures,
    stream: TextIO,
) -> None:
    """Write the page.

    Args:
        summaries: The search the page is about, then others to compare lambda with.
        trainings: Results of final trainings, as ``FinalTraining.to_json`` has them.
        pictures: Names of the pictures.
        stream: Where to.
    """
    first = summaries[0]
    lines = [
        "# Search for a smaller network",
        "",
        *_facts(first),
        "",
        *_best(first, pictures),
        "## Rounds",
        "",
        f"![Accuracy, parameters and peak over the rounds]({pictures.rounds})",
        "",
        *_rounds(first),
        "",
        "## Pareto front",
        "",
        f"![Accuracy against parameters]({pictures.front})",
        "",
        *_candidates(first.front),
        "",
        *_failures(first),
        *_trainings(trainings),
        "## Lambda",
        "",
        f"![Accuracy and bytes against lambda]({pictures.weights})",
        "",
        *_lambdas(summaries),
        "",
    ]
    stream.write("\n".join(lines))


def _facts(summary: SearchSummary) -> list[str]:
    settings, totals = summary.settings, summary.to_json()["candidates"]
    halving = ", then ".join(map(str, settings.rungs))
    reason = f": {summary.reason}" if summary.reason else ""
    return [
        f"- Data: {prose(settings.dataset)}, seed {settings.seed}; every decision on validation images.",
        f"- Metric: lambda {settings.metric.accuracy_weight:g}, weight of the peak {settings.metric.peak_weight:g}, "
        f"of the parameters {settings.metric.parameter_weight:g}; budget {_budget(summary)}.",
        f"- Training: {halving} epochs, batch {settings.recipe.batch}, "
        f"learning rate {settings.recipe.learning_rate:g}; "
        f"candidates start from {'inherited' if settings.inherits else 'fresh'} weights.",
        f"- Ranked by {settings.ranker} after {settings.first_rounds} rounds.",
        f"- {totals['generated']:,} candidates considered, {totals['rejected']:,} rejected over budget, "
        f"{totals['trained']} trained, {totals['failed']} failed, in {format_duration(summary.seconds)}.",
        f"- State: {summary.status}{reason}.",
    ]


def _budget(summary: SearchSummary) -> str:
    budget = summary.settings.budget
    limits = [
        f"{name} {format_bytes(limit)}"
        for name, limit in (("peak", budget.peak_bytes), ("parameters", budget.parameter_bytes))
        if limit is not None
    ]
    return f"{' and '.join(limits) or 'none'} ({budget.dtype}, {budget.runtime})"


def _best(summary: SearchSummary, pictures: Pictures) -> list[str]:
    if summary.best is None or pictures.architecture is None:
        return []
    score = summary.best_score or 0.0
    return [
        f"## Best network: candidate {summary.best.candidate}",
        "",
        f"Metric against the first round's winner: {score:+.4f}.",
        "",
        f"![The best network's blocks]({pictures.architecture})",
        "",
        *_candidates([summary.best]),
        "",
    ]


def _candidates(found: Sequence[CandidateSummary]) -> list[str]:
    return [
        "| candidate | validation accuracy | parameters | peak | epochs |",
        "|---:|---:|---:|---:|---:|",
        *(
            f"| {c.candidate} | {c.validation_accuracy or 0.0:.2%} | {format_bytes(c.parameter_bytes)} "
            f"| {format_bytes(c.peak_intermediate_bytes)} | {c.epochs} |"
            for c in found
        ),
    ]


def _rounds(summary: SearchSummary) -> list[str]:
    return [
        "| round | considered | rejected | chosen | trained | failed | winner | metric against its base |",
        "|---:|---:|---:|---:|---:|---:|---:|---:|",
        *(
            f"| {r.index + 1} | {r.generated:,} | {r.rejected:,} | {r.chosen} | {r.trained} | {r.failed} "
            f"| {'' if r.winner is None else r.winner} | {'' if r.score is None else f'{r.score:+.4f}'} |"
            for r in summary.rounds
        ),
    ]


def _failures(summary: SearchSummary) -> list[str]:
    failed = [c for c in summary.candidates if c.message]
    if not failed:
        return []
    rows = [f"| {c.candidate} | {c.status} | {prose(c.message)} |" for c in failed]
    return ["## Candidates that could not be trained", "", "| candidate | what | why |", "|---:|---|---|", *rows, ""]


def _trainings(trainings: Sequence[Mapping[str, Any]]) -> list[str]:
    if not trainings:
        return []
    rows = [
        f"| {prose(str(t['name']))} | {t['epochs']} | {t['validation_accuracy']:.2%} "
        f"| {t['test_accuracy']:.2%} | {format_bytes(t['parameter_bytes'])} "
        f"| {format_bytes(t['peak_intermediate_bytes'])} |"
        for t in trainings
    ]
    return [
        "## Trained from scratch",
        "",
        "The test images are looked at once, after training.",
        "",
        "| network | epochs | validation accuracy | test accuracy | parameters | peak |",
        "|---|---:|---:|---:|---:|---:|",
        *rows,
        "",
    ]


def _lambdas(summaries: Sequence[SearchSummary]) -> list[str]:
    rows = [
        f"| {s.settings.metric.accuracy_weight:g} | {s.best.validation_accuracy or 0.0:.2%} "
        f"| {format_bytes(s.best.parameter_bytes)} | {format_bytes(s.best.peak_intermediate_bytes)} |"
        for s in sorted(summaries, key=lambda s: s.settings.metric.accuracy_weight)
        if s.best is not None
    ]
    return ["| lambda | validation accuracy | parameters | peak |", "|---:|---:|---:|---:|", *rows]
