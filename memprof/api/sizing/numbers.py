"""A model evaluated at some sizes: its peak under one runtime model, its process, its weights, and no causes."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from memprof.api import load
from memprof.base.errors import ChangedError, InputError, MemprofError
from memprof.importers.request import Request
from memprof.ir import Assumption, Unknown, Value
from memprof.ir.model import Model
from memprof.ir.trace import Category
from memprof.results.building import lowered
from memprof.runtimes import Grade, Process, choose_runtimes, find_runtime

_Answer = TypeVar("_Answer")
_OF_A_RUN = frozenset({"pytorch", "pytorch-process"})
"""Runtime models that tell of a module's run and need no export of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    """What a model takes at some sizes.

    Attributes:
        peak_bytes: Peak of intermediates, ``None`` if a size is not known.
        weight_bytes: Parameters and foldable constants, ``None`` if not known.
        input_bytes: What the caller gives, ``None`` if not known.
        process: Of the runtime model, ``None`` if it is not modelled.
        grade: What the peak promises, ``None`` where it is not known.
        unknown: What could not be learnt.
        assumed: What was taken otherwise than the source says, or for what it leaves open.
    """

    peak_bytes: int | None
    weight_bytes: int | None
    input_bytes: int | None
    process: Process | None
    grade: Grade | None
    unknown: tuple[Unknown, ...]
    assumed: tuple[Assumption, ...]

    @property
    def process_bytes(self) -> int | None:
        """Bytes of the process, ``None`` if they are not known."""
        return None if self.process is None else self.process.size_bytes


def evaluate(request: Request, runtime: str, digest: str = "") -> Numbers:
    """Return what the model of ``request`` takes.

    Args:
        request: The model and its sizes.
        runtime: Name of a runtime model that applies to it.
        digest: Of the file's structure as it was read before; empty if this is the first time.

    Raises:
        ChangedError: The file is another by now.
        MemprofError: As ``memprof.analyze``.
    """
    model = _load(request, runtime, digest)
    row = choose_runtimes((runtime,), model)[runtime]
    lifetimes, graph = row.lifetimes(model.graph), model.graph
    return Numbers(
        peak_bytes=lifetimes.timeline.peak_bytes if lifetimes.is_complete else None,
        weight_bytes=model.parameter_bytes + graph.foldable_constant_bytes if graph.has_known_weights else None,
        input_bytes=_input_bytes(model),
        process=None if row.process is None else row.process(graph),
        grade=lowered(row.promise(lifetimes), graph).grade,
        unknown=graph.unknown + lifetimes.unknown,
        assumed=graph.assumed,
    )


def _input_bytes(model: Model) -> int | None:
    sizes = [value.type.size_bytes for value in given_values(model)]
    return None if None in sizes else sum(size or 0 for size in sizes)


def leading_runtime(model: Model) -> str:
    """Return the name of the runtime model that leads a report on ``model``."""
    return next(iter(choose_runtimes(None, model)))


def load_same(request: Request, digest: str) -> Model:
    """Return the model of ``request``, whose file was read before: answers for two files must not be one.

    Args:
        request: The model and its sizes.
        digest: Of the file's structure as it was read before; empty if there is none.

    Raises:
        ChangedError: The file is another by now.
        MemprofError: As ``memprof.analyze``.
    """
    model = load(request)
    is_as_written = request.is_file and not request.optimized  # what a session makes of a file depends on its size
    if digest and is_as_written and model.structure_sha256 != digest:
        raise ChangedError(request.name)
    return model


def _load(request: Request, runtime: str, digest: str) -> Model:
    need = find_runtime(runtime).needs
    if need and request.is_file:
        settled: dict[str, Any] = {need: True}
        request = replace(request, **settled)
    if runtime in _OF_A_RUN and not request.is_file and not hasattr(request.source, "graph_signature"):
        from memprof.importers.torch.loading import read_run

        with suppress(InputError):  # one that cannot run without data is exported instead
            return read_run(request)
    return load_same(request, digest)


def given_values(model: Model) -> list[Value]:
    """Return what the caller gives: of a run, not the state that its optimiser keeps."""
    trace, graph = model.trace, model.graph
    if trace is None or not trace.is_training:
        return [graph.values[i] for i in graph.inputs]
    return [trace.graph.values[life.value] for life in trace.storages if life.category is Category.INPUT]


def at_size(where: str, ask: Callable[[], _Answer]) -> _Answer:
    """Return what ``ask`` gives; an error of the model says at which size it came.

    Raises:
        MemprofError: As ``ask``.
    """
    try:
        return ask()
    except MemprofError as error:
        error.message = f"At {where}: {error.message}"
        error.args = (error.message,)
        raise
