"""The arena of TensorFlow Lite Micro for one program: head, tail, what planning takes, and what is proven of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from memprof.ir.program import Program
from memprof.runtimes.tflm.lifetimes import Needs, find_needs
from memprof.runtimes.tflm.planner import MAX_BUFFERS, height, load_bound, place
from memprof.runtimes.tflm.scratch import REFERENCE, Rule
from memprof.runtimes.tflm.tail import BUILD_32, setup_bytes, tail_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Arena:
    """What TensorFlow Lite Micro takes for one program.

    Attributes:
        head_bytes: What its planner lays out: tensors and scratch; ``None`` if a size is unknown.
        tail_bytes: An estimate of what stays at the end, in a build with pointers of 4 bytes.
        setup_bytes: An estimate of what planning takes, where the head will be, before the first run.
        bound_bytes: Most bytes alive at once: no plan has a smaller head.
        file_bytes: What the file takes of flash; an estimate for one that nobody converted yet.
        unproven: What keeps the head from being exact.
    """

    head_bytes: int | None
    tail_bytes: int
    setup_bytes: int
    bound_bytes: int
    file_bytes: int
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
    head = None if needs.unsized else height(needs.buffers, offsets_of(needs))
    return Arena(
        head_bytes=head,
        tail_bytes=tail_bytes(program, needs, BUILD_32),
        setup_bytes=setup_bytes(program, needs, BUILD_32),
        bound_bytes=load_bound(needs.buffers, needs.scopes),
        file_bytes=program.file_bytes,
        unproven=unproven_of(needs),
    )


def offsets_of(needs: Needs) -> tuple[int, ...]:
    """Return the planner's addresses; above its limit none, and the head is not known."""
    return place(needs.buffers) if len(needs.buffers) <= MAX_BUFFERS else (0,) * len(needs.buffers)


def head_of(needs: Needs) -> int | None:
    """Return the bytes of the head, ``None`` if they are not known."""
    return None if needs.unsized or len(needs.buffers) > MAX_BUFFERS else height(needs.buffers, offsets_of(needs))


def unproven_of(needs: Needs) -> tuple[str, ...]:
    """Return what keeps the head from being exact."""
    too_many = (f"more than {MAX_BUFFERS} buffers",) if len(needs.buffers) > MAX_BUFFERS else ()
    return (*too_many, *needs.unproven)
