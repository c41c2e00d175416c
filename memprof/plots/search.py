"""Pictures of a search: rounds (Figure 4 of MemNAS), the Pareto front, lambda (Figure 5). Accent: what was chosen.

A hollow sign is a network that was not trained to the last epoch: its accuracy is not to be held against the others'.
Each function takes what it draws and returns a ``Figure``; given a path it also writes it. Lengths in inches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import ceil, floor, log10
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from memprof.base.units import format_bytes
from memprof.plots.style import (
    ACCENT,
    ACCENT_SHADE,
    BAR,
    BAR_EDGE,
    CURVE,
    INK,
    LARGE,
    MUTED,
    PAPER,
    RULE,
    SMALL,
    Page,
    byte_axis,
    fit,
    house_style,
    save_figure,
    set_tick_type,
    text_style,
    text_width,
)

if TYPE_CHECKING:
    from memprof.nas.record.summary import CandidateSummary, SearchSummary
    from memprof.nas.record.sweep import LambdaSweep

WIDTH = 8.0
_LEFT, _RIGHT = 0.9, 0.4
_INNER = WIDTH - _LEFT - _RIGHT
_MOST_NAMED_ROUNDS, _MOST_NUMBERED_ROUNDS = 12, 30
"""Under more rounds than these a word, or a number, each does not fit."""

_FULL: dict[str, Any] = {"color": BAR, "edgecolors": BAR_EDGE, "linewidths": 0.5}
_FAINT: dict[str, Any] = {"facecolors": "none", "edgecolors": BAR, "linewidths": 0.8}
_CHOSEN: dict[str, Any] = {"facecolors": ACCENT, "edgecolors": ACCENT, "linewidths": 1.2}
_CHOSEN_HOLLOW: dict[str, Any] = {"facecolors": PAPER, "edgecolors": ACCENT, "linewidths": 1.2}


@dataclass(frozen=True, slots=True)
class _Panel:
    """One of several axes above each other.

    Attributes:
        label: Its headline.
        value: What it shows of a network.
        scale: Sets its y axis, given the highest value.
    """

    label: str
    value: Callable[[CandidateSummary], float]
    scale: Callable[[Axes, float], None]


@dataclass(frozen=True, slots=True)
class _Sign:
    """One entry of a key.

    Attributes:
        text: What the sign means.
        style: As ``Axes.scatter`` takes it.
    """

    text: str
    style: dict[str, Any]


def plot_rounds(summary: SearchSummary, path: str | Path | None = None) -> Figure:
    """Draw accuracy, parameters and peak over the rounds: every trained candidate grey, the winners in colour.

    A winner that was grown is a disc, one that was trimmed a triangle that points down.
    """
    trained, winners = _trained(summary), _winners(summary)
    grown = {winner.round: _is_grown(winner, summary) for winner in winners}
    count = 1 + max((c.round for c in trained), default=0)  # a round may have been cut short before any
    panels = (
        _Panel("Worth: accuracy gained over equal training", _accuracy, _accuracy_scale),
        _Panel("Parameters", lambda c: c.parameter_bytes, _byte_scale),
        _Panel("Peak of intermediates", lambda c: c.peak_intermediate_bytes, _byte_scale),
    )
    with house_style():
        page = Page(WIDTH, 7.4)
        _title(page, "Rounds", _facts(summary))
        _key(page, _rounds_key(summary))
        for place, panel in enumerate(panels):
            axes = page.axes(_LEFT, 4.55 - 1.95 * place, _INNER, 1.5)
            _draw_rounds(axes, summary, panel)
            panel.scale(axes, max(map(panel.value, trained), default=1.0))
            axes.set_xlim(0.5, count + 0.5)
            _number_rounds(axes, count, grown if panel is panels[-1] else None)
            axes.set_title(panel.label, loc="left", **text_style(colour=INK, bold=True))
        page.text(_LEFT + _INNER / 2, 0.16, "round", colour=MUTED, size=SMALL, ha="center")
        return _done(page.figure, path)


def plot_front(summary: SearchSummary, path: str | Path | None = None) -> Figure:
    """Draw accuracy against parameters, area as the peak; the Pareto front in colour, the best network ringed."""
    trained = _compared(summary)
    front = {c.candidate for c in summary.front}
    highest_peak = max((c.peak_intermediate_bytes for c in trained), default=1)
    with house_style():
        page = Page(WIDTH, 5.4)
        _title(page, "Pareto front", f"{_facts(summary)}; on the front: none is better in all three")
        _key(page, _front_key(summary))
        axes = page.axes(_LEFT, 0.7, _INNER, 3.4)
        for c in sorted(trained, key=lambda c: (_is_whole(c, summary), -c.peak_intermediate_bytes)):
            axes.scatter(
                [c.parameter_bytes],
                [_accuracy(c)],
                s=20 + 180 * c.peak_intermediate_bytes / highest_peak,
                zorder=3 if c.candidate in front else 2,
                **_front_style(is_front=c.candidate in front, is_whole=_is_whole(c, summary)),
            )
        if summary.found is not None:
            axes.scatter([summary.found.parameter_bytes], [_accuracy(summary.found)], zorder=4, **_RING)
        _accuracy_scale(axes, 1.0)
        _bytes_along(axes, [c.parameter_bytes for c in trained])
        axes.set_title("Worth: accuracy gained over equal training", loc="left", **text_style(colour=INK, bold=True))
        caption = f"parameters; the area of a disc is its peak of intermediates, at most {format_bytes(highest_peak)}"
        page.text(_LEFT + _INNER / 2, 0.2, caption, colour=MUTED, size=SMALL, ha="center")
        return _done(page.figure, path)


def plot_lambda(summaries: Sequence[SearchSummary], path: str | Path | None = None) -> Figure:
    """Draw the best network's accuracy and total bytes against lambda, a disc for each search (Figure 5).

    Searches of one lambda differ in their seeds, say; a line joins the medians.
    """
    found = sorted(
        (
            (s.settings.metric.accuracy_weight, s.best.accuracy, float(s.best.total_bytes))
            for s in summaries
            if s.best is not None
        ),
        key=lambda place: place[0],
    )
    datasets = ", ".join(sorted({s.settings.dataset for s in summaries}))
    facts = f"{fit(datasets, 1.6)}: {len(found)} searches; {_LAMBDA_MEANING}"
    return _draw_lambda(found, facts, "Validation accuracy, mean of a tournament", _LAMBDA_KEY, path)


def plot_sweep(found: LambdaSweep, path: str | Path | None = None) -> Figure:
    """Draw accuracy and total bytes of what each lambda chooses of one search's networks (Figure 5)."""
    places = [(point.accuracy_weight, point.accuracy, float(point.total_bytes)) for point in found.points]
    facts = f"{fit(found.dataset, 1.6)}: each chooses among {found.pool} networks of one search; {_LAMBDA_MEANING}"
    return _draw_lambda(places, facts, "Worth: accuracy gained over equal training", _SWEEP_KEY, path)


