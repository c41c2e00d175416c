"""Report -> HTML for a notebook: no script, no font, no picture from elsewhere; light and dark.

The file that ``-o report.html`` writes is another matter: see ``memprof.render.page``. Every text passes
``safe_text`` and ``html.escape``; nothing from a model becomes markup, an attribute name or a style.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from html import escape

from memprof.base import palette
from memprof.base.text import safe_text
from memprof.base.units import format_bytes
from memprof.render.helped import less
from memprof.render.skyline import Skyline, pool_timeline
from memprof.render.sweep import formula_lines, sweep_rows
from memprof.render.wording import (
    category_title,
    exact_amount,
    figure_rows,
    figure_title,
    grade_words,
    known_amount,
    model_facts,
    peak_amount,
    reserved_words,
    split_headline,
    weights_amount,
)
from memprof.results.peak import LiveTensor
from memprof.results.report import Report
from memprof.results.sections import MODULE_DEPTH, drawn_by

_COLUMNS = 240
_TOP_IN_NOTEBOOK = 8

_STYLE = """
.memprof { LIGHT color: var(--ink); background: var(--paper); font: 14px/1.45 system-ui, sans-serif; max-width: 60rem;
  padding: 1rem 1.25rem; font-variant-numeric: tabular-nums; }
NIGHT
.memprof h1 { font-size: 1.25rem; margin: 0 0 .15rem; font-weight: 600; }
.memprof h1 b { color: var(--peak); }
.memprof h2 { font-size: 1rem; margin: 1.4rem 0 .4rem; font-weight: 600; }
.memprof p { margin: .2rem 0; }
.memprof .quiet { color: var(--quiet); }
.memprof code { font: .92em ui-monospace, monospace; overflow-wrap: anywhere; background: none; color: inherit; }
.memprof .wide { overflow-x: auto; }
.memprof table { border-collapse: collapse; width: 100%; margin: .3rem 0; font-size: inherit; }
.memprof th, .memprof td { text-align: left; padding: .28rem .9rem .28rem 0; border-bottom: 1px solid var(--line);
  vertical-align: top; background: none; color: inherit; }
