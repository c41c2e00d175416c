"""Regret against trained networks: a line for each strategy, its band a tint, its name at its end. Accent: ours."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from memprof.base.palette import SERIES
from memprof.plots.style import (
    ACCENT,
    LARGE,
    MUTED,
    RULE,
    SMALL,
    Page,
    check_suffix,
    fit,
    house_style,
    save_figure,
    set_tick_type,
    text_style,
)

if TYPE_CHECKING:
    from memprof.nas.rank.simulate import Simulation

WIDTH, HEIGHT = 8.0, 5.0
_LEFT, _RIGHT, _BOTTOM, _TOP = 0.9, 1.3, 0.7, 1.1
_INNER = WIDTH - _LEFT - _RIGHT
_LABEL = 0.045
"""Least distance of two names, as a share of the axis."""


def plot_simulation(found: Simulation, path: str | Path | None = None) -> Figure:
    """Draw the regret curves of a simulation; given a path, write the picture too.

    Raises:
        UsageError: The suffix is that of no picture, or the file cannot be written.
    """
    if path is not None:
        check_suffix(path)
    goal = "goal: the front" if found.accuracy_weight is None else f"lambda {found.accuracy_weight:g}"
    with house_style():
        page = Page(WIDTH, HEIGHT)
        page.text(_LEFT, HEIGHT - 0.42, "Regret against trained networks", size=LARGE, bold=True)
        seeds = "1 seed" if found.seeds == 1 else f"{found.seeds} seeds, bands: 95 % of means"
        facts = f"{fit(found.table, 2.5)}: {found.networks:,} networks, {goal}; {seeds}"
        page.text(_LEFT, HEIGHT - 0.68, fit(facts, WIDTH - _LEFT - 0.2), colour=MUTED)
        axes = page.axes(_LEFT, _BOTTOM, _INNER, HEIGHT - _BOTTOM - _TOP)
        axes.grid(axis="y", color=RULE, linewidth=0.8, zorder=0)
        highest = max(max(curve.highs) for curve in found.curves.values())
        colours = dict(zip(found.curves, (ACCENT, *SERIES), strict=False))
        for name, curve in reversed(tuple(found.curves.items())):
            colour = colours[name]
            axes.fill_between(found.counts, curve.lows, curve.highs, color=colour, alpha=0.14, linewidth=0)
            axes.plot(found.counts, curve.means, color=colour, linewidth=2.2 if name == "memnas" else 1.3)
        for name, place in _spread({n: c.means[-1] / (highest or 1.0) for n, c in found.curves.items()}).items():
            style = text_style(colour=colours[name], size=SMALL, bold=name == "memnas")
            axes.text(found.counts[-1] * 1.015, place * (highest or 1.0), name, va="center", **style)
        axes.set_xlim(found.counts[0], found.counts[-1])
        axes.set_ylim(0, (highest or 1.0) * 1.02)
        axes.yaxis.set_major_locator(MaxNLocator(nbins=5))
        axes.xaxis.set_major_locator(MaxNLocator(nbins=7, integer=True))
        if found.accuracy_weight is None:
            axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.3g} %"))
        set_tick_type(axes)
        page.text(_LEFT + _INNER / 2, 0.2, "trained networks", colour=MUTED, size=SMALL, ha="center")
        if path is not None:
            save_figure(page.figure, path)
        return page.figure


def _spread(places: dict[str, float]) -> dict[str, float]:
    """Return places that keep their order and stand apart far enough to be read."""
    found: dict[str, float] = {}
    last = -1.0
    for name in sorted(places, key=places.__getitem__):
        last = found[name] = max(places[name], last + _LABEL)
    return found
