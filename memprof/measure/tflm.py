"""Runs TensorFlow Lite Micro in child processes and brings back what its arena took and what it computed.

The runtime comes in the wheel ``tflite-micro``, built for a desktop: pointers of 8 bytes, portable kernels. It shows
how long the head and the tail of its arena are, and no address of a tensor.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from memprof.base.errors import MissingExtraError, RuntimeFailure
from memprof.measure.child import Limits, run_in_child

_STEP_BYTES = 16
_TASK = "memprof.measure.tflm_runs"


@dataclass(frozen=True, slots=True, kw_only=True)
class ArenaRun:
    """One model, loaded and run.

    Attributes:
        head_bytes: What the planner laid out.
        tail_bytes: What stays at the end of the arena.
        version: Version of the wheel.
        outputs: Digest of each output of each run.
    """

    head_bytes: int
    tail_bytes: int
    version: str
    outputs: tuple[str, ...]


def run_arena(model: str, arena_bytes: int, limits: Limits, *, runs: int = 1) -> ArenaRun:
    """Load a model into an arena and run it.

    Args:
        model: Path of the .tflite file.
        arena_bytes: Size of the arena.
        limits: What the child process may use.
        runs: How often it is run, each time on other numbers, the same ones for every model of the same inputs.

    Raises:
        RuntimeFailure: The runtime refused the model, crashed, hung or ran out of memory.
        MissingExtraError: The wheel is not installed.
    """
    found = _run("run_model", model, limits, arena_bytes=arena_bytes, runs=runs)
    return ArenaRun(
        head_bytes=found["head_bytes"],
        tail_bytes=found["tail_bytes"],
        version=found["version"],
        outputs=tuple(found["outputs"]),
    )


def find_smallest(model: str, enough_bytes: int, limits: Limits) -> int:
    """Return the smallest arena that a model loads in, to 16 bytes: by halving, since in a larger one it loads too.

    Args:
        model: Path of the .tflite file.
        enough_bytes: Where to begin: head and tail as they were counted.
        limits: What each child process may use.

    Raises:
        MissingExtraError: The wheel is not installed.
    """
    low, high = 0, -(-enough_bytes // _STEP_BYTES)
    if _loads(model, high, limits):
        low = high - 1 if not _loads(model, high - 1, limits) else 0
    while low == 0 and not _loads(model, high, limits):
        low, high = high, 2 * high
    while low + 1 < high:
        middle = (low + high) // 2
        low, high = (low, middle) if _loads(model, middle, limits) else (middle, high)
    return high * _STEP_BYTES


def _loads(model: str, steps: int, limits: Limits) -> bool:
    """Tell whether a model loads; in an arena that is too small this runtime may also crash."""
    try:
        return bool(_run("try_size", model, limits, arena_bytes=steps * _STEP_BYTES))
    except RuntimeFailure:
        return False


def require_tflm(feature: str) -> None:
    """Check that the runtime is there.

    Raises:
        MissingExtraError: It is not.
    """
    if find_spec("tflite_micro") is None:
        raise MissingExtraError(feature, "tflm")


def _run(task: str, model: str, limits: Limits, **arguments: Any) -> Any:
    require_tflm("Running a model in TensorFlow Lite Micro")
    arguments["model"] = model
    return run_in_child(f"{_TASK}:{task}", arguments, limits, runtime="TensorFlow Lite Micro", model=model)