.memprof th { font-weight: 500; color: var(--quiet); white-space: nowrap; }
.memprof td:first-child:has(code) { min-width: 11rem; }
.memprof td:last-child { min-width: 16rem; }
.memprof .n { text-align: right; }
.memprof .n, .memprof .w { white-space: nowrap; }
.memprof dl { display: flex; flex-wrap: wrap; gap: .4rem 2.4rem; margin: .8rem 0 0; }
.memprof dt { color: var(--quiet); }
.memprof dd { margin: 0; font-size: 1.25rem; font-weight: 600; }
.memprof dd small { display: block; font-size: .8rem; font-weight: 400; color: var(--quiet); }
.memprof svg { display: block; width: 100%; height: auto; }
.memprof svg text { fill: var(--quiet); font: 11px system-ui, sans-serif; }
.memprof svg .area { fill: var(--curve); }
.memprof svg .grid { stroke: var(--line); }
.memprof svg .peak { fill: var(--peak); font-weight: 600; }
.memprof svg .hit { fill: transparent; }
.memprof svg .hit:hover { fill: var(--ink); fill-opacity: .15; }
.memprof .bar { width: 6rem; height: .6rem; background: var(--line); border-radius: 2px; display: inline-block; }
.memprof .bar i { display: block; height: 100%; background: var(--curve); border-radius: 2px; }
"""
_NAMES = (
    ("ink", "ink"),
    ("quiet", "muted"),
    ("line", "rule"),
    ("paper", "paper"),
    ("curve", "curve"),
    ("peak", "accent"),
)
_LIGHT, _DARK = (
    " ".join(f"--{name}: {getattr(theme, colour)};" for name, colour in _NAMES)
    for theme in (palette.LIGHT, palette.DARK)
)
_DARK_RULES = f"""@media (prefers-color-scheme: dark) {{ .memprof {{ {_DARK} }} }}
body[data-jp-theme-light="false"] .memprof, body.vscode-dark .memprof {{ {_DARK} }}
body[data-jp-theme-light="true"] .memprof, body.vscode-light .memprof {{ {_LIGHT} }}"""


def render_html(report: Report, top: int = _TOP_IN_NOTEBOOK) -> str:
    """Return ``report`` as one ``<div>`` that brings its own style."""
    parts = [draw(report, top) for draw in drawn_by(_SECTIONS).values()]
    return frame(parts)


def frame(parts: Iterable[str]) -> str:
    """Return parts that are HTML already as one ``<div>`` that brings its own style."""
    return f'<div class="memprof"><style>{_style()}</style>{"".join(parts)}</div>'


def _style() -> str:
    return _STYLE.replace("LIGHT", _LIGHT).replace("NIGHT", _DARK_RULES).strip()


def _headline(report: Report, top: int) -> str:
    what, where, operation = split_headline(report)
    at = f", {html_code(operation)}" if operation else ""
    about = f"{html_code(report.model.path or 'in memory')} · {escape(model_facts(report))}"
    return f'<h1><b>{escape(what)}</b>{escape(where)}{at}</h1><p class="quiet">{about}</p>'


def _footprint(report: Report, top: int) -> str:
    found, model = report.headline, report.model
    weights = model.parameter_bytes + model.foldable_constant_bytes if model.has_known_weights else None
    constants = model.foldable_constant_bytes
    cells = (
        ("RAM (intermediates)", peak_amount(found), found.peak_intermediate_bytes, ""),
        ("Weights", weights_amount(model), weights, f", constants {format_bytes(constants)}" if constants else ""),
        ("Total", known_amount(found.total_bytes), found.total_bytes, ""),
    )
    rows = "".join(
        f"<div><dt>{name}</dt><dd>{escape(amount)}"
        f"<small>{'' if n is None else escape(exact_amount(n) + more)}</small></dd></div>"
        for name, amount, n, more in cells
    )
    return f"<dl>{rows}</dl>"


def _skyline(report: Report, top: int) -> str:
    found = report.headline
    peak = found.known_bytes_at_least
    if not found.timeline or not peak:
        return ""
    skyline = pool_timeline(found.lifetimes.timeline_in_use.step_bytes, found.peak.step, _COLUMNS)
    left, top, width, height = 64, 22, 720, 140
    unit = width / len(skyline.columns)
    path = f"M{left} {top + height}"
    for i, value in enumerate(skyline.columns):
        y = top + height - height * value / peak
        path += f"L{left + i * unit:.1f} {y:.1f}L{left + (i + 1) * unit:.1f} {y:.1f}"
    path += f"L{left + width} {top + height}Z"
    x = left + (skyline.peak_column + 0.5) * unit
    anchor = "start" if x < left + 60 else "end" if x > left + width - 60 else "middle"
    grid = "".join(
        f'<line class="grid" x1="{left}" x2="{left + width}" y1="{y}" y2="{y}"/>'
        f'<text x="{left - 8}" y="{y + 4}" text-anchor="end">{format_bytes(amount)}</text>'
        for y, amount in ((top, peak), (top + height / 2, peak // 2), (top + height, 0))
    )
    label = f"{peak_amount(found)} at step {found.peak.step}"
    return (
        f"<h2>Bytes alive at each step</h2>"
        f'<svg viewBox="0 0 {left + width + 12} {top + height + 22}" role="img" aria-label="{escape(label)}">'
        f'{grid}<path class="area" d="{path}"/>'
        f'<text class="peak" x="{x:.1f}" y="{top - 8}" text-anchor="{anchor}">▼ {escape(label)}</text>'
        f'<text x="{left}" y="{top + height + 16}">step 0</text>'
        f'<text x="{left + width}" y="{top + height + 16}" text-anchor="end">{len(found.timeline) - 1:,}</text>'
        f"{_hits(skyline, len(found.timeline), unit, (left, top, height))}</svg>"
    )


def _hits(skyline: Skyline, steps: int, unit: float, frame: tuple[int, int, int]) -> str:
    """Return a transparent box per column whose tooltip says which steps it stands for and their highest bytes."""
    left, top, height = frame
    n = len(skyline.columns)
    boxes = []
    for i, value in enumerate(skyline.columns):
        first, last = i * steps // n, max(i * steps // n, (i + 1) * steps // n - 1)
        name = f"step {first:,}" if first == last else f"steps {first:,} to {last:,}"
        boxes.append(
            f'<rect class="hit" x="{left + i * unit:.1f}" y="{top}" width="{unit:.1f}" height="{height}">'
            f"<title>{name}: {format_bytes(value)}</title></rect>"
        )
    return "".join(boxes)


def _live(report: Report, top: int) -> str:
    found = report.headline
    live = found.peak.live
    if not live:
        return ""
    more = f'<p class="quiet">{len(live) - top:,} more</p>' if len(live) > top else ""
    reserved = found.peak.reserved_bytes
    if reserved:
        more += f"<p>and {format_bytes(reserved)} {reserved_words(found)}</p>"
    if found.peak.held_bytes:
        more += f"<p>and {format_bytes(found.peak.held_bytes)} held by the block that is there all along</p>"
    if found.later is not None:
        step, bytes_later = found.later
        more += f"<p>the block stays taken: {format_bytes(bytes_later)} more by step {step:,}</p>"
    return f"<h2>Alive at the peak</h2>{html_table(_LIVE_TITLES, (_live_row(tensor) for tensor in live[:top]))}{more}"


_LIVE_TITLES = (("tensor", ""), ("bytes", "n"), ("share", "w"), ("why", ""))


def _live_row(tensor: LiveTensor) -> Iterable[str]:
    return (
        html_code(tensor.name),
        known_amount(tensor.size_bytes),
        "" if tensor.size_bytes is None else _share(tensor.share),
        f'<span class="quiet">{escape(safe_text(tensor.cause, limit=600))}</span>',
    )


def _runtimes(report: Report, top: int) -> str:
    rows = (
        (
            escape(name),
            escape(peak_amount(found)),
            known_amount(found.peak_without_io_bytes),
            escape(grade_words(found.grade)),
            f'<span class="quiet">{escape(safe_text(found.runtime.definition, limit=400))}</span>',
        )
        for name, found in report.runtimes.items()
    )
    titles = (("model", ""), ("peak", "n"), ("without I/O", "n"), ("grade", "w"), ("what is alive when", ""))
    return f"<h2>Runtime models</h2>{html_table(titles, rows)}"


def _unknowns(report: Report, top: int) -> str:
    if not report.unknown:
        return ""
    rows = (
        (escape(safe_text(u.kind)), html_code(u.name), escape(safe_text(u.reason, limit=400)), html_code(u.hint, 400))
        for u in report.unknown[:top]
    )
    n = len(report.unknown)
    more = f'<p class="quiet">{n - top:,} more</p>' if n > top else ""
    titles = (("what", ""), ("name", ""), ("why it is not known", ""), ("what settles it", ""))
    return f"<h2>Unknown</h2>{html_table(titles, rows)}{more}"


def _assumed(report: Report, top: int) -> str:
    if not report.assumed:
        return ""
    rows = (
        (escape(safe_text(a.kind)), html_code(a.name), escape(safe_text(a.reason, limit=400)), html_code(a.hint, 400))
        for a in report.assumed[:top]
    )
    n = len(report.assumed)
    more = f'<p class="quiet">{n - top:,} more</p>' if n > top else ""
    titles = (("what", ""), ("name", ""), ("why", ""), ("what changes it", ""))
    return f"<h2>Assumed</h2>{html_table(titles, rows)}{more}"


def _categories(report: Report, top: int) -> str:
    parts = []
    for found in report.runtimes.values():
        total = sum(found.categories.values())
        if found.categories:
            rows = (
                (escape(safe_text(name, limit=60)), format_bytes(size), _share(size / total if total else 0.0))
                for name, size in [*found.categories.items(), ("together", total)]
            )
            about = f'<p class="quiet">{escape(category_title(found))}</p>'
            parts.append(f"<h2>What for</h2>{about}{html_table((('', ''), ('bytes', 'n'), ('share', 'w')), rows)}")
    return "".join(parts)


def _modules(report: Report, top: int) -> str:
    found = sorted(report.module_rows(MODULE_DEPTH), key=lambda row: -row.peak_bytes)
    if not any(row.path for row in found):
        return ""
    rows = (
        (
            html_code(row.path) if row.path else "no module",
            f"{row.nodes:,}",
            format_bytes(row.parameter_bytes),
            format_bytes(row.peak_bytes),
            _share(row.share),
        )
        for row in found[:top]
    )
    titles = (("module", ""), ("operations", "n"), ("parameters", "n"), ("at the peak", "n"), ("share", "w"))
    more = f'<p class="quiet">{len(found) - top:,} more</p>' if len(found) > top else ""
    return f"<h2>By module</h2>{html_table(titles, rows)}{more}"


def _help(report: Report, top: int) -> str:
    if report.helped is None or not report.helped.changes:
        return ""
    rows = (
        (
            escape(safe_text(change.what, limit=80)),
            escape(safe_text(change.runtime, limit=40)),
            less(change.saved_bytes),
            format_bytes(change.peak_bytes),
            less(change.saved_weight_bytes),
            html_code(change.command, 400),
        )
        for change in report.helped.changes[:top]
    )
    titles = (
        ("change", ""),
        ("runtime model", ""),
        ("peak", "n"),
        ("peak then", "n"),
        ("weights", "n"),
        ("command", ""),
    )
    return f"<h2>What would help</h2>{html_table(titles, rows)}"


def _figures(report: Report, top: int) -> str:
    rows = [
        (
            escape(figure_title(figure)),
            known_amount(figure.size_bytes),
            escape(grade_words(figure.grade)),
            f'<span class="quiet">{escape(safe_text(f"{name}: {figure.definition}", limit=400))}</span>',
        )
        for name, figure in figure_rows(report)
    ]
    titles = (("what", ""), ("bytes", "n"), ("grade", "w"), ("what it is", ""))
    return f"<h2>Besides the peak</h2>{html_table(titles, rows)}" if rows else ""


def _sweep(report: Report, top: int) -> str:
    if report.sweep is None:
        return ""
    titles = (("sizes", ""), ("peak", "n"), ("process", "n"))
    rows = (map(escape, row) for row in sweep_rows(report.sweep))
    formula = "".join(f"<p>{html_code(text, 400)} {escape(where)}</p>" for text, where in formula_lines(report.sweep))
    return f"<h2>Over other sizes</h2>{formula}{html_table(titles, rows)}"


def _share(share: float) -> str:
    return f'<span class="bar"><i style="width:{share:.1%}"></i></span> {share:.0%}'


def html_table(titles: tuple[tuple[str, str], ...], rows: Iterable[Iterable[str]]) -> str:
    """Return a table; ``titles`` are texts with the class of their column, cells of ``rows`` are HTML already."""
    classes = [f' class="{name}"' if name else "" for _, name in titles]
    head = "".join(f"<th{c}>{escape(title)}</th>" for (title, _), c in zip(titles, classes, strict=True))
    body = "".join(
        f"<tr>{''.join(f'<td{c}>{cell}</td>' for cell, c in zip(row, classes, strict=True))}</tr>" for row in rows
    )
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def html_code(text: str, limit: int = 200) -> str:
    """Return a name as code that holds no markup."""
    return f"<code>{escape(safe_text(text, limit=limit))}</code>"


_SECTIONS: Mapping[str, Callable[[Report, int], str]] = {
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
