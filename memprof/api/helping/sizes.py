"""Smaller sizes of what a source leaves open: the same request of another size, evaluated."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from functools import partial

from memprof.api.helping.asked import Asked, Attempt
from memprof.api.sizing.axes import Axes, find_axes, stated_types
from memprof.api.sizing.numbers import evaluate
from memprof.base.errors import MemprofError
from memprof.importers.request import Request
from memprof.results.helped import Change


def smaller_sizes(asked: Asked) -> Iterator[Attempt]:
    """Yield the sizes that are tried."""
    try:
        stated = stated_types(asked.request, asked.model)
    except MemprofError:
        return
    for what, name, smaller in _SIZES:
        try:
            axes = find_axes(asked.request, asked.model, [name], stated)
        except MemprofError:  # the source has no such dimension, or fixes it
            continue
        size = _size(axes, name)
        if size is not None and smaller(size) < size:
            resized = axes.resized({name: smaller(size)})
            command = shlex.join(["memprof", "analyze", resized.name, *request_flags(resized)])
            effects = partial(_resized, asked, what, command, resized, axes.digest)
            yield Attempt(what=what, steps=asked.steps, command=command, effects=effects)


def _size(axes: Axes, name: str) -> int | None:
    places = axes.places[name]
    if not places:  # the batch of a .tflite file, which begins at 1
        return axes.request.dims.get(name)
    return axes.shapes[places[0].input][places[0].axis]


def _resized(asked: Asked, what: str, command: str, smaller: Request, digest: str) -> list[Change]:
    return asked.effect(what, command, evaluate(smaller, asked.runtime, digest).peak_bytes)


def size_flags(request: Request) -> list[str]:
    """Return the flags that settle the sizes of a request, as words."""
    words = [word for name, size in request.dims.items() for word in ("--dim", f"{name}={size}")]
    for name, shape in request.inputs.items():
        dtype = f"{request.dtypes[name]}:" if name in request.dtypes else ""
        words += ["--input", f"{name}{'=' if name else ''}{dtype}{'x'.join(map(str, shape))}"]
    return words


def request_flags(request: Request) -> list[str]:
    """Return the flags that ask as ``request`` does about a module, as words: its sizes and how it is to run."""
    words, training = size_flags(request), request.training
    if training is not None:
        words += ["--optimizer", training.optimizer] if isinstance(training.optimizer, str) else ["--training"]
        words += ["--checkpointing"] if training.checkpointing else []
    if request.device != "cpu":
        words += ["--device", request.device]
    if request.precision is not None:
        words += ["--precision", request.precision]
    return words


def _half(size: int) -> int:
    half = size // 2
    return half - half % 32 if half >= 32 else max(1, half)


_SIZES: tuple[tuple[str, str, Callable[[int], int]], ...] = (
    ("batch 1", "batch", lambda size: 1),
    ("half the height and width", "resolution", _half),
    ("half the length", "length", lambda size: max(1, size // 2)),
)
"""Smaller sizes: what is said, the dimension, and the size that is tried."""
