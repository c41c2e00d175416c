"""Report -> text for a terminal, 80 columns wide or as wide as the terminal is.

    Peak 6.02 MB of intermediates at step 4 of 100, features.1 (Conv)     line one is the peak
    what is unknown, with the flag that settles it                        only if there is any
    RAM, weights, total                                                   what a board must hold
    one row per runtime model                                             what the peak assumes
    the skyline                                                           where it goes
    who is alive at the peak                                              why
    what a training step's bytes are for, modules, further figures        where there are any
    Next: memprof ...                                                     the last line is the next command

Short by default: ``TextView`` asks for more. Names become ``rich.text.Text``, which interprets nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import TextIO

from rich.table import Table
from rich.text import Text

from memprof.base.palette import TERMINAL_ACCENT, TERMINAL_CURVE
from memprof.base.units import format_bytes
from memprof.ir import BOUND, Assumption, Unknown
from memprof.render.assumed import show_assumed_sizes
from memprof.render.categories import show_categories
from memprof.render.helped import show_helped
from memprof.render.live import live_table
from memprof.render.modules import show_modules
from memprof.render.skyline import pool_timeline
from memprof.render.sweep import show_sweep, sweep_title
from memprof.render.terminal import Screen, open_screen
from memprof.render.wording import (
    exact_amount,
    figure_rows,
    figure_title,
    grade_words,
    known_amount,
    mac_unknowns,
    memory_unknowns,
    model_facts,
    peak_amount,
    process_note,
    reserved_words,
    short_definition,
    split_headline,
    weights_amount,
)
from memprof.results.report import Report
from memprof.results.sections import drawn_by

_HEIGHT = 6  # even: the label in the middle is half the peak
_LABEL = 9
_MIN_NAME = 20
_NARROW = 60
_HEADING = "bold"
_PEAK = f"bold {TERMINAL_ACCENT}"
_CURVE = TERMINAL_CURVE
_QUIET = "dim"


@dataclass(frozen=True, slots=True, kw_only=True)
class TextView:
    """How much of a report to show.

    Attributes:
        top: Rows in each list that can be long.
        why: Add a sentence of cause to each tensor, and the full definitions.
        next_command: The last line.
        width: Columns; the stream's own if left out.
        modules: Depth of the table by module path; ``None`` for none.
    """

    top: int = 8
    why: bool = False
    next_command: str = ""
    width: int | None = None
    modules: int | None = None


def render_text(report: Report, stream: TextIO, view: TextView = TextView()) -> None:
    """Write ``report`` to ``stream`` for a person to read."""
    screen = open_screen(stream, view.width)
    for draw in drawn_by(_SECTIONS).values():
        draw(screen, report, view)
    screen.show(Text(screen.fit(model_facts(report), 10 * screen.width), style=_QUIET))
    _mac_unknowns(screen, mac_unknowns(report), view)
    if view.next_command:
        screen.show()
        # never broken over two lines: it is there to be copied
        screen.show(Text.assemble(("Next: ", _QUIET), (view.next_command, _HEADING)), keep_lines=True)


def _headline(screen: Screen, report: Report, view: TextView) -> None:
    what, where, operation = split_headline(report)
    room = screen.width - len(what) - len(where) - 2
    if operation and room < min(_MIN_NAME, len(operation)):
        where = f"{where},\n{screen.fit(operation, screen.width)}"
    elif operation:
        where = f"{where}, {screen.fit(operation, room)}"
    screen.show(Text.assemble((what, _PEAK), where))
    screen.show()


def _footprint(screen: Screen, report: Report, view: TextView) -> None:
    found, model = report.headline, report.model
    weights = model.parameter_bytes + model.foldable_constant_bytes if model.has_known_weights else None
    constants = model.foldable_constant_bytes
    parts = f", constants {format_bytes(constants)}" if constants else ""
    table = _grid()
    for name, amount, size, what in (
        ("RAM", peak_amount(found, screen.glyphs.at_least), found.peak_intermediate_bytes, "intermediates"),
        ("Weights", weights_amount(model, screen.glyphs.at_least), weights, f"parameters{parts}"),
        ("Total", known_amount(found.total_bytes), found.total_bytes, "without inputs" if found.categories else ""),
    ):
        exact = "" if size is None else exact_amount(size)
        about = exact if screen.width < _NARROW else f"{exact}  {what}" if exact else what
        table.add_row(Text(name, style=_HEADING), Text(amount), Text(about, style=_QUIET))
    process = report.process
    if process is not None and process.size_bytes is not None:
        how = process_note(process)
        amount = format_bytes(process.size_bytes)
        table.add_row(Text("Process", style=_HEADING), Text(amount), Text(how, style=_QUIET))
    table.columns[1].justify = "right"
    screen.show(table)
    screen.show()


def _runtimes(screen: Screen, report: Report, view: TextView) -> None:
    table = _grid()
    titles = ("model", "peak", "no I/O", "grade", "in short")
    shown = len(titles) if screen.width >= _NARROW else len(titles) - 1
    for title in titles[:shown]:
        table.add_column(Text(title, style=_QUIET), justify="right" if title in ("peak", "no I/O") else "left")
    table.show_header = True
    for i, (name, found) in enumerate(report.runtimes.items()):
        cells = (
            Text(name, style=_HEADING if i == 0 else ""),
            Text(peak_amount(found, screen.glyphs.at_least), style=_HEADING if i == 0 else ""),
            Text(known_amount(found.peak_without_io_bytes)),
            Text(grade_words(found.grade)),
            Text(short_definition(found), style=_QUIET),
        )
        table.add_row(*cells[:shown])
    screen.show(table)
    if view.why:
        screen.show()
        for name, found in report.runtimes.items():
            screen.show(Text.assemble((name, _HEADING), f": {found.runtime.definition}."))
        screen.show(Text.assemble(("no I/O", _HEADING), ": the peak without graph inputs and outputs."))
    screen.show()


def _sweep(screen: Screen, report: Report, view: TextView) -> None:
    if report.sweep is not None:
        screen.show(Text.assemble(("Over other sizes", _HEADING), (f"  {sweep_title(report.sweep)}", _QUIET)))
        show_sweep(screen, report.sweep)


def _skyline(screen: Screen, report: Report, view: TextView) -> None:
    found = report.headline
    if not found.timeline or not found.known_bytes_at_least:
        return
    glyphs = screen.glyphs
    width = screen.width - _LABEL - 2
    skyline = pool_timeline(found.lifetimes.timeline_in_use.step_bytes, found.peak.step, width)
    drawn = len(skyline.columns)
    at = skyline.peak_column
    label = f"peak, step {found.peak.step}"
    if found.peak.held_bytes:
        label += ", without what is held"
    caption = f"{glyphs.marker} {label}" if at + len(label) + 2 <= width else f"{label} {glyphs.marker}"
    start = at if caption.startswith(glyphs.marker) else at - len(caption) + 1
    screen.show(Text(" " * (_LABEL + 2 + start) + caption, style=_PEAK))
    peak = max(skyline.columns)
    highest = [value == peak for value in skyline.columns]
    for i, row in enumerate(skyline.rows(_HEIGHT, glyphs.columns)):
        value = {0: peak, _HEIGHT // 2: peak // 2}.get(i)
        axis = (
            f"{'':>{_LABEL}} {glyphs.vertical}" if value is None else f"{format_bytes(value):>{_LABEL}} {glyphs.tick}"
        )
        line = Text.assemble((axis, _QUIET))
        for is_peak, run in groupby(zip(highest, row, strict=True), key=itemgetter(0)):
            line.append("".join(cell for _, cell in run), style=_PEAK if is_peak else _CURVE)
        screen.show(line)
    screen.show(Text(f"{'0':>{_LABEL}} {glyphs.corner}{glyphs.horizontal * drawn}", style=_QUIET))
    last = str(len(found.timeline) - 1)
    ruler = f"{'step 0':<{max(0, drawn - len(last))}}{last}" if drawn >= len(last) + 8 else "steps"
    screen.show(Text(" " * (_LABEL + 2) + ruler, style=_QUIET))
    screen.show()


def _live(screen: Screen, report: Report, view: TextView) -> None:
    found, peak = report.headline, report.headline.peak
    n = len(peak.live)
    tensors = "1 tensor" if n == 1 else f"{n:,} tensors"
    inside = f", and {format_bytes(peak.reserved_bytes)} {reserved_words(found)}" if peak.reserved_bytes else ""
    inside += f", and {format_bytes(peak.held_bytes)} held" if peak.held_bytes else ""
    if found.later is not None:
        step, later_bytes = found.later
        inside += f"; {format_bytes(later_bytes)} more by step {step:,}, as the block stays"
    screen.show(Text.assemble(("Alive at the peak", _HEADING), (f"  {tensors}{inside}", _QUIET)))
    if n:
        screen.show(live_table(screen, found, peak.live[: view.top]))
    if n > view.top:
        rest = sum(buffer.size_bytes or 0 for buffer in peak.live.buffers[view.top :])
        more = f"  {n - view.top:,} more, {format_bytes(rest)} together (--top {n} shows them)"
        screen.show(Text(more, style=_QUIET))
    screen.show()
    if view.why and n:
        screen.show(Text("Why", style=_HEADING))
        for live in peak.live[: view.top]:
            sentence = Text.assemble((screen.clean(live.name), _CURVE), f": {screen.clean(live.cause, limit=600)}.")
            screen.show(sentence)
        screen.show()


def _unknowns(screen: Screen, report: Report, view: TextView) -> None:
    unknowns = memory_unknowns(report)
    if unknowns:
        screen.show(Text("Unknown, and what settles it (1: your size)", style="bold yellow"))
        _list_unknowns(screen, unknowns, view.top)
        screen.show()


def _assumed(screen: Screen, report: Report, view: TextView) -> None:
    show_assumed_sizes(screen, report.assumed, view.top, style=_CURVE)
    largest = [note for note in report.assumed if note.kind == BOUND]
    if largest:
        screen.show(Text("Taken at its largest, since the data decide", style="bold yellow"))
        _list_unknowns(screen, tuple(largest), view.top)
    others = [note for note in report.assumed if note.kind not in ("dimension", "input", BOUND)]
    if others:
        screen.show(Text("Taken otherwise than the file says", style="bold yellow"))
        _list_unknowns(screen, tuple(others), view.top)
    if report.assumed:
        screen.show()


def _mac_unknowns(screen: Screen, unknowns: tuple[Unknown, ...], view: TextView) -> None:
    if unknowns and view.why:
        screen.show()
        screen.show(Text("No formula for MACs", style=_HEADING))
        _list_unknowns(screen, unknowns, view.top)
    elif unknowns:
        names = ", ".join(screen.clean(unknown.name, limit=40) for unknown in unknowns[:3])
        more = f" and {len(unknowns) - 3} more" if len(unknowns) > 3 else ""
        screen.show(Text(f"MACs: no formula for {names}{more} (--why tells more)", style=_QUIET))


def _list_unknowns(screen: Screen, unknowns: Sequence[Unknown | Assumption], top: int) -> None:
    for unknown in unknowns[:top]:
        kind, name = screen.clean(unknown.kind, limit=40), screen.clean(unknown.name, limit=80)
        line = Text.assemble(f"  {kind} ", (name, _HEADING), f": {screen.clean(unknown.reason, limit=400)}")
        hint = Text(screen.clean(unknown.hint, limit=400), style=_CURVE)
        if line.cell_len + 2 + hint.cell_len <= screen.width:
            screen.show(Text.assemble(line, "  ", hint))
        else:
            screen.show(line, Text.assemble("    ", hint))
    if len(unknowns) > top:
        screen.show(Text(f"  {len(unknowns) - top:,} more (--top {len(unknowns)} shows them)", style=_QUIET))


def _categories(screen: Screen, report: Report, view: TextView) -> None:
    for found in report.runtimes.values():
        show_categories(screen, found)


def _modules(screen: Screen, report: Report, view: TextView) -> None:
    if view.modules is not None:
        show_modules(screen, report, view.modules)


def _help(screen: Screen, report: Report, view: TextView) -> None:
    helped = report.helped
    if helped is not None and (helped.changes or helped.skipped):
        show_helped(screen, helped, report.headline.runtime.name, view.top)
        screen.show()


def _figures(screen: Screen, report: Report, view: TextView) -> None:
    leads = report.headline.runtime.name
    rows = [row for row in figure_rows(report) if view.why or row[0] == leads]
    if not rows:
        return
    screen.show(Text("Besides the peak", style=_HEADING))
    table = _grid()
    for name, figure in rows:
        amount = known_amount(figure.size_bytes)
        table.add_row(
            Text(f"  {figure_title(figure)}"), Text(amount), Text(grade_words(figure.grade)), Text(name, style=_QUIET)
        )
    table.columns[1].justify = "right"
    screen.show(table)
    screen.show()
    told = [figure for _, figure in rows if figure.definition] if view.why else []
    if told:
        screen.show(*[Text(f"{figure_title(figure)}: {figure.definition}.", style=_QUIET) for figure in told])
        screen.show()


def _grid(titles: Iterable[str] = ()) -> Table:
    return Table(*titles, box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0), highlight=False)


_SECTIONS: Mapping[str, Callable[[Screen, Report, TextView], None]] = {
    "headline": _headline,
    "unknown": _unknowns,
    "assumed": _assumed,
    "footprint": _footprint,
    "runtimes": _runtimes,
    "sweep": _sweep,
    "curve": _skyline,
    "live": _live,
    "categories": _categories,
    "help": _help,
    "modules": _modules,
    "figures": _figures,
}
