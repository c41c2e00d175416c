"""What tools make of an .onnx file (``measure.file_tools``), evaluated as the file itself was."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from memprof.api import load
from memprof.api.helping.asked import Asked, Attempt, NotMadeError
from memprof.base.errors import MemprofError
from memprof.ir.model import Model, Once
from memprof.measure.file_tools import FILE_TOOLS, applicable, changed_files
from memprof.results.helped import Change
from memprof.runtimes import as_read, choose_runtimes, find_runtime

_LIBRARY_STEPS, _TOOL_STEPS = 300, 30
"""What the tools' libraries take to load, and one tool at least."""

_BYTES_A_STEP = 2**17
"""Weights that are made, changed and written in a millisecond: of our making, and each a few times."""

_DEFAULT, _FIRST_RUN = "onnxruntime-default", "onnxruntime-optimized"


def changes_of_files(asked: Asked, steps: int) -> Iterator[Attempt]:
    """Yield the changes that apply to the file; the first that is evaluated has the tools make all that are in reach.

    Args:
        asked: What is to be helped.
        steps: What may be spent on them.
    """
    names = [name for name in applicable(asked.request.path) if name != "batch_norm" or _has_batch_norms(asked)]
    each = _TOOL_STEPS + asked.report.model.nodes // 2 + asked.weight_bytes // _BYTES_A_STEP + asked.steps
    reach = names[: max(0, steps - _LIBRARY_STEPS) // each]
    made: Once[Mapping[str, Path | None]] = Once(
        lambda: changed_files(asked.request.path, asked.model.structure_sha256, reach)
    )
    for place, name in enumerate(names):
        yield Attempt(
            what=FILE_TOOLS[name].what,
            steps=each + (0 if place else _LIBRARY_STEPS),
            command=FILE_TOOLS[name].command_for(asked.request.name),
            effects=partial(_changed, asked, name, made),
        )


def _changed(asked: Asked, name: str, made: Once[Mapping[str, Path | None]]) -> list[Change]:
    if name not in made():
        raise NotMadeError
    tool, file = FILE_TOOLS[name], made()[name]
    if file is None:
        return []
    model = load(replace(asked.request, source=str(file), wished=asked.model.wished))
    command = tool.command_for(asked.request.name)
    graph = model.graph
    weights = model.parameter_bytes + graph.foldable_constant_bytes if graph.has_known_weights else None
    lifetimes = choose_runtimes([asked.runtime], model)[asked.runtime].lifetimes(graph)
    peak = lifetimes.timeline.peak_bytes if lifetimes.is_complete else None
    found = asked.effect(tool.what, command, peak, weights)
    return [*found, *_of_first_run(asked, model, found)]


def _of_first_run(asked: Asked, model: Model, found: Sequence[Change]) -> list[Change]:
    """Return the effect on the first run where it is larger: later runs hold one block, and may stay as they are."""
    if asked.runtime != _DEFAULT or not found:
        return []
    before, after = (_first_run_bytes(of) for of in (asked.model, model))
    if before is None or after is None or before - after <= max(0, found[0].saved_bytes):
        return []
    saved = before - after
    return [replace(found[0], runtime=_FIRST_RUN, saved_bytes=saved, peak_bytes=after, saved_weight_bytes=0)]


def _first_run_bytes(model: Model) -> int | None:
    session = None if model.session is None else model.session()
    if session is None or session.model is None:
        return None
    try:
        row = as_read(find_runtime(_FIRST_RUN), session.model)
    except MemprofError:
        return None
    lifetimes = row.lifetimes(session.model.graph)
    return lifetimes.timeline.peak_bytes if lifetimes.is_complete else None


def _has_batch_norms(asked: Asked) -> bool:
    """Tell whether what runs has batch norms: a default session folds most by itself."""
    session = asked.model.session() if asked.runtime == _DEFAULT and asked.model.session is not None else None
    model = asked.model if session is None or session.model is None else session.model
    return any(node.op == "BatchNormalization" for node in model.graph.nodes)
