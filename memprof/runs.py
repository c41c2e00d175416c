"""The verbs that need a runtime, in a child process: ``verify``, ``bench``. What needs no runtime is in ``api``."""

from __future__ import annotations

from os import PathLike
from typing import Unpack

from memprof.api import analyze, load
from memprof.errors import UsageError
from memprof.importers.model import Model
from memprof.importers.request import Request, RequestArguments, Source, make_request
from memprof.measure.child import Limits
from memprof.results.bench import BenchedModel, BenchSettings
from memprof.results.verification import Verification

RUNNABLE = ("onnxruntime", "pytorch")
"""Runtimes that a prediction can be verified in."""


def verify(
    source: Source | Request,
    *,
    runtime: str | None = None,
    limits: Limits | None = None,
    **arguments: Unpack[RequestArguments],
) -> Verification:
    """Predict what a model needs, run it in a child process, and return both side by side.

    Args:
        source: Path of an .onnx file, or the name of a PyTorch module: "torchvision:resnet18"; or a request for one.
        runtime: ``onnxruntime`` or ``pytorch``; the one that fits the source if left out.
        limits: Time and memory of the child process.
        arguments: Fields of ``Request``. With ``optimized``, onnxruntime optimises the graph, and what it makes of it
            is predicted.

    Raises:
        RuntimeFailure: The run crashed, hung or ran out of memory, or the runtime refused the model.
        MissingExtraError: The runtime is not installed.
        InputError: The source is missing, unreadable or invalid.
        UsageError: A name does not exist, or an argument does not fit the source.
    """
    from memprof.measure.verifying import verify_onnxruntime, verify_optimized, verify_pytorch

    request = make_request(source, **arguments)
    if not isinstance(request.source, str | PathLike):
        raise UsageError(
            f"A {request.name} in memory cannot be run in a process of its own.",
            "Name it: a file, or package.module:factory.",
        )
    wanted = runtime or ("onnxruntime" if request.is_file else "pytorch")
    if wanted not in RUNNABLE:
        raise UsageError(f"There is nothing to verify {wanted!r} with.", f"Choose from: {', '.join(RUNNABLE)}.")
    limits = limits or Limits()
    if wanted == "pytorch":
        report = analyze(request, runtimes=("pytorch",))
        return verify_pytorch(request, report.headline.lifetimes, limits)
    return verify_optimized(request, limits) if request.optimized else verify_onnxruntime(request, limits)


def bench(
    source: Source | Request,
    settings: BenchSettings | None = None,
    *,
    limits: Limits | None = None,
    **arguments: Unpack[RequestArguments],
) -> BenchedModel:
    """Time a model in onnxruntime and measure what it allocates, each in a child process of its own.

    Args:
        source: Path of an .onnx file, or a request for one.
        settings: Threads and number of runs.
        limits: Time and memory of each child process.
        arguments: Fields of ``Request``.

    Raises:
        RuntimeFailure: onnxruntime refused the model, crashed, hung or ran out of memory.
        MissingExtraError: onnxruntime is not installed.
        InputError: The file is missing, unreadable or invalid.
        UsageError: The source is no .onnx file, an input's shape is open, or an argument does not fit.
    """
    from memprof.measure.bench import bench_model

    request = make_request(source, **arguments)
    return bench_model(load_runnable(request), request.values, settings or BenchSettings(), limits or Limits())


def load_runnable(request: Request) -> Model:
    """Return the model of an .onnx file, which onnxruntime can run.

    Raises:
        UsageError: The source is something else.
        InputError: The file is missing, unreadable or invalid.
    """
    if isinstance(request.source, Model) and request.source.format == "onnx":
        return request.source
    if not request.is_file or request.path.suffix.lower() == ".pt2":
        raise UsageError(
            f"onnxruntime runs ONNX files, and {request.name} is none.",
            "Export it first: torch.onnx.export(module, inputs, 'model.onnx'); then: memprof bench model.onnx",
        )
    return load(request)