def _draw_lambda(
    found: Sequence[tuple[float, float, float]],
    facts: str,
    accuracy: str,
    key: Sequence[_Sign],
    path: str | Path | None,
) -> Figure:
    """Draw accuracy and bytes against lambda, of places that are sorted by lambda."""
    panels: tuple[tuple[str, int, Callable[[Axes, float], None]], ...] = (
        (accuracy, 1, _accuracy_scale),
        ("Parameters and peak together", 2, _byte_scale),
    )
    with house_style():
        page = Page(WIDTH, 5.4)
        _title(page, "Lambda", facts)
        _key(page, key[: 1 + (len({place[0] for place in found}) > 1)])
        for row, (label, column, set_scale) in enumerate(panels):
            axes = page.axes(_LEFT, 2.6 - 1.95 * row, _INNER, 1.5)
            values = [(place[0], place[column]) for place in found]
            axes.plot(*_medians(values), color=MUTED, linewidth=1.1, zorder=2)
            axes.scatter([x for x, _ in values], [y for _, y in values], s=40, zorder=3, **_LAMBDA_DISC)
            set_scale(axes, max((y for _, y in values), default=1.0))
            axes.set_xlim(-0.05, 1.05)
            set_tick_type(axes)
            axes.set_title(label, loc="left", **text_style(colour=INK, bold=True))
        page.text(_LEFT + _INNER / 2, 0.17, "lambda", colour=MUTED, size=SMALL, ha="center")
        return _done(page.figure, path)


def _trained(summary: SearchSummary) -> list[CandidateSummary]:
    return [c for c in summary.candidates if c.validation_accuracy is not None]


def _compared(summary: SearchSummary) -> list[CandidateSummary]:
    """Return the networks that a front compares: bases that trained on stand there by what they were worth before."""
    return [c for c in _trained(summary) if not c.is_base]


def _winners(summary: SearchSummary) -> list[CandidateSummary]:
    winners = {found.winner for found in summary.rounds}
    return [c for c in _trained(summary) if c.candidate in winners]


