"""The table of a sweep and its formula, from few evaluations of the model.

Over one dimension the peak is found as polynomials, piece by piece (``analysis.pieces``), and so is the process; what
has no formula is evaluated size by size, up to ``MAX_EVALUATIONS``. Over two, that is done along the longer one for
each size of the other, and rows that agree are one polynomial in both. Where few sizes are asked for, each is
evaluated.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any, Unpack

from memprof.analysis.pieces import Piece, find_pieces
from memprof.analysis.surfaces import find_surfaces
from memprof.api import load
from memprof.api.sizing.axes import Axes, check_sizes, find_axes
from memprof.api.sizing.numbers import Numbers, at_size, evaluate, leading_runtime
from memprof.base.collector import paused_collector
from memprof.importers.request import Request, RequestArguments, Source, make_request
from memprof.results.sweep import Sweep, SweepPoint
from memprof.runtimes import Grade

MAX_EVALUATIONS = 512
"""So many sizes are evaluated one by one where there is no formula; the others stay unknown."""

_FEW = 8
_STRENGTH: tuple[Grade | None, ...] = (None, "estimate", "upper bound", "measured", "exact")


def sweep(
    source: Source | Request,
    over: Mapping[str, Iterable[int]],
    example_inputs: Any = None,
    *,
    runtime: str | None = None,
    **arguments: Unpack[RequestArguments],
) -> Sweep:
    """Return the peak of ``source`` as a function of the sizes of one dimension or two.

    Args:
        source: See ``Source``, or a request.
        over: The sizes of each dimension: ``{"batch": range(1, 65)}``. Names are those of the file, ``INPUT[AXIS]``,
            or ``batch``, ``height``, ``width``, ``resolution``, ``length``.
        example_inputs: The inputs to run a module on: a tensor or a tuple; only their shapes and types are used.
        runtime: Name of the runtime model; what leads a report if left out.
        arguments: Fields of ``Request``.

    Raises:
        InputError: The source is missing, unreadable or invalid, or does not run at one of the sizes.
        UsageError: A name does not exist, a dimension is fixed, or there are too many sizes.
        MissingExtraError: The source needs PyTorch, which is not installed.
    """
    request = make_request(source, example_inputs, **arguments)
    wanted = {name: tuple(sorted(set(sizes))) for name, sizes in over.items()}
    check_sizes(wanted)
    with paused_collector():
        model = load(request)
        found = _Grid(find_axes(request, model, wanted), runtime or leading_runtime(model), wanted)
        longest = max(wanted, key=lambda name: len(wanted[name]))
        others = [name for name in wanted if name != longest]
        rows = [
            (fixed, found.fill(longest, dict(zip(others, fixed, strict=True))))
            for fixed in product(*(wanted[name] for name in others))
        ]
    if not others:
        return found.table(request.name, rows[0][1])
    surfaces = find_surfaces([(fixed[0], pieces or ()) for fixed, pieces in rows])
    if longest != next(iter(wanted)):  # the dimensions are in the order in which they were asked for
        surfaces = tuple(surface.turned() for surface in surfaces)
    return replace(found.table(request.name, None), surfaces=surfaces, surface_dims=tuple(wanted))


class _Grid:
    """The points of a sweep, those that were evaluated and those that a formula gives."""

    def __init__(self, axes: Axes, runtime: str, dims: Mapping[str, Sequence[int]]) -> None:
        self._axes = axes
        self._runtime = runtime
        self._dims = dims
        self._evaluated: dict[tuple[int, ...], Numbers] = {}
        self._given: dict[tuple[int, ...], tuple[int | None, int | None]] = {}

    def fill(self, name: str, fixed: Mapping[str, int]) -> tuple[Piece, ...] | None:
        """Find the numbers along one dimension, and return the formula of the peak there, ``None`` if it has none."""
        sizes = self._dims[name]
        first, last = (self._at({**fixed, name: size}) for size in (sizes[0], sizes[-1]))
        if first.peak_bytes is None or last.peak_bytes is None:
            return None
        if len(sizes) <= _FEW:
            for size in sizes:
                self._at({**fixed, name: size})
        peaks = find_pieces(lambda size: self._at({**fixed, name: size}).peak_bytes or 0, sizes)
        processes: tuple[Piece, ...] | None = ()
        if first.process_bytes is not None and last.process_bytes is not None:
            processes = find_pieces(lambda size: self._at({**fixed, name: size}).process_bytes or 0, sizes)
        for size in sizes:
            key = self._key({**fixed, name: size})
            if key in self._evaluated:
                continue
            if (peaks is None or processes is None) and len(self._evaluated) < MAX_EVALUATIONS:
                self._at({**fixed, name: size})
                continue
            self._given[key] = (_given(peaks, size), _given(processes, size))
        return peaks

    def table(self, path: str, pieces: tuple[Piece, ...] | None) -> Sweep:
        """Return all points as one result."""
        points = []
        for sizes in product(*self._dims.values()):
            numbers = self._evaluated.get(sizes)
            peak, process = (
                self._given.get(sizes, (None, None))
                if numbers is None
                else (numbers.peak_bytes, numbers.process_bytes)
            )
            points.append(
                SweepPoint(
                    dims=dict(zip(self._dims, sizes, strict=True)),
                    peak_intermediate_bytes=peak,
                    process_bytes=process,
                    is_evaluated=numbers is not None,
                )
            )
        grades = [numbers.grade for numbers in self._evaluated.values()]
        return Sweep(
            path=path,
            runtime=self._runtime,
            dims={name: tuple(sizes) for name, sizes in self._dims.items()},
            points=tuple(points),
            pieces=pieces,
            grade=min(grades, key=_STRENGTH.index),
        )

    def _key(self, sizes: Mapping[str, int]) -> tuple[int, ...]:
        return tuple(sizes[name] for name in self._dims)

    def _at(self, sizes: Mapping[str, int]) -> Numbers:
        key = self._key(sizes)
        found = self._evaluated.get(key)
        if found is None:
            where = ", ".join(f"{name}={sizes[name]}" for name in self._dims)
            request = self._axes.resized(sizes)
            found = self._evaluated[key] = at_size(where, lambda: evaluate(request, self._runtime))
        return found


def _given(pieces: tuple[Piece, ...] | None, size: int) -> int | None:
    return next((piece.at(size) for piece in pieces or () if piece.first <= size <= piece.last), None)
