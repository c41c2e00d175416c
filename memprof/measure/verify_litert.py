"""A .tflite file, predicted and loaded in LiteRT without a delegate: the span of its arena, tensor by tensor."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from importlib.util import find_spec

from memprof.base.errors import MissingExtraError, RuntimeFailure
from memprof.importers.request import Request
from memprof.importers.tflite import read_tflite
from memprof.measure.child import Limits, run_in_child
from memprof.measure.verify_tflm import check_fixed
from memprof.results.verification import StepPair, Verification
from memprof.runtimes.litert.arena import ALIGNMENT, lay_out

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
    spans = {
        i: (start, start + size)
        for i, start, size in found["tensors"]
        if size and (i >= len(main.tensors) or (i in predicted and main.tensors[i].type.shape))
    }
    base, top = arena_span(spans, predicted)
    if top == 0:
        raise RuntimeFailure(f"LiteRT shows no tensor of {request.name}.", "The model may hold none.")
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
        measured_bytes=top - base,
        counts=_COUNTS,
        method=_METHOD,
        steps=tuple(pairs),
    )


def arena_span(spans: Mapping[int, tuple[int, int]], predicted: Collection[int]) -> tuple[int, int]:
    """Return where the arena begins and ends: a kernel's own tensors may also lie in another one, or in the heap.

    Args:
        spans: First byte and the one behind the last, by tensor.
        predicted: Tensors that ought to be in it.

    Every address of an arena was some tensor's at some time, up to an alignment between two. So of the stretches
    without a larger gap it is the one that holds most of what is predicted to be there. A tensor without axes is
    handed out as a copy, so that its address says nothing, and its place looks like a gap.
    """
    unseen = sum(ALIGNMENT for i in predicted if i not in spans)
    stretches: list[tuple[int, int, int]] = []  # start, end, bytes of tensors that are predicted
    for i, (start, end) in sorted(spans.items(), key=lambda item: item[1]):
        known = end - start if i in predicted else 0
        if (
            stretches
            and start < stretches[-1][1] + ALIGNMENT + unseen
            and (start - stretches[-1][0]) % ALIGNMENT == 0
        ):
            first, last, before = stretches[-1]
            stretches[-1] = (first, max(last, end), before + known)
        else:
            stretches.append((start, end, known))
    found = max(stretches, key=lambda stretch: (stretch[2], stretch[1] - stretch[0]), default=(0, 0, 0))
    return found[:2]
