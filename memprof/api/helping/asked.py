"""What is to be helped, and one change that was evaluated."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from memprof.importers.request import Request
from memprof.ir.model import Model
from memprof.results.helped import Change
from memprof.results.report import Report


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """A change that may be tried.

    Attributes:
        what: The change, in a few words.
        steps: What trying it takes, each a millisecond of a processor or less; the model's size alone decides.
        command: What makes or shows it.
        effects: Evaluates it; no effects where it cannot be made or has no number.
    """

    what: str
    steps: int
    command: str
    effects: Callable[[], Sequence[Change]]


class NotMadeError(Exception):
    """A tool broke, does not take the file, or was stopped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A report that is to be helped.

    Attributes:
        request: What was asked.
        report: The answer.
        model: The source as it was read for it.
        peak_bytes: The peak of what leads the report.
        weight_bytes: Parameters and foldable constants.
    """

    request: Request
    report: Report
    model: Model
    peak_bytes: int
    weight_bytes: int

    @property
    def runtime(self) -> str:
        """Name of the runtime model that leads the report."""
        return self.report.headline.runtime.name

    @property
    def steps(self) -> int:
        """What it takes to evaluate a model as large as this one: a module is run, a file is read."""
        nodes = self.report.model.nodes
        return nodes // 3 + 20 if self.request.is_file else nodes + 250

    def effect(
        self, what: str, command: str, peak_bytes: int | None, weight_bytes: int | None = None
    ) -> list[Change]:
        """Return what a change saves of what leads the report, nothing if that is not known.

        Args:
            what: The change, in a few words.
            command: What makes or shows it.
            peak_bytes: The peak then, ``None`` if not known.
            weight_bytes: The weights then, ``None`` if they stay.
        """
        if peak_bytes is None:
            return []
        weights = self.weight_bytes if weight_bytes is None else weight_bytes
        found = Change(
            what=what,
            runtime=self.runtime,
            saved_bytes=self.peak_bytes - peak_bytes,
            peak_bytes=peak_bytes,
            saved_weight_bytes=self.weight_bytes - weights,
            command=command,
        )
        return [found]
