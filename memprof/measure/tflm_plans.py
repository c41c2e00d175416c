"""A .tflite file before and after planning, both run in TensorFlow Lite Micro: arenas, and outputs bit for bit."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from memprof.base.errors import RuntimeFailure
from memprof.measure.child import Limits
from memprof.measure.tflm import ArenaRun, find_smallest, require_tflm, run_arena
from memprof.planning.tflm import TflmPlan

RUNS = 3
_SLACK = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredPlan:
    """What became of a plan in the runtime.

    Attributes:
        before: The file without it.
        after: The file with it.
        smallest_before_bytes: The smallest arena that the file loads in without it, to 16 bytes.
        smallest_after_bytes: The same with it.
        is_same: Whether all outputs of all runs are the same, bit for bit.
    """

    before: ArenaRun
    after: ArenaRun
    smallest_before_bytes: int
    smallest_after_bytes: int
    is_same: bool

    def to_json(self) -> dict[str, Any]:
        """Return the measurement as JSON-ready values."""
        return asdict(self) | {"runs": RUNS}


def measure_plan(plan: TflmPlan, before: str, after: str, limits: Limits) -> MeasuredPlan:
    """Run both files on the same numbers.

    Args:
        plan: What was planned.
        before: Path of the file without it.
        after: Path of the file with it.
        limits: What each child process may use.

    Raises:
        RuntimeFailure: The runtime refused a file, crashed or hung, or the two do not compute the same.
        MissingExtraError: The runtime is not installed.
    """
    require_tflm("Measuring a plan")
    room = 2 * (plan.before_bytes + plan.tail_bytes) + _SLACK
    first, second = (run_arena(path, room, limits, runs=RUNS) for path in (before, after))
    found = MeasuredPlan(
        before=first,
        after=second,
        smallest_before_bytes=find_smallest(before, first.head_bytes + first.tail_bytes, limits),
        smallest_after_bytes=find_smallest(after, second.head_bytes + second.tail_bytes, limits),
        is_same=first.outputs == second.outputs,
    )
    if not found.is_same:
        raise RuntimeFailure(
            f"{after} does not compute what {before} does.", "Do not use it, and report the model as a bug."
        )
    return found
