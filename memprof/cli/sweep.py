"""What ``memprof analyze`` adds to a report: a sweep that was asked for, and what would help."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from memprof.base.errors import UsageError

if TYPE_CHECKING:
    from memprof.importers.request import Request
    from memprof.ir.model import Model
    from memprof.results.report import Report


def read_sweep(
    texts: Sequence[str], model: str, view: str | None, board: str | None
) -> Mapping[str, tuple[int, ...]]:
    """Return the sizes of each dimension to sweep over; none if no sweep was asked for.

    Raises:
        UsageError: A text is no sweep, or another flag does not go with it.
    """
    if not texts:
        return {}
    from memprof.api.sizing.axes import parse_axes
    from memprof.importers.request import names_report

    if board is not None:
        raise UsageError("--sweep and --board exclude each other.", "memprof fit MODEL --board NAME")
    if view == "--csv":
        raise UsageError("--csv lists the tensors of one size.", "--sweep goes with --json, --markdown and -o FILE.")
    if names_report(model):
        raise UsageError(f"{model} is a saved report: its sizes are settled.", "Name the model itself.")
    return parse_axes(texts)


def swept(report: Report, request: Request, axes: Mapping[str, tuple[int, ...]]) -> Report:
    """Return ``report`` with the sweep of its headline."""
    from memprof.api.sizing.sweeping import sweep

    return replace(report, sweep=sweep(request, axes, runtime=report.headline.runtime.name))


def helped(report: Report, request: Request, model: Model | None) -> Report:
    """Return ``report`` with what would lower its peak."""
    from memprof.api.helping import find_help

    return replace(report, helped=find_help(request, report, model))
