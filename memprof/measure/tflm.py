"""Runs TensorFlow Lite Micro in child processes and brings back what its arena took and what it computed.

The runtime comes in the wheel ``tflite-micro``, built for a desktop: pointers of 8 bytes, portable kernels. It shows
how long the head and the tail of its arena are, and no address of a tensor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from memprof.errors import MissingExtraError
from memprof.measure.child import Limits, run_in_child

_TASK = "memprof.measure.tflm_runs"


@dataclass(frozen=True, slots=True, kw_only=True)
class ArenaRun:
    """One model, loaded and run.

    Attributes:
        head_bytes: What the planner laid out.
        tail_bytes: What stays at the end of the arena.
        version: Version of the wheel.
        outputs: Digest of each output of each run.
        smallest_bytes: The smallest arena that the model loads in, ``None`` if it was not asked for.
    """

    head_bytes: int
    tail_bytes: int
    version: str
    outputs: tuple[str, ...]
    smallest_bytes: int | None


def run_arena(
    model: str, arena_bytes: int, limits: Limits, *, runs: int = 1, find_smallest: bool = False
) -> ArenaRun:
    """Load a model into an arena and run it.

    Args:
        model: Path of the .tflite file.
        arena_bytes: Size of the arena.
        limits: What the child process may use.
        runs: How often it is run, each time on other numbers, the same ones for every model of the same inputs.
        find_smallest: Whether the smallest arena that it loads in is looked for, 16 bytes exact.

    Raises:
        RuntimeFailure: The runtime refused the model, crashed, hung or ran out of memory.
        MissingExtraError: The wheel is not installed.
    """
    found = _run("run_model", model, limits, arena_bytes=arena_bytes, runs=runs, find_smallest=find_smallest)
    return ArenaRun(
        head_bytes=found["head_bytes"],
        tail_bytes=found["tail_bytes"],
        version=found["version"],
        outputs=tuple(found["outputs"]),
        smallest_bytes=found["smallest_bytes"],
    )


def loads_in(model: str, sizes: Sequence[int], limits: Limits) -> tuple[bool, ...]:
    """Return for each size whether the model loads in an arena of it; arguments and errors as ``run_arena``."""
    return tuple(_run("try_sizes", model, limits, sizes=list(sizes)))


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
