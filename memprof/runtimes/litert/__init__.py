"""litert: the arena of LiteRT (TensorFlow Lite on phones and PCs) without a delegate, one thread; see ``arena``.

A peak here is the highest address in use while an operator runs: live bytes, and the holes below them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from memprof.analysis import Buffer, Lifetimes, Schedule
from memprof.ir import Graph
from memprof.ir.model import Model
from memprof.ir.program import Program
from memprof.runtimes.litert.arena import ALIGNMENT, FOR_EVER, Block, LitertArena, lay_out
from memprof.runtimes.model import Figure, Grade, Measuring, Placement, RuntimeModel

FORMAT = "tflite"

_REPACKED = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV"})


def litert_lifetimes(graph: Graph, order: Sequence[int] | None = None) -> Lifetimes:
    """Return what is in use of the arena while each operator of the first subgraph runs.

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
    arena = lay_out(program)
    schedule = Schedule.sequential(order)
    steps = schedule.step_count
    ids = {value.name: value_id for value_id, value in enumerate(graph.values)}
    tensors = program.subgraphs[0].tensors
    buffers = [
        Buffer(tuple([ids[tensors[i].name] for i in block.tensors]), block.size_bytes, *_span(block, steps))
        for block in _named(arena, program, ids)
    ]
    alive, tops = [0] * steps, [0] * steps
    for block in arena.blocks:
        start, stop = _span(block, steps)
        for step in range(start, stop):
            tops[step] = max(tops[step], block.offset + block.size_bytes)
    for buffer in buffers:
        for step in range(buffer.start, buffer.stop):
            alive[step] += buffer.size_bytes or 0
    reserved = tuple([max(0, top - tensors_alive) for top, tensors_alive in zip(tops, alive, strict=True)])
    return Lifetimes(
        graph=graph,
        schedule=schedule,
        buffers=tuple(buffers),
        reserved=reserved if any(reserved) else (),
        is_complete=not arena.unsized,
    )


def place_arena(lifetimes: Lifetimes) -> Placement:
    """Return the addresses of the tensors, and what the arena takes."""
    program = _program(lifetimes.graph)
    arena = lay_out(program)
    ids = {value.name: value_id for value_id, value in enumerate(lifetimes.graph.values)}
    return Placement(
        offsets=tuple([block.offset for block in _named(arena, program, ids)]),
        arena_bytes=arena.arena_bytes,
        alignment=ALIGNMENT,
    )


def litert_figures(graph: Graph) -> tuple[Figure, ...]:
    """Return the arena, and what the XNNPACK delegate would repack besides."""
    program = _program(graph)
    arena = lay_out(program)
    grade: Grade = "estimate" if arena.unproven else "exact"
    size = None if arena.unsized else arena.arena_bytes
    return (
        Figure("arena_bytes", size, grade, "the arena without a delegate, one thread"),
        Figure(
            "xnnpack_weights_bytes",
            _repacked_bytes(program),
            "estimate",
            "weights that the XNNPACK delegate repacks and holds besides the file's, as many bytes as they have",
        ),
    )


def _repacked_bytes(program: Program) -> int:
    main = program.subgraphs[0]
    weights = {
        operator.inputs[1]
        for operator in main.operators
        if operator.op in _REPACKED and len(operator.inputs) > 1 and operator.inputs[1] >= 0
    }
    return sum(main.tensors[i].type.size_bytes or 0 for i in weights)


def _named(arena: LitertArena, program: Program, ids: dict[str, int]) -> list[Block]:
    tensors = program.subgraphs[0].tensors
    blocks = [block for block in arena.blocks if block.tensors]
    return [block for block in blocks if all(tensors[i].name in ids for i in block.tensors)]


def _span(block: Block, steps: int) -> tuple[int, int]:
    return min(block.first, steps - 1), steps if block.last == FOR_EVER else min(steps, block.last + 1)


def _lowered_by(lifetimes: Lifetimes) -> tuple[str, ...]:
    return lay_out(_program(lifetimes.graph)).unproven


def _refusal(model: Model) -> str:
    return "" if model.format == FORMAT else "it runs .tflite files"


def _program(graph: Graph) -> Program:
    assert graph.program is not None, "litert applies to graphs of .tflite files"
    return graph.program


MODEL = RuntimeModel(
    name="litert",
    definition="LiteRT's arena without a delegate, one thread, as its planner lays it out: the highest address in "
    "use while an operator runs, holes and unfolded inputs of convolutions included; unpacked weights lie elsewhere",
    summary="LiteRT, arena without a delegate",
    best_grade="exact",
    lowered_by=_lowered_by,
    counts_inputs=True,
    lifetimes=litert_lifetimes,
    default_for=frozenset({FORMAT}),
    refusal=_refusal,
    judges_graphs=False,
    placement=place_arena,
    measuring=Measuring("memprof.measure.verify_litert:verify_litert", frozenset({FORMAT})),
    figures=litert_figures,
)
