"""A Markdown page about a search: what it found, how, and what it cost; the pictures lie beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

from memprof.base.units import format_bytes
from memprof.render.markdown import prose
from memprof.render.search import describe_accuracy, describe_time, format_duration

if TYPE_CHECKING:
    from memprof.nas.record.summary import CandidateSummary, RoundSummary, SearchSummary
    from memprof.nas.record.tournament import Standing
    from memprof.nas.record.trainings import FinalTraining

_MOST_FAILURES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Pictures:
    """File names of the pictures beside the page.

    Attributes:
        rounds: Accuracy and bytes over rounds.
        front: The Pareto front.
        weights: Accuracy against lambda; ``None`` for a single search.
        architecture: The best network's blocks; ``None`` if there is none yet.
        lifetimes: Its tensors over the levels of the paper's rule (Figure 3 of MemNAS); ``None`` without a network.
    """

    rounds: str
    front: str
    weights: str | None
    architecture: str | None
    lifetimes: str | None = None


def render_page(
    summaries: Sequence[SearchSummary],
    changes: Mapping[int, str],
    trainings: Sequence[FinalTraining],
    pictures: Pictures,
    stream: TextIO,
) -> None:
    """Write the page.

    Args:
        summaries: The search the page is about, then others to compare lambda with.
        changes: What each round changed, by its index, as ``memprof.nas.record.changes`` says it.
        trainings: Results of final trainings.
        pictures: Names of the pictures.
        stream: Where to.
    """
    first = summaries[0]
    parts = (
        ["# Search for a smaller network", "", *_facts(first)],
        _best(first, pictures),
        ["## Rounds", "", f"![Accuracy, parameters and peak over the rounds]({pictures.rounds})"],
        _rounds(first, changes),
        ["## Pareto front", "", f"![Accuracy against parameters]({pictures.front})"],
        _front(first),
        ["## What it cost", "", f"{describe_time(first)}."],
        _costs(first),
        _failures(first),
        _trainings(trainings),
        _lambdas(summaries, pictures),
    )
    stream.write("\n".join(line for part in parts if part for line in (*part, "")))


def _facts(summary: SearchSummary) -> list[str]:
    settings, totals = summary.settings, summary.to_json()["candidates"]
    reason = f": {prose(summary.reason)}" if summary.reason else ""
    sample = "all candidates" if settings.sample is None else f"a sample of {settings.sample}"
    return [
        f"- State: {summary.status}{reason}.",
        f"- {totals['generated']:,} candidates considered, {totals['rejected']:,} rejected over budget, "
        f"{totals['pruned']:,} that could not win, {totals['idle']:,} trims that save nothing, "
        f"{totals['trained']:,} trained, {totals['failed']:,} failed, in {format_duration(summary.seconds)}.",
        f"- Data: {prose(settings.dataset)}, seed {settings.seed}; every decision on validation images.",
        f"- Goal: {_GOALS[settings.goal]}.",
        f"- Metric: lambda {settings.metric.accuracy_weight:g}, weight of the peak {settings.metric.peak_weight:g}, "
        f"of the parameters {settings.metric.parameter_weight:g}; budget {_budget(summary)}.",
        f"- Choice: {sample} in the first {_count(settings.first_rounds)}, "
        f"then the {settings.top_k} that {settings.ranker} ranks highest.",
        f"- Training: {settings.recipe.epochs} epochs{_halving(settings.rungs)}, batch {settings.recipe.batch}, "
        f"learning rate {settings.recipe.learning_rate:g}; "
        f"candidates start from {'inherited' if settings.inherits else 'fresh'} weights.",
    ]


_GOALS = {"front": "the Pareto front, and the most accurate within the budget", "metric": "the metric"}


def _halving(rungs: Sequence[int]) -> str:
    """Return where the worse half is dropped, if anywhere."""
    return f" (only the better half goes on after {' and '.join(map(str, rungs[:-1]))})" if rungs[:-1] else ""


def _count(rounds: int) -> str:
    return "round" if rounds == 1 else f"{rounds} rounds"


def _budget(summary: SearchSummary) -> str:
    budget = summary.settings.budget
    limits = [
        f"{name} {format_bytes(limit)}"
        for name, limit in (
            ("peak", budget.peak_bytes),
            ("parameters", budget.parameter_bytes),
            ("both together", budget.total_bytes),
        )
        if limit is not None
    ]
    return f"{' and '.join(limits) or 'none'} ({budget.dtype}, {budget.runtime})"


def _lifetimes(pictures: Pictures) -> list[str]:
    if pictures.lifetimes is None:
        return []
    return ["", f"![Its tensors over levels, by the rule of the paper's Figure 3]({pictures.lifetimes})"]


def _best(summary: SearchSummary, pictures: Pictures) -> list[str]:
    found, best = summary.found, summary.best
    if found is None or pictures.architecture is None:
        return []
    sizes = f"{format_bytes(found.parameter_bytes)} of parameters, peak {format_bytes(found.peak_intermediate_bytes)}"
    if best is None:
        return [
            f"## Leading: candidate {found.candidate}",
            "",
            f"**{sizes}**, found in round {found.round + 1}: {summary.undecided}.",
            "",
            f"![The leading network's blocks]({pictures.architecture})",
            *_lifetimes(pictures),
        ]
    return [
        f"## Best network: candidate {best.candidate}",
        "",
        f"**{describe_accuracy(best)} on validation images, {sizes}**, found in round {found.round + 1}. "
        f"Metric against the first round's winner, trained alike: {best.score:+.4f}.",
        "",
        f"![The best network's blocks]({pictures.architecture})",
        *_lifetimes(pictures),
        "",
        "## Tournament",
        "",
        "Each from fresh weights, equally long; the mean and its standard error.",
        "",
        "| candidate | accuracy | standard error | parameters | peak | metric | trainings |",
        "|---:|---:|---:|---:|---:|---:|---:|",
        *(
            _row(
                s.candidate,
                f"{s.accuracy:.2%}",
                "" if s.standard_error is None else f"{s.standard_error:.2%}",
                format_bytes(s.parameter_bytes),
                format_bytes(s.peak_intermediate_bytes),
                f"{s.score:+.4f}",
                f"{len(s.accuracies)} of {s.epochs} epochs",
            )
            for s in summary.standings
        ),
    ]


def _rounds(summary: SearchSummary, changes: Mapping[int, str]) -> list[str]:
    candidates = {found.candidate: found for found in summary.candidates}

    def row(found: RoundSummary) -> list[object]:
        if found.winner is None:
            return [found.index + 1, "", "", "", "", "", ""]
        won, score = candidates[found.winner], "" if found.score is None else f"{found.score:+.4f}"
        return [found.index + 1, won.candidate, changes.get(found.index, ""), *_measures(won), score]

    return [
        "A round's winner is what the next one grows or trims. "
        "A layer reads its block's input unless a cell is named.",
        "",
        "| round | winner | what changed | validation accuracy | parameters | peak | metric against its base |",
        "|---:|---:|---|---:|---:|---:|---:|",
        *(_row(*row(found)) for found in summary.rounds),
    ]


def _front(summary: SearchSummary) -> list[str]:
    return [
        "No other network beats one of these in worth, parameters and peak at once. A network's worth is its base's "
        "accuracy and what it gained over that base, which trained on beside it equally long: more training alone "
        "is worth nothing.",
        "",
        "| candidate | round | worth | validation accuracy | parameters | peak | epochs, inherited ones too |",
        "|---:|---:|---:|---:|---:|---:|---:|",
        *(
            _row(c.candidate, c.round + 1, f"{c.worth or 0.0:.2%}", *_measures(c), c.epochs_in_all)
            for c in summary.front
        ),
    ]


def _costs(summary: SearchSummary) -> list[str]:
    rows = [
        (found, [c for c in summary.candidates if c.round == found.index], str(found.index + 1))
        for found in summary.rounds
    ]
    return [
        "| round | considered | over budget | chosen | trained | of these to the last epoch | failed | epochs "
        "| training |",
        "|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
        *(
            _row(
                name,
                f"{found.generated:,}",
                f"{found.rejected:,}",
                found.chosen,
                found.trained,
                sum(c.status == "ok" and c.epochs >= summary.settings.recipe.epochs for c in members),
                found.failed,
                f"{sum(c.epochs for c in members):,}",
                format_duration(sum(c.seconds for c in members)),
            )
            for found, members, name in rows
        ),
    ]


def _failures(summary: SearchSummary) -> list[str]:
    failed = [c for c in summary.candidates if c.status not in ("ok", "cut", "waiting")]
    if not failed:
        return []
    more = len(failed) - _MOST_FAILURES
    return [
        "## Candidates that could not be trained",
        "",
        "| candidate | what | why |",
        "|---:|---|---|",
        *(_row(c.candidate, c.status, prose(c.message)) for c in failed[:_MOST_FAILURES]),
        *(["", f"And {more:,} more."] if more > 0 else []),
    ]


def _trainings(trainings: Sequence[FinalTraining]) -> list[str]:
    if not trainings:
        return []
    return [
        "## Trained from scratch",
        "",
        "The test images are looked at once, after training.",
        "",
        "| network | epochs | validation accuracy | test accuracy | parameters | peak |",
        "|---|---:|---:|---:|---:|---:|",
        *(
            _row(
                prose(t.name),
                t.epochs,
                "" if t.validation_accuracy is None else f"{t.validation_accuracy:.2%}",
                f"{t.test_accuracy:.2%}",
                format_bytes(t.parameter_bytes),
                format_bytes(t.peak_intermediate_bytes),
            )
            for t in trainings
        ),
    ]


def _best_measures(found: Standing) -> tuple[str, str, str]:
    sizes = (found.parameter_bytes, found.peak_intermediate_bytes)
    return (f"{found.accuracy:.2%}", *map(format_bytes, sizes))  # type: ignore[return-value] # two sizes


def _lambdas(summaries: Sequence[SearchSummary], pictures: Pictures) -> list[str]:
    if pictures.weights is None:
        return []
    ordered = sorted(summaries, key=lambda s: (s.settings.metric.accuracy_weight, s.settings.seed))
    return [
        "## Lambda",
        "",
        f"![Accuracy and bytes against lambda]({pictures.weights})",
        "",
        "| lambda | seed | rounds | validation accuracy | parameters | peak |",
        "|---:|---:|---:|---:|---:|---:|",
        *(
            _row(f"{s.settings.metric.accuracy_weight:g}", s.settings.seed, len(s.rounds), *_best_measures(s.best))
            for s in ordered
            if s.best is not None
        ),
    ]


def _measures(found: CandidateSummary) -> tuple[str, str, str]:
    return _accuracy(found), format_bytes(found.parameter_bytes), format_bytes(found.peak_intermediate_bytes)


def _accuracy(found: CandidateSummary) -> str:
    return "" if found.validation_accuracy is None else f"{found.validation_accuracy:.2%}"


def _row(*cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |"
