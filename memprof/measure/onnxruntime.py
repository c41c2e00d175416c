"""Runs onnxruntime in child processes and brings back what it allocated, how long it took, or what it optimised.

    measure_allocations    every byte, by a traced allocator: tensors and kernel scratch, first and second run
    measure_counters       tensors alone, by the counters in onnxruntime's own profile: the second, independent oracle
    write_optimized        the graph as onnxruntime optimises it; nothing is run
    rehearse_loading       what a process holds once it has made a session; nothing is run

The sessions have default settings but for the level of optimisation and the number of threads.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memprof.base.errors import MissingExtraError
from memprof.ir.model import Loading
from memprof.measure.child import Limits, run_in_child
from memprof.measure.measurement import MeasuredStep, Measurement

if TYPE_CHECKING:
    from memprof.measure.feeds import InputSpec

NOT_OPTIMIZED = 0
FULLY_OPTIMIZED = 99

_ALL_BYTES = "tensors and kernel scratch of the {run} run, {threads}; graph inputs excluded, outputs included"
_TENSORS = "tensors of the first run at the end of each kernel, one thread; graph inputs excluded, outputs included"


@dataclass(frozen=True, slots=True, kw_only=True)
class Allocations:
    """What the traced allocator saw.

    Attributes:
        measurement: The first run.
        later: The second run.
        block_bytes: What the second run took at once before its first kernel: its memory pattern.
        session_bytes: What the session took of the same allocator before it ran: weights in kernels' own layouts.
    """

    measurement: Measurement
    later: Measurement
    block_bytes: int
    session_bytes: int

    @property
    def second_run_bytes(self) -> int:
        """The peak of the second run."""
        return self.later.peak_bytes


def measure_allocations(
    model: str,
    inputs: Sequence[InputSpec],
    limits: Limits,
    *,
    level: int = NOT_OPTIMIZED,
    target: Path | None = None,
    threads: int = 1,
) -> Allocations:
    """Run a model twice under a traced allocator.

    Args:
        model: Path of the .onnx file.
        inputs: Its inputs.
        limits: What the child process may use.
        level: ``NOT_OPTIMIZED`` or ``FULLY_OPTIMIZED``.
        target: Where the session writes the graph that it is about to run, if anywhere.
        threads: Threads inside an operation.

    Raises:
        RuntimeFailure: onnxruntime refused the model, crashed, hung or ran out of memory.
        MissingExtraError: onnxruntime is not installed.
    """
    settings = {"level": level, "target": "" if target is None else str(target), "threads": threads}
    found = _run("onnxruntime_allocator:trace_runs", model, limits, inputs=list(inputs), **settings)
    second = found | {"peak_bytes": found["second_run_bytes"], "steps": found["second_steps"]}
    words = "one thread" if threads == 1 else f"{threads} threads"
    return Allocations(
        measurement=_measurement(found, "traced allocator", _ALL_BYTES.format(run="first", threads=words)),
        later=_measurement(second, "traced allocator", _ALL_BYTES.format(run="second", threads=words)),
        block_bytes=found["block_bytes"],
        session_bytes=found["session_bytes"],
    )


def measure_counters(
    model: str,
    inputs: Sequence[InputSpec],
    limits: Limits,
    *,
    level: int = NOT_OPTIMIZED,
    execution_order: str = "DEFAULT",
) -> Measurement:
    """Run a model once and read the counters of its profile; other arguments and errors as ``measure_allocations``.

    Args:
        model: Path of the .onnx file.
        inputs: Its inputs.
        limits: What the child process may use.
        level: ``NOT_OPTIMIZED`` or ``FULLY_OPTIMIZED``.
        execution_order: ``DEFAULT``, or ``PRIORITY_BASED``, which keeps the file's order as far as it can.
    """
    settings: dict[str, Any] = {"level": level, "execution_order": execution_order}
    found = _run("onnxruntime_profile:profile_run", model, limits, inputs=list(inputs), **settings)
    return _measurement(found, "profile counters", _TENSORS)


def measure_process(
    model: str, inputs: Sequence[InputSpec], limits: Limits, *, threads: int
) -> dict[str, int | None]:
    """Return what a fresh process grows by: see ``measure.onnxruntime_process.grow``."""
    found: dict[str, int | None] = _run(
        "onnxruntime_process:grow", model, limits, inputs=list(inputs), threads=threads
    )
    return found


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """A look-alike that the child which optimises a file loads first, while its heap is as it was at the start.

    Attributes:
        model: Path of the look-alike; the answer lies beside it.
        threads: Threads inside an operation.
    """

    model: Path
    threads: int

    @property
    def answer(self) -> Path:
        """Where the child writes what loading took."""
        return self.model.with_suffix(".json")

    def loading(self) -> Loading | None:
        """Return what loading took, ``None`` if it failed or the system does not tell."""
        try:
            return read_loading(json.loads(self.answer.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError, KeyError):
            return None


def write_optimized(model: str, target: Path, limits: Limits, rehearsal: Rehearsal | None = None) -> str:
    """Write the graph as onnxruntime optimises it, without its weights; return onnxruntime's version.

    Args:
        model: Path of the .onnx file.
        target: The .onnx file to write; its weights go to a file beside it, which is removed again.
        limits: What the child process may use.
        rehearsal: What it loads before, if anything.

    Raises:
        RuntimeFailure: onnxruntime refused the model, crashed, hung or ran out of memory.
        MissingExtraError: onnxruntime is not installed.
    """
    task, more = "onnxruntime_optimizer:write_graph", dict[str, Any]()
    if rehearsal is not None:
        task = "rehearsal:rehearse_and_write"
        more = {"look_alike": str(rehearsal.model), "answer": str(rehearsal.answer), "threads": rehearsal.threads}
    version: str = _run(task, model, limits, target=str(target), **more)
    return version


def rehearse_loading(model: str, limits: Limits, *, threads: int) -> Loading | None:
    """Return what a process holds once it has made a default session of ``model``, ``None`` if that cannot be read.

    Args:
        model: Path of a look-alike of the file.
        limits: What the child process may use.
        threads: Threads inside an operation.

    Raises:
        RuntimeFailure: onnxruntime refused the model, crashed, hung or ran out of memory.
        MissingExtraError: onnxruntime is not installed.
    """
    found = _run("rehearsal:rehearse", model, limits, threads=threads)
    return None if found is None else read_loading(found)


def read_loading(found: Mapping[str, Any]) -> Loading:
    """Return a record of JSON values as what a process holds."""
    runs = {name: tuple((first, last) for first, last in found[name]) for name in ("holes", "written")}
    return Loading(**{**found, **runs, "others": tuple(read_loading(other) for other in found.get("others", ()))})


def time_runs(model: str, inputs: Sequence[InputSpec], limits: Limits, **settings: int) -> dict[str, Any]:
    """Return latencies and times of operators: see ``measure.latency.time_runs``."""
    found: dict[str, Any] = _run("latency:time_runs", model, limits, inputs=list(inputs), **settings)
    return found


def require_onnxruntime(feature: str) -> None:
    """Check that onnxruntime is there.

    Raises:
        MissingExtraError: It is not.
    """
    if find_spec("onnxruntime") is None:
        raise MissingExtraError(feature, "onnxruntime")


def _run(task: str, model: str, limits: Limits, **arguments: Any) -> Any:
    require_onnxruntime("Running a model in onnxruntime")
    arguments["model"] = model
    return run_in_child(f"memprof.measure.{task}", arguments, limits, runtime="onnxruntime", model=model)


def _measurement(found: dict[str, Any], method: str, counts: str) -> Measurement:
    return Measurement(
        runtime="onnxruntime",
        version=found["version"],
        method=method,
        counts=counts,
        peak_bytes=found["peak_bytes"],
        steps=tuple(MeasuredStep(**step) for step in found["steps"]),
    )
