"""A Sweep: the peak, and the process, over sizes of one dimension or two; frozen, JSON both ways."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import prod
from typing import Any, get_args

from memprof.analysis.pieces import Piece
from memprof.analysis.staircases import Staircase, find_staircase
from memprof.analysis.surfaces import Surface
from memprof.base.fields import Fields
from memprof.runtimes import Grade

_MOST_DIMS = 2
_FRACTION = re.compile(r"-?[0-9]{1,30}(/[1-9][0-9]{0,9})?")


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepPoint:
    """What a model takes at some sizes.

    Attributes:
        dims: The size of each dimension that the sweep is over.
        peak_intermediate_bytes: The peak, ``None`` if it is not known.
        process_bytes: What the process takes, ``None`` if that is not known or not modelled.
        is_evaluated: Whether the model was evaluated there; the formula gave the numbers if not.
    """

    dims: Mapping[str, int]
    peak_intermediate_bytes: int | None
    process_bytes: int | None
    is_evaluated: bool

    def to_json(self) -> dict[str, Any]:
        """Return the point as JSON-ready values."""
        return {
            "dims": dict(self.dims),
            "peak_intermediate_bytes": self.peak_intermediate_bytes,
            "process_bytes": self.process_bytes,
            "is_evaluated": self.is_evaluated,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """The peak of a model as a function of sizes.

    Attributes:
        path: The model.
        runtime: Name of the runtime model whose peak it is.
        dims: The sizes of each dimension: one or two.
        points: The numbers, in the order of ``dims``, the last one fastest.
        pieces: The peak over the only dimension as polynomials; ``None`` where it is none of few, or there are two.
        surfaces: Over two, the peak as polynomials in both where it is that.
        surface_dims: Names of the two, in the order of the sizes of a surface.
        grade: The least that a peak which was evaluated promises, ``None`` where one is not known.
        unknown: The first size whose peak is not known, and why; empty where all that were evaluated are known.
    """

    path: str
    runtime: str
    dims: Mapping[str, tuple[int, ...]]
    points: tuple[SweepPoint, ...]
    pieces: tuple[Piece, ...] | None
    grade: Grade | None
    surfaces: tuple[Surface, ...] = ()
    surface_dims: tuple[str, ...] = ()
    unknown: str = ""

    def __repr__(self) -> str:
        sizes = ", ".join(f"{name} {found[0]} to {found[-1]}" for name, found in self.dims.items())
        return f"<Sweep over {sizes}: {len(self.points):,} points, {self.evaluations:,} evaluated>"

    @property
    def staircase(self) -> Staircase | None:
        """The peak as a staircase, where it is one of the only dimension and was evaluated at each of its sizes."""
        peaks = [point.peak_intermediate_bytes for point in self.points if point.is_evaluated]
        known = [peak for peak in peaks if peak is not None]
        if self.pieces is not None or len(self.dims) > 1 or len(known) < len(self.points):
            return None
        return find_staircase(next(iter(self.dims.values())), known)

    @property
    def evaluations(self) -> int:
        """At how many points the model was evaluated."""
        return sum(point.is_evaluated for point in self.points)

    def to_json(self) -> dict[str, Any]:
        """Return the sweep as JSON-ready values: fields of the document of the report that it belongs to."""
        return {
            "sweep": [point.to_json() for point in self.points],
            "sweep_of": {
                "runtime": self.runtime,
                "grade": self.grade,
                "formula": None if self.pieces is None else [_piece_json(piece) for piece in self.pieces],
                **({} if self.staircase is None else {"staircase": _staircase_json(self.staircase)}),
                "surfaces": [_surface_json(surface, self.surface_dims) for surface in self.surfaces],
                **({"unknown": self.unknown} if self.unknown else {}),
            },
        }

    @classmethod
    def from_json(cls, found: Fields, path: str) -> Sweep:
        """Return the sweep that the document of a report holds.

        Args:
            found: The document.
            path: The model.

        Raises:
            InputError: A field is missing or wrong.
        """
        about = found.fields("sweep_of")
        points = tuple(_read_point(point) for point in found.each("sweep"))
        dims: dict[str, dict[int, None]] = {}
        for point in points:
            if dims and dims.keys() != point.dims.keys():
                raise found.error("sweep", "has points of different dimensions")
            for name, size in point.dims.items():
                dims.setdefault(name, {})[size] = None
        if not 1 <= len(dims) <= _MOST_DIMS or prod(map(len, dims.values())) != len(points):
            raise found.error("sweep", "is no table over one dimension or two")
        written = about.each("surfaces") if "surfaces" in about else ()  # an older report has none
        surfaces = tuple(_read_surface(each, tuple(dims)) for each in written)
        return cls(
            path=path,
            runtime=about.text("runtime"),
            surfaces=surfaces,
            surface_dims=tuple(dims) if surfaces else (),
            dims={name: tuple(sizes) for name, sizes in dims.items()},
            points=points,
            pieces=None if about.is_null("formula") else tuple(_read_piece(piece) for piece in about.each("formula")),
            grade=None if about.is_null("grade") else about.value("grade", _known_grade),
            unknown=about.text("unknown") if "unknown" in about else "",
        )


def _piece_json(piece: Piece) -> dict[str, Any]:
    return {
        "first": piece.first,
        "last": piece.last,
        "coefficients": [str(coefficient) for coefficient in piece.coefficients],
        "checks": piece.checks,
    }


def _staircase_json(found: Staircase) -> dict[str, Any]:
    return {
        "first": found.first,
        "last": found.last,
        "period": found.period,
        "growth_bytes": found.growth,
        "steps": [{"from": size, "bytes": value} for size, value in found.steps],
    }


def _surface_json(surface: Surface, dims: Sequence[str]) -> dict[str, Any]:
    terms = [
        {"powers": dict(zip(dims, (i, j), strict=True)), "factor": str(factor)}
        for i, row in enumerate(surface.coefficients)
        for j, factor in enumerate(row)
        if factor
    ]
    return {
        "first": dict(zip(dims, surface.first, strict=True)),
        "last": dict(zip(dims, surface.last, strict=True)),
        "terms": terms,
        "checks": surface.checks,
    }


def _read_surface(found: Fields, dims: tuple[str, ...]) -> Surface:
    """Return a surface whose sizes are in the order of ``dims``."""
    if len(dims) != 2:
        raise found.error("first", "is of another number of dimensions")
    factors = [[Fraction(0)] * 3 for _ in range(3)]
    for term in found.each("terms"):
        powers, factor = term.named_counts("powers"), term.text("factor")
        if powers.keys() != set(dims) or max(powers.values()) > 2 or not _FRACTION.fullmatch(factor):
            raise term.error("powers", "are no two powers up to 2")
        factors[powers[dims[0]]][powers[dims[1]]] = Fraction(factor)
    first, last = found.named_counts("first"), found.named_counts("last")
    if first.keys() != set(dims) or last.keys() != set(dims):
        raise found.error("first", "is of other dimensions")
    rows = [(row[0], row[1], row[2]) for row in factors]
    return Surface(
        first=(first[dims[0]], first[dims[1]]),
        last=(last[dims[0]], last[dims[1]]),
        coefficients=(rows[0], rows[1], rows[2]),
        checks=found.count("checks"),
    )


def _read_point(found: Fields) -> SweepPoint:
    return SweepPoint(
        dims=found.named_counts("dims"),
        peak_intermediate_bytes=found.count_or_none("peak_intermediate_bytes"),
        process_bytes=found.count_or_none("process_bytes"),
        is_evaluated=found.flag("is_evaluated"),
    )


def _read_piece(found: Fields) -> Piece:
    texts = found.texts("coefficients")
    if len(texts) != 3 or not all(_FRACTION.fullmatch(text) for text in texts):
        raise found.error("coefficients")
    constant, slope, bend = map(Fraction, texts)
    return Piece(
        first=found.count("first"),
        last=found.count("last"),
        coefficients=(constant, slope, bend),
        checks=found.count("checks"),
    )


def _known_grade(value: object) -> Grade:
    found: Grade | None = next((grade for grade in get_args(Grade) if grade == value), None)
    if found is None:
        raise ValueError(f"{value!r} is no grade")
    return found
