"""The block that onnxruntime allocates at once from the second run on: its memory pattern.

While a graph runs for the first time, onnxruntime notes every buffer it takes and gives back (graph outputs and
scratch are not among them) and lays them out in one block: sizes rounded up to 256 bytes, each in the smallest gap
between blocks alive at that moment that holds it, else at the end. Later runs with the same input shapes take the
whole block at their start. A body of a Loop or Scan has a block of its own, from its second iteration on.

Complexity: O(buffers x buffers alive at once).
"""

from __future__ import annotations

from bisect import insort
from collections import defaultdict
from collections.abc import Sequence

from memprof.runtimes.onnxruntime.plan import ReusePlan

ALIGNMENT = 256


def pattern_bytes(plan: ReusePlan, sizes: Sequence[int | None], outputs: frozenset[int]) -> int:
    """Return the bytes of the block.

    Args:
        plan: Who lives where.
        sizes: Bytes of each value; unknown ones count nothing.
        outputs: Ids of graph outputs.
    """
    ends: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
    alive: list[tuple[int, int]] = []  # (offset, bytes), by offset
    block_bytes = 0
    step = 0
    for value_id in plan.owned:
        size = sizes[value_id]
        if value_id in outputs or not size:
            continue
        while step < plan.start[value_id]:
            for ended in ends.pop(step + 1, ()):
                alive.remove(ended)
            step += 1
        padded = -(-size // ALIGNMENT) * ALIGNMENT
        found = (_best_offset(alive, padded, block_bytes), padded)
        insort(alive, found)
        block_bytes = max(block_bytes, found[0] + padded)
        ends[plan.stop[value_id]].append(found)
    return block_bytes


def _best_offset(alive: Sequence[tuple[int, int]], size: int, block_bytes: int) -> int:
    """Return the start of the smallest gap that holds ``size`` bytes, the end of what is alive if there is none."""
    best, waste, position = -1, -1, 0
    for offset, taken in [*alive, (block_bytes, 0)]:
        gap = offset - position
        if gap >= size and (waste < 0 or gap - size < waste):
            best, waste = position, gap - size
        position = max(position, offset + taken)
    return best if best >= 0 else max((offset + taken for offset, taken in alive), default=0)
