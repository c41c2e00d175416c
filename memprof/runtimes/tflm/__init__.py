"""tflm: what TensorFlow Lite Micro takes of its arena: the head byte for byte, the tail as an estimate.

rule                                                                    where
operators run in the order of the file                                  lifetimes
inputs live from the start, outputs to the end; nothing is in place     lifetimes
subgraphs that control flow runs are planned together with the rest     lifetimes
kernels ask for scratch, each piece a buffer of its own                 scratch
greedy by size, the later buffer first where sizes are equal            planner
variables, records of tensors and operators, kernels' own data          tail

The head is one block at the front of the arena, the tail another at its end. A peak here is the highest address in
use while an operator runs: live bytes, and the holes below them that the planner leaves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby

from memprof.analysis import Buffer, Lifetimes, Schedule
from memprof.ir import Graph
from memprof.ir.model import Model
from memprof.ir.program import Program
from memprof.ir.reorder import reorder
from memprof.runtimes.model import Figure, Grade, Measuring, Placement, RuntimeModel
from memprof.runtimes.tflm.arena import Arena, find_arena, head_of, offsets_of, unproven_of
from memprof.runtimes.tflm.candidates import convert, dtype_of, is_sized
from memprof.runtimes.tflm.lifetimes import ALIGNMENT, Need, Needs, find_needs
from memprof.runtimes.tflm.planner import height, load_bound
from memprof.runtimes.tflm.scratch import CMSIS_NN, CMSIS_NN_MVE, REFERENCE
from memprof.runtimes.tflm.tail import BUILD_32, BUILD_64, tail_bytes

FORMAT = "tflite"


def tflm_lifetimes(graph: Graph, order: Sequence[int] | None = None) -> Lifetimes:
    """Return what is in use of the head while each operator of the first subgraph runs.

    Args:
        graph: A graph that was read from a .tflite file, or one that a converter would make such a file of.
        order: Node ids in a topological order; the graph's own if left out.
    """
    order = range(len(graph.nodes)) if order is None else order
    program, steps_of = _listed(graph, order)
    needs = find_needs(program, REFERENCE)
    schedule = Schedule.sequential(order)
    ids = {value.name: value_id for value_id, value in enumerate(graph.values)}
    tensors = program.subgraphs[0].tensors
    steps = _Steps(needs, steps_of, schedule.step_count)
    buffers = [
        Buffer((ids[tensors[need.tensor].name],), need.size_bytes, *steps.span(need))
        for need in needs.buffers
        if _is_value(need) and tensors[need.tensor].name in ids
    ]
    named = [need for need in needs.buffers if _is_value(need) and tensors[need.tensor].name in ids]
    heights = steps.heights(needs.buffers, offsets_of(needs))
    alive = [0] * len(heights)
    for need in named:
        start, stop = steps.span(need)
        for step in range(start, stop):
            alive[step] += need.size_bytes
    reserved = tuple([max(0, top - tensors_alive) for top, tensors_alive in zip(heights, alive, strict=True)])
    return Lifetimes(
        graph=graph,
        schedule=schedule,
        buffers=tuple(buffers),
        reserved=reserved if any(reserved) else (),
        is_complete=not needs.unsized and (graph.program is not None or is_sized(graph)),
    )


def _listed(graph: Graph, order: Sequence[int]) -> tuple[Program, Sequence[int]]:
    """Return the program that runs the nodes of ``graph`` in ``order``, and the step of each of its operators."""
    is_own = list(order) == list(range(len(graph.nodes)))
    if graph.program is None:
        made = convert(graph if is_own else reorder(graph, order), dtype_of(graph))
        return made.program, made.nodes
    if is_own:
        return graph.program, order
    main = graph.program.subgraphs[0]
    listed = replace(main, operators=tuple([main.operators[i] for i in order]))
    return replace(graph.program, subgraphs=(listed, *graph.program.subgraphs[1:])), range(len(order))


def place_head(lifetimes: Lifetimes) -> Placement:
    """Return the addresses of the first subgraph's tensors, and what the whole arena takes."""
    program = _program(lifetimes.graph)
    needs = find_needs(program, REFERENCE)
    offsets = offsets_of(needs)
    tensors = program.subgraphs[0].tensors
    by_name = {
        tensors[need.tensor].name: offset
        for need, offset in zip(needs.buffers, offsets, strict=True)
        if _is_value(need)
    }
    values = lifetimes.graph.values
    tail = tail_bytes(program, needs, BUILD_32)
    return Placement(
        offsets=tuple([by_name[values[buffer.values[0]].name] for buffer in lifetimes.buffers]),
        arena_bytes=height(needs.buffers, offsets) + tail,
        persistent_bytes=tail,
        alignment=ALIGNMENT,
    )


