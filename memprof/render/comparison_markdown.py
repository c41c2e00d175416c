"""A comparison as Markdown, for a comment on a change: sentences, numbers, what grew by tensor and by module."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TextIO

from memprof.base.units import format_bytes
from memprof.render.comparison_words import summarize_comparison
from memprof.render.markdown import code, prose
from memprof.render.wording import count_amount, known_amount
from memprof.results.assumed import assumed_sizes, change_of
from memprof.results.comparison import Change, Comparison, NamedChange

MARKER = "<!-- memprof compare -->"
"""First line of the comment: a bot finds its own by it, and writes over it."""


def render_comparison_markdown(found: Comparison, stream: TextIO, *, top: int = 8) -> None:
    """Write ``found`` to ``stream``; ``top`` rows in each list."""
    stream.write(f"{MARKER}\n{summarize_comparison(found, code)}\n\n")
    rows = [(f"peak, {prose(name)}", change, True) for name, change in found.peaks.items()]
    rows += [("parameters", found.parameters, True), ("total", found.total, True), ("MACs", found.macs, False)]
    stream.write("| | before | after | change | ratio |\n|---|--:|--:|--:|--:|\n")
    for name, change, is_bytes in rows:
        stream.write(f"| {' | '.join((name, *_cells(change, is_bytes=is_bytes)))} |\n")
    old, new = assumed_sizes(found.before.assumed), assumed_sizes(found.after.assumed)
    for title, sizes in (("Assumed", old),) if old == new else (("Assumed before", old), ("Assumed after", new)):
        if sizes:
            more = f" and {len(sizes) - top:,} more" if len(sizes) > top else ""
            names = ", ".join(code(note.name) for note in sizes[:top])
            stream.write(f"\n**{title}:** {names}{more}; to change: {code(change_of(sizes[0]))}\n")
    for title, changes in (
        ("At the peak, by tensor", found.tensors),
        ("At the peak, by module", found.peak_modules),
        ("Parameters, by module", found.parameter_modules),
    ):
        _table(stream, title, changes, top)


def _table(stream: TextIO, title: str, changes: Sequence[NamedChange], top: int) -> None:
    if not changes:
        return
    shown = "" if len(changes) <= top else f", {top} of {len(changes):,}"
    stream.write(f"\n<details><summary>{title}{shown}</summary>\n\n")
    stream.write("| | before | after | change |\n|---|--:|--:|--:|\n")
    for one in changes[:top]:
        stream.write(f"| {' | '.join((code(one.name), *_cells(one.change, is_bytes=True)[:3]))} |\n")
    stream.write("\n</details>\n")


def _cells(change: Change, *, is_bytes: bool) -> tuple[str, str, str, str]:
    def show(number: int | None) -> str:
        return known_amount(number) if is_bytes else "unknown" if number is None else count_amount(number)

    delta = change.delta
    sign = "" if not delta else "+" if delta > 0 else "-"
    amount = "" if delta is None else format_bytes(abs(delta)) if is_bytes else count_amount(abs(delta))
    return (
        show(change.before),
        show(change.after),
        f"{sign}{amount}",
        "" if change.ratio is None else f"{change.ratio:.3f}",
    )
