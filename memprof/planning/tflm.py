"""A better plan for TensorFlow Lite Micro: addresses for every tensor, and the order of operators that needs least.

    order      of the first subgraph, searched where it may change: state and control flow keep theirs
    addresses  of all tensors of all subgraphs, with kernels' scratch as buffers among them
    check      the runtime's own planner is played through: scratch stays its affair, and is placed around the rest

Nothing is promised that was not played through, and what comes out is never larger than what the runtime would do by
itself. What cannot be planned safely is refused: unknown scratch or sizes, a file that has a plan already.

Tensors stay the runtime's affair where a fixed address would break it: it looks up the address of a variable of
subgraph k under its number in subgraph 0 (``AllocateVariables``), so that the tensor there must have none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from memprof.base.errors import IncompleteError, UsageError
from memprof.ir.program import Program
from memprof.planning.meter import Meter, meter_of
from memprof.planning.offsets.problem import AllocationBuffer, AllocationProblem, MemoryPlan
from memprof.planning.offsets.solver import plan_offsets
from memprof.planning.ordering.find import find_order
from memprof.planning.ordering.problem import FROM_START, OrderProblem
from memprof.planning.ordering.result import OrderResult
from memprof.planning.validator import check_plan
from memprof.runtimes.tflm.lifetimes import ALIGNMENT, ONLINE, Need, Needs, find_needs
from memprof.runtimes.tflm.planner import MAX_BUFFERS, height, load_bound, place
from memprof.runtimes.tflm.scratch import REFERENCE
from memprof.runtimes.tflm.tail import BUILD_32, setup_bytes, tail_bytes

PLAN_SCHEMA = "memprof/plan-tflite/1"

_KEEPS_ITS_PLACE = frozenset({"IF", "WHILE", "CALL_ONCE", "VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE"})


@dataclass(frozen=True, slots=True, kw_only=True)
class TflmPlan:
    """What was planned, and what is proven of it.

    Attributes:
        program: The program in its planned order, with its planned addresses.
        order: Numbers of the first subgraph's operators in their new order.
        before_bytes: Head of the arena without a plan.
        head_bytes: Head with it; never more.
        bound_bytes: Most bytes alive at once in the planned order: no addresses need less.
        order_bound_bytes: No order needs less, ``None`` if no order was searched for.
        tail_bytes: An estimate of the arena's tail, which the plan does not change, with pointers of 4 bytes.
        arena_bytes: An estimate of the smallest arena that the file loads in.
        arena: All buffers at the addresses that the runtime will use, scratch included.
        was_interrupted: Whether Ctrl-C ended a search on the way, so that this is the best until then.
    """

    program: Program
    order: tuple[int, ...]
    before_bytes: int
    head_bytes: int
    bound_bytes: int
    order_bound_bytes: int | None
    tail_bytes: int
    arena_bytes: int
    arena: MemoryPlan
    was_interrupted: bool = False

    @property
    def is_better(self) -> bool:
        """Whether the head is smaller than without a plan."""
        return self.head_bytes < self.before_bytes

    @property
    def is_reordered(self) -> bool:
        """Whether the order changes."""
        return self.order != tuple(range(len(self.order)))

    @property
    def is_optimal(self) -> bool:
        """Whether no addresses do with less in the planned order, proven."""
        return self.head_bytes == max(self.bound_bytes, self.arena.lower_bound_bytes)

    def fits(self, budget_bytes: int) -> bool | None:
        """Tell whether an arena of a size does: no if the head alone cannot, unknown within the estimate."""
        if self.arena_bytes <= budget_bytes:
            return True
        return False if self.least_bytes > budget_bytes else None

    @property
    def least_bytes(self) -> int:
        """What no order and no addresses do with less than, tail not counted."""
        return self.bound_bytes if self.order_bound_bytes is None else min(self.order_bound_bytes, self.bound_bytes)

    def to_json(self) -> dict[str, Any]:
        """Return the plan as JSON-ready values, schema ``memprof/plan-tflite/1``."""
        buffers = self.arena.problem.buffers
        return {
            "schema": PLAN_SCHEMA,
            "runtime": "tflm",
            "head_before_bytes": self.before_bytes,
            "head_bytes": self.head_bytes,
            "head_bound_bytes": self.bound_bytes,
            "order_bound_bytes": self.order_bound_bytes,
            "tail_bytes": self.tail_bytes,
            "arena_bytes": self.arena_bytes,
            "optimal": self.is_optimal,
            "order": list(self.order),
            "offsets": list(self.program.offsets),
            "buffers": [
                {"name": buffer.name, "start": buffer.start, "stop": buffer.stop, "bytes": size, "offset": offset}
                for buffer, size, offset in zip(buffers, self.arena.problem.sizes, self.arena.offsets, strict=True)
            ],
        }


def plan_program(program: Program, seconds: float | Meter = 10.0, *, keep_order: bool = False) -> TflmPlan:
    """Return the plan with the smallest head that is found.

    Args:
        program: What a .tflite file holds.
        seconds: Time to search at most, or a meter that runs already; proofs usually come long before.
        keep_order: Whether the operators stay in the file's order.

    Raises:
        UsageError: The file has a plan of its own.
        IncompleteError: A kernel's scratch or a tensor's size is not known.
    """
    meter = meter_of(seconds)
    needs = _check(program)
    plain = _Candidate.of(program, needs, tuple(range(len(program.subgraphs[0].operators))))
    candidates = [plain, _with_addresses(plain, meter.part(1 / 3))]
    order = None
    if not keep_order and (problem := order_problem(program, needs)) is not None:
        order = find_order(problem, meter.part(0.5))
        if order.peak_bytes < order.before_bytes:
            reordered = _reorder(program, order.order)
            found = _Candidate.of(reordered, find_needs(reordered, REFERENCE), order.order)
            candidates += [found, _with_addresses(found, meter.part(1))]
    best = min(candidates, key=lambda candidate: candidate.head_bytes)  # of equals the one that changes least
    return _result(best, plain.head_bytes, order, meter)


def order_problem(program: Program, needs: Needs) -> OrderProblem | None:
    """Return the ordering problem of the first subgraph, ``None`` if its order may not change.

    Operators that keep state, run subgraphs or are not known keep their order among each other.
    """
    main = program.subgraphs[0]
    written = [i for operator in main.operators for i in operator.outputs]
    if len(set(written)) < len(written) or set(written) & set(main.inputs):
        return None  # a tensor that is written twice ties all its readers down
    sizes = {need.tensor: need.size_bytes for need in needs.buffers if need.subgraph == 0 and need.tensor >= 0}
    producers = {i: number for number, operator in enumerate(main.operators) for i in operator.outputs}
    touches = [
        sorted({i for i in (*operator.inputs, *operator.outputs) if i in sizes}) for operator in main.operators
    ]
    counted = sorted({i for found in touches for i in found})
    place_of = {tensor: number for number, tensor in enumerate(counted)}
    predecessors: list[tuple[int, ...]] = []
    last: int | None = None
    for number, operator in enumerate(main.operators):
        before = {producers[i] for i in operator.inputs if i in producers}
        if _keeps_its_place(program, number):
            before |= set() if last is None else {last}
            last = number
        predecessors.append(tuple(sorted(before - {number})))
    return OrderProblem(
        predecessors=tuple(predecessors),
        touches=tuple([tuple([place_of[i] for i in found]) for found in touches]),
        storage_bytes=tuple([sizes[i] for i in counted]),
        births=tuple([producers.get(i, FROM_START) for i in counted]),
        is_kept=tuple([i in main.outputs for i in counted]),
        scratch_bytes=_own_bytes(needs),
    )


def _check(program: Program) -> Needs:
    if program.offsets:
        raise UsageError(
            "This file has a plan of addresses of its own.", "Give the file that it was made from, before planning."
        )
    needs = find_needs(program, REFERENCE)
    if needs.unproven:
        raise IncompleteError(
            f"What kernels take is not known: {'; '.join(needs.unproven[:3])}.",
            "A plan for this file could fail on the device: leave the planning to the runtime.",
        )
    if needs.unsized:
        raise IncompleteError(
            f"The size of {needs.unsized[0]} is not known.", "Convert the model with fixed input shapes."
        )
    if len(needs.buffers) > MAX_BUFFERS:
        raise IncompleteError(f"{len(needs.buffers)} buffers are more than a microcontroller plans.")
    return needs


def _keeps_its_place(program: Program, number: int) -> bool:
    main = program.subgraphs[0]
    operator = main.operators[number]
    is_stateful = any(main.tensors[i].is_variable for i in (*operator.inputs, *operator.outputs) if i >= 0)
    return is_stateful or operator.op in _KEEPS_ITS_PLACE or operator.op.startswith("custom.")


def _own_bytes(needs: Needs) -> tuple[int, ...]:
    """Return what each operator of the first subgraph needs besides its tensors: scratch, and subgraphs it runs."""
    found = []
    inner = [need for need in needs.buffers if (need.subgraph or need.tensor < 0) and need.first >= 0]
    for first, last in needs.node_scopes:
        own = [need for need in inner if first <= need.first <= last]
        found.append(load_bound(own, needs.scopes) if own else 0)
    return tuple(found)


def _reorder(program: Program, order: Sequence[int]) -> Program:
    main = program.subgraphs[0]
    listed = replace(main, operators=tuple([main.operators[i] for i in order]))
    return replace(program, subgraphs=(listed, *program.subgraphs[1:]))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Candidate:
    """A program in some order with some planned addresses, and where its buffers end up."""

    program: Program
    needs: Needs
    order: tuple[int, ...]
    offsets: tuple[int, ...]
    lower_bound_bytes: int

    @classmethod
    def of(cls, program: Program, needs: Needs, order: Sequence[int], bound_bytes: int = 0) -> _Candidate:
        return cls(
            program=program,
            needs=needs,
            order=tuple(order),
            offsets=place(needs.buffers),
            lower_bound_bytes=max(bound_bytes, load_bound(needs.buffers, needs.scopes)),
        )

    @property
    def head_bytes(self) -> int:
        return height(self.needs.buffers, self.offsets)


def _with_addresses(candidate: _Candidate, meter: Meter) -> _Candidate:
    """Return the candidate with the best addresses found, fixed in its program where that is safe."""
    needs, program = candidate.needs, candidate.program
    solved = plan_offsets(_pose(program, needs), meter)
    starts = [sum(len(s.tensors) for s in program.subgraphs[:k]) for k in range(len(program.subgraphs))]
    count = sum(len(subgraph.tensors) for subgraph in program.subgraphs)
    fixed = [ONLINE] * count
    for need, offset in zip(needs.buffers, solved.offsets, strict=True):
        if need.tensor >= 0 and need.first >= 0:
            fixed[starts[need.subgraph] + need.tensor] = offset
    for subgraph in program.subgraphs:
        for number, tensor in enumerate(subgraph.tensors):
            if tensor.is_variable:
                fixed[number] = ONLINE  # the runtime looks here, whichever subgraph the variable is in
    planned = replace(program, offsets=tuple(fixed))
    return _Candidate.of(planned, find_needs(planned, REFERENCE), candidate.order, solved.lower_bound_bytes)


def _pose(program: Program, needs: Needs) -> AllocationProblem:
    """Return the allocation problem: scopes are steps, with one more in front for what nothing touches."""
    buffers = [
        AllocationBuffer(
            name=f"{i}: {_name(program, need)}", start=need.first + 1, stop=need.last + 2, size_bytes=need.size_bytes
        )
        for i, need in enumerate(needs.buffers)
    ]
    return AllocationProblem(buffers=tuple(buffers), alignment=ALIGNMENT)


def _name(program: Program, need: Need) -> str:
    subgraph = program.subgraphs[need.subgraph]
    if need.tensor >= 0:
        return subgraph.tensors[need.tensor].name
    return f"scratch of {subgraph.operators[need.operator].op}_{need.operator}"


def _result(best: _Candidate, before_bytes: int, order: OrderResult | None, meter: Meter) -> TflmPlan:
    problem = _pose(best.program, best.needs)
    arena = MemoryPlan(
        problem=problem,
        offsets=best.offsets,
        lower_bound_bytes=best.lower_bound_bytes,
        proof="load" if best.lower_bound_bytes == load_bound(best.needs.buffers, best.needs.scopes) else "search",
        strategy="offline addresses, scratch by the runtime" if best.program.offsets else "the runtime's own planner",
        seconds=meter.seconds,
    )
    check_plan(arena)
    tail = tail_bytes(best.program, best.needs, BUILD_32)
    return TflmPlan(
        program=best.program,
        order=best.order,
        before_bytes=before_bytes,
        head_bytes=best.head_bytes,
        bound_bytes=load_bound(best.needs.buffers, best.needs.scopes),
        order_bound_bytes=None if order is None else order.lower_bound_bytes,
        tail_bytes=tail,
        arena_bytes=max(best.head_bytes, setup_bytes(best.program, best.needs, BUILD_32)) + tail,
        arena=arena,
        was_interrupted=meter.was_ended,
    )