def tflm_figures(graph: Graph) -> tuple[Figure, ...]:
    """Return head and tail of the arena, and heads with other kernels."""
    program = _program(graph)
    needs = find_needs(program, REFERENCE)
    grade: Grade = "estimate" if unproven_of(needs) else "exact"
    found = [
        Figure("head_bytes", head_of(needs), grade, "what the planner lays out, with the portable kernels"),
        Figure(
            "tail_bytes",
            tail_bytes(program, needs, BUILD_32),
            "estimate",
            "what stays at the end of the arena in a build with pointers of 4 bytes",
        ),
        Figure(
            "tail_bytes_64_bit",
            tail_bytes(program, needs, BUILD_64),
            "estimate",
            "the same in a build with pointers of 8 bytes",
        ),
        Figure(
            "head_bound_bytes",
            None if needs.unsized else load_bound(needs.buffers, needs.scopes),
            "exact" if grade == "exact" else "estimate",
            "most bytes alive at once in the file's order: no plan has a smaller head",
        ),
    ]
    for name, rules, core in (
        ("head_bytes_cmsis_nn", CMSIS_NN, "the DSP extension (M4, M7, M33)"),
        ("head_bytes_cmsis_nn_mve", CMSIS_NN_MVE, "Helium (M55, M85)"),
    ):
        other = find_needs(program, rules)
        what = f"head_bytes with CMSIS-NN's kernels on a core with {core}"
        found.append(Figure(name, head_of(other), "estimate", what))
    return tuple(found)


def _lowered_by(lifetimes: Lifetimes) -> tuple[str, ...]:
    graph = lifetimes.graph
    unproven = unproven_of(find_needs(_program(graph), REFERENCE))
    return unproven if graph.program is not None else (*unproven, "no converter was asked")


def _refusal(model: Model) -> str:
    return "" if model.format in (FORMAT, "graph") else "it runs .tflite files"


def _program(graph: Graph) -> Program:
    return graph.program or convert(graph, dtype_of(graph)).program


def _is_value(need: Need) -> bool:
    """Whether it is a tensor of the first subgraph that something touches."""
    return need.subgraph == 0 and need.tensor >= 0 and need.first >= 0


class _Steps:
    """From scopes to steps: those of an operator of the first subgraph are the scopes that it spans together.

    Args:
        needs: What the runtime places.
        steps: The step of each operator.
        count: Number of steps.
    """

    def __init__(self, needs: Needs, steps: Sequence[int], count: int) -> None:
        self._step_of = [0] * max(1, needs.scopes)
        for step, (first, last) in zip(steps, needs.node_scopes, strict=True):
            for scope in range(first, last + 1):
                self._step_of[scope] = step
        self._count = count

    def span(self, need: Need) -> tuple[int, int]:
        """Return the first step in which a buffer lives, and the first in which it no longer does."""
        return self._step_of[max(0, need.first)], self._step_of[max(0, need.last)] + 1

    def heights(self, buffers: Sequence[Need], offsets: Sequence[int]) -> list[int]:
        """Return, for each step, where the highest buffer that lives in it ends.

        A buffer that nothing touches is placed all the same, as if before the first step.
        """
        tops = sorted(
            [(self.span(need), offset + need.size_bytes) for need, offset in zip(buffers, offsets, strict=True)]
        )
        found = [0] * self._count
        for (start, stop), group in groupby(tops, key=lambda top: top[0]):
            highest = max(top for _, top in group)
            for step in range(start, stop):
                found[step] = max(found[step], highest)
        return found


MODEL = RuntimeModel(
    name="tflm",
    definition="TensorFlow Lite Micro's arena as its planner lays out the head with the portable kernels: the "
    "highest address in use while an operator runs, holes included; weights behind the file count as activations",
    summary="TensorFlow Lite Micro, arena head",
    best_grade="exact",
    lowered_by=_lowered_by,
    counts_inputs=True,
    lifetimes=tflm_lifetimes,
    default_for=frozenset({FORMAT}),
    leads=frozenset({FORMAT}),
    refusal=_refusal,
    placement=place_head,
    measuring=Measuring("memprof.measure.verify_tflm:verify_tflm", frozenset({FORMAT})),
    figures=tflm_figures,
)

__all__ = ["MODEL", "Arena", "find_arena", "tflm_figures"]
