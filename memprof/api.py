"""The verbs that wire the layers: from a source to a Report. Everything between is pure."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Any

from memprof.comparison import Comparison, compare_snapshots
from memprof.errors import UsageError
from memprof.importers.model import Model
from memprof.importers.saved import read_saved_report
from memprof.ir import Graph
from memprof.report import Report, build_report
from memprof.runtimes import RUNTIMES
from memprof.snapshot import Snapshot, snapshot_document, snapshot_report

DEFAULT_RUNTIMES = ("reference", "ideal", "paper")
"""Runtime models of a report that asks for none, the headline first."""

Source = str | PathLike[str] | Graph | Model
"""What can be analysed: a file, or something already in memory."""


def load(
    source: Source,
    *,
    dims: Mapping[str, int] | None = None,
    inputs: Mapping[str, tuple[int, ...]] | None = None,
) -> Model:
    """Read ``source`` into a Model.

    Args:
        source: Path of an .onnx file, or a graph that already exists.
        dims: Sizes of named dimensions: ``{"batch": 1}``.
        inputs: Shapes of graph inputs: ``{"x": (1, 3, 224, 224)}``.

    Raises:
        InputError: The file is missing, unreadable or invalid.
        UsageError: A name in ``dims`` or ``inputs`` does not exist in the model.
    """
    if isinstance(source, Model):
        return source
    if isinstance(source, Graph):
        return Model(path=source.name, format="graph", structure_sha256="", graph=source)
    from memprof.importers.onnx import read_onnx

    with _collector_paused():
        return read_onnx(Path(source), dims=dims or {}, inputs=inputs or {})


def analyze(
    source: Source,
    *,
    dims: Mapping[str, int] | None = None,
    inputs: Mapping[str, tuple[int, ...]] | None = None,
    runtimes: Iterable[str] = DEFAULT_RUNTIMES,
) -> Report:
    """Return how much memory ``source`` needs, where it goes and why.

    Args:
        source: Path of an .onnx file, or a graph that already exists.
        dims: Sizes of named dimensions: ``{"batch": 1}``.
        inputs: Shapes of graph inputs: ``{"x": (1, 3, 224, 224)}``.
        runtimes: Names of runtime models, the headline first.

    Raises:
        InputError: The file is missing, unreadable or invalid.
        UsageError: A runtime, or a name in ``dims`` or ``inputs``, does not exist.
    """
    chosen = {name: RUNTIMES[name] for name in _known(runtimes)}
    model = load(source, dims=dims, inputs=inputs)
    with _collector_paused():
        return build_report(model, chosen)


def snapshot(
    source: Source | Report,
    *,
    dims: Mapping[str, int] | None = None,
    inputs: Mapping[str, tuple[int, ...]] | None = None,
    runtimes: Iterable[str] = DEFAULT_RUNTIMES,
) -> Snapshot:
    """Return the numbers of ``source`` that can be compared.

    Args:
        source: A report, a report saved as .json, or anything that can be analysed.
        dims: Sizes of named dimensions; of no use to a report.
        inputs: Shapes of graph inputs; of no use to a report.
        runtimes: Names of runtime models, the headline first; of no use to a report.

    Raises:
        InputError: A file is missing, unreadable or invalid.
        UsageError: A runtime, or a name in ``dims`` or ``inputs``, does not exist.
    """
    if isinstance(source, Report):
        return snapshot_report(source)
    if isinstance(source, str | PathLike) and Path(source).suffix.lower() == ".json":
        return snapshot_document(read_saved_report(Path(source)), str(source))
    return snapshot_report(analyze(source, dims=dims, inputs=inputs, runtimes=runtimes))


def compare(
    before: Source | Report,
    after: Source | Report,
    *,
    dims: Mapping[str, int] | None = None,
    inputs: Mapping[str, tuple[int, ...]] | None = None,
    runtimes: Iterable[str] = DEFAULT_RUNTIMES,
) -> Comparison:
    """Return two models, or two reports, side by side.

    Args:
        before: A report, a report saved as .json, or anything that can be analysed.
        after: The same.
        dims: Sizes of named dimensions of both.
        inputs: Shapes of graph inputs of both.
        runtimes: Names of runtime models, the headline first.

    Raises:
        InputError: A file is missing, unreadable or invalid.
        UsageError: A name does not exist, or two reports have no runtime model in common.
    """
    chosen = tuple(runtimes)
    old, new = (snapshot(source, dims=dims, inputs=inputs, runtimes=chosen) for source in (before, after))
    return compare_snapshots(old, new)


def from_networkx(source: Any) -> Graph:
    """Return a Graph for any ``networkx.DiGraph`` whose nodes carry ``bytes``; see ``memprof.ir.networkx``."""
    from memprof.ir.networkx import from_networkx as convert

    return convert(source)


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Keep Python's cycle collector from walking hundreds of thousands of new records over and over.

    What is made here holds no cycles, so reference counts free it; without the pause the collector takes half of
    the time of a large graph.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _known(runtimes: Iterable[str]) -> list[str]:
    names = list(dict.fromkeys(runtimes))
    for name in names:
        if name not in RUNTIMES:
            raise UsageError(f"There is no runtime model {name!r}.", f"Choose from: {', '.join(RUNTIMES)}.")
    if not names:
        raise UsageError("No runtime model was named.", f"Choose from: {', '.join(RUNTIMES)}.")
    return names
