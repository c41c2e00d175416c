"""A Fit: the largest size of one dimension that memory holds, proven by the model at that size and at the next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from memprof.analysis.pieces import Piece
from memprof.ir import Assumption
from memprof.results.assumed import assumed_json
from memprof.runtimes import Grade

FIT_SCHEMA = "memprof/fit/1"


@dataclass(frozen=True, slots=True)
class Part:
    """One part of what a size takes.

    Attributes:
        name: What it is, in snake_case.
        size_bytes: Its bytes.
        source: Where the figure comes from if it is an assumption; empty if it was worked out.
    """

    name: str
    size_bytes: int
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What a model takes at one size.

    Attributes:
        size: The size.
        parts: What is counted; empty if the sum is not known.
        fits: Whether it fits, ``None`` if that is not known.
        size_bytes: The sum, ``None`` if it is not known.
    """

    size: int
    parts: tuple[Part, ...]
    fits: bool | None
    size_bytes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """The largest size that fits.

    Attributes:
        path: The model.
        dim: The dimension.
        limit_bytes: The memory there is.
        board: Name of the board whose memory it is; empty if it was given in bytes.
        runtime: Name of the runtime model whose peak was taken.
        grade: What the peak at the largest size, or the smallest that was tried, promises.
        step: From one size to the next.
        largest: What the model takes at the largest size that fits, ``None`` if none does.
        following: What it takes at the next one, which does not fit; ``None`` if every size does.
        evaluated: The sizes at which the model was evaluated, ascending.
        formula: The bytes around the answer as a polynomial that was held against both; ``None`` if there is none.
        error: How far sums of such parts were from real processes; empty if that was not measured.
        assumed: What was taken for what the model leaves open besides ``dim``.
        hint: What settles it, where the answer is not known.
    """

    path: str
    dim: str
    limit_bytes: int
    board: str
    runtime: str
    grade: Grade | None
    step: int
    largest: Taken | None
    following: Taken | None
    evaluated: tuple[int, ...]
    formula: Piece | None
    error: str
    assumed: tuple[Assumption, ...] = ()
    hint: str = ""

    @property
    def is_decided(self) -> bool:
        """Whether the answer is known: the largest size that fits and that the next does not, or that none does."""
        if self.following is not None:
            return self.following.fits is not None
        return self.largest is not None

    @property
    def fits(self) -> bool | None:
        """Whether any size fits, ``None`` if that is not known."""
        if self.largest is not None:
            return True
        return None if self.following is None else self.following.fits

    def to_json(self) -> dict[str, Any]:
        """Return the fit as JSON-ready values, schema ``memprof/fit/1``."""
        found, after = self.largest, self.following
        shown = found or after
        return {
            "schema": FIT_SCHEMA,
            "model": self.path,
            "dim": self.dim,
            "fits": self.fits,
            "largest": None if found is None else found.size,
            "bytes": None if found is None else found.size_bytes,
            "next": None if after is None else after.size,
            "next_bytes": None if after is None else after.size_bytes,
            "limit_bytes": self.limit_bytes,
            "board": self.board,
            "runtime": self.runtime,
            "grade": self.grade,
            "step": self.step,
            "parts": [] if shown is None else [_part_json(part) for part in shown.parts],
            "error": self.error,
            "evaluated": list(self.evaluated),
            "formula": None if self.formula is None else [str(each) for each in self.formula.coefficients],
            "assumed": assumed_json(self.assumed),
        }


def _part_json(part: Part) -> Mapping[str, Any]:
    return {"name": part.name, "bytes": part.size_bytes, "source": part.source}
