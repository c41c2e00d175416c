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

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from memprof.analysis import Buffer, Lifetimes, Schedule
from memprof.ir import Graph
from memprof.ir.model import Model
from memprof.ir.program import Program
from memprof.runtimes.model import Figure, Grade, Measuring, Placement, RuntimeModel
from memprof.runtimes.tflm.lifetimes import ALIGNMENT, Need, Needs, find_needs
from memprof.runtimes.tflm.planner import MAX_BUFFERS, height, load_bound, place
from memprof.runtimes.tflm.scratch import CMSIS_NN, CMSIS_NN_MVE, REFERENCE, Rule
from memprof.runtimes.tflm.tail import BUILD_32, BUILD_64, setup_bytes, tail_bytes

FORMAT = "tflite"


@dataclass(frozen=True, slots=True, kw_only=True)
class Arena:
    """What TensorFlow Lite Micro takes for one program.

    Attributes:
        head_bytes: What its planner lays out: tensors and scratch; ``None`` if a size is unknown.
        tail_bytes: An estimate of what stays at the end, in a build with pointers of 4 bytes.
        setup_bytes: An estimate of what planning takes, where the head will be, before the first run.
        bound_bytes: Most bytes alive at once: no plan has a smaller head.
        unproven: What keeps the head from being exact.
    """

    head_bytes: int | None
    tail_bytes: int
    setup_bytes: int
    bound_bytes: int
    unproven: tuple[str, ...]

    @property
    def arena_bytes(self) -> int | None:
        """The smallest arena that the model loads in, as far as that is known: the tail, and head or planning."""
        return None if self.head_bytes is None else max(self.head_bytes, self.setup_bytes) + self.tail_bytes


def find_arena(program: Program, rules: Mapping[str, Rule] = REFERENCE) -> Arena:
    """Return what TensorFlow Lite Micro takes for ``program``.

    Args:
        program: What it loads.
        rules: What its kernels ask for; the portable ones if left out.

    Complexity: O(n²) for n tensors that are no constants.
    """
    needs = find_needs(program, rules)
    head = None if needs.unsized else height(needs.buffers, _offsets(needs))
    return Arena(
        head_bytes=head,
        tail_bytes=tail_bytes(program, needs, BUILD_32),
        setup_bytes=setup_bytes(program, needs, BUILD_32),
        bound_bytes=load_bound(needs.buffers, needs.scopes),
        unproven=_unproven(needs),
    )


def tflm_lifetimes(graph: Graph, order: Sequence[int] | None = None) -> Lifetimes:
    """Return what is in use of the head while each operator of the first subgraph runs.

    Args:
        graph: A graph that was read from a .tflite file.
        order: Node ids in a topological order; the file's own if left out.
    """
    program = _program(graph)
    order = range(len(graph.nodes)) if order is None else order
    if list(order) != list(range(len(graph.nodes))):
        main = program.subgraphs[0]
        listed = replace(main, operators=tuple([main.operators[i] for i in order]))
        program = replace(program, subgraphs=(listed, *program.subgraphs[1:]))
    needs = find_needs(program, REFERENCE)
    schedule = Schedule.sequential(order)
    ids = {value.name: value_id for value_id, value in enumerate(graph.values)}
    tensors = program.subgraphs[0].tensors
    steps = _Steps(needs)
    buffers = [
        Buffer((ids[tensors[need.tensor].name],), need.size_bytes, *steps.span(need))
        for need in needs.buffers
        if _is_value(need) and tensors[need.tensor].name in ids
    ]
    named = [need for need in needs.buffers if _is_value(need) and tensors[need.tensor].name in ids]
    heights = steps.heights(needs.buffers, _offsets(needs))
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
        is_complete=not needs.unsized,
    )


def place_head(lifetimes: Lifetimes) -> Placement:
    """Return the addresses of the first subgraph's tensors, and what the whole arena takes."""
    program = _program(lifetimes.graph)
    needs = find_needs(program, REFERENCE)
    offsets = _offsets(needs)
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
    grade: Grade = "estimate" if _unproven(needs) else "exact"
    found = [
        Figure("head_bytes", _head(needs), grade, "what the planner lays out, with the portable kernels"),
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
        found.append(Figure(name, _head(other), "estimate", what))
    return tuple(found)


def _lowered_by(lifetimes: Lifetimes) -> tuple[str, ...]:
    return _unproven(find_needs(_program(lifetimes.graph), REFERENCE))


def _refusal(model: Model) -> str:
    return "" if model.format == FORMAT else "it runs .tflite files"


def _program(graph: Graph) -> Program:
    assert graph.program is not None, "tflm applies to graphs of .tflite files"
    return graph.program


def _is_value(need: Need) -> bool:
    """Whether it is a tensor of the first subgraph that something touches."""
    return need.subgraph == 0 and need.tensor >= 0 and need.first >= 0


def _offsets(needs: Needs) -> tuple[int, ...]:
    """Return the planner's addresses; above its limit none, and the head is not known."""
    return place(needs.buffers) if len(needs.buffers) <= MAX_BUFFERS else (0,) * len(needs.buffers)


def _head(needs: Needs) -> int | None:
    return None if needs.unsized or len(needs.buffers) > MAX_BUFFERS else height(needs.buffers, _offsets(needs))


def _unproven(needs: Needs) -> tuple[str, ...]:
    too_many = (f"more than {MAX_BUFFERS} buffers",) if len(needs.buffers) > MAX_BUFFERS else ()
    return (*too_many, *needs.unproven)


class _Steps:
    """From scopes to the steps of the first subgraph: one per operator, the scopes it spans together.

    Args:
        needs: What the runtime places.
    """

    def __init__(self, needs: Needs) -> None:
        self._step_of = [0] * max(1, needs.scopes)
        for step, (first, last) in enumerate(needs.node_scopes):
            for scope in range(first, last + 1):
                self._step_of[scope] = step
        self._count = max(1, len(needs.node_scopes))

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
    judges_graphs=False,
    placement=place_head,
    measuring=Measuring("memprof.measure.verify_tflm:verify_tflm", frozenset({FORMAT})),
    figures=tflm_figures,
)
