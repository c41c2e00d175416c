"""What is watched against its budgets and its baseline, one row a model.

A verdict is as sound as the numbers: what is known at least already breaks a limit, and a limit holds only where the
whole size is known. A model that cannot be read is a row too: the others are judged all the same.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from memprof.api import load
from memprof.api.asking import read_and_report
from memprof.api.helping import help_broken
from memprof.base.errors import MemprofError
from memprof.base.units import format_bytes
from memprof.gate.advice import advise
from memprof.gate.baseline import UPDATE
from memprof.gate.config import Growth, Watched
from memprof.results.assumed import assumed_sizes
from memprof.results.budgets import Budgets, Verdict, check_budgets, tighten
from memprof.results.gate import GateRow, Status
from memprof.results.helped import Helped
from memprof.results.report import Report
from memprof.results.snapshot import Snapshot, snapshot_report

if TYPE_CHECKING:
    from memprof.boards import BoardFit
    from memprof.ir.model import Model

NUMBERS: Mapping[str, str] = {"peak": "peak", "params": "parameters", "weights": "weights", "total": "total"}
"""From a number to what people call it."""

_VERBS = {"params": "are", "weights": "are"}

_DIM = re.compile(r"--dim (?P<name>[\w-]+)=(?P<size>\w+)")

NO_BASELINE = "it has no baseline yet"


@dataclass(frozen=True, slots=True)
class Judged:
    """A row, and the numbers it rests on; ``None`` for a model that could not be read."""

    row: GateRow
    snapshot: Snapshot | None


def judge(watched: Watched, older: Snapshot | None) -> Judged:
    """Return how one model stands.

    Args:
        watched: The model and its budgets.
        older: Its numbers in the baseline, ``None`` if it has none.
    """
    try:
        report, model = read_and_report(watched.request, None if watched.runtime is None else (watched.runtime,))
        fit = None if watched.board is None else _fit(watched, watched.board)
    except MemprofError as error:
        return Judged(_failed(watched, error), None)
    snapshot = snapshot_report(report)
    name = report.headline.runtime.name
    limits, missing = _limits(watched, older, name)
    verdicts = check_budgets(snapshot, limits, name).verdicts if limits != Budgets() else ()
    status = _status(verdicts, missing)
    reason = _reason(status, verdicts, missing, watched, report)
    if fit is not None and fit.fits is not True:
        status = "over" if fit.fits is False or status == "over" else "undecided"
        reason = "; ".join(filter(None, (reason, f"{fit.board.name}: {fit.reason.rstrip('.')}")))
    over = {verdict.name for verdict in verdicts if verdict.is_met is False}
    row = GateRow(
        name=watched.name,
        source=watched.request.name,
        runtime=name,
        grade=report.headline.grade or "",
        board="" if fit is None else f"{fit.board.name}: {fit.how}",
        status=status,
        is_informational=watched.is_informational,
        sizes=_sizes(snapshot, name),
        before=_sizes(older, name),
        verdicts=verdicts,
        assumed=tuple(note.name for note in assumed_sizes(report.assumed)),
        reason=reason,
        advice=_advice(status, verdicts, missing, watched, report, model),
        helped=help_broken(watched.request, report, model, over) or Helped(),
    )
    return Judged(_with_tensor(row, report, older), snapshot)


def _fit(watched: Watched, name: str) -> BoardFit:
    from memprof.boards import find_board, fit_board, model_footprint

    board = find_board(name)
    return fit_board(model_footprint(load(watched.request).graph, [board.kernels]), board, watched.margin_bytes)


def _failed(watched: Watched, error: MemprofError) -> GateRow:
    return GateRow(
        name=watched.name,
        source=watched.request.name,
        status="failed",
        is_informational=watched.is_informational,
        reason=error.message.rstrip("."),
        advice=error.hint.rstrip("."),
        code=error.code,
    )


def _limits(watched: Watched, older: Snapshot | None, runtime: str) -> tuple[Budgets, str]:
    """Return the limits that hold, and why the baseline gives none, if it should."""
    if watched.growth is None:
        return watched.budgets, ""
    if older is None:
        return watched.budgets, NO_BASELINE
    if runtime not in older.runtimes:
        return watched.budgets, f"its baseline is of {', '.join(older.runtimes)}"
    numbers = _sizes(older, runtime)
    grown = {name: None if size is None else watched.growth.limit(size) for name, size in numbers.items()}
    return tighten(watched.budgets, Budgets(**grown)), "" if numbers["peak"] is not None else "its baseline is open"


def _sizes(snapshot: Snapshot | None, runtime: str) -> dict[str, int | None]:
    if snapshot is None or runtime not in snapshot.runtimes:
        return {}
    found = snapshot.runtimes[runtime]
    return {
        "peak": found.peak_intermediate_bytes,
        "params": snapshot.stored_bytes,
        "total": found.total_bytes,
    }


def _status(verdicts: tuple[Verdict, ...], missing: str) -> Status:
    answers = [verdict.is_met for verdict in verdicts]
    if False in answers:
        return "over"
    return "undecided" if missing or None in answers else "fits"


def _reason(status: Status, verdicts: tuple[Verdict, ...], missing: str, watched: Watched, report: Report) -> str:
    if status == "over":
        return "; ".join(_over(verdict, watched) for verdict in verdicts if verdict.is_met is False)
    if status == "fits":
        return ""
    headline = report.headline
    if headline.peak_intermediate_bytes is not None:
        return missing
    opened = ", ".join(f"{unknown.kind} {unknown.name}" for unknown in report.unknown[:2]) or "a size"
    return f"peak is at least {format_bytes(headline.known_bytes_at_least)}: {opened} is not known"


def _over(verdict: Verdict, watched: Watched) -> str:
    size = verdict.at_least_bytes if verdict.size_bytes is None else verdict.size_bytes
    words = _VERBS.get(verdict.name, "is") + ("" if verdict.size_bytes is not None else " at least")
    own = getattr(watched.budgets, verdict.name)
    limit = format_bytes(verdict.limit_bytes)
    if verdict.limit_bytes != own and watched.growth is not None:
        limit += f" ({_describe(watched.growth)})"
    gap = format_bytes(size - verdict.limit_bytes)
    return f"{NUMBERS[verdict.name]} {words} {format_bytes(size)}, {gap} over {limit}"


def _describe(growth: Growth) -> str:
    extra = format_bytes(growth.size_bytes) if growth.size_bytes else f"{float(growth.part * 100):.4g} %"
    return f"baseline + {extra}"


def _advice(
    status: Status,
    verdicts: tuple[Verdict, ...],
    missing: str,
    watched: Watched,
    report: Report,
    model: Model | None,
) -> str:
    if status == "over":
        return advise(watched.request, model, report.headline.runtime.name, verdicts)
    if status == "fits":
        return ""
    if report.headline.peak_intermediate_bytes is not None:
        return UPDATE if missing else ""
    hint = next((unknown.hint.rstrip(".") for unknown in report.unknown if unknown.hint), "")
    flag = _DIM.fullmatch(hint)
    return hint if flag is None else f"{hint}, or in a file dims = {{ {flag['name']} = {flag['size']} }}"


def _with_tensor(row: GateRow, report: Report, older: Snapshot | None) -> GateRow:
    """Return the row with the tensor to look at: the largest that is new at the peak, or the largest there."""
    if row.status != "over":
        return row
    live = report.headline.peak.live
    before = older.runtimes[row.runtime].live if older is not None and row.runtime in older.runtimes else {}
    grown = [t for t in live if before and (t.name not in before or (before[t.name] or 0) < (t.size_bytes or 0))]
    for tensor in grown or live:
        what = report.headline.describe_made_up(tensor.name)
        return replace(row, tensor=tensor.name, tensor_bytes=tensor.size_bytes, tensor_what=what)
    return row
