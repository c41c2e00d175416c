"""The same operations in another order, or in place: found by the planner, which says what they would take."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from functools import partial
from itertools import pairwise

from memprof.api.helping.asked import Asked, Attempt, NotMadeError
from memprof.api.helping.sizes import size_flags
from memprof.base.errors import MemprofError
from memprof.results.helped import Change
from memprof.runtimes import RUNTIMES, find_runtime
from memprof.runtimes.late import find
from memprof.runtimes.tflm.lifetimes import find_needs
from memprof.runtimes.tflm.planner import load_bound
from memprof.runtimes.tflm.scratch import REFERENCE

_SECONDS = 0.3
_MOST_FILE_BYTES = 2**20
"""What few microcontrollers hold: of a larger file the planner alone would take as long as all the rest."""

_PLAN = "a planned arena"
_PLANNED, _IN_PLACE = "reference", "contracted"


def other_orders(asked: Asked) -> Iterator[Attempt]:
    """Yield the orders that are tried: of a graph, or of a program for TensorFlow Lite Micro."""
    if asked.model.graph.program is None:
        yield "another order", partial(_reordered, asked)
        if asked.runtime == _PLANNED:
            yield "operations in place", partial(_in_place, asked)
    elif asked.runtime == "tflm" and not asked.request.fixes_sizes and _may_be_planned_better(asked):
        yield _PLAN, partial(_micro, asked)


def _reordered(asked: Asked) -> list[Change]:
    names = [name for name in asked.report.runtimes if name in RUNTIMES]
    name = next((name for name in names if (of := RUNTIMES[name].ordering) and of.is_exact), None)
    before = None if name is None else asked.report.runtimes[name].peak_intermediate_bytes
    if name is None or before is None:
        return []
    ordering = RUNTIMES[name].ordering
    assert ordering is not None, "chosen for it"
    from memprof.planning.ordering.find import find_order

    order = find_order(find(ordering.bound)(asked.model.graph), _SECONDS)
    if order.ending == "interrupted":  # the search keeps Ctrl-C to itself, which was meant for all of it
        raise KeyboardInterrupt
    found = Change(
        what="another order",
        runtime=name,
        saved_bytes=before - order.peak_bytes,
        peak_bytes=order.peak_bytes,
        command=_plan(asked, "--runtime", name, "-o", "better.onnx"),
        was_cut=order.ending == "time",
    )
    return [found]


def _in_place(asked: Asked) -> list[Change]:
    lifetimes = find_runtime(_IN_PLACE).lifetimes(asked.model.graph)
    peak = lifetimes.timeline.peak_bytes if lifetimes.is_complete else None
    return asked.effect("operations in place", _plan(asked, "--in-place", "--keep-order"), peak)


def _may_be_planned_better(asked: Asked) -> bool:
    """Tell whether the planner can gain anything: a chain without holes in its arena is as small as it gets."""
    program, nodes = asked.model.graph.program, asked.model.graph.nodes
    assert program is not None, "a program"
    needs = find_needs(program, REFERENCE)
    is_chain = all(set(before.writes).intersection(after.reads) for before, after in pairwise(nodes))
    return not is_chain or load_bound(needs.buffers, needs.scopes) < asked.peak_bytes


def _micro(asked: Asked) -> list[Change]:
    program = asked.model.graph.program
    assert program is not None, "a program"
    if program.file_bytes > _MOST_FILE_BYTES:
        raise NotMadeError
    from memprof.planning.tflm import plan_program

    try:
        found = plan_program(program, _SECONDS)
    except MemprofError:  # what cannot be planned safely stays as it is
        return []
    if found.was_interrupted:
        raise KeyboardInterrupt
    return asked.effect(
        _PLAN, shlex.join(["memprof", "plan", asked.request.name, "-o", "better.tflite"]), found.head_bytes
    )


def _plan(asked: Asked, *flags: str) -> str:
    """Return the command of a plan, which assumes no sizes: those that the answer assumed are settled by flags."""
    hints = [
        note.hint for note in asked.model.graph.assumed if note.kind == "dimension" and note.hint.startswith("--")
    ]
    assumed = [word for hint in dict.fromkeys(hints) for word in shlex.split(hint)]
    return shlex.join(["memprof", "plan", asked.request.name, *flags, *size_flags(asked.request), *assumed])
