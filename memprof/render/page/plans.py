"""A plan as a page: the order that was given and the one that was found, and every buffer at its address."""

from __future__ import annotations

from bisect import bisect_left
from typing import Any

from memprof.analysis import Buffer, Lifetimes, Schedule
from memprof.base.text import safe_text
from memprof.base.units import format_bytes
from memprof.ir import Graph, Role, TensorType, Value
from memprof.ir.model import Model
from memprof.planning.offsets.problem import MemoryPlan
from memprof.planning.recomputation.planned import run_lifetimes
from memprof.planning.record import Plan
from memprof.planning.rules import RULES
from memprof.render.page.sides import Graphs, Page, Row, view_json
from memprof.render.wording import exact_amount
from memprof.runtimes import as_read

_MOST_STEPS = 100_000  # a table of buffers may count time in nanoseconds; the page has room for so many steps


def plan_page(plan: Plan, path: str, model: Model | None = None) -> Page:
    """Return the page of a plan.

    Args:
        plan: The plan.
        path: What was planned.
        model: It, as it was read; left out for a table of buffers.
    """
    graphs, graph = Graphs(), None if model is None else model.graph
    order, arena = plan.order, plan.arena
    if order is None or graph is None or model is None:
        views = [_arena_view(_buffers_alone(arena), arena, graphs, "arena", "the buffers of the table")]
        size, bound = arena.arena_bytes, arena.lower_bound_bytes
        what, changes = f"Arena {format_bytes(size)}", []
    else:
        rules = as_read(RULES[plan.rules], model)
        is_once = plan.recomputation is None
        after = rules.lifetimes(graph, order.node_ids) if is_once else run_lifetimes(model, rules, order.node_ids)
        views = [
            _arena_view(after, arena, graphs, plan.runtime, rules.definition),
            view_json(
                rules.lifetimes(graph),
                graphs,
                Row(
                    name=plan.runtime,
                    side_label="given order",
                    peak=format_bytes(order.before_bytes),
                    grade="",
                    definition=rules.definition,
                ),
            ),
        ]
        views[0]["pair"], views[1]["pair"] = 1, 0
        size, bound = order.peak_bytes, order.lower_bound_bytes
        what = f"Peak {format_bytes(size)}"
        if order.is_changed and size != order.before_bytes:
            what = f"Peak {format_bytes(order.before_bytes)} to {format_bytes(size)}"
        changes = [("peak", order.before_bytes, order.peak_bytes)]
    verdict = "optimal" if size == bound else f"lower bound {format_bytes(bound)}"
    return Page(
        title=path,
        headline=(what, f", {verdict}{f' ({plan.runtime})' if plan.runtime else ''}", ""),
        sides=[_side(plan, path, graph)],
        views=views,
        graphs=graphs.to_json(),
        changes=changes,
        change_titles=("given order", "planned order"),
    )


def _side(plan: Plan, path: str, graph: Graph | None) -> dict[str, Any]:
    arena = plan.arena
    proof = f"proven: no arena is smaller ({arena.proof})" if arena.is_optimal else "the bound is not met"
    weights = 0 if graph is None else graph.parameter_bytes + graph.foldable_constant_bytes
    return {
        "label": "",
        "path": safe_text(path),
        "facts": f"{len(arena.problem.buffers):,} buffers, by {arena.strategy}; {proof}",
        "tiles": [
            ["Arena", format_bytes(arena.arena_bytes), exact_amount(arena.arena_bytes)],
            ["No arena is below", format_bytes(arena.lower_bound_bytes), exact_amount(arena.lower_bound_bytes)],
            ["Fragmentation", f"{arena.fragmentation:.2%}", "above the bytes alive at the busiest step"],
        ],
        "weight_bytes": weights,
        "unknown": [],
        "figures": [],
        "assumed": [],
        "help": [],
        "help_notes": [],
        "sweep": [],
        "categories": [],
    }


def _arena_view(
    lifetimes: Lifetimes, arena: MemoryPlan, graphs: Graphs, name: str, definition: str
) -> dict[str, Any]:
    problem, values = arena.problem, lifetimes.graph.values
    places = {buffer.name: i for i, buffer in enumerate(problem.buffers)}
    placed = [places.pop(values[buffer.values[0]].name, None) for buffer in lifetimes.buffers]
    row = Row(
        name=name,
        side_label="planned" if problem else "",
        peak=format_bytes(lifetimes.timeline.peak_bytes),
        grade="",
        definition=definition,
    )
    return view_json(lifetimes, graphs, row) | {
        "plan": {
            "offsets": [None if i is None else arena.offsets[i] for i in placed],
            "arena_bytes": arena.arena_bytes,
            "lower_bound_bytes": arena.lower_bound_bytes,
            "others": [
                [arena.offsets[i], problem.buffers[i].size_bytes, problem.buffers[i].start, problem.buffers[i].stop]
                for i in places.values()
            ],
        }
    }


def _buffers_alone(arena: MemoryPlan) -> Lifetimes:
    """Return the buffers of a table as lifetimes: no operation runs; very many steps shrink to those that matter."""
    buffers = arena.problem.buffers
    last = max((buffer.stop for buffer in buffers), default=1)
    times = range(last + 1) if last <= _MOST_STEPS else sorted({t for b in buffers for t in (b.start, b.stop)})
    graph = Graph(
        name="buffers",
        values=tuple(
            Value(name=buffer.name, type=TensorType.of_bytes(buffer.size_bytes), role=Role.INTERMEDIATE)
            for buffer in buffers
        ),
        nodes=(),
        inputs=(),
        outputs=(),
    )
    return Lifetimes(
        graph=graph,
        schedule=Schedule(((),) * max(1, len(times) - 1)),
        buffers=tuple(
            Buffer((i,), buffer.size_bytes, bisect_left(times, buffer.start), bisect_left(times, buffer.stop))
            for i, buffer in enumerate(buffers)
        ),
    )
