"""A plan as text: line one is what became of the peak, then the order, the arena, the budget, the next command."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TextIO

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from memprof.base.units import format_bytes, format_in
from memprof.planning.arenas import ArenasPlan
from memprof.planning.offsets.problem import MemoryPlan
from memprof.planning.plan import PlanProgress
from memprof.planning.record import BudgetAnswer, Plan, PlannedOrder, Recomputation
from memprof.planning.splitting.estimate import Split
from memprof.render.terminal import Screen, open_screen

_QUIET = "dim"
_GOOD = "bold green"
_UNSURE = "bold yellow"
_BAD = "bold red"


class MeasuredRun(Protocol):
    """What is shown of a run of a model before or after it was reordered."""

    @property
    def is_reordered(self) -> bool:
        """Whether the reordered model ran."""

    @property
    def execution_order(self) -> str:
        """What the session was told."""

    @property
    def version(self) -> str:
        """Version of onnxruntime."""

    @property
    def peak_bytes(self) -> int:
        """Most bytes alive."""

    @property
    def keeps_file_order(self) -> bool | None:
        """Whether the nodes ran as the file has them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanView:
    """What goes with a plan.

    Attributes:
        next_command: The last line.
        measured: Runs of the model before and after.
        has_model: Whether a reordered model was written.
        budget_unit: The unit in which the budget was typed; its line comes back in it.
    """

    next_command: str = ""
    measured: Sequence[MeasuredRun] = ()
    has_model: bool = False
    budget_unit: str = ""


def render_plan(plan: Plan, stream: TextIO, view: PlanView = PlanView()) -> None:
    """Write ``plan`` to ``stream`` for a person to read."""
    screen = open_screen(stream)
    screen.show(headline(plan), "")
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False, highlight=False)
    table.add_column(no_wrap=True, style=_QUIET)
    table.add_column()
    for title, text in rows(plan):
        table.add_row(title, text)
    screen.show(table)
    if plan.budget is not None:
        screen.show("", _budget(plan.budget, plan.arena, partial(format_in, unit=view.budget_unit)))
    if plan.arenas is not None:
        screen.show("", *_arenas(screen, plan.arenas))
    if view.measured:
        screen.show("", *_measured(view.measured))
    if view.has_model:
        screen.show("", Text("To have onnxruntime keep the order of the file:", style=_QUIET))
        screen.show(*(Text(f"  {line}") for line in SESSION_LINES), keep_lines=True)
    if view.next_command:
        screen.show("")
        screen.show(Text(f"Next: {screen.clean(view.next_command, limit=2000)}"), keep_lines=True)


SESSION_LINES = (
    "options = onnxruntime.SessionOptions()",
    "options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL",
    "options.execution_order = onnxruntime.ExecutionOrder.PRIORITY_BASED",
)
"""What a program must say for the order of the file to be the order that runs; Shape and Size run first even so."""


def headline(plan: Plan) -> Text:
    """Return line one: ``2.62 MB -> 2.03 MB, lower bound 2.03 MB: optimal``, or the gap."""
    order = plan.order
    if order is None:
        arena = plan.arena
        what = f"Arena {format_bytes(arena.arena_bytes)}"
        return _with_verdict(what, arena.arena_bytes, arena.lower_bound_bytes)
    what = f"{format_bytes(order.before_bytes)} -> {format_bytes(order.peak_bytes)}"
    text = _with_verdict(what, order.peak_bytes, order.lower_bound_bytes)
    return text.append(f" ({plan.runtime}{', in place' if plan.is_in_place else ''})", style=_QUIET)


def rows(plan: Plan) -> list[tuple[str, str]]:
    """Return the facts, title and sentence."""
    found = [] if plan.order is None else [("order", _order(plan.order))]
    if plan.recomputation is not None:
        found.append(("again", _again(plan.recomputation)))
    if plan.split is not None:
        found.append(("patches", _patches(plan.split)))
    arena = plan.arena
    proof = f"proven optimal ({arena.proof})" if arena.is_optimal else _most_above(arena)
    found.append(("arena", f"{arena.arena_bytes:,} bytes, {proof}, by {arena.strategy}, {arena.seconds:.2f} s"))
    bounds = f"load {arena.load_bytes:,} bytes"
    if arena.lower_bound_bytes > arena.load_bytes:
        bounds += f", lower bound {arena.lower_bound_bytes:,}"
    found.append(("bound", f"{bounds}; fragmentation {arena.fragmentation:.2%}"))
    found.append(("holds", _content(plan)))
    return found


def _order(order: PlannedOrder) -> str:
    saved = order.before_bytes - order.peak_bytes
    change = f"{saved:,} bytes less ({saved / order.before_bytes:.1%})" if saved else "no lower than the given order"
    bound = f"proven optimal ({order.proof})" if order.is_optimal else f"lower bound {order.lower_bound_bytes:,}"
    return f"peak {order.peak_bytes:,} bytes, {change}, {bound}, {order.seconds:.2f} s"


