"""Report -> Markdown for a comment on a change: short, folded where it is long, readable as plain text.

A name is shown as code: in a code span nothing is markup, no mention is sent and no link is made. One that holds a
character that could end the span or the table cell is written with character references instead.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TextIO

from memprof.base.text import safe_text
from memprof.base.units import format_bytes
from memprof.render.helped import less
from memprof.render.skyline import pool_timeline
from memprof.render.sweep import formula_lines, formula_remark, shown_points
from memprof.render.terminal import UNICODE
from memprof.render.wording import (
    category_title,
    count_amount,
    exact_amount,
    figure_rows,
    figure_title,
    grade_words,
    known_amount,
    peak_amount,
    split_headline,
    weights_amount,
)
from memprof.results.report import Report
from memprof.results.sections import MODULE_DEPTH, drawn_by

_COLUMNS, _HEIGHT = 72, 6
_PLAIN = re.compile(r"[A-Za-z0-9_./:+\-,;=@#%()' ]*")
_PROSE = re.compile(r"(?!.*(?:www|//))[A-Za-z0-9 .,;:/()'+\-]*")
_SPECIAL = re.compile(r"[^A-Za-z0-9 ./:,\-]")


def render_markdown(report: Report, stream: TextIO, top: int = 8) -> None:
    """Write ``report`` to ``stream``; ``top`` rows in each list that can be long."""
    stream.write("\n\n".join(part for part in _parts(report, top) if part))
    stream.write("\n")


def _parts(report: Report, top: int) -> list[str]:
    return [draw(report, top) for draw in drawn_by(_SECTIONS).values()]


def _headline(report: Report, top: int) -> str:
    what, where, operation = split_headline(report)
    if operation:
        where += f", {code(operation)}"
    model = f"Model {code(report.model.path or 'in memory')}: {_facts(report)}"
    return f"**{what}**{where}\n\n{model}"


def code(text: str, limit: int = 200) -> str:
    """Return ``text`` as code that holds no markup, whatever it is.

    >>> code("features.2.conv"), code("a|b")
    ('`features.2.conv`', '<code>a&#124;b</code>')
    """
    shown = safe_text(text, limit=limit).strip()
    if shown and _PLAIN.fullmatch(shown):
        return f"`{shown}`"
    return f"<code>{_SPECIAL.sub(lambda match: f'&#{ord(match[0])};', shown)}</code>"


def prose(text: str, limit: int = 400) -> str:
    """Return a sentence as it is, or as code if it quotes something that could be markup, a mention or a link.

    >>> prose("one operation at a time"), prose("ask @you")
    ('one operation at a time', '`ask @you`')
    """
    shown = safe_text(text, limit=limit)
    return shown if _PROSE.fullmatch(shown) else code(shown, limit=limit)


def _facts(report: Report) -> str:
    model = report.model
    macs = "MACs unknown" if model.macs is None else f"{count_amount(model.macs)} MACs"
    dtypes = ", ".join(f"{prose(name)} {format_bytes(n)}" for name, n in model.bytes_by_dtype.items())
    return f"{model.nodes:,} operations, {macs}, parameters: {dtypes or 'none'}."


def _footprint(report: Report, top: int) -> str:
    model, found = report.model, report.headline
    weights = model.parameter_bytes + model.foldable_constant_bytes if model.has_known_weights else None
    rows = [
        ("RAM, intermediates", peak_amount(found), found.peak_intermediate_bytes),
        ("Weights, constants included", weights_amount(model), weights),
        ("Total", known_amount(found.total_bytes), found.total_bytes),
    ]
    return _table(
        ("", "", "exactly"),
        [(name, f"**{amount}**", "" if n is None else exact_amount(n)) for name, amount, n in rows],
        "lrr",
    )


def _runtimes(report: Report, top: int) -> str:
    rows = [
        (
            name,
            peak_amount(found),
            known_amount(found.peak_without_io_bytes),
            grade_words(found.grade),
            prose(found.runtime.definition),
        )
        for name, found in report.runtimes.items()
    ]
    return _table(("runtime model", "peak", "without I/O", "grade", "what is alive when"), rows, "lrrll")


def _sweep(report: Report, top: int) -> str:
    sweep = report.sweep
    if sweep is None:
        return ""
    rows = [
        (
            ", ".join(f"{point.dims[name]:,}" for name in sweep.dims),
            known_amount(point.peak_intermediate_bytes),
            known_amount(point.process_bytes),
        )
        for point in shown_points(sweep.points)
    ]
    formula = "\n".join(f"* {code(text)} for {code(where)}" for text, where in formula_lines(sweep))
    table = _table((", ".join(map(code, sweep.dims)), "peak", "process"), rows, "rrr")
    return "\n\n".join(part for part in ("Over other sizes:", formula, formula_remark(sweep), table) if part)


def _live(report: Report, top: int) -> str:
    live = report.headline.peak.live
    if not live:
        return ""
    rows = [
        (
            code(tensor.name),
            known_amount(tensor.size_bytes),
            f"{tensor.share:.0%}",
            "input" if tensor.producer is None else code(tensor.producer),
            "output" if tensor.is_output else "nobody" if tensor.held_by is None else code(tensor.held_by),
            str(tensor.held_steps),
        )
        for tensor in live[:top]
    ]
    table = _table(("tensor", "bytes", "share", "written by", "held by", "steps more"), rows, "lrrllr")
    more = f"\n\n{len(live) - top:,} more." if len(live) > top else ""
    count = "1 tensor" if len(live) == 1 else f"{len(live):,} tensors"
    return f"<details><summary>Alive at the peak: {count}</summary>\n\n{table}{more}\n\n</details>"


def _unknowns(report: Report, top: int) -> str:
    unknowns = report.unknown
    if not unknowns:
        return ""
    lines = [
        f"- {prose(u.kind)} {code(u.name)}: {prose(u.reason)}{' ' + code(u.hint, limit=400) if u.hint else ''}"
        for u in unknowns[:top]
    ]
    more = [f"- {len(unknowns) - top:,} more"] if len(unknowns) > top else []
    return "\n".join(["**Unknown:**", "", *lines, *more])


def _assumed(report: Report, top: int) -> str:
    assumed = report.assumed
    if not assumed:
        return ""
    lines = [
        f"- {prose(a.kind)} {code(a.name)}: {prose(a.reason)}{' ' + code(a.hint, limit=400) if a.hint else ''}"
        for a in assumed[:top]
    ]
    more = [f"- {len(assumed) - top:,} more"] if len(assumed) > top else []
    return "\n".join(["**Assumed:**", "", *lines, *more])


def _curve(report: Report, top: int) -> str:
    found = report.headline
    if not found.timeline or not found.known_bytes_at_least:
        return ""
    skyline = pool_timeline(found.lifetimes.timeline_in_use.step_bytes, found.peak.step, _COLUMNS)
    rows = "\n".join(skyline.rows(_HEIGHT, UNICODE.columns))
    return f"<details><summary>Bytes alive at each step</summary>\n\n```text\n{rows}\n```\n\n</details>"


def _categories(report: Report, top: int) -> str:
    tables = []
    for found in report.runtimes.values():
        total = sum(found.categories.values())
        rows = [
            (prose(name), format_bytes(size), f"{size / total:.0%}" if total else "")
            for name, size in found.categories.items()
        ]
        if rows:
            rows.append(("together", format_bytes(total), ""))
            tables.append(
                f"**What for**, {prose(category_title(found))}\n\n{_table(('', 'bytes', 'share'), rows, 'lrr')}"
            )
    return "\n\n".join(tables)


def _modules(report: Report, top: int) -> str:
    found = sorted(report.module_rows(MODULE_DEPTH), key=lambda row: -row.peak_bytes)
    if not any(row.path for row in found):
        return ""
    rows = [
        (
            code(row.path) if row.path else "no module",
            f"{row.nodes:,}",
            format_bytes(row.parameter_bytes),
            format_bytes(row.peak_bytes),
            f"{row.share:.0%}",
        )
        for row in found[:top]
    ]
    table = _table(("module", "operations", "parameters", "at the peak", "share"), rows, "lrrrr")
    more = f"\n\n{len(found) - top:,} more." if len(found) > top else ""
    return f"<details><summary>By module: {len(found):,} rows</summary>\n\n{table}{more}\n\n</details>"


def _help(report: Report, top: int) -> str:
    if report.helped is None or not report.helped.changes:
        return ""
    rows = [
        (
            prose(c.what),
            prose(c.runtime),
            less(c.saved_bytes),
            format_bytes(c.peak_bytes),
            less(c.saved_weight_bytes),
            code(c.command, 400),
        )
        for c in report.helped.changes[:top]
    ]
    return _table(("What would help", "runtime model", "peak", "peak then", "weights", "command"), rows, "llrrrl")


def _figures(report: Report, top: int) -> str:
    rows = [
        (
            figure_title(figure),
            known_amount(figure.size_bytes),
            grade_words(figure.grade),
            prose(name),
            prose(figure.definition),
        )
        for name, figure in figure_rows(report)
    ]
    if not rows:
        return ""
    table = _table(("besides the peak", "bytes", "grade", "runtime model", "what it is"), rows, "lrlll")
    return f"<details><summary>Besides the peak</summary>\n\n{table}\n\n</details>"


def _table(titles: tuple[str, ...], rows: Sequence[tuple[str, ...]], sides: str) -> str:
    rule = {"l": "---", "r": "--:"}
    lines = [titles, tuple(rule[side] for side in sides), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


_SECTIONS: Mapping[str, Callable[[Report, int], str]] = {
    "headline": _headline,
    "unknown": _unknowns,
    "assumed": _assumed,
    "footprint": _footprint,
    "runtimes": _runtimes,
    "sweep": _sweep,
    "curve": _curve,
    "live": _live,
    "categories": _categories,
    "help": _help,
    "modules": _modules,
    "figures": _figures,
}
