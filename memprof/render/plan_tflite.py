"""A plan for TensorFlow Lite Micro as text: the head before and after, what is proven, what a run showed."""

from __future__ import annotations

from typing import Protocol, TextIO

from rich.table import Table
from rich.text import Text

from memprof.base.units import format_bytes, format_in, parse_bytes, unit_of
from memprof.planning.tflm import TflmPlan
from memprof.render.terminal import open_screen

_QUIET = "dim"
_GOOD = "bold green"
_UNSURE = "bold yellow"
_BAD = "bold red"


class Measured(Protocol):
    """What is shown of runs before and after."""

    @property
    def smallest_before_bytes(self) -> int:
        """The smallest arena without the plan."""

    @property
    def smallest_after_bytes(self) -> int:
        """The smallest arena with it."""


def render_tflm_plan(
    plan: TflmPlan,
    stream: TextIO,
    *,
    measured: Measured | None = None,
    budget: str | None = None,
    next_command: str = "",
) -> None:
    """Write ``plan`` to ``stream`` for a person to read."""
    screen = open_screen(stream)
    screen.show(_headline(plan), "")
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False, highlight=False)
    table.add_column(no_wrap=True, style=_QUIET)
    table.add_column()
    table.add_row("Head", f"{_both(plan.head_bytes)}, without a plan {_both(plan.before_bytes)}")
    table.add_row("Proof", _proof(plan))
    table.add_row("Order", _order(plan))
    table.add_row(
        "Tail", f"about {_both(plan.tail_bytes)} besides, with pointers of 4 bytes; a plan does not change it"
    )
    table.add_row("Arena", f"about {_both(plan.arena_bytes)} in all")
    screen.show(table)
    if budget is not None:
        screen.show("", _budget(plan, budget))
    if measured is not None:
        screen.show("", _measured(measured))
    if next_command:
        command = Text.assemble(("Next: ", _QUIET), (screen.clean(next_command, limit=2000), "bold"))
        screen.show("", command, keep_lines=True)


def _headline(plan: TflmPlan) -> Text:
    if not plan.is_better:
        what = "is the smallest there is" if plan.is_optimal else "stays: nothing better was found"
        return Text.assemble(("Head ", ""), (format_bytes(plan.head_bytes), _GOOD), f" {what}")
    share = 1 - plan.head_bytes / plan.before_bytes
    sizes = f"{format_bytes(plan.before_bytes)} to {format_bytes(plan.head_bytes)}"
    return Text.assemble("Head ", (sizes, _GOOD), f", {share:.1%} less, for TensorFlow Lite Micro")


def _both(size: int) -> str:
    return f"{format_bytes(size)} ({size:,} bytes)"


def _proof(plan: TflmPlan) -> str:
    if plan.is_optimal:
        return "no addresses need less in this order: so much is alive at once"
    return f"no addresses need less than {_both(plan.arena.lower_bound_bytes)} in this order"


def _order(plan: TflmPlan) -> str:
    if plan.order_bound_bytes is None:
        return "the file's, kept"
    bound = f"no order needs less than {_both(plan.order_bound_bytes)}"
    what = "changed" if plan.is_reordered else "the file's"
    return f"{what}; {bound}"


def _budget(plan: TflmPlan, budget: str) -> Text:
    unit, size = unit_of(budget), parse_bytes(budget)
    answer = plan.fits(size)
    head, arena = format_in(plan.head_bytes, unit), format_in(plan.arena_bytes, unit)
    if answer is None:
        text = f": the head takes {head} of {budget}, and with the tail, an estimate, it is about {arena}"
        return Text.assemble(("Open", _UNSURE), text)
    if answer:
        return Text.assemble(("Yes", _GOOD), f": about {arena} of {budget}, tail included")
    least = format_in(plan.least_bytes, unit)
    return Text.assemble(("No", _BAD), f": the head alone needs {least} of {budget}, proven")


def _measured(found: Measured) -> Text:
    before, after = found.smallest_before_bytes, found.smallest_after_bytes
    text = (
        f"the smallest arena it loads in was {_both(before)} and is {_both(after)}; outputs are the same, bit for bit"
    )
    return Text.assemble(("In the runtime itself: ", _QUIET), text)
