"""A model as the installed onnxruntime optimises it: written by a child process that runs nothing, and read back."""

from __future__ import annotations

from dataclasses import replace

from memprof.base.folders import scratch_folder
from memprof.importers.onnx import read_onnx
from memprof.importers.onnxruntime_dump import read_optimized
from memprof.importers.request import Request
from memprof.ir.model import OPTIMIZED_FORMAT, UNCHANGED_FORMAT, Model
from memprof.measure.child import Limits
from memprof.measure.kept import installed_version
from memprof.measure.onnxruntime import require_onnxruntime, write_optimized


def load_optimized(request: Request, limits: Limits) -> Model:
    """Let onnxruntime optimise the file that is asked for, and read the result.

    Raises:
        RuntimeFailure: onnxruntime refused the model, crashed, hung or ran out of memory.
        MissingExtraError: onnxruntime is not installed.
        InputError: The file is missing, unreadable or invalid.
        UsageError: A name does not exist, or a shape does not fit.
    """
    require_onnxruntime("Optimising a model")
    source = read_onnx(request)  # what is wrong with the file is said before onnxruntime sees it
    request = replace(request, wished=source.wished)
    with scratch_folder() as folder:
        target = folder / "optimized.onnx"
        write_optimized(request.name, target, limits)
        model = read_optimized(target, request)
    model = replace(model, installed=installed_version() or "")
    return model if model.format == OPTIMIZED_FORMAT else replace(model, format=UNCHANGED_FORMAT)
