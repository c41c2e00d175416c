"""A gate for people: one line a model, the decision last; and a comment for a change that a bot keeps up to date."""

from __future__ import annotations

from typing import TextIO

from memprof.base.text import safe_text
from memprof.base.units import format_bytes
from memprof.render.helped import less, untried
from memprof.render.markdown import code, prose
from memprof.render.wording import known_amount
from memprof.results.gate import Gate, GateRow
from memprof.results.helped import Change

MARKER = "<!-- memprof check -->"
"""First line of the comment: a bot finds its own by it, and writes over it."""

_WORDS = {"over": "OVER", "failed": "FAILED", "undecided": "OPEN", "fits": "ok"}
_GONE = "in the baseline, but no model is called so now; memprof check --update-baseline forgets it"
_NUMBERS = {"peak": "peak", "params": "parameters", "weights": "weights", "total": "total"}


def render_gate(found: Gate, stream: TextIO) -> None:
    """Write one line a model, one for each that is gone, and one for all."""
    stream.writelines(f"{describe_row(row)}\n" for row in found.rows)
    stream.writelines(f"gone   {safe_text(name)}: {_GONE}\n" for name in found.gone)
    stream.write(f"{summarize(found)}\n")


def describe_row(row: GateRow) -> str:
    """Return how one model stands, in one line: by how much, which tensor, what would help."""
    word = _WORDS[row.status] + (" (for information)" if row.is_informational and row.status != "fits" else "")
    return f"{word:<6} {safe_text(row.name)}: {explain(row)}"


def explain(row: GateRow) -> str:
    """Return the part of the line behind the name."""
    parts = [row.reason or _fits(row)]
    if row.assumed:
        parts.append(f"assuming {', '.join(row.assumed)}")
    if row.tensor:
        size = "" if row.tensor_bytes is None else format_bytes(row.tensor_bytes)
        about = ", ".join(filter(None, (size, row.tensor_what)))
        parts.append(f"look at {row.tensor}{f' ({about})' if about else ''}")
    if row.advice:
        parts.append(row.advice)
    if best := _best(row):
        parts.append(f"{best.what} would take {format_bytes(best.peak_bytes)} at the peak ({less(best.saved_bytes)})")
    return safe_text("; ".join(parts), limit=2000)


def summarize(found: Gate) -> str:
    """Return the last line: how many models, and how many do not fit."""
    counts = {
        status: sum(row.status == status for row in found.deciding) for status in ("over", "failed", "undecided")
    }
    n = len(found.rows)
    what = ", ".join(f"{count} {status}" for status, count in counts.items() if count) or "all within their budgets"
    return f"{n} {'model' if n == 1 else 'models'}: {what}"


def render_gate_markdown(found: Gate, stream: TextIO) -> None:
    """Write a comment for a change: the decision, a table over all, and what is wrong below it."""
    stream.write(f"{MARKER}\n**Memory: {summarize(found)}**\n\n")
    stream.write("| model | | peak | change | limit | parameters | total | runtime |\n")
    stream.write("|---|---|--:|--:|--:|--:|--:|---|\n")
    for row in found.rows:
        peak = next((verdict for verdict in row.verdicts if verdict.name == "peak"), None)
        cells = (
            prose(row.name),
            _WORDS[row.status] + (" (info)" if row.is_informational else ""),
            known_amount(row.sizes.get("peak")) if row.sizes else "",
            _change(row.before.get("peak"), row.sizes.get("peak")),
            "" if peak is None else format_bytes(peak.limit_bytes),
            known_amount(row.sizes.get("params")) if row.sizes else "",
            known_amount(row.sizes.get("total")) if row.sizes else "",
            prose(row.runtime),
        )
        stream.write(f"| {' | '.join(cells)} |\n")
    wrong = [row for row in found.rows if row.status != "fits"]
    if wrong:
        stream.write("\n")
        stream.writelines(f"- {prose(row.name)}: {prose(explain(row), limit=2000)}\n" for row in wrong)
    if found.gone:
        stream.write("\n")
        stream.writelines(f"- {prose(name)}: {_GONE}\n" for name in found.gone)
    for row in wrong:
        _write_help(row, stream)


def _write_help(row: GateRow, stream: TextIO) -> None:
    """Write all changes that were tried, folded: what each takes, and the command that makes it."""
    notes = [*untried(row.helped)]
    if not row.helped.changes and not notes:
        return
    stream.write(f"\n<details><summary>What would help {prose(row.name)}</summary>\n\n")
    if row.helped.changes:
        stream.write("| change | peak | peak then | weights | runtime | command |\n|---|--:|--:|--:|---|---|\n")
    for change in row.helped.changes:
        weights = less(change.saved_weight_bytes) if change.saved_weight_bytes else ""
        cells = (prose(change.what), less(change.saved_bytes), format_bytes(change.peak_bytes), weights)
        stream.write(f"| {' | '.join(cells)} | {prose(change.runtime)} | {code(change.command, limit=400)} |\n")
    for line, command in notes:
        stream.write(f"\n{prose(line, limit=2000)}{f': {code(command, limit=400)}' if command else ''}\n")
    stream.write("\n</details>\n")


def _best(row: GateRow) -> Change | None:
    """Return the change that lowers the judged peak most; another order is told by the advice, with its proof."""
    changes = [change for change in row.helped.of_peak().changes if change.runtime == row.runtime]
    others = [change for change in changes if not (row.advice and "order" in change.what)]
    return min(others, key=lambda change: change.peak_bytes, default=None)


def _change(before: int | None, after: int | None) -> str:
    if before is None or after is None:
        return ""
    sign = "+" if after > before else "-" if after < before else "±"
    return f"{sign}{format_bytes(abs(after - before))}"


def _fits(row: GateRow) -> str:
    """Return what each limit leaves, or what was found where there is none."""
    numbers = [
        f"{_NUMBERS[verdict.name]} {format_bytes(verdict.size_bytes or 0)} of {format_bytes(verdict.limit_bytes)}"
        for verdict in row.verdicts
    ]
    grade = f" ({row.runtime}, {row.grade})" if row.grade else f" ({row.runtime})"
    if row.board:
        numbers.append(row.board)
    return (", ".join(numbers) or f"peak {known_amount(row.sizes.get('peak'))}") + grade
