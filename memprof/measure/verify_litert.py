"""A .tflite file, predicted and loaded in LiteRT without a delegate: the span of its arena, tensor by tensor."""

from __future__ import annotations

from importlib.util import find_spec

from memprof.base.errors import MissingExtraError, RuntimeFailure
from memprof.importers.request import Request
from memprof.importers.tflite import read_tflite
from memprof.measure.child import Limits, run_in_child
from memprof.measure.verify_tflm import check_fixed
from memprof.results.verification import StepPair, Verification
from memprof.runtimes.litert.arena import lay_out

_COUNTS = "from the lowest to the highest address of the arena's tensors, kernels' own included"
_METHOD = "addresses that the runtime hands out, no delegate, one thread"


def verify_litert(request: Request, limits: Limits) -> Verification:
    """Compare what is predicted from the file with the addresses that LiteRT gives its tensors.

    Args:
        request: The .tflite file.
        limits: What the child process may use.

    Raises:
        RuntimeFailure: The runtime refused the model, crashed, hung or ran out of memory.
        MissingExtraError: It is not installed.
        InputError: The file is missing or invalid.
        UsageError: Other sizes than the file's are asked for.
    """
    if find_spec("ai_edge_litert") is None:
        raise MissingExtraError("Running a model in LiteRT", "litert")
    check_fixed(request)
    program = read_tflite(request.path, dims={}, inputs={}).graph.program
    assert program is not None, "a .tflite file is a program"
    arena = lay_out(program)
    task = "memprof.measure.litert_runs:read_addresses"
    found = run_in_child(task, {"model": request.name}, limits, runtime="LiteRT", model=request.name)
    main = program.subgraphs[0]
    predicted = {i: block for block in arena.blocks for i in block.tensors}
    spans = {i: (start, start + size) for i, start, size in found["tensors"] if size}
    inside = [spans[i] for i in spans if i in predicted or i >= len(main.tensors)]
    if not inside:
        raise RuntimeFailure(f"LiteRT shows no tensor of {request.name}.", "The model may hold none.")
    base = min(start for start, _ in inside)
    pairs = [
        StepPair(
            step=step,
            node=main.tensors[i].name,
            op="tensor",
            predicted_bytes=predicted[i].offset,
            measured_bytes=spans[i][0] - base,
        )
        for step, i in enumerate(sorted(set(predicted) & set(spans)))
    ]
    return Verification(
        path=request.name,
        runtime="litert",
        version=found["version"],
        optimization="none",
        predicted_bytes=None if arena.unsized else arena.arena_bytes,
        measured_bytes=max(stop for _, stop in inside) - base,
        counts=_COUNTS,
        method=_METHOD,
        steps=tuple(pairs),
    )