def _accuracy(found: CandidateSummary) -> float:
    """Return what a picture places a network by: its worth where it has one, so that rounds compare."""
    return (found.validation_accuracy or 0.0) if found.worth is None else found.worth


def _is_whole(found: CandidateSummary, summary: SearchSummary) -> bool:
    """Return whether a network was trained to the last epoch."""
    return found.epochs >= summary.settings.recipe.epochs


def _is_grown(winner: CandidateSummary, summary: SearchSummary) -> bool:
    """Return whether a round added a cell, rather than trim what was there."""
    base = summary.rounds[winner.round].base
    before = next((c.architecture.slots for c in summary.candidates if c.candidate == base), 0)
    return winner.architecture.slots > before


def _draw_rounds(axes: Axes, summary: SearchSummary, panel: _Panel) -> None:
    winners = _winners(summary)
    others = [c for c in _trained(summary) if c not in winners]
    for style, is_whole in ((_FAINT, False), (_FULL, True)):
        group = [c for c in others if _is_whole(c, summary) is is_whole]
        places = [c.round + 1 + _spread(c.candidate) for c in group]
        axes.scatter(places, [panel.value(c) for c in group], s=16, zorder=2, **style)
    axes.plot([c.round + 1 for c in winners], [panel.value(c) for c in winners], color=ACCENT_SHADE, linewidth=1.2)
    for c in winners:
        style = _CHOSEN if _is_whole(c, summary) else _CHOSEN_HOLLOW
        marker = "o" if _is_grown(c, summary) else "v"
        axes.scatter([c.round + 1], [panel.value(c)], s=34, marker=marker, zorder=4, **style)


def _number_rounds(axes: Axes, count: int, grown: dict[int, bool] | None) -> None:
    """Number the rounds and, where there are few, say under each what it did; ``None`` for neither."""
    if grown is None:
        axes.set_xticks([])
        set_tick_type(axes)
        return
    words = {i: "\ngrown" if is_grown else "\ntrimmed" for i, is_grown in grown.items()}
    if count > _MOST_NUMBERED_ROUNDS:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    else:
        labels = [f"{i + 1}{words.get(i, '') if count <= _MOST_NAMED_ROUNDS else ''}" for i in range(count)]
        axes.set_xticks(range(1, count + 1), labels)
    set_tick_type(axes)


def _medians(values: Iterable[tuple[float, float]]) -> tuple[list[float], list[float]]:
    """Return each x once and the median of its values, of pairs that are sorted by x.

    >>> _medians([(0.5, 1.0), (0.9, 2.0), (0.9, 4.0)])
    ([0.5, 0.9], [1.0, 3.0])
    """
    groups = [(x, [y for _, y in group]) for x, group in groupby(values, key=lambda pair: pair[0])]
    return [x for x, _ in groups], [median(ys) for _, ys in groups]


_LAMBDA_DISC: dict[str, Any] = {"facecolors": ACCENT, "edgecolors": PAPER, "linewidths": 0.8}
_LAMBDA_KEY = (
    _Sign("the best network of a search", _LAMBDA_DISC),
    _Sign("medians", {"marker": "_", "s": 120, "color": MUTED}),
)

_SWEEP_KEY = (_Sign("the network that a lambda chooses", _LAMBDA_DISC), _LAMBDA_KEY[1])
_LAMBDA_MEANING = "lambda 1 weighs accuracy alone, 0 bytes alone"

_RING: dict[str, Any] = {"s": 330, "facecolors": "none", "edgecolors": INK, "linewidths": 1.1}


def _front_style(*, is_front: bool, is_whole: bool) -> dict[str, Any]:
    if is_whole:
        colour = ACCENT if is_front else BAR
        return {"facecolors": colour, "edgecolors": PAPER, "linewidths": 0.6, "alpha": 0.85}
    return {**_FAINT, "edgecolors": ACCENT, "linewidths": 1.2} if is_front else _FAINT


def _rounds_key(summary: SearchSummary) -> list[_Sign]:
    """Return the signs that occur and what they mean."""
    winners = _winners(summary)
    grown = {_is_grown(winner, summary) for winner in winners}
    is_whole = {_is_whole(c, summary) for c in _trained(summary)}
    signs = (
        (True in grown, _Sign("winner, grown", _CHOSEN)),
        (False in grown, _Sign("winner, trimmed", {**_CHOSEN, "marker": "v"})),
        (True in is_whole, _Sign("trained to the last epoch", _FULL)),
        (False in is_whole, _Sign("hollow: dropped before that", _FAINT)),
    )
    return [sign for occurs, sign in signs if occurs]


