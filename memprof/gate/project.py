"""The gate as a whole: a project by its file, or models that are named."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from fractions import Fraction

from memprof.api import snapshot
from memprof.base.errors import UsageError
from memprof.base.files import write_text_whole
from memprof.gate.baseline import UPDATE, format_baseline, read_baseline
from memprof.gate.config import Config, Growth, Watched
from memprof.gate.judge import judge
from memprof.importers.request import Request
from memprof.results.budgets import Budgets
from memprof.results.gate import Gate


def check_project(config: Config, update: str = UPDATE) -> Gate:
    """Return how the models of a project stand against their budgets and its baseline.

    Args:
        config: What is watched.
        update: The command that saves its baseline, as it works for this project.

    Raises:
        InputError: The baseline is damaged.
    """
    saved = read_baseline(config.baseline, update)
    rows = [judge(watched, saved.get(watched.name)).row for watched in config.models]
    advised = tuple(replace(row, advice=update) if row.advice == UPDATE else row for row in rows)
    gone = sorted(saved.keys() - {watched.name for watched in config.models})
    return Gate(config=str(config.path), rows=advised, gone=tuple(gone))


def update_baseline(config: Config) -> Gate:
    """Save the numbers of today as the project's baseline, and return how the models stand against them.

    A model that cannot be analysed leaves the whole baseline as it was: its row says so.

    Raises:
        UsageError: The file cannot be written.
    """
    judged = [judge(watched, None) for watched in config.models]
    fresh = {found.row.name: found.snapshot for found in judged if found.snapshot is not None}
    if len(fresh) < len(judged):
        return Gate(config=str(config.path), rows=tuple(found.row for found in judged))
    write_text_whole(config.baseline, format_baseline(fresh))
    return check_project(config)


def check_named(
    requests: Iterable[Request], budgets: Budgets, runtime: str | None, baseline: Request | None, growth: Fraction
) -> Gate:
    """Return how models that are named stand against one set of budgets, an older report, or both.

    Raises:
        UsageError: There is no limit at all.
        InputError: The older report is missing or damaged.
    """
    if baseline is None and budgets == Budgets():
        raise UsageError(
            "There is no limit to check.", "Give --max-peak, --max-params, --max-weights, --max-total or --baseline."
        )
    older = None if baseline is None else snapshot(baseline, runtimes=None if runtime is None else (runtime,))
    allowed = None if older is None else Growth(part=growth)
    watched = [
        Watched(name=request.name, request=request, runtime=runtime, budgets=budgets, growth=allowed)
        for request in requests
    ]
    return Gate(config="", rows=tuple(judge(one, older).row for one in watched))
