"""Bytes that only the first step holds: a graph input that nobody reads is there at step 0, whatever runs there.

They add to one step, so they matter only if that step becomes the peak. With a given first operation that step is
fixed, and what is left is a problem like all others: every other operation waits for the first.
"""

from __future__ import annotations

from dataclasses import replace

from memprof.planning.ordering.problem import FROM_START, OrderProblem


def first_steps(problem: OrderProblem) -> list[tuple[int, int]]:
    """Return each operation that can run first and the bytes of its step then, fewest first."""
    opened = [0] * problem.op_count
    for size_bytes, birth in zip(problem.storage_bytes, problem.births, strict=True):
        if birth != FROM_START:
            opened[birth] += size_bytes
    always = problem.start_bytes + problem.first_step_bytes
    found = [
        (op, always + opened[op] + problem.scratch_bytes[op])
        for op, before in enumerate(problem.predecessors)
        if not before
    ]
    return sorted(found, key=lambda step: (step[1], step[0]))


def pin_first(problem: OrderProblem, first: int) -> tuple[OrderProblem, list[int]]:
    """Return the problem in which ``first`` runs first, without the bytes that only its step holds, renumbered.

    And the old numbers of its operations.
    """
    numbering = [first, *(op for op in range(problem.op_count) if op != first)]
    new = {op: i for i, op in enumerate(numbering)}
    pinned = replace(
        problem,
        predecessors=tuple(
            tuple(sorted({new[before] for before in problem.predecessors[op]} or {0} - {i}))
            for i, op in enumerate(numbering)
        ),
        touches=tuple(problem.touches[op] for op in numbering),
        births=tuple(birth if birth == FROM_START else new[birth] for birth in problem.births),
        scratch_bytes=tuple(problem.scratch_bytes[op] for op in numbering),
        first_step_bytes=0,
    )
    return pinned, numbering
