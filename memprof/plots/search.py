"""Pictures of a search: rounds (Figure 4 of MemNAS), the Pareto front, lambda (Figure 5). Accent: what was chosen.

Each function takes what it draws and returns a ``Figure``; given a path it also writes it. Sizes in inches.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil, floor, log10
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from memprof.plots.style import (
    ACCENT,
    BAR,
    BAR_EDGE,
    CURVE,
    INK,
    LARGE,
    MUTED,
    RULE,
    SMALL,
    Page,
    byte_axis,
    fit,
    house_style,
    save_figure,
    set_tick_type,
    text_style,
)
from memprof.units import format_bytes

if TYPE_CHECKING:
    from memprof.nas.summary import CandidateSummary, SearchSummary

WIDTH = 8.0
_LEFT, _RIGHT = 0.9, 0.4


def plot_rounds(summary: SearchSummary, path: str | Path | None = None) -> Figure:
    """Draw accuracy, parameters and peak over the rounds: every trained candidate grey, the winners in colour."""
    panels: tuple[tuple[str, Callable[[CandidateSummary], float | None], bool], ...] = (
        ("Validation accuracy", lambda c: c.validation_accuracy, False),
        ("Parameters", lambda c: c.parameter_bytes, True),
        ("Peak of intermediates", lambda c: c.peak_intermediate_bytes, True),
    )
    with house_style():
        page = Page(WIDTH, 7.0)
        _title(page, "Rounds", _subtitle(summary))
        trained = [c for c in summary.candidates if c.validation_accuracy is not None]
        winners = {r.index: r.winner for r in summary.rounds if r.winner is not None}
        for place, (label, value, is_bytes) in enumerate(panels):
            axes = page.axes(_LEFT, 4.35 - 1.95 * place, WIDTH - _LEFT - _RIGHT, 1.5)
            values = [float(value(c) or 0) for c in trained]
            others = [c for c in trained if winners.get(c.round) != c.candidate]
            rounds = [c.round + 1 + _spread(c.candidate) for c in others]
            axes.scatter(
                rounds,
                [float(value(c) or 0) for c in others],
                s=16,
                color=BAR,
                edgecolors=BAR_EDGE,
                linewidths=0.5,
                zorder=2,
            )
            chosen = [c for c in trained if winners.get(c.round) == c.candidate]
            axes.plot(
                [c.round + 1 for c in chosen],
                [float(value(c) or 0) for c in chosen],
                color=ACCENT,
                marker="o",
                markersize=5,
                linewidth=1.5,
                zorder=3,
            )
            _finish(axes, max(values, default=1.0), is_bytes=is_bytes)
            axes.set_xlim(0.5, max(1, len(summary.rounds)) + 0.5)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
            axes.set_title(label, loc="left", **text_style(colour=INK, bold=True))
            set_tick_type(axes)
        page.text(WIDTH / 2, 0.15, "round", colour=MUTED, size=SMALL, ha="center")
        return _done(page.figure, path)


def plot_front(summary: SearchSummary, path: str | Path | None = None) -> Figure:
    """Draw accuracy against parameters, area as the peak; the Pareto front in colour, the best network named."""
    with house_style():
        page = Page(WIDTH, 5.2)
        _title(
            page,
            "Pareto front",
            "a disc's area is its peak of intermediates; in colour: none is better in all three",
        )
        trained = [c for c in summary.candidates if c.validation_accuracy is not None]
        front = {c.candidate for c in summary.front}
        axes = page.axes(_LEFT, 0.75, WIDTH - _LEFT - _RIGHT, 3.3)
        highest_peak = max((c.peak_intermediate_bytes for c in trained), default=1)
        for is_front in (False, True):
            group = [c for c in trained if (c.candidate in front) is is_front]
            axes.scatter(
                [c.parameter_bytes for c in group],
                [c.validation_accuracy or 0.0 for c in group],
                s=[20 + 180 * c.peak_intermediate_bytes / highest_peak for c in group],
                color=ACCENT if is_front else BAR,
                alpha=0.8,
                edgecolors="white",
                linewidths=0.6,
                zorder=3 if is_front else 2,
            )
        _finish(axes, 1.0, is_bytes=False)
        _bytes_along(axes, [c.parameter_bytes for c in trained])
        set_tick_type(axes)
        if summary.best is not None:
            _name(page, axes, summary.best)
        page.text(_LEFT, 0.15, "parameters", colour=MUTED, size=SMALL)
        page.text(_LEFT, 4.2, "accuracy on validation images", colour=MUTED, size=SMALL)
        return _done(page.figure, path)


def plot_lambda(summaries: Sequence[SearchSummary], path: str | Path | None = None) -> Figure:
    """Draw the best network's accuracy and total bytes against lambda, one search each (Figure 5)."""
    found = sorted(
        ((s.settings.metric.accuracy_weight, s.best) for s in summaries if s.best is not None),
        key=lambda pair: pair[0],
    )
    with house_style():
        page = Page(WIDTH, 5.0)
        _title(
            page,
            "Lambda",
            "the best network of each search; 1: accuracy alone, 0: bytes alone",
        )
        upper = page.axes(_LEFT, 2.5, WIDTH - _LEFT - _RIGHT, 1.5)
        lower = page.axes(_LEFT, 0.6, WIDTH - _LEFT - _RIGHT, 1.4)
        weights = [weight for weight, _ in found]
        style: dict[str, Any] = {"color": ACCENT, "marker": "o", "markersize": 5, "linewidth": 1.5}
        upper.plot(weights, [best.validation_accuracy or 0.0 for _, best in found], **style)
        totals = [best.parameter_bytes + best.peak_intermediate_bytes for _, best in found]
        lower.plot(weights, totals, **style)
        _finish(upper, 1.0, is_bytes=False)
        _finish(lower, max(totals, default=1), is_bytes=True)
        for axes, label in ((upper, "Validation accuracy"), (lower, "Parameters and peak together")):
            axes.set_xlim(-0.05, 1.05)
            axes.set_title(label, loc="left", **text_style(colour=INK, bold=True))
            set_tick_type(axes)
        page.text(WIDTH / 2, 0.12, "lambda", colour=MUTED, size=SMALL, ha="center")
        return _done(page.figure, path)


