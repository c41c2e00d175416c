"""executorch: the memory that an ExecuTorch program plans: read from a .pte file, or predicted from a lowered module.

A peak here is the highest address in use while an instruction runs, of all arenas together: live bytes, and the holes
below them. See ``plan`` for what lives when, ``planner`` for the addresses that ExecuTorch's exporter gives.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import accumulate

from memprof.analysis import Buffer, Lifetimes, Schedule
from memprof.ir import Graph
from memprof.ir.model import Model
from memprof.runtimes.executorch.plan import find_plan
from memprof.runtimes.executorch.planner import ALIGNMENT
from memprof.runtimes.model import Figure, Measuring, Order, Placement, RuntimeModel

FORMAT = "executorch"
LOWERED_FORMAT = "torch.lowered"


def executorch_lifetimes(graph: Graph, order: Sequence[int] | None = None) -> Lifetimes:
    """Return what is in use of the planned memory while each instruction runs.

    Args:
        graph: From a .pte file, or a lowered module.
        order: Node ids in a topological order; the graph's own if left out.
    """
    order = range(len(graph.nodes)) if order is None else order
    plan = find_plan(graph, order)
    schedule = Schedule.sequential(order)
    steps = schedule.step_count
    buffers = [Buffer(each.values, each.size_bytes, each.start, each.stop) for each in plan.living]
    change = [0] * (steps + 1)
    for _, size, start, stop in buffers:
        change[start] += size or 0
        change[stop] -= size or 0
    tops = plan.heights(steps)
    reserved = tuple([max(0, top - tensors) for top, tensors in zip(tops, accumulate(change[:-1]), strict=True)])
    return Lifetimes(
        graph=graph,
        schedule=schedule,
        buffers=tuple(buffers),
        reserved=reserved if any(reserved) else (),
        is_complete=plan.is_complete,
    )


def place_planned(lifetimes: Lifetimes) -> Placement:
    """Return the addresses of the tensors, arenas one behind the other, and what all arenas take."""
    plan = find_plan(lifetimes.graph, [node for step in lifetimes.schedule.steps for node in step])
    bases = plan.bases
    return Placement(
        offsets=tuple([bases[each.home] + each.offset for each in plan.living]),
        arena_bytes=plan.planned_bytes,
        persistent_bytes=0,
        alignment=1 if lifetimes.graph.program is not None else ALIGNMENT,
    )


def executorch_figures(graph: Graph) -> tuple[Figure, ...]:
    """Return the planned memory of each method; of the first one alone for a module."""
    plan = find_plan(graph, range(len(graph.nodes)))
    size = plan.planned_bytes if plan.is_complete or graph.program is not None else None
    found = [Figure("planned_bytes", size, "exact", "the arenas of planned memory together, as the program asks for")]
    methods = graph.program.subgraphs if graph.program is not None else ()
    for number, method in enumerate(methods[1:], start=1):
        sizes = graph.program.arenas[number] if graph.program is not None else ()
        if planned := sum(sizes[1:]):
            name = re.sub(r"\W+", "_", method.name).strip("_").lower() or str(number)
            what = f"the same of the method {method.name}"
            found.append(Figure(f"planned_bytes_{name}", planned, "exact", what))
    return tuple(found)


def _lowered_by(lifetimes: Lifetimes) -> tuple[str, ...]:
    return find_plan(lifetimes.graph, [node for step in lifetimes.schedule.steps for node in step]).unproven


def _refusal(model: Model) -> str:
    return "" if model.format in (FORMAT, LOWERED_FORMAT) else "it runs .pte files and lowers PyTorch modules"


MODEL = RuntimeModel(
    name="executorch",
    definition="the memory that an ExecuTorch program plans for its method: the highest address in use while an "
    "instruction runs, holes included, all arenas together; what delegates allocate by themselves does not count",
    summary="ExecuTorch, planned memory",
    best_grade="exact",
    lowered_by=_lowered_by,
    counts_inputs=True,
    lifetimes=executorch_lifetimes,
    order=Order.LISTED,
    default_for=frozenset({FORMAT}),
    leads=frozenset({FORMAT}),
    refusal=_refusal,
    needs="lowered",
    judges_graphs=False,
    placement=place_planned,
    measuring=Measuring("memprof.measure.verify_executorch:verify_executorch", frozenset({"torch.run"})),
    figures=executorch_figures,
)
