"""The verbs that need a runtime, in a child process: ``verify``, ``bench``. What needs no runtime is in ``api``."""

from __future__ import annotations

from dataclasses import replace
from os import PathLike
from typing import Unpack

from memprof.api import load
from memprof.base.errors import UsageError
from memprof.importers import scripts
from memprof.importers.request import Request, RequestArguments, Source, make_request
from memprof.ir.model import Model
from memprof.measure.child import Limits
from memprof.results.bench import BenchedModel, BenchSettings
from memprof.results.verification import Verification
from memprof.runtimes import Measuring, find_runtime, list_runtimes
from memprof.runtimes.late import find
from memprof.runtimes.onnxruntime import OPTIMIZED_MODEL


def runnable() -> tuple[str, ...]:
    """Return the names of the runtime models that a prediction can be verified in."""
    return tuple(row.name for row in list_runtimes() if row.measuring)


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
        runtime: Name of a runtime model that can be run; what leads a report on the source if left out.
        limits: Time and memory of the child process.
        arguments: Fields of ``Request``. With ``optimized``, onnxruntime optimises the graph, and what it makes of it
            is predicted.

    Raises:
        RuntimeFailure: The run crashed, hung or ran out of memory, or the runtime refused the model.
        MissingExtraError: The runtime is not installed.
        InputError: The source is missing, unreadable or invalid.
        UsageError: A name does not exist, or an argument does not fit the source.
    """
    request = make_request(source, **arguments)
    if not isinstance(request.source, str | PathLike):
        raise UsageError(
            f"A {request.name} in memory cannot be run in a process of its own.",
            "Name it: a file, or package.module:factory.",
        )
    verifies = find(_measuring(runtime, request).by)
    found: Verification = verifies(request, limits or Limits())
    return found


def _format(request: Request) -> str:
    """Return the format that a file is read as: that of its suffix, ONNX for a suffix that is none."""
    return _FORMATS.get(request.path.suffix.lower(), "onnx")


_FORMATS = {
    ".safetensors": "weights",
    ".gguf": "weights",
    ".pt2": "torch.export",
    ".tflite": "tflite",
    ".csv": "csv",
    ".json": "json",
}
_OTHERS = frozenset({*_FORMATS, ".pte", scripts.SUFFIX})
"""Endings of files that onnxruntime does not run."""


def _measuring(name: str | None, request: Request) -> Measuring:
    """Return how what is asked about is run: in the runtime of that name, or in what leads of those that run it.

    Raises:
        UsageError: There is no such runtime, nothing runs it, or it cannot run such a source.
    """
    if request.is_file and request.path.suffix.lower() == scripts.SUFFIX and request.path.is_file():
        raise scripts.unnamed_function(request.path)
    source_format = _format(request) if request.is_file else "torch.run"
    rows = sorted(list_runtimes(), key=lambda row: source_format not in row.leads)
    fitting = {row.name: row.measuring for row in rows if row.measuring and source_format in row.measuring.formats}
    if request.optimized and name in (None, "onnxruntime"):
        name = OPTIMIZED_MODEL.name
    if name is not None and find_runtime(name).measuring is None:
        raise UsageError(f"There is nothing to verify {name!r} with.", f"Choose from: {', '.join(runnable())}.")
    if not fitting:
        raise UsageError(f"Nothing here runs {request.name}.", "Name an .onnx file or a PyTorch module.")
    if name is not None and name not in fitting:
        raise UsageError(f"{name} does not run {request.name}.", f"Choose from: {', '.join(fitting)}.")
    return fitting[name or next(iter(fitting))]


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
    if not request.is_file or request.path.suffix.lower() in _OTHERS:
        raise UsageError(
            f"onnxruntime runs ONNX files, and {request.name} is none.",
            "Export it first: torch.onnx.export(module, inputs, 'model.onnx'); then: memprof bench model.onnx",
        )
    return load(replace(request, optimized=False))  # a session optimises it by itself
