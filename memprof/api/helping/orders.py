"""The same operations in another order, or in place: found by the planner, which says what they would take."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from functools import partial
from itertools import pairwise

from memprof.api.helping.asked import Asked, Attempt
from memprof.api.helping.sizes import size_flags
from memprof.base.errors import MemprofError
from memprof.planning.meter import Meter
from memprof.results.helped import Change
from memprof.runtimes import RUNTIMES, find_runtime
from memprof.runtimes.late import find
from memprof.runtimes.tflm.lifetimes import find_needs
from memprof.runtimes.tflm.planner import load_bound
from memprof.runtimes.tflm.scratch import REFERENCE

_EFFORT = 100_000
"""What a planner may spend of its own small steps: about a quarter of a second."""

_STEPS = 250
_MOST_OPERATORS = 500
"""Beyond these the planner of an arena takes long before its search begins."""

_PLAN = "a planned arena"
_PLANNED, _IN_PLACE = "reference", "contracted"


def other_orders(asked: Asked) -> Iterator[Attempt]:
    """Yield the orders that are tried: of a graph, or of a program for TensorFlow Lite Micro."""
    nodes = asked.report.model.nodes
    if asked.model.graph.program is None:
        if (name := _ordered_by(asked)) is not None:
            command = _plan(asked, "--runtime", name, "-o", "better.onnx")
            steps = min(_STEPS, nodes)
            yield Attempt(
                what="another order", steps=steps, command=command, effects=partial(_reordered, asked, name, command)
            )
        if asked.runtime == _PLANNED:
            what, command = "operations in place", _plan(asked, "--in-place", "--keep-order")
            yield Attempt(
                what=what, steps=nodes // 5 + 5, command=command, effects=partial(_in_place, asked, what, command)
            )
    elif asked.runtime == "tflm" and not asked.request.fixes_sizes and _may_be_planned_better(asked):
        command = shlex.join(["memprof", "plan", asked.request.name, "-o", "better.tflite"])
        steps = _STEPS if nodes <= _MOST_OPERATORS else _STEPS * nodes
        yield Attempt(what=_PLAN, steps=steps, command=command, effects=partial(_micro, asked, command))


def _ordered_by(asked: Asked) -> str | None:
    """Return the first runtime model of the report whose orders are told exactly and whose peak is known."""
    for name, found in asked.report.runtimes.items():
        row = RUNTIMES.get(name)
        if row is not None and row.ordering is not None and row.ordering.is_exact:
            return name if found.peak_intermediate_bytes is not None else None
    return None


def _reordered(asked: Asked, name: str, command: str) -> list[Change]:
    before, ordering = asked.report.runtimes[name].peak_intermediate_bytes, RUNTIMES[name].ordering
    assert ordering is not None and before is not None, "chosen for it"
    from memprof.planning.ordering.find import find_order

    order = find_order(find(ordering.bound)(asked.model.graph), Meter(effort=_EFFORT))
    if order.ending == "interrupted":  # the search keeps Ctrl-C to itself, which was meant for all of it
        raise KeyboardInterrupt
    found = Change(
        what="another order",
        runtime=name,
        saved_bytes=before - order.peak_bytes,
        peak_bytes=order.peak_bytes,
        command=command,
    )
    return [found]


def _in_place(asked: Asked, what: str, command: str) -> list[Change]:
    lifetimes = find_runtime(_IN_PLACE).lifetimes(asked.model.graph)
    peak = lifetimes.timeline.peak_bytes if lifetimes.is_complete else None
    return asked.effect(what, command, peak)


def _may_be_planned_better(asked: Asked) -> bool:
    """Tell whether the planner can gain anything: a chain without holes in its arena is as small as it gets."""
    program, nodes = asked.model.graph.program, asked.model.graph.nodes
    assert program is not None, "a program"
    needs = find_needs(program, REFERENCE)
    is_chain = all(set(before.writes).intersection(after.reads) for before, after in pairwise(nodes))
    return not is_chain or load_bound(needs.buffers, needs.scopes) < asked.peak_bytes


def _micro(asked: Asked, command: str) -> list[Change]:
    program = asked.model.graph.program
    assert program is not None, "a program"
    from memprof.planning.tflm import plan_program

    try:
        found = plan_program(program, Meter(effort=_EFFORT))
    except MemprofError:  # what cannot be planned safely stays as it is
        return []
    if found.was_interrupted:
        raise KeyboardInterrupt
    return asked.effect(_PLAN, command, found.head_bytes)


def _plan(asked: Asked, *flags: str) -> str:
    """Return the command of a plan, which assumes no sizes: those that the answer assumed are settled by flags."""
    hints = [
        note.hint for note in asked.model.graph.assumed if note.kind == "dimension" and note.hint.startswith("--")
    ]
    assumed = [word for hint in dict.fromkeys(hints) for word in shlex.split(hint)]
    return shlex.join(["memprof", "plan", asked.request.name, *flags, *size_flags(asked.request), *assumed])
