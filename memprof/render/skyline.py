"""The memory curve as a skyline: a timeline pooled to a width by its maxima, so that the peak is never lost.

    timeline (a value per step) --> columns (a value each, the highest of the steps it stands for) --> rows of text

Pure integers and strings; colours and labels are the renderer's. O(steps + columns * rows).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True, slots=True)
class Skyline:
    """A pooled timeline.

    Attributes:
        columns: Bytes by column: the maximum over the steps of the column.
        peak_column: The column that holds the peak's step.
    """

    columns: tuple[int, ...]
    peak_column: int

    def rows(self, height: int, levels: str) -> list[str]:
        """Return ``height`` lines from top to bottom, one character per column.

        Args:
            height: Number of lines.
            levels: Characters from empty to full: a cell can be filled in ``len(levels) - 1`` parts. What is not zero
                shows at least the lowest part.
        """
        parts = len(levels) - 1
        top = max(self.columns, default=0)
        filled = [-(-value * height * parts // top) if top else 0 for value in self.columns]
        return [
            "".join(levels[min(parts, max(0, parts_here - base * parts))] for parts_here in filled)
            for base in reversed(range(height))
        ]


def pool_timeline(step_bytes: Sequence[int], peak_step: int, max_columns: int) -> Skyline:
    """Return ``step_bytes`` in at most ``max_columns`` columns.

    A timeline of more steps is pooled: column c stands for steps ``[c * n // columns, (c + 1) * n // columns)``.
    A shorter one is stretched by the largest whole factor that fits, so that all steps are equally wide.
    """
    n = len(step_bytes)
    if n <= max_columns:
        factor = max_columns // n if n else 1
        return Skyline(tuple(value for value in step_bytes for _ in range(factor)), peak_step * factor + factor // 2)
    edges = [column * n // max_columns for column in range(max_columns + 1)]
    columns = tuple(max(step_bytes[start:stop]) for start, stop in pairwise(edges))
    # The column whose range holds the step: the largest c with c * n // columns <= step.
    return Skyline(columns, ((peak_step + 1) * max_columns - 1) // n)