def _front_key(summary: SearchSummary) -> list[_Sign]:
    trained = _compared(summary)
    front = {c.candidate for c in summary.front}
    groups = {(c.candidate in front, _is_whole(c, summary)) for c in trained}
    signs = (
        (bool(front), _Sign("on the front", _front_style(is_front=True, is_whole=(True, True) in groups))),
        (len(front) < len(trained), _Sign("beaten", _front_style(is_front=False, is_whole=(False, True) in groups))),
        (not all(is_whole for _, is_whole in groups), _Sign("hollow: dropped early, its accuracy then", _FAINT)),
        (summary.best is not None, _Sign("best of the tournament", {**_RING, "s": 60})),
        (summary.best is None and summary.leader is not None, _Sign("leading", {**_RING, "s": 60})),
    )
    return [sign for occurs, sign in signs if occurs]


def _key(page: Page, signs: Sequence[_Sign]) -> None:
    """Say in a line under the subtitle what the signs mean."""
    axes = page.axes(_LEFT, page.height - 0.98, _INNER, 0.2)
    axes.set_xlim(0, _INNER)
    axes.set_ylim(-0.1, 0.1)
    axes.set_xticks([])
    axes.set_yticks([])
    left = 0.06
    for sign in signs:
        axes.scatter([left], [0], clip_on=False, **{"s": 26, **sign.style})
        axes.text(left + 0.12, 0, sign.text, va="center_baseline", **text_style(colour=MUTED))
        left += 0.12 + text_width(sign.text) + 0.28


def _title(page: Page, title: str, subtitle: str) -> None:
    page.text(_LEFT, page.height - 0.42, title, size=LARGE, bold=True)
    page.text(_LEFT, page.height - 0.68, fit(subtitle, _INNER), colour=MUTED)


def _facts(summary: SearchSummary) -> str:
    settings, trained = summary.settings, len(_trained(summary))
    weight = f"lambda {settings.metric.accuracy_weight:g}"
    return f"{fit(settings.dataset, 1.6)}, {weight}, seed {settings.seed}: {trained} networks trained"


def _accuracy_scale(axes: Axes, highest: float) -> None:
    axes.grid(axis="y", color=RULE, linewidth=0.8, zorder=0)
    axes.margins(y=0.12)
    axes.set_ylim(bottom=max(0.0, axes.get_ylim()[0]))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=4))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.3g} %" if value <= 1 else ""))


def _byte_scale(axes: Axes, highest: float) -> None:
    axes.grid(axis="y", color=RULE, linewidth=0.8, zorder=0)
    axes.axhline(0, color=CURVE, linewidth=0.8)
    byte_axis(axes, highest, count=4)
    axes.set_ylim(0, highest * 1.1)  # room for a marker at the top


def _bytes_along(axes: Axes, values: Sequence[int]) -> None:
    axes.set_xscale("log")
    low, high = min(values, default=1), max(values, default=10)
    axes.set_xlim(low / 1.15, high * 1.15)
    axes.xaxis.set_major_locator(FixedLocator(_round_bytes(low / 1.15, high * 1.15)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))


def _round_bytes(low: float, high: float) -> list[float]:
    """Return three to seven round numbers between ``low`` and ``high`` for a logarithmic axis, as round as can be."""
    powers = range(floor(log10(low)), ceil(log10(high)) + 1)
    for steps in _ROUND_STEPS:
        found = [step * 10.0**power for power in powers for step in steps if low <= step * 10.0**power <= high]
        if len(found) >= 3:
            return found if len(found) <= 7 else found[:: ceil(len(found) / 7)]
    return [low, (low * high) ** 0.5, high]


_ROUND_STEPS = ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 6, 8), tuple(i / 10 for i in range(10, 100)))


def _short(value: float) -> str:
    """Return a number of bytes for a tick.

    >>> _short(1500), _short(20_000), _short(3e6)
    ('1.5 kB', '20 kB', '3 MB')
    """
    for factor, unit in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if value >= factor:
            return f"{value / factor:.3g} {unit}"
    return f"{value:.3g} B"


def _spread(candidate: int) -> float:
    """Return a small shift that keeps discs of one round apart, the same every time."""
    return ((candidate * 7) % 11 - 5) / 30


def _done(figure: Figure, path: str | Path | None) -> Figure:
    if path is not None:
        save_figure(figure, path)
    return figure
