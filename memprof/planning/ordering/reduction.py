"""Makes an ordering problem smaller without changing the smallest peak.

* An operation that touches no storage, needs no scratch and waits for nothing but such operations (one that computes
  a constant) can run anywhere before its first reader at no cost. It leaves the problem, and comes back right before
  that reader.
* An operation that opens nothing and needs no scratch (a view) and waits for one operation alone, and what that one
  waits for, runs right after it: nothing grows then, and all it frees is free earlier. The two become one.

Both need O(n + edges).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from memprof.planning.meter import Meter
from memprof.planning.ordering.piece import Cell, Piece
from memprof.planning.ordering.problem import FROM_START, OrderProblem


@dataclass(frozen=True, slots=True, kw_only=True)
class Reduction:
    """A smaller problem and the way back.

    Attributes:
        piece: The smaller problem; ``Piece.ops`` are indices into ``groups``.
        groups: For each of its operations those of the full problem that it stands for, in running order.
        is_free: For each operation of the full problem whether it was left out.
    """

    problem: OrderProblem
    piece: Piece
    groups: tuple[tuple[int, ...], ...]
    is_free: tuple[bool, ...]

    def expand(self, order: Sequence[int]) -> list[int]:
        """Return the order of the full problem that an order of ``piece`` stands for."""
        predecessors = self.problem.predecessors
        result: list[int] = []
        is_placed = [False] * len(self.is_free)
        if self.problem.first_step_bytes and any(self.is_free):
            # What only the first step holds is best left to one that needs nothing else.
            first = self.is_free.index(True)
            is_placed[first] = True
            result.append(first)
        for group in order:
            for op in self.groups[group]:
                self._place_free(predecessors[op], is_placed, result)
                result.append(op)
        self._place_free([op for op, free in enumerate(self.is_free) if free], is_placed, result)
        return result

    def _place_free(self, wanted: Sequence[int], is_placed: list[bool], result: list[int]) -> None:
        """Append those of ``wanted`` that were left out and what they wait for, in the given order."""
        stack = [op for op in wanted if self.is_free[op] and not is_placed[op]]
        missing = set(stack)
        while stack:
            for before in self.problem.predecessors[stack.pop()]:
                if not is_placed[before] and before not in missing:
                    missing.add(before)
                    stack.append(before)
        for op in sorted(missing):
            is_placed[op] = True
            result.append(op)


def reduce_problem(problem: OrderProblem, meter: Meter | None = None) -> Reduction:
    """Return a smaller problem with the same smallest peak, apart from ``first_step_bytes``.

    Raises:
        OutOfBudget: The meter ran out.
    """
    meter = meter or Meter()
    meter.spend(problem.op_count)
    is_free = _free_operations(problem)
    opened = [0] * problem.op_count
    for size, birth in zip(problem.storage_bytes, problem.births, strict=True):
        if birth != FROM_START:
            opened[birth] += size
    groups: list[list[int]] = []
    group_of = [-1] * problem.op_count
    waits_for: list[set[int]] = []
    for op, before in enumerate(problem.predecessors):
        if is_free[op]:
            continue
        meter.spend(1 + len(before))
        needed = {group_of[other] for other in before if not is_free[other]}
        home = max(needed, default=-1)
        is_weightless = not opened[op] and not problem.scratch_bytes[op]
        if (
            is_weightless
            and home >= 0
            and problem.scratch_bytes[groups[home][0]] >= 0
            and needed <= waits_for[home] | {home}
        ):
            group_of[op] = home
            groups[home].append(op)
        else:
            group_of[op] = len(groups)
            groups.append([op])
            waits_for.append(needed)
    meter.spend(problem.op_count)
    return Reduction(
        problem=problem,
        piece=_as_piece(problem, groups, group_of, waits_for, meter),
        groups=tuple(map(tuple, groups)),
        is_free=tuple(is_free),
    )


def _free_operations(problem: OrderProblem) -> list[bool]:
    is_free: list[bool] = []
    for op, before in enumerate(problem.predecessors):
        is_idle = not problem.touches[op] and not problem.scratch_bytes[op]
        is_free.append(is_idle and all(is_free[other] for other in before))
    return is_free


def _as_piece(
    problem: OrderProblem,
    groups: Sequence[Sequence[int]],
    group_of: Sequence[int],
    waits_for: Sequence[set[int]],
    meter: Meter,
) -> Piece:
    touchers: list[set[int]] = [set() for _ in problem.storage_bytes]
    for op, storages in enumerate(problem.touches):
        meter.spend()
        for storage in storages:
            touchers[storage].add(group_of[op])
    sizes: dict[tuple[tuple[int, ...] | None, tuple[int, ...] | None], int] = {}
    for storage, size in enumerate(problem.storage_bytes):
        meter.spend()
        birth = problem.births[storage]
        opens = None if birth == FROM_START else (group_of[birth],)
        closes = None if problem.is_kept[storage] else tuple(sorted(touchers[storage]))
        if size and not (opens is None and closes is None):
            sizes[opens, closes] = sizes.get((opens, closes), 0) + size
    return Piece(
        ops=tuple(range(len(groups))),
        predecessors=tuple(tuple(sorted(found)) for found in waits_for),
        cells=tuple(Cell(opens, closes, size) for (opens, closes), size in sizes.items()),
        scratch_bytes=tuple(problem.scratch_bytes[group[0]] for group in groups),
        start_bytes=problem.start_bytes,
    )
