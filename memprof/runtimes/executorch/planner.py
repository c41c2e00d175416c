"""The planner of ExecuTorch's exporter: the largest first, into objects that tensors share; of equal sizes the later.

    for each tensor, the largest first
        the first object none of whose tensors live at the same time     at its beginning
        else the first object in which it fits behind those that do      behind the highest of them
        else a new object                                                as large as the tensor
    objects lie one after the other

Every tensor takes a multiple of 16 bytes. Complexity: O(n²) for n tensors. Source: ``exir/memory_planning.py`` of
ExecuTorch 1.5, whose default it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate

ALIGNMENT = 16


@dataclass(frozen=True, slots=True)
class Block:
    """A tensor to place.

    Attributes:
        size_bytes: Its bytes, rounded up.
        start: First step at which it exists.
        stop: First step at which it no longer does.
    """

    size_bytes: int
    start: int
    stop: int

    def overlaps(self, other: Block) -> bool:
        """Tell whether both live at the same time."""
        return self.start < other.stop and other.start < self.stop


@dataclass(slots=True)
class _Shared:
    size_bytes: int
    members: list[tuple[int, Block, int]] = field(default_factory=list)

    def end_of_living(self, block: Block) -> int:
        """Return where the highest member ends that lives at the same time, 0 if none does."""
        return max((offset + each.size_bytes for _, each, offset in self.members if each.overlaps(block)), default=0)


def round_up(size_bytes: int) -> int:
    """Return what a tensor takes."""
    return -(-size_bytes // ALIGNMENT) * ALIGNMENT


def place(blocks: Sequence[Block]) -> tuple[tuple[int, ...], int]:
    """Return the address of each block, and the bytes of the arena.

    Args:
        blocks: In the order in which the program comes to know them.
    """
    objects: list[_Shared] = []
    for i in sorted(range(len(blocks)), key=lambda i: (-blocks[i].size_bytes, -i)):
        target, offset = _find(objects, blocks[i])
        target.members.append((i, blocks[i], offset))
    starts = list(accumulate([each.size_bytes for each in objects], initial=0))
    offsets = [0] * len(blocks)
    for start, each in zip(starts, objects, strict=False):
        for i, _, offset in each.members:
            offsets[i] = start + offset
    return tuple(offsets), starts[-1]


def _find(objects: list[_Shared], block: Block) -> tuple[_Shared, int]:
    for each in objects:
        if not any(other.overlaps(block) for _, other, _ in each.members):
            return each, 0
    for each in objects:
        end = each.end_of_living(block)
        if 0 < end <= each.size_bytes - block.size_bytes:
            return each, end
    made = _Shared(block.size_bytes)
    objects.append(made)
    return made, 0