def _again(found: Recomputation) -> str:
    n = len(found.operations)
    once = f"{found.single_bytes:,} bytes if each operation runs once"
    if not n:
        return f"nothing runs twice; {once}"
    share = f" ({found.extra_macs / found.model_macs:.2%})" if found.model_macs else ""
    macs = f"{found.extra_macs:,} MACs more{share}" if found.extra_macs else "no MACs more"
    least = ", proven least" if found.is_least_work else ""
    runs = f"{n:,} {'operation runs' if n == 1 else 'operations run'} twice"
    return f"{runs}: {macs}{least}, {found.extra_bytes:,} bytes written again; {once}"


def _patches(split: Split) -> str:
    share = f" ({split.extra_macs / split.model_macs:.2%})" if split.model_macs else ""
    return (
        f"an estimate: the first {len(split.operations)} operations in {split.rows} x {split.columns} patches, "
        f"peak {split.peak_bytes:,} bytes, {split.extra_macs:,} MACs more{share} for their overlap"
        f"{'' if split.is_complete else '; the time ended before all cuts were tried'}"
    )


def _content(plan: Plan) -> str:
    n = len(plan.arena.problem.buffers)
    parts = [f"{n:,} {'buffer' if n == 1 else 'buffers'}"]
    alignment = plan.arena.problem.alignment
    if alignment > 1:
        parts.append(f"rounded up to {alignment} bytes")
    left_out = [
        name
        for name, is_in in (("inputs", plan.content.has_inputs), ("outputs", plan.content.has_outputs))
        if not is_in
    ]
    if left_out:
        parts.append(f"graph {' and '.join(left_out)} left to the caller")
    return ", ".join(parts)


def _with_verdict(what: str, size_bytes: int, lower_bytes: int) -> Text:
    text = Text(f"{what}, lower bound {format_bytes(lower_bytes)}: ")
    if size_bytes == lower_bytes:
        return text.append("optimal", style=_GOOD)
    return text.append(gap_words(size_bytes, lower_bytes), style=_UNSURE)


def gap_words(found: float, bound: float) -> str:
    """Return how far a number is from its lower bound: a share while it is small, how many times where it is not.

    >>> gap_words(110, 100), gap_words(1047, 100), gap_words(5, 0)
    ('gap 10.00%', '10.5 times the bound', 'gap open')
    """
    if not bound:
        return "gap open"
    return f"gap {found / bound - 1:.2%}" if found < 2 * bound else f"{found / bound:,.3g} times the bound"


def _most_above(arena: MemoryPlan) -> str:
    size, bound = arena.arena_bytes, arena.lower_bound_bytes
    if not bound:
        return "no bound above 0"
    return f"at most {size / bound - 1:.2%} above the smallest" if size < 2 * bound else gap_words(size, bound)


def _budget(budget: BudgetAnswer, arena: MemoryPlan, show: Callable[[int], str]) -> Text:
    size = show(budget.budget_bytes)
    if budget.answer is None:
        between = f"proven to need {show(budget.lower_bound_bytes)}, a plan takes {show(arena.arena_bytes)}"
        return Text.assemble(("Undecided", _UNSURE), f": a budget of {size}; {between}")
    if budget.answer:
        return Text.assemble(
            ("Fits", _GOOD), f": a budget of {size}, {show(budget.budget_bytes - arena.arena_bytes)} left"
        )
    return Text.assemble(
        ("Does not fit", _BAD), f": a budget of {size}; at least {show(budget.lower_bound_bytes)} needed"
    )


def _arenas(screen: Screen, plan: ArenasPlan) -> list[RenderableType]:
    """Return what traffic costs, and one row per memory."""
    cost, bound = float(plan.cost), float(plan.lower_bound)
    text = Text(f"Traffic costs {cost:,.6g}, lower bound {bound:,.6g}: ")
    if plan.is_optimal:
        text.append("optimal", style=_GOOD)
    else:
        text.append(gap_words(cost, bound), style=_UNSURE)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style=_QUIET, highlight=False)
    for title in ("arena", "bytes", "used", "cost per byte", "read and written"):
        table.add_column(title, justify="left" if title == "arena" else "right", no_wrap=True)
    for i, arena in enumerate(plan.arenas):
        table.add_row(
            screen.clean(arena.name, limit=30),
            format_bytes(arena.size_bytes),
            format_bytes(plan.used_bytes(i)),
            f"{float(arena.cost_per_byte):g}",
            format_bytes(plan.traffic_bytes(i)),
        )
    return [text, table]


def _measured(runs: Sequence[MeasuredRun]) -> list[RenderableType]:
    text = Text(
        f"Measured in onnxruntime {runs[0].version}, optimisation off; tensors, inputs excluded", style=_QUIET
    )
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style=_QUIET, highlight=False)
    for title in ("model", "execution order", "peak bytes", "ran as the file has it"):
        table.add_column(title, justify="right" if title == "peak bytes" else "left", no_wrap=True)
    kept = {True: "yes", False: "no", None: "names do not tell"}
    for run in runs:
        model = "after" if run.is_reordered else "before"
        table.add_row(model, run.execution_order, f"{run.peak_bytes:,}", kept[run.keeps_file_order])
    return [text, table]


def describe_progress(progress: PlanProgress) -> str:
    """Return where a stage of a long search is, for the line of a terminal."""
    found, bound = format_bytes(progress.size_bytes), format_bytes(progress.lower_bound_bytes)
    return f"{progress.stage}: {found}, lower bound {bound} (Ctrl-C keeps the best so far)"
