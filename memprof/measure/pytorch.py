"""What PyTorch really allocates on the CPU: the module is run with real weights and data, in a child process.

    measure_report     the run itself, as a report on it: what cannot be predicted is measured
    measure_tensors    the tracker of the prediction, on real tensors: every storage from birth to its last reference
    measure_process    PyTorch's own profiler: every allocation, what kernels take and give back inside an operation
                       included (oneDNN's copies in its blocked layout, matrices of im2col, packed weights)

The difference between the two is kernels' own memory: a property of the CPU and of oneDNN's version, not of the
model. Weights and inputs exist before the run and do not count; outputs do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from memprof.base.errors import UsageError
from memprof.importers.request import Request
from memprof.importers.torch.training import Training
from memprof.measure.child import Limits, run_in_child
from memprof.measure.measurement import MeasuredStep, Measurement
from memprof.results.building import build_report
from memprof.results.report import Report
from memprof.runtimes import choose_runtimes

ProfiledStep = tuple[str, str, int, int]

_TENSORS = "tensors' storages from birth to last reference; weights and inputs excluded, outputs included"
_PROCESS = "all that PyTorch's allocator hands out, kernels' own memory included; weights and inputs excluded"


def measure_tensors(request: Request, limits: Limits | None = None) -> Measurement:
    """Run a named module once under the tracker.

    Args:
        request: The module by name; the optimiser of its training, if any, must be a name too, its loss left out.
        limits: What the child process may use.

    Raises:
        RuntimeFailure: The run crashed, hung or ran out of memory.
        UsageError: There is no such name, or it needs inputs.
    """
    return _measure("tensors_of_run", request, limits, ("storage tracker", _TENSORS))


def measure_process(request: Request, limits: Limits | None = None) -> Measurement:
    """Run a named module once under PyTorch's profiler; arguments and errors as ``measure_tensors``."""
    return _measure("allocations_of_run", request, limits, ("PyTorch profiler", _PROCESS))


def measure_report(request: Request, runtimes: Sequence[str] | None, limits: Limits | None = None) -> Report:
    """Run a named module once under the tracker, and return the report on what ran.

    Args:
        request: The module by name, as for ``measure_tensors``.
        runtimes: Names of runtime models, the headline first; those that apply if ``None``.
        limits: What the child process may use.

    Raises:
        RuntimeFailure: The run crashed, hung or ran out of memory.
        InputError: The module failed.
        UsageError: There is no such name, or it needs inputs.
    """
    arguments = {"asked": child_arguments(request), "runtimes": None if runtimes is None else list(runtimes)}
    found = run_in_child(
        "memprof.measure.pytorch:report_of_run",
        arguments,
        limits or Limits(),
        runtime="pytorch",
        model=request.name,
    )
    return Report.from_json(found, "the child's report")


def _measure(task: str, request: Request, limits: Limits | None, about: tuple[str, str]) -> Measurement:
    found = run_in_child(
        f"memprof.measure.pytorch:{task}",
        {"asked": child_arguments(request)},
        limits or Limits(),
        runtime="pytorch",
        model=request.name,
    )
    method, counts = about
    return Measurement(
        runtime="pytorch",
        version=found["version"],
        method=method,
        counts=counts,
        peak_bytes=found["peak_bytes"],
        steps=tuple(MeasuredStep(*step) for step in found["steps"]),
    )


def child_arguments(request: Request) -> dict[str, Any]:
    """Return what a child needs to ask for the same run, JSON-ready."""
    training = request.training
    optimizer = training.optimizer if training else None
    if training and (training.loss or not (optimizer is None or isinstance(optimizer, str))):
        raise UsageError("A child process takes an optimiser by name and no loss.", "Use Training('adam').")
    return {
        "source": request.name,
        "dims": dict(request.dims),
        "inputs": {key: list(shape) for key, shape in request.inputs.items()},
        "dtypes": dict(request.dtypes),
        "values": dict(request.values),
        "precision": request.precision,
        "is_training": training is not None,
        "optimizer": optimizer,
        "checkpointing": training is not None and training.checkpointing,
    }


def asked_request(arguments: Mapping[str, Any]) -> Request:
    """Return the request of ``arguments``, for a real run: the child's side."""
    given = dict(arguments)
    training = Training(given.pop("optimizer"), checkpointing=given.pop("checkpointing"))
    is_training = given.pop("is_training")
    given["inputs"] = {key: tuple(shape) for key, shape in given["inputs"].items()}
    return Request(**given, training=training if is_training else None, run=True)


def report_of_run(asked: Mapping[str, Any], runtimes: Sequence[str] | None) -> dict[str, Any]:
    """Run, track and report: a task of the child process."""
    from memprof.importers.torch.loading import read_name

    model = read_name(asked_request(asked))
    return build_report(model, choose_runtimes(runtimes, model)).to_json()


def tensors_of_run(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Run and track: a task of the child process."""
    import torch

    from memprof.importers.torch.loading import read_name
    from memprof.runtimes.pytorch import trace_lifetimes

    trace = read_name(asked_request(asked)).trace
    assert trace is not None, "a real run leaves a trace"
    timeline = trace_lifetimes(trace).timeline
    return {
        "version": torch.__version__,
        "peak_bytes": timeline.peak_bytes,
        "steps": [
            (node.name, node.op, live) for node, live in zip(trace.graph.nodes, timeline.step_bytes, strict=False)
        ],
    }


def allocations_of_run(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Run and profile: a task of the child process. The run before the measured one makes the optimiser's state."""
    import torch

    from memprof.importers.torch.loading import real_module

    torch.set_num_threads(1)  # several threads take their scratch at the same time
    request = asked_request(asked)
    module, call = real_module(request)
    steps = steps_of_profile(module, call, request.training)
    return {"version": torch.__version__, "peak_bytes": max((most for *_, most in steps), default=0), "steps": steps}


def steps_of_profile(module: Any, call: Any, training: Training | None = None) -> list[ProfiledStep]:
    """Return name, kind, bytes after and most bytes of each outermost operation of a real run, in order."""
    from torch.profiler import ProfilerActivity, profile

    from memprof.importers.torch.tracked import Step

    step = Step(module, call, training)
    step.run()  # the optimiser's state and libraries' buffers come to life
    module.zero_grad(set_to_none=True)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        held = step.run()
    tree = profiler.profiler.kineto_results.experimental_event_tree()
    del held
    return list(_steps(tree, step.state_bytes))


def _steps(tree: Sequence[Any], live: int) -> Iterator[ProfiledStep]:
    """Yield name, kind, bytes after and most bytes of each outermost operation; ``live`` bytes exist before."""
    counts: dict[str, int] = {}
    for event in sorted(tree, key=lambda found: found.start_time_ns):
        most = live
        for size in _allocations(event):
            live += size
            most = max(most, live)
        if str(event.tag).endswith("Allocation"):
            continue
        op = event.name.replace("::", ".")
        number = counts[op] = counts.get(op, -1) + 1
        short = op.rpartition(".")[2]
        yield (f"{short}_{number}" if number else short, op, live, most)


def _allocations(event: Any) -> list[int]:
    """Return the allocations (positive) and releases (negative) under an event, in time order."""
    found: list[tuple[int, int]] = []
    stack = [event]
    while stack:
        current = stack.pop()
        stack += current.children
        if str(current.tag).endswith("Allocation"):
            found.append((current.start_time_ns, current.extra_fields.alloc_size))
    return [size for _, size in sorted(found, key=lambda item: item[0])]
