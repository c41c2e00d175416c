"""Report -> a table by module path for a terminal: parameters, part of the peak, the height while a module runs."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from memprof.analysis.modules import ModuleRow
from memprof.base.palette import TERMINAL_CURVE
from memprof.base.units import format_bytes
from memprof.render.terminal import Screen
from memprof.results.report import Report

_BAR = 6
_FIXED = 52  # all columns but the first


def show_modules(screen: Screen, report: Report, depth: int) -> None:
    """Write the table on a screen."""
    rows = report.module_rows(depth)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim", highlight=False)
    table.add_column("  module", no_wrap=True)
    table.add_column("operations", justify="right", no_wrap=True)
    table.add_column("parameters", justify="right", no_wrap=True)
    table.add_column("at the peak", no_wrap=True)
    table.add_column("highest", justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*_cells(screen, row))
    folded = "" if len(rows) == 1 else f"  {len(rows)} rows, paths folded to {depth} parts"
    screen.show(Text.assemble(("By module", "bold"), (folded, "dim")))
    screen.show(table)
    screen.show()


def _cells(screen: Screen, row: ModuleRow) -> tuple[Text, ...]:
    nothing = screen.glyphs.nothing
    name = screen.clean(row.path) if row.path else "(no module)"
    return (
        Text("  " + screen.fit(name, max(12, screen.width - _FIXED)), style="" if row.path else "italic"),
        Text(str(row.nodes) if row.nodes else nothing),
        Text(format_bytes(row.parameter_bytes) if row.parameter_bytes else nothing),
        Text.assemble(
            (_bar(row.share, screen.glyphs.bars), TERMINAL_CURVE), f" {row.share:>4.0%}  {_amount(row, nothing)}"
        ),
        Text(format_bytes(row.highest_bytes) if row.highest_bytes else nothing, style="dim"),
    )


def _amount(row: ModuleRow, nothing: str) -> str:
    return format_bytes(row.peak_bytes) if row.peak_bytes else nothing


def _bar(share: float, levels: str) -> str:
    parts = len(levels) - 1
    full, rest = divmod(round(share * _BAR * parts), parts)
    return (levels[-1] * full + (levels[rest] if rest else "")).ljust(_BAR)
