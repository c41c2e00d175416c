"""What would help a model that takes too much: each change is made, the model evaluated, and the effect kept.

change                                  evaluated as                           tried for
batch 1                                 the same request of another size       open batches above 1
half the height and width               the same                               open images
half the length                         the same                               open lengths
initialisers that need no replacement   the structure without them among its   files of ONNX that list them
                                        graph inputs, weights of our making
another order                           the best order found                   rows whose orders are planned

A change is begun while the time lasts, one second; what is left then is named as skipped, as is everything for a
large file. Nothing is promised of results: a smaller image may be seen worse.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from dataclasses import replace
from time import monotonic

from memprof.api import load
from memprof.api.sizing.axes import Axes, find_axes
from memprof.api.sizing.numbers import evaluate
from memprof.base.errors import MemprofError
from memprof.base.folders import scratch_folder
from memprof.importers.request import Request
from memprof.ir.model import Model
from memprof.results.helped import Change, Helped
from memprof.results.report import Report
from memprof.runtimes import RUNTIMES
from memprof.runtimes.late import find

MAX_SECONDS = 1.0
"""After so long no further change is tried."""

_MOST_NODES = 2000
_MOST_BYTES = 256 * 2**20
_ORDER_SECONDS = 0.3
_PLANNED_FORMATS = frozenset({"tflite", "executorch"})
"""Their sizes begin at the smallest and their order is planned by ``memprof plan``: not worth reading them again."""

_REMOVER = "python -m onnxruntime.tools.remove_initializer_from_input"


def find_help(request: Request, report: Report, model: Model | None = None) -> Helped:
    """Return what would lower the peak of ``report``, which answers ``request``.

    Args:
        request: What was asked.
        report: The answer.
        model: The source as it was read for it; read anew if left out.
    """
    if not request.is_file or request.from_file or report.model.format.startswith("torch"):
        return Helped()
    if report.model.format in _PLANNED_FORMATS and not request.fixes_sizes:
        return Helped()
    if report.model.nodes > _MOST_NODES or report.model.parameter_bytes > _MOST_BYTES:
        return Helped(skipped=("a large file: changes are not tried",))
    start, changes, useless, skipped = monotonic(), [], [], []
    for what, attempt in _attempts(request, report, model):
        if monotonic() - start > MAX_SECONDS:
            skipped.append(what)
            continue
        try:
            found = attempt()
        except MemprofError:  # the model does not run so
            continue
        if found is not None and max(found.saved_bytes, found.total_saved_bytes) > 0:
            changes.append(found)
        elif found is not None:
            useless.append(what)
    largest_first = sorted(changes, key=lambda change: -change.total_saved_bytes)
    return Helped(tuple(largest_first), tuple(useless), tuple(skipped))


def _attempts(
    request: Request, report: Report, model: Model | None
) -> Iterator[tuple[str, Callable[[], Change | None]]]:
    try:
        model = model or load(request)
    except MemprofError:
        return
    peak, runtime = report.peak_intermediate_bytes, report.headline.runtime.name
    for what, name, smaller in _SIZES:
        axes = _axes(request, model, name)
        size = None if axes is None else _size(axes, name)
        if axes is None or size is None or peak is None or smaller(size) >= size:
            continue
        yield what, _resizing(what, runtime, peak, axes.resized({name: smaller(size)}))
    if model.format == "onnx" and peak is not None:
        yield "initialisers that are no graph inputs", lambda: _without_inputs(request, report)
    yield "another order", lambda: _reordered(request, model, report)


def _axes(request: Request, model: Model, name: str) -> Axes | None:
    try:
        return find_axes(request, model, [name])
    except MemprofError:  # the model has no such dimension, or fixes it
        return None


def _size(axes: Axes, name: str) -> int | None:
    places = axes.places[name]
    if not places:  # the batch of a .tflite file, which begins at 1
        return axes.request.dims.get(name)
    return axes.shapes[places[0].input][places[0].axis]


def _resizing(what: str, runtime: str, peak: int, smaller: Request) -> Callable[[], Change | None]:
    def attempt() -> Change | None:
        found = evaluate(smaller, runtime).peak_bytes
        if found is None:
            return None
        words = ["memprof", "analyze", smaller.name]
        words += [word for name, size in smaller.dims.items() for word in ("--dim", f"{name}={size}")]
        words += [
            word
            for name, shape in smaller.inputs.items()
            for word in ("--input", f"{name}{'=' if name else ''}{'x'.join(map(str, shape))}")
        ]
        return _change(what, runtime, (peak, found), shlex.join(words))

    return attempt


def _without_inputs(request: Request, report: Report) -> Change | None:
    from memprof.importers.onnx.read import parse_without_replaceable
    from memprof.measure.stand_in import NoStandInError, write_stand_in

    changed = parse_without_replaceable(request.path)
    name = report.headline.runtime.name
    before = report.peak_intermediate_bytes
    if changed is None or before is None:
        return None
    with scratch_folder() as folder:
        path = folder / "model.onnx"
        try:
            write_stand_in(changed, path)
        except NoStandInError:
            return None
        after = evaluate(replace(request, source=str(path)), name).peak_bytes
    if after is None:
        return None
    command = f"{_REMOVER} --input {shlex.quote(request.name)} --output fixed.onnx"
    return _change("initialisers that are no graph inputs", name, (before, after), command)


def _reordered(request: Request, model: Model, report: Report) -> Change | None:
    names = [name for name in report.runtimes if (known := RUNTIMES.get(name)) and known.ordering]
    name = next((name for name in names if (of := RUNTIMES[name].ordering) and of.is_exact), None)
    if name is None or report.runtimes[name].peak_intermediate_bytes is None or model.graph.program is not None:
        return None
    ordering = RUNTIMES[name].ordering
    assert ordering is not None, "chosen for it"
    from memprof.planning.ordering.find import find_order

    order = find_order(find(ordering.bound)(model.graph), _ORDER_SECONDS)
    before = report.runtimes[name].peak_intermediate_bytes or 0
    words = ["memprof", "plan", request.name, "--runtime", name, "-o", "better.onnx"]
    words += [word for dim, size in request.dims.items() for word in ("--dim", f"{dim}={size}")]
    return _change("another order", name, (before, order.peak_bytes), shlex.join(words))


def _change(what: str, runtime: str, peaks: tuple[int, int], command: str) -> Change:
    before, after = peaks
    return Change(what=what, runtime=runtime, saved_bytes=before - after, peak_bytes=after, command=command)


def _half(size: int) -> int:
    half = size // 2
    return half - half % 32 if half >= 32 else max(1, half)


_SIZES: tuple[tuple[str, str, Callable[[int], int]], ...] = (
    ("batch 1", "batch", lambda size: 1),
    ("half the height and width", "resolution", _half),
    ("half the length", "length", lambda size: max(1, size // 2)),
)
"""Smaller sizes: what is said, the dimension, and the size that is tried."""
