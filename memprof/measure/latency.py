"""How long a model takes in onnxruntime: warm-up, repetitions, and then one profiled stretch for the operators.

The clock runs around ``session.run`` alone; profiling slows every kernel, so its runs are apart and never timed.
Sessions have all optimisations and the CPU provider. ``time_runs`` is the task of a child process; the rest is pure.
"""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

from memprof.base.folders import scratch_folder
from memprof.measure.feeds import InputSpec, random_feeds
from memprof.measure.onnxruntime_events import kernel_events
from memprof.results.bench import Latency, OperatorTime

_PROFILED_RUNS = 5


def read_latency(found: Mapping[str, Any]) -> Latency:
    """Return what ``time_runs`` reported."""
    return Latency(
        version=found["version"],
        threads=found["threads"],
        runs_ms=tuple(found["runs_ms"]),
        operators=tuple(OperatorTime(**operator) for operator in found["operators"]),
    )


def time_runs(model: str, inputs: Sequence[InputSpec], threads: int, warmup: int, runs: int) -> dict[str, Any]:
    """Time a model: the task of the child process.

    Args:
        model: Path of the .onnx file.
        inputs: Its inputs.
        threads: Threads inside an operation.
        warmup: Runs that are not timed, first; at least one, since the first run plans memory.
        runs: Timed runs.

    Returns:
        ``version``, ``threads``, ``runs_ms`` and ``operators``.
    """
    import onnxruntime

    feeds = random_feeds(inputs)
    session = onnxruntime.InferenceSession(model, _options(threads), providers=["CPUExecutionProvider"])
    for _ in range(max(1, warmup)):
        session.run(None, feeds)
    runs_ms = []
    for _ in range(runs):
        began = time.perf_counter_ns()
        session.run(None, feeds)
        runs_ms.append((time.perf_counter_ns() - began) / 1e6)
    return {
        "version": onnxruntime.__version__,
        "threads": threads,
        "runs_ms": runs_ms,
        "operators": [asdict(operator) for operator in _profile(model, feeds, threads)],
    }


def _options(threads: int) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    return options


def _profile(model: str, feeds: Mapping[str, Any], threads: int) -> list[OperatorTime]:
    import onnxruntime

    options = _options(threads)
    options.enable_profiling = True
    with scratch_folder() as folder:
        options.profile_file_prefix = str(folder / "profile")
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        for _ in range(_PROFILED_RUNS + 1):
            session.run(None, feeds)
        events = kernel_events(json.loads(Path(session.end_profiling()).read_text(encoding="utf-8")))
    times: dict[tuple[str, str], list[float]] = defaultdict(list)
    for event in events:
        times[event.node, event.op].append(event.duration_us / 1000)
    found = [
        OperatorTime(node=node, op=op, median_ms=median(values[1:] or values)) for (node, op), values in times.items()
    ]
    return sorted(found, key=lambda operator: (-operator.median_ms, operator.node))
