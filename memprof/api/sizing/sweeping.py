"""The table of a sweep and its formula, from few evaluations of the model.

Over one dimension the peak is found as polynomials, piece by piece (``analysis.pieces``), and so is the process; what
has no formula is evaluated size by size, up to ``MAX_EVALUATIONS``. Over two, that is done along the longer one for
each size of the other, and rows that agree are one polynomial in both. Where few sizes are asked for, each is
evaluated. Where the last size is not known, those before it that are have the formula; of the rest a few are tried.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any, Unpack

from memprof.analysis.pieces import Piece, find_pieces
from memprof.analysis.surfaces import find_surfaces
from memprof.api import load
from memprof.api.sizing.axes import Axes, check_sizes, find_axes
from memprof.api.sizing.numbers import Numbers, at_size, evaluate, leading_runtime
from memprof.base.collector import paused_collector
from memprof.base.errors import ChangedError, InputError
from memprof.importers.request import Request, RequestArguments, Source, make_request
from memprof.ir import Unknown
from memprof.results.sweep import Sweep, SweepPoint
from memprof.runtimes import Grade

MAX_EVALUATIONS = 512
"""So many sizes are evaluated one by one where there is no formula; the others stay unknown."""

_FEW = 8
_PROBES = 16
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
        InputError: The source is missing, unreadable or invalid, or runs at none of the sizes that were tried.
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
    if found.failed and not found.has_numbers:
        raise found.failed[0]
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
        self.failed: list[InputError] = []

    @property
    def has_numbers(self) -> bool:
        """Whether the peak is known at a size that was evaluated."""
        return any(numbers.peak_bytes is not None for numbers in self._evaluated.values())

    def fill(self, name: str, fixed: Mapping[str, int]) -> tuple[Piece, ...] | None:
        """Find the numbers along one dimension, and return the formula of the peak there, ``None`` if it has none."""
        sizes = self._dims[name]

        def at(size: int) -> Numbers:
            return self._at({**fixed, name: size})

        if len(sizes) <= _FEW:
            for size in sizes:
                at(size)
        known = sizes[: _count_known(at, sizes)]
        peaks = _find_pieces(lambda size: at(size).peak_bytes, known)
        processes: tuple[Piece, ...] | None = ()
        if known and None not in (at(known[0]).process_bytes, at(known[-1]).process_bytes):
            processes = _find_pieces(lambda size: at(size).process_bytes, known)
        for size in known:
            key = self._key({**fixed, name: size})
            if key in self._evaluated:
                continue
            if (peaks is None or processes is None) and len(self._evaluated) < MAX_EVALUATIONS:
                at(size)
                continue
            self._given[key] = (_given(peaks, size), _given(processes, size))
        self._probe(at, sizes[len(known) :])
        return peaks if known and (len(known) == len(sizes) or len(self._dims) == 1) else None

    def _probe(self, at: Callable[[int], Numbers], sizes: Sequence[int]) -> None:
        """Evaluate sizes that no formula covers: a few spread evenly, and all of them if one of those is known."""
        probes = sizes[:: max(1, -(-len(sizes) // _PROBES))]
        if all(at(size).peak_bytes is None for size in probes):
            return
        for size in sizes:
            if len(self._evaluated) >= MAX_EVALUATIONS:
                return
            at(size)

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
            unknown=self._why_unknown(),
        )

    def _why_unknown(self) -> str:
        """Return the first size that is not known, and why it is not; empty where all that were evaluated are."""
        for sizes, numbers in sorted(self._evaluated.items(), key=lambda item: item[0]):
            if numbers.peak_bytes is None:
                where = ", ".join(f"{name}={size}" for name, size in zip(self._dims, sizes, strict=True))
                return f"{where}: " + next((f"{each.name}: {each.reason}" for each in numbers.unknown), "not known")
        return ""

    def _key(self, sizes: Mapping[str, int]) -> tuple[int, ...]:
        return tuple(sizes[name] for name in self._dims)

    def _at(self, sizes: Mapping[str, int]) -> Numbers:
        key = self._key(sizes)
        found = self._evaluated.get(key)
        if found is None:
            where = ", ".join(f"{name}={sizes[name]}" for name in self._dims)
            request = self._axes.resized(sizes)
            try:
                found = at_size(where, lambda: evaluate(request, self._runtime, self._axes.digest))
            except InputError as error:  # the network has no such size; others it may have
                if isinstance(error, ChangedError):
                    raise
                self.failed.append(error)
                found = _nothing(where, error)
            if not request.is_file:  # the process of a module has steps that no formula follows
                found = replace(found, process=None)
            self._evaluated[key] = found
        return found


def _nothing(where: str, error: InputError) -> Numbers:
    """Return the numbers of a size at which the model does not run."""
    reason = error.message.removeprefix(f"At {where}: ").rstrip(".")
    return Numbers(
        peak_bytes=None,
        weight_bytes=None,
        input_bytes=None,
        process=None,
        grade=None,
        unknown=(Unknown(kind="dimension", name="network", reason=reason, hint=error.hint),),
        assumed=(),
    )


class _UnknownInsideError(Exception):
    """A size between known ones is not known."""


def _find_pieces(value: Callable[[int], int | None], sizes: Sequence[int]) -> tuple[Piece, ...] | None:
    """Return ``value`` over ``sizes`` as pieces; ``None`` where it is none of few, or not known everywhere."""

    def known(size: int) -> int:
        found = value(size)
        if found is None:
            raise _UnknownInsideError
        return found

    try:
        return find_pieces(known, sizes)
    except _UnknownInsideError:
        return None


def _count_known(at: Callable[[int], Numbers], sizes: Sequence[int]) -> int:
    """Return how many sizes there are up to the last known one; where the end is not known, a search by halving."""
    if at(sizes[0]).peak_bytes is None:
        return 0
    if at(sizes[-1]).peak_bytes is not None:
        return len(sizes)
    low, high = 0, len(sizes) - 1
    while high - low > 1:
        middle = (low + high) // 2
        if at(sizes[middle]).peak_bytes is None:
            high = middle
        else:
            low = middle
    return high


def _given(pieces: tuple[Piece, ...] | None, size: int) -> int | None:
    return next((piece.at(size) for piece in pieces or () if piece.first <= size <= piece.last), None)
