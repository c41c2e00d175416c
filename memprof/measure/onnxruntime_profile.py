"""What onnxruntime itself says it has in use: the counters in its profile, taken after each kernel.

The arena counts the bytes that were asked of it. A counter is read once a kernel has written its outputs and before
its inputs are released, so the highest one is the peak of the tensors; scratch that the kernel gave back is not in
it. The counters are in the profile from onnxruntime 1.28 on. Runs in a child process.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from memprof.base.errors import RuntimeFailure
from memprof.base.folders import scratch_folder
from memprof.measure.feeds import InputSpec, random_feeds
from memprof.measure.measurement import MeasuredStep
from memprof.measure.onnxruntime_events import kernel_events


def profile_run(
    model: str, inputs: Sequence[InputSpec], level: int, execution_order: str = "DEFAULT"
) -> dict[str, Any]:
    """Run a model once and return what the profile says: the task of the child process.

    Args:
        model: Path of the .onnx file.
        inputs: Its inputs.
        level: 0 for no optimisation, 99 for all.
        execution_order: A member of ``onnxruntime.ExecutionOrder``.

    Returns:
        ``version``, ``peak_bytes`` and ``steps``.

    Raises:
        RuntimeFailure: The profile of this version has no counters.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel(level)
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.execution_order = getattr(onnxruntime.ExecutionOrder, execution_order)
    options.log_severity_level = 4
    options.enable_profiling = True
    with scratch_folder() as folder:
        options.profile_file_prefix = str(folder / "profile")
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        session.run(None, random_feeds(inputs))
        events = kernel_events(json.loads(Path(session.end_profiling()).read_text(encoding="utf-8")))
    if any(event.in_use_bytes is None for event in events):
        raise RuntimeFailure(
            f"The profile of onnxruntime {onnxruntime.__version__} does not count bytes.",
            "pip install 'onnxruntime>=1.28'",
        )
    counters = [event.in_use_bytes or 0 for event in events]
    held_bytes = counters[0] - events[0].change_bytes if events else 0
    return {
        "version": onnxruntime.__version__,
        "peak_bytes": max(counters, default=held_bytes) - held_bytes,
        "steps": [
            asdict(MeasuredStep(event.node, event.op, count - held_bytes))
            for event, count in zip(events, counters, strict=True)
            if event.depth == 0
        ],
    }
