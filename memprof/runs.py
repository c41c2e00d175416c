"""The verbs that need a runtime, in a child process: ``verify``, and ``load_optimized``, which runs nothing.

What needs no runtime is in ``api``.
"""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path

from memprof.api import analyze, names_module
from memprof.errors import UsageError
from memprof.folders import scratch_folder
from memprof.importers.model import Model
from memprof.importers.torch.training import Training
from memprof.measure.child import Limits
from memprof.results.verification import Verification

RUNNABLE = ("onnxruntime", "pytorch")
"""Runtimes that a prediction can be verified in."""

_Shapes = Mapping[str, tuple[int, ...]]


def verify(  # noqa: PLR0913 - one keyword per thing that decides how the model runs
    source: str | PathLike[str],
    *,
    runtime: str | None = None,
    optimized: bool = False,
    dims: Mapping[str, int] | None = None,
    inputs: _Shapes | None = None,
    values: Mapping[str, float] | None = None,
    training: Training | None = None,
    limits: Limits | None = None,
) -> Verification:
    """Predict what a model needs, run it in a child process, and return both side by side.

    Args:
        source: Path of an .onnx file, or the name of a PyTorch module: "torchvision:resnet18".
        runtime: ``onnxruntime`` or ``pytorch``; the one that fits the source if left out.
        optimized: Let onnxruntime optimise the graph, and predict what it makes of it.
        dims: Sizes of named dimensions: ``{"batch": 1}``.
        inputs: Shapes of graph inputs: ``{"x": (1, 3, 224, 224)}``.
        values: What to fill single inputs with, instead of random numbers: ``{"sampling_rate": 16000}``.
        training: The step to run instead of inference; for PyTorch modules.
        limits: Time and memory of the child process.

    Raises:
        RuntimeFailure: The run crashed, hung or ran out of memory, or the runtime refused the model.
        MissingExtraError: The runtime is not installed.
        InputError: The source is missing, unreadable or invalid.
        UsageError: A name does not exist, or an argument does not fit the source.
    """
    from memprof.measure.verifying import Setup, verify_onnxruntime, verify_optimized, verify_pytorch

    path = str(source)
    wanted = runtime or ("pytorch" if names_module(path) else "onnxruntime")
    if wanted not in RUNNABLE:
        raise UsageError(f"There is nothing to verify {wanted!r} with.", f"Choose from: {', '.join(RUNNABLE)}.")
    setup = Setup(dims=dims or {}, inputs=inputs or {}, values=values or {}, limits=limits or Limits())
    if wanted == "pytorch":
        if optimized:
            raise UsageError("Only onnxruntime optimises graphs.", "Leave --optimized out, or name an .onnx file.")
        report = analyze(path, inputs=setup.inputs, runtimes=("pytorch",), training=training)
        return verify_pytorch(path, report.headline.lifetimes, setup, training)
    if training is not None:
        raise UsageError(f"{path} is a file, and only PyTorch modules can be trained.", "Name the module instead.")
    return verify_optimized(path, setup) if optimized else verify_onnxruntime(path, setup)


def load_optimized(
    source: str | PathLike[str],
    *,
    dims: Mapping[str, int] | None = None,
    inputs: _Shapes | None = None,
    limits: Limits | None = None,
) -> Model:
    """Let the installed onnxruntime optimise a model, in a child process that runs nothing, and read the result.

    Args:
        source: Path of an .onnx file.
        dims: Sizes of named dimensions: ``{"batch": 1}``.
        inputs: Shapes of graph inputs: ``{"x": (1, 3, 224, 224)}``.
        limits: Time and memory of the child process.

    Raises:
        RuntimeFailure: onnxruntime refused the model, crashed, hung or ran out of memory.
        MissingExtraError: onnxruntime is not installed.
        InputError: The file is missing, unreadable or invalid.
        UsageError: A name does not exist, or a shape does not fit.
    """
    from memprof.importers.onnx import read_onnx
    from memprof.importers.onnxruntime_dump import read_optimized
    from memprof.measure.onnxruntime import require_onnxruntime, write_optimized

    require_onnxruntime("Optimising a model")
    path = Path(source)
    read_onnx(path, dims=dims or {}, inputs=inputs or {})  # what is wrong with the file is said before it is run
    with scratch_folder() as folder:
        target = folder / "optimized.onnx"
        write_optimized(str(path), target, limits or Limits())
        return read_optimized(target, path, dims=dims or {}, inputs=inputs or {})
