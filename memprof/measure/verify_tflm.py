"""A .tflite file, predicted and loaded in TensorFlow Lite Micro: head and tail apart."""

from __future__ import annotations

from memprof.base.errors import UsageError
from memprof.importers.request import Request
from memprof.importers.tflite import read_tflite
from memprof.measure.child import Limits
from memprof.measure.tflm import require_tflm, run_arena
from memprof.results.verification import NamedPair, Verification
from memprof.runtimes.tflm import find_arena, tflm_figures

_COUNTS = "the head of the arena: tensors and kernels' scratch as the planner lays them out"
_METHOD = "the runtime's own count, portable kernels, 64-bit build"
_TAIL = "what stays at the end of the arena in this build, whose pointers have 8 bytes"
_SLACK = 2**20


def check_fixed(request: Request) -> None:
    """Refuse sizes that the file does not have: the runtime loads it as it is.

    Raises:
        UsageError: Some are asked for.
    """
    if request.fixes_sizes:
        raise UsageError("The runtime loads the file as it is.", "Convert the model with the shape that is wanted.")


def verify_tflm(request: Request, limits: Limits) -> Verification:
    """Compare what is predicted from the file with what the runtime's arena takes.

    Args:
        request: The .tflite file.
        limits: What the child process may use.

    Raises:
        RuntimeFailure: The runtime refused the model, crashed, hung or ran out of memory.
        MissingExtraError: It is not installed.
        InputError: The file is missing or invalid.
        UsageError: Other sizes than the file's are asked for.
    """
    require_tflm("Verifying a prediction")
    check_fixed(request)
    graph = read_tflite(request.path, dims={}, inputs={}).graph
    assert graph.program is not None, "a .tflite file is a program"
    arena = find_arena(graph.program)
    figures = {figure.name: figure.size_bytes for figure in tflm_figures(graph)}
    room = 2 * ((arena.head_bytes or arena.bound_bytes) + arena.tail_bytes) + _SLACK
    found = run_arena(request.name, room, limits)
    return Verification(
        path=request.name,
        runtime="tflm",
        version=found.version,
        optimization="none",
        predicted_bytes=arena.head_bytes,
        measured_bytes=found.head_bytes,
        counts=_COUNTS,
        method=_METHOD,
        steps=(),
        others=(NamedPair("tail_bytes_64_bit", figures["tail_bytes_64_bit"], found.tail_bytes, _TAIL),),
    )
