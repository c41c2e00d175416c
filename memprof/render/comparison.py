"""Two reports side by side, and a report against its budget, as text for a terminal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import TextIO

from rich.table import Table
from rich.text import Text

from memprof.base.units import format_bytes, format_in
from memprof.render.assumed import show_assumed_sizes
from memprof.render.comparison_words import summarize_comparison
from memprof.render.helped import show_helped
from memprof.render.terminal import Glyphs, Screen, open_screen
from memprof.render.wording import count_amount, known_amount, known_pair
from memprof.results.assumed import assumed_sizes
from memprof.results.budgets import Check, Verdict
from memprof.results.comparison import Change, Comparison

_HEADING = "bold"
_QUIET = "dim"
_WORSE = "bold red"
_BETTER = "bold green"
_UNSURE = "bold yellow"
_ASSUMED_SHOWN = 8


def render_comparison(found: Comparison, stream: TextIO, *, top: int = 8, next_command: str = "") -> None:
    """Write ``found`` to ``stream``; ``top`` rows in each list of tensors."""
    screen = open_screen(stream)
    peak = found.peak
    old_peak, new_peak = known_pair(peak.before, peak.after)
    headline = f"Peak {old_peak} to {new_peak}"
    screen.show(
        Text.assemble((headline, _style(peak)), f", {_describe(peak)} ({screen.clean(found.headline, limit=40)})"), ""
    )
    screen.show(Text(summarize_comparison(found)), "")
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style=_QUIET, highlight=False)
    table.add_column("")
    for title in ("before", "after", "change", "ratio"):
        table.add_column(title, justify="right", no_wrap=True)
    for name, change in found.peaks.items():
        _add_row(table, screen.glyphs, f"peak, {screen.clean(name, limit=40)}", change)
    _add_row(table, screen.glyphs, "parameters", found.parameters)
    if found.foldable_constants.before or found.foldable_constants.after:
        _add_row(table, screen.glyphs, "constants", found.foldable_constants)
    _add_row(table, screen.glyphs, "total", found.total)
    _add_row(table, screen.glyphs, "MACs", found.macs, is_bytes=False)
    screen.show(table, "")
    for title, path in (("before", found.before.path), ("after", found.after.path)):
        screen.show(Text(f"{title:<7} {screen.fit(screen.clean(path), screen.width - 8)}", style=_QUIET))
    old, new = assumed_sizes(found.before.assumed), assumed_sizes(found.after.assumed)
    for title, sizes in (("Assumed", old),) if old == new else (("Assumed before", old), ("Assumed after", new)):
        show_assumed_sizes(screen, sizes, top, title=title)
    _tensors(screen, "Gone from the peak", found.gone, top)
    _tensors(screen, "New at the peak", found.new, top)
    _next(screen, next_command)


def render_check(
    found: Check,
    stream: TextIO,
    *,
    units: Mapping[str, str] = MappingProxyType({}),
    deciders: Mapping[str, str] = MappingProxyType({}),
    next_command: str = "",
) -> None:
    """Write ``found`` to ``stream``: the answer first, then one row per limit.

    Args:
        found: The check.
        stream: Where to.
        units: By name of a limit the unit in which it was typed; its row comes back in it.
        deciders: By name of a limit where it comes from, where there is more than one place.
        next_command: What to run next, empty for nothing.
    """
    screen = open_screen(stream)
    answer, style = {True: ("Fits", _BETTER), False: ("Over budget", _WORSE), None: ("Undecided", _UNSURE)}[
        found.is_met
    ]
    path = screen.fit(screen.clean(found.path), screen.width - 30)
    screen.show(Text.assemble((answer, style), f": {path} ({screen.clean(found.runtime, limit=40)})"), "")
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style=_QUIET, highlight=False)
    for title in ("", "found", "allowed", ""):
        table.add_column(title, justify="right" if title else "left", no_wrap=True)
    for verdict in found.verdicts:
        show = partial(_amount, unit=units.get(verdict.name, ""))
        size = verdict.size_bytes
        shown = show(size) if size is not None else f"{screen.glyphs.at_least} {show(verdict.at_least_bytes)}"
        table.add_row(verdict.name, shown, show(verdict.limit_bytes), _verdict(verdict, show))
    screen.show(table)
    for verdict in found.verdicts:
        if verdict.name in deciders:
            screen.show(Text(f"{verdict.name}: {deciders[verdict.name]}", style=_QUIET))
    show_assumed_sizes(screen, found.assumed, _ASSUMED_SHOWN)
    if found.helped is not None:
        screen.show()
        show_helped(screen, found.helped, found.runtime, _ASSUMED_SHOWN)
    _next(screen, next_command)


def _amount(size_bytes: int, unit: str) -> str:
    return format_in(size_bytes, unit) if unit else format_bytes(size_bytes)


def _verdict(verdict: Verdict, show: Callable[[int], str]) -> Text:
    gap = verdict.at_least_bytes - verdict.limit_bytes
    if verdict.is_met is None:
        return Text("not known: a size is open", style=_UNSURE)
    if verdict.is_met:
        return Text(f"fits, {show(-gap)} left", style=_BETTER)
    return Text(f"over by {show(gap)} ({gap:,} bytes)", style=_WORSE)


def _add_row(table: Table, glyphs: Glyphs, name: str, change: Change, *, is_bytes: bool = True) -> None:
    def show(number: int | None) -> str:
        if number is None:
            return glyphs.nothing
        return format_bytes(number) if is_bytes else count_amount(number)

    delta, ratio = change.delta, change.ratio
    sign = "+" if delta is not None and delta > 0 else "-" if delta else ""
    table.add_row(
        Text(name),
        show(change.before),
        show(change.after),
        Text(f"{sign}{show(None if delta is None else abs(delta))}", style=_style(change)),
        glyphs.nothing if ratio is None else f"{ratio:.3f}",
    )


def _style(change: Change) -> str:
    if change.delta is None:
        return _UNSURE
    return _WORSE if change.delta > 0 else _BETTER if change.delta < 0 else _HEADING


def _describe(change: Change) -> str:
    delta, ratio = change.delta, change.ratio
    if delta is None:
        return "not comparable: one of them is not known"
    if delta == 0:
        return "no change"
    times = "" if ratio is None or f"{ratio:.3f}" == "1.000" else f", {ratio:.3f} times"
    return f"{format_bytes(abs(delta))} {'more' if delta > 0 else 'less'}{times}"


def _tensors(screen: Screen, title: str, tensors: Mapping[str, int | None], top: int) -> None:
    if not tensors:
        return
    screen.show("", Text(title, style=_HEADING))
    for name, size in list(tensors.items())[:top]:
        shown = screen.fit(screen.clean(name), screen.width - 13)
        screen.show(Text(f"  {known_amount(size):>9}  {shown}"))
    if len(tensors) > top:
        screen.show(Text(f"  {len(tensors) - top:,} more (--top {len(tensors)} shows them)", style=_QUIET))


def _next(screen: Screen, command: str) -> None:
    if command:
        screen.show()
        screen.show(Text.assemble(("Next: ", _QUIET), (command, _HEADING)), keep_lines=True)