def _title(page: Page, title: str, subtitle: str) -> None:
    page.text(_LEFT, page.height - 0.42, title, size=LARGE, bold=True)
    page.text(_LEFT, page.height - 0.66, fit(subtitle, page.width - _LEFT - _RIGHT), colour=MUTED)


def _subtitle(summary: SearchSummary) -> str:
    settings = summary.settings
    trained = sum(found.trained for found in summary.rounds)
    return (
        f"{settings.dataset}, lambda {settings.metric.accuracy_weight:g}, seed {settings.seed}: "
        f"{trained} networks trained; in colour the winner of each round"
    )


def _finish(axes: Axes, highest: float, *, is_bytes: bool) -> None:
    axes.grid(axis="y", color=RULE, linewidth=0.8, zorder=0)
    axes.axhline(0, color=CURVE, linewidth=0.8) if is_bytes else None
    if is_bytes:
        byte_axis(axes, highest, count=3)
        axes.set_ylim(0, highest * 1.1)  # room for a marker at the top
    else:
        axes.yaxis.set_major_locator(MaxNLocator(nbins=4))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g} %"))


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


def _name(page: Page, axes: Axes, best: CandidateSummary) -> None:
    """Ring the best network's disc and name it above the axes, where nothing is covered."""
    accuracy = best.validation_accuracy or 0.0
    axes.scatter(
        [best.parameter_bytes], [accuracy], s=330, facecolors="none", edgecolors=INK, linewidths=1.1, zorder=4
    )
    label = (
        f"ringed: the best by the metric, candidate {best.candidate}, {accuracy:.1%}, "
        f"parameters {format_bytes(best.parameter_bytes)}, peak {format_bytes(best.peak_intermediate_bytes)}"
    )
    page.text(page.width - _RIGHT, 4.2, label, size=SMALL, ha="right")


def _spread(candidate: int) -> float:
    """Return a small shift that keeps discs of one round apart, the same every time."""
    return ((candidate * 7) % 11 - 5) / 30


def _done(figure: Figure, path: str | Path | None) -> Figure:
    if path is not None:
        save_figure(figure, path)
    return figure
