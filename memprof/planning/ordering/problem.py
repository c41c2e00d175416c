"""The ordering problem in integers: which operation runs when, so that the most bytes alive at once are fewest.

Operations and storages are numbers; what is in a storage, and why it may not move, is the graph's affair.

    storage   born when its first writer runs, or there from the start; freed after the last operation that reads or
              writes any value in it (views are values in it), or kept to the end
    step      an operation's step holds everything alive before it, what is born by it, and its scratch bytes

f(S), the bytes alive after the operations in S have run, is submodular: every storage adds its bytes times
([born in S] - [all that touch it in S]), and the second bracket is supermodular. All proofs of this package rest on
that, and on the rule that scratch belongs to the operation alone. One thing breaks it, a graph input that nobody
reads: it lives at the first step only, whatever runs there (``first_step_bytes``).

Lives here: the problem and the cost of an order. ``memprof.planning.ordering.kinds`` makes problems from graphs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

FROM_START = -1
"""In ``OrderProblem.births``: the storage exists before anything runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderProblem:
    """What decides the peak of an order. Operation ids follow the given order, which is topological.

    Attributes:
        predecessors: For each operation those that must run before it, each once.
        touches: For each operation the storages that must exist while it runs, each once.
        storage_bytes: Bytes of each storage.
        births: The operation each storage is born by, or ``FROM_START``.
        is_kept: Whether each storage stays to the end.
        scratch_bytes: Bytes that each operation needs while it runs besides the storages (bodies of control flow);
            negative where a floor lets an operation write over what it reads.
        first_step_bytes: Bytes that are alive at the first step and at no other.
    """

    predecessors: tuple[tuple[int, ...], ...]
    touches: tuple[tuple[int, ...], ...]
    storage_bytes: tuple[int, ...]
    births: tuple[int, ...]
    is_kept: tuple[bool, ...]
    scratch_bytes: tuple[int, ...]
    first_step_bytes: int = 0

    @property
    def op_count(self) -> int:
        """Number of operations."""
        return len(self.predecessors)

    def step_bytes(self, order: Sequence[int]) -> list[int]:
        """Return the bytes alive at each step of ``order``, one per operation. O(operations + touches)."""
        left = [0] * len(self.storage_bytes)
        for storages in self.touches:
            for storage in storages:
                left[storage] += 1
        alive = self.start_bytes
        steps = []
        for op in order:
            freed = 0
            for storage in self.touches[op]:
                left[storage] -= 1
                if self.births[storage] == op:
                    alive += self.storage_bytes[storage]
                if not left[storage] and not self.is_kept[storage]:
                    freed += self.storage_bytes[storage]
            steps.append(alive + self.scratch_bytes[op])
            alive -= freed
        if steps:
            steps[0] += self.first_step_bytes
        return steps

    def peak_bytes(self, order: Sequence[int]) -> int:
        """Return the most bytes alive at any step of ``order``, before the first and after the last included."""
        return max(
            self.start_bytes + (0 if order else self.first_step_bytes), self.end_bytes, *self.step_bytes(order)
        )

    @property
    def start_bytes(self) -> int:
        """Bytes alive before anything runs."""
        return sum(size for size, birth in zip(self.storage_bytes, self.births, strict=True) if birth == FROM_START)

    @property
    def end_bytes(self) -> int:
        """Bytes alive after everything has run."""
        return sum(size for size, kept in zip(self.storage_bytes, self.is_kept, strict=True) if kept)

    def is_order(self, order: Sequence[int]) -> bool:
        """Whether ``order`` runs every operation once, after its predecessors."""
        position = {op: step for step, op in enumerate(order)}
        return sorted(position) == list(range(self.op_count)) == sorted(order) and all(
            position[before] < position[op] for op, found in enumerate(self.predecessors) for before in found
        )
