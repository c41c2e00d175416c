"""Does a model fit? A report's numbers against limits, given or taken from an older report. Pure.

limit     number it bounds                                     if the number is not known
peak      intermediates at the peak under one runtime model    the known part may already break the limit,
total     that and the weights, constants included             else nobody knows
params    parameters, and tensors in Constant operations
weights   parameters and all foldable constants
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from memprof.base.errors import UsageError
from memprof.base.fields import Fields, check_schema
from memprof.ir import Assumption
from memprof.results.assumed import assumed_json, read_assumed
from memprof.results.helped import Helped
from memprof.results.snapshot import Snapshot

CHECK_SCHEMA = "memprof/check/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Budgets:
    """Limits in bytes, ``None`` for none."""

    peak: int | None = None
    params: int | None = None
    weights: int | None = None
    total: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One number against its limit.

    Attributes:
        name: ``peak``, ``params``, ``weights`` or ``total``.
        size_bytes: The number, ``None`` if not known.
        at_least_bytes: What is known of it.
        limit_bytes: The most it may be.
    """

    name: str
    size_bytes: int | None
    at_least_bytes: int
    limit_bytes: int

    @property
    def is_met(self) -> bool | None:
        """Whether the limit holds, ``None`` if that cannot be told."""
        if self.at_least_bytes > self.limit_bytes:
            return False
        return None if self.size_bytes is None else True

    def to_json(self) -> dict[str, Any]:
        """Return the verdict as JSON-ready values."""
        return {
            "name": self.name,
            "bytes": self.size_bytes,
            "at_least_bytes": self.at_least_bytes,
            "limit_bytes": self.limit_bytes,
            "is_met": self.is_met,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A model against all its limits.

    Attributes:
        path: The model.
        runtime: The runtime model whose peak was taken.
        verdicts: One per limit that was given.
        assumed: What was taken otherwise than the model says, or for what it leaves open, with what changes it.
        helped: What would lower a peak or a total that is over, ``None`` if nobody asked.
    """

    path: str
    runtime: str
    verdicts: tuple[Verdict, ...]
    assumed: tuple[Assumption, ...] = ()
    helped: Helped | None = None

    @property
    def over(self) -> frozenset[str]:
        """Names of the limits that are broken for certain."""
        return frozenset(verdict.name for verdict in self.verdicts if verdict.is_met is False)

    @property
    def is_met(self) -> bool | None:
        """Whether all limits hold: false if one is broken, else ``None`` if one cannot be told."""
        answers = [verdict.is_met for verdict in self.verdicts]
        return False if False in answers else None if None in answers else True

    def to_json(self) -> dict[str, Any]:
        """Return the check as JSON-ready values, schema ``memprof/check/1``."""
        return {
            "schema": CHECK_SCHEMA,
            "model": self.path,
            "runtime": self.runtime,
            "is_met": self.is_met,
            "checks": [verdict.to_json() for verdict in self.verdicts],
            "assumed": assumed_json(self.assumed),
            **({} if self.helped is None else self.helped.to_json()),
        }

    @classmethod
    def from_json(cls, document: object, source: str = "the document") -> Check:
        """Return the check that was saved as ``document``.

        Raises:
            InputError: It is no check of this version, or a field is missing or wrong.
        """
        check_schema(document, source, (CHECK_SCHEMA,))
        found = Fields(document, source)
        return cls(
            path=found.text("model"),
            runtime=found.text("runtime"),
            verdicts=tuple(
                Verdict(
                    name=verdict.text("name"),
                    size_bytes=verdict.count_or_none("bytes"),
                    at_least_bytes=verdict.count("at_least_bytes"),
                    limit_bytes=verdict.count("limit_bytes"),
                )
                for verdict in found.each("checks")
            ),
            assumed=read_assumed(found) if "assumed" in found else (),  # an older file says nothing of it
            helped=Helped.from_json(found) if "help" in found else None,
        )


def check_budgets(snapshot: Snapshot, budgets: Budgets, runtime: str) -> Check:
    """Return how ``snapshot`` stands against ``budgets`` under one runtime model.

    Raises:
        UsageError: No limit was given, or the report does not hold the runtime model.
    """
    numbers = _numbers(snapshot, runtime)
    verdicts = tuple(
        Verdict(name=name, size_bytes=size, at_least_bytes=at_least, limit_bytes=limit)
        for name, (size, at_least) in numbers.items()
        if (limit := getattr(budgets, name)) is not None
    )
    if not verdicts:
        raise UsageError(
            "There is no limit to check.", "Give --max-peak, --max-params, --max-weights, --max-total or --baseline."
        )
    return Check(path=snapshot.path, runtime=runtime, verdicts=verdicts, assumed=snapshot.assumed)


def budgets_of(baseline: Snapshot, runtime: str, tolerance: Fraction) -> Budgets:
    """Return the numbers of an older report, each ``tolerance`` higher and rounded down, as limits.

    What the older report did not know bounds nothing.

    Raises:
        UsageError: The report does not hold the runtime model.
    """
    numbers = _numbers(baseline, runtime)
    return Budgets(
        **{
            name: None if size is None else int(size * (1 + tolerance))
            for name, (size, _) in numbers.items()
            if name != "weights"  # the total has them
        }
    )


def tighten(one: Budgets, other: Budgets) -> Budgets:
    """Return the stricter of two sets of limits, one by one."""
    pairs = {name: (getattr(one, name), getattr(other, name)) for name in Budgets.__slots__}
    return Budgets(**{name: min((n for n in pair if n is not None), default=None) for name, pair in pairs.items()})


def _numbers(snapshot: Snapshot, runtime: str) -> Mapping[str, tuple[int | None, int]]:
    found = snapshot.runtimes.get(runtime)
    if found is None:
        known = ", ".join(snapshot.runtimes)
        raise UsageError(f"The report of {snapshot.path} has no runtime model {runtime!r}.", f"It has: {known}.")
    at_least = found.known_bytes_at_least
    return {
        "peak": (found.peak_intermediate_bytes, at_least),
        "params": (snapshot.stored_bytes if snapshot.has_known_weights else None, snapshot.stored_bytes),
        "weights": (snapshot.weight_bytes if snapshot.has_known_weights else None, snapshot.weight_bytes),
        "total": (found.total_bytes, at_least + snapshot.weight_bytes),
    }
