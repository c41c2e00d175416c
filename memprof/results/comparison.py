"""Two reports side by side: what grew, what shrank, and which tensors at the peak are new or gone. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from memprof.base.errors import UsageError
from memprof.base.fields import Fields, check_schema
from memprof.base.text import safe_text
from memprof.base.units import format_bytes
from memprof.results.snapshot import Snapshot, read_snapshot
from memprof.runtimes.late import find

COMPARISON_SCHEMA = "memprof/comparison/2"


@dataclass(frozen=True, slots=True)
class Change:
    """One number before and after, ``None`` where it is not known."""

    before: int | None
    after: int | None

    @property
    def delta(self) -> int | None:
        """After less before, ``None`` unless both are known."""
        return None if self.before is None or self.after is None else self.after - self.before

    @property
    def ratio(self) -> float | None:
        """After over before, ``None`` unless both are known and there was something before."""
        return None if self.after is None or not self.before else self.after / self.before

    def to_json(self) -> dict[str, Any]:
        """Return the four numbers."""
        ratio = self.ratio
        return {
            "before": self.before,
            "after": self.after,
            "delta": self.delta,
            "ratio": None if ratio is None else round(ratio, 6),
        }


@dataclass(frozen=True, slots=True)
class NamedChange:
    """The bytes of a tensor or a module before and after; 0 where it is not there."""

    name: str
    change: Change

    def to_json(self) -> dict[str, Any]:
        """Return name and both numbers."""
        return {"name": self.name, "before": self.change.before, "after": self.change.after}


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two reports side by side.

    Attributes:
        before: The first report's numbers.
        after: The second report's numbers.
        peaks: The peak under each runtime model that both know, the first report's headline first.
        total: Weights and the headline's peak together.
        parameters: Bytes of the parameters.
        foldable_constants: Bytes of values computed from constants alone.
        macs: Multiply-accumulate operations.
        gone: Tensors alive at the first report's peak only, with their bytes, largest first.
        new: Tensors alive at the second report's peak only, with their bytes, largest first.
    """

    before: Snapshot
    after: Snapshot
    peaks: Mapping[str, Change]
    total: Change
    parameters: Change
    foldable_constants: Change
    macs: Change
    gone: Mapping[str, int | None]
    new: Mapping[str, int | None]

    def __repr__(self) -> str:
        peak = self.peak
        return f"<Comparison ({safe_text(self.headline)}): peak {_amount(peak.before)} to {_amount(peak.after)}>"

    def _repr_html_(self) -> str:
        return str(find("memprof.render.notebook:comparison_html")(self))

    @property
    def headline(self) -> str:
        """Name of the runtime model whose peak comes first."""
        return next(iter(self.peaks))

    @property
    def peak(self) -> Change:
        """The peak of the headline."""
        return self.peaks[self.headline]

    @property
    def peak_nodes(self) -> tuple[str, str]:
        """The operations that run at the two peaks; empty where it is not exactly one, or not known."""
        return self.before.runtimes[self.headline].node, self.after.runtimes[self.headline].node

    @property
    def tensors(self) -> tuple[NamedChange, ...]:
        """What changed among the tensors alive at the two peaks, matched by name: most bytes first."""
        old, new = self.before.runtimes[self.headline].live, self.after.runtimes[self.headline].live
        return _changes(old, new)

    @property
    def peak_modules(self) -> tuple[NamedChange, ...]:
        """What changed of the bytes alive at the two peaks, by the module that wrote them: most bytes first."""
        old, new = (
            {path: found.peak_bytes for path, found in side.modules.items()} for side in (self.before, self.after)
        )
        return _changes(old, new)

    @property
    def parameter_modules(self) -> tuple[NamedChange, ...]:
        """What changed of the parameters, by module: most bytes first."""
        old, new = (
            {path: found.parameter_bytes for path, found in side.modules.items()}
            for side in (self.before, self.after)
        )
        return _changes(old, new)

    def to_json(self) -> dict[str, Any]:
        """Return the comparison as JSON-ready values, schema ``memprof/comparison/2``."""
        return {
            "schema": COMPARISON_SCHEMA,
            "before": self.before.path,
            "after": self.after.path,
            "headline": self.headline,
            "peak_intermediate_bytes": {name: change.to_json() for name, change in self.peaks.items()},
            "total_bytes": self.total.to_json(),
            "parameter_bytes": self.parameters.to_json(),
            "foldable_constant_bytes": self.foldable_constants.to_json(),
            "macs": self.macs.to_json(),
            "gone_at_peak": [{"name": name, "bytes": size} for name, size in self.gone.items()],
            "new_at_peak": [{"name": name, "bytes": size} for name, size in self.new.items()],
            "peak_moved": dict(zip(("before", "after"), (node or None for node in self.peak_nodes), strict=True)),
            "changed_at_peak": [found.to_json() for found in self.tensors],
            "changed_modules_at_peak": [found.to_json() for found in self.peak_modules],
            "changed_modules_parameters": [found.to_json() for found in self.parameter_modules],
            "numbers": {"before": self.before.to_json(), "after": self.after.to_json()},
        }

    @classmethod
    def from_json(cls, document: object, source: str = "the document") -> Comparison:
        """Return the comparison that was saved as ``document``, worked out anew from its numbers.

        Raises:
            InputError: It is no comparison of this version, or a field is missing or wrong.
        """
        check_schema(document, source, (COMPARISON_SCHEMA,))
        numbers = Fields(document, source).fields("numbers")
        before, after = (read_snapshot(numbers.fields(side)) for side in ("before", "after"))
        if before.runtimes.keys().isdisjoint(after.runtimes):
            raise numbers.error("after", "has no runtime model that the other side has")
        return compare_snapshots(before, after)


def compare_snapshots(before: Snapshot, after: Snapshot) -> Comparison:
    """Return ``before`` and ``after`` side by side; tensors are matched by name.

    Raises:
        UsageError: They have no runtime model in common.
    """
    common = [name for name in before.runtimes if name in after.runtimes]
    if not common:
        names = " and ".join(", ".join(snapshot.runtimes) for snapshot in (before, after))
        raise UsageError(
            f"The two reports have no runtime model in common: {names}.", "Analyse both under one model."
        )
    old, new = before.runtimes[common[0]], after.runtimes[common[0]]
    return Comparison(
        before=before,
        after=after,
        peaks={
            name: Change(before.runtimes[name].peak_intermediate_bytes, after.runtimes[name].peak_intermediate_bytes)
            for name in common
        },
        total=Change(old.total_bytes, new.total_bytes),
        parameters=Change(before.parameter_bytes, after.parameter_bytes),
        foldable_constants=Change(before.foldable_constant_bytes, after.foldable_constant_bytes),
        macs=Change(before.macs, after.macs),
        gone=_only_in(old.live, new.live),
        new=_only_in(new.live, old.live),
    )


def _changes(old: Mapping[str, int | None], new: Mapping[str, int | None]) -> tuple[NamedChange, ...]:
    found = [
        NamedChange(name, Change(old.get(name, 0), new.get(name, 0)))
        for name in dict.fromkeys([*old, *new])
        if old.get(name, 0) != new.get(name, 0)
    ]
    return tuple(sorted(found, key=lambda one: (-abs(one.change.delta or 0), one.name)))


def _only_in(here: Mapping[str, int | None], there: Mapping[str, int | None]) -> dict[str, int | None]:
    names = sorted(here.keys() - there.keys(), key=lambda name: (-(here[name] or 0), name))
    return {name: here[name] for name in names}


def _amount(size_bytes: int | None) -> str:
    return "unknown" if size_bytes is None else format_bytes(size_bytes)
