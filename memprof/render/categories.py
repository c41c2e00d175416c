"""Report -> what a training step's bytes are for, as a table for a terminal."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from memprof.base.units import format_bytes
from memprof.render.terminal import Screen
from memprof.render.wording import category_title
from memprof.results.records import RuntimeReport


def show_categories(screen: Screen, found: RuntimeReport) -> None:
    """Write the bytes at the peak of ``found`` by category; nothing if it knows none."""
    if not found.categories:
        return
    screen.show(Text.assemble(("What for", "bold"), (f"  {category_title(found)}", "dim")))
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False, highlight=False)
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(no_wrap=True)
    total = sum(found.categories.values())
    for name, size in found.categories.items():
        share = f"{size / total:>4.0%}" if total else ""
        table.add_row(Text(f"  {screen.clean(name, limit=40)}"), Text(format_bytes(size)), Text(share, style="dim"))
    about = "with the inputs that the caller holds" if found.categories.get("inputs") else ""
    table.add_row(Text("  together", style="bold"), Text(format_bytes(total), style="bold"), Text(about, style="dim"))
    screen.show(table)
    screen.show()
