"""A plan and a comparison as a notebook shows them: the answer, and a small table under it. No script."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from memprof.base.units import format_bytes
from memprof.render.html import frame, html_code, html_table
from memprof.render.wording import known_amount
from memprof.results.comparison import Change, Comparison

if TYPE_CHECKING:
    from memprof.planning.record import Plan

_TOP = 8


def plan_html(plan: Plan) -> str:
    """Return ``plan`` as one ``<div>`` that brings its own style."""
    arena, order = plan.arena, plan.order
    rows = []
    if order is not None:
        proof = f"proven: no order needs less ({order.proof})" if order.is_optimal else "the bound is not met"
        rows.append(("order", order.peak_bytes, order.lower_bound_bytes, proof))
    proof = f"proven: no arena is smaller ({arena.proof})" if arena.is_optimal else "the bound is not met"
    rows.append(("arena", arena.arena_bytes, arena.lower_bound_bytes, proof))
    what = f"Arena {format_bytes(arena.arena_bytes)}"
    if order is not None:
        what = f"Peak {format_bytes(order.before_bytes)} to {format_bytes(order.peak_bytes)}"
    about = f"{len(arena.problem.buffers):,} buffers{f', runtime model {plan.runtime}' if plan.runtime else ''}"
    cells = ((name, format_bytes(n), format_bytes(bound), escape(proof)) for name, n, bound, proof in rows)
    titles = (("", ""), ("bytes", "n"), ("lower bound", "n"), ("", ""))
    return frame(
        [f"<h1><b>{escape(what)}</b></h1>", f'<p class="quiet">{escape(about)}</p>', html_table(titles, cells)]
    )


def comparison_html(found: Comparison) -> str:
    """Return ``found`` as one ``<div>`` that brings its own style."""
    peak = found.peak
    what = f"Peak {known_amount(peak.before)} to {known_amount(peak.after)}"
    numbers = [
        *((f"peak, {html_code(name, 40)}", change) for name, change in found.peaks.items()),
        ("parameters", found.parameters),
        ("total", found.total),
    ]
    titles = (("", ""), ("before", "n"), ("after", "n"), ("change", "n"))
    parts = [
        f"<h1><b>{escape(what)}</b>, {html_code(found.headline, 40)}</h1>",
        f'<p class="quiet">{html_code(found.before.path)} and {html_code(found.after.path)}</p>',
        html_table(titles, ((name, *_change_cells(change)) for name, change in numbers)),
    ]
    for title, tensors in (("Gone from the peak", found.gone), ("New at the peak", found.new)):
        if tensors:
            rows = [(html_code(name), known_amount(size)) for name, size in list(tensors.items())[:_TOP]]
            more = f'<p class="quiet">{len(tensors) - _TOP:,} more</p>' if len(tensors) > _TOP else ""
            parts.append(f"<h2>{title}</h2>{html_table((('tensor', ''), ('bytes', 'n')), rows)}{more}")
    return frame(parts)


def _change_cells(change: Change) -> tuple[str, str, str]:
    delta = change.delta
    gap = "" if delta is None else "none" if not delta else f"{'+' if delta > 0 else '-'}{format_bytes(abs(delta))}"
    return known_amount(change.before), known_amount(change.after), gap
