"""A verification as text for a terminal: the answer first, then the numbers, then where the two part."""

from __future__ import annotations

from typing import TextIO

from rich.table import Table
from rich.text import Text

from memprof.base.units import format_bytes
from memprof.render.terminal import Screen, open_screen
from memprof.render.wording import known_amount, verified_peak
from memprof.results.verification import StepPair, Verification

_HEADING = "bold"
_QUIET = "dim"
_WORSE = "bold red"
_BETTER = "bold green"
_UNSURE = "bold yellow"
_TITLES = {
    "without_scratch": "without kernel scratch",
    "first_run_peak": "first run",
    "first_run_without_scratch": "first run, without scratch",
    "later_runs_peak": "later runs",
    "later_runs_block": "later runs, the block",
    "arena_first_run": "arena after the first run",
    "arena_later_runs": "arena after later runs",
    "process_session_library": "process: the library's pages",
    "process_session_kept": "process: kept by the session",
    "process_session_left": "process: left by loading",
    "process_session": "process: the session",
    "process_inputs": "process: inputs",
    "process_first_run": "process: first run",
    "process_later_runs": "process: later runs",
    "process": "process, all told",
    "tail_bytes_64_bit": "tail of the arena",
}


def render_verification(found: Verification, stream: TextIO, *, top: int = 8, next_command: str = "") -> None:
    """Write ``found`` to ``stream``; ``top`` rows of steps that differ."""
    screen = open_screen(stream)
    answer, style = _answer(found)
    what = f"{found.runtime} {screen.clean(found.version, limit=30)}"
    if found.optimization != "none":
        what += f", optimisation {found.optimization}"
    screen.show(Text.assemble((answer, style), f": {screen.fit(screen.clean(found.path), 60)} ({what})"), "")
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style=_QUIET, highlight=False)
    table.add_column("")
    for title in ("predicted", "measured", "difference"):
        table.add_column(title, justify="right", no_wrap=True)
    _add_row(table, verified_peak(found.runtime_model or found.runtime), found.predicted_bytes, found.measured_bytes)
    for pair in found.others:
        _add_row(table, _TITLES.get(pair.name, pair.name), pair.predicted_bytes, pair.measured_bytes)
    screen.show(table, "")
    _show_steps(screen, found, top)
    screen.show(Text(f"Counted: {found.counts}. Measured by: {found.method}.", style=_QUIET))
    if next_command:
        screen.show("", Text.assemble(("Next: ", _QUIET), (next_command, _HEADING)), keep_lines=True)


def _answer(found: Verification) -> tuple[str, str]:
    if found.predicted_bytes is None:
        return f"Not predicted, {format_bytes(found.measured_bytes)} measured", _UNSURE
    if found.is_exact:
        return f"Exact, {format_bytes(found.measured_bytes)} ({found.measured_bytes:,} bytes)", _BETTER
    error = found.relative_error
    return f"Off by {0.0 if error is None else error:+.2%}", _WORSE


def _add_row(table: Table, name: str, predicted: int | None, measured: int | None) -> None:
    gap = None if predicted is None or measured is None else predicted - measured
    shown = Text("not known", style=_UNSURE) if gap is None else Text("none" if not gap else f"{gap:+,} B")
    if gap is not None:
        shown.stylize(_WORSE if gap else _BETTER)
    table.add_row(name, known_amount(predicted), known_amount(measured), shown)


def _show_steps(screen: Screen, found: Verification, top: int) -> None:
    first = found.first_difference
    if not found.steps:
        return
    if first is None:
        screen.show(Text(f"All {len(found.steps):,} steps are equal, byte for byte."), "")
        return
    differing = [pair for pair in found.steps if not pair.is_equal]
    screen.show(
        Text.assemble(
            (f"{len(differing):,} of {len(found.steps):,} steps differ", _WORSE),
            f", first step {first.step:,}: {screen.clean(first.node)} ({screen.clean(first.op, limit=40)})",
        )
    )
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style=_QUIET, highlight=False)
    for title in ("step", "predicted", "measured"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("operation")
    for pair in differing[:top]:
        table.add_row(*_step_row(screen, pair))
    screen.show(table)
    if len(differing) > top:
        screen.show(Text(f"{len(differing) - top:,} more (--top {len(differing)} shows them)", style=_QUIET))
    screen.show()


def _step_row(screen: Screen, pair: StepPair) -> tuple[str, str, str, Text]:
    def show(size: int | None) -> str:
        return screen.glyphs.nothing if size is None else f"{size:,}"

    name = screen.fit(screen.clean(pair.node), max(20, screen.width - 45))
    return f"{pair.step:,}", show(pair.predicted_bytes), show(pair.measured_bytes), Text(name)
