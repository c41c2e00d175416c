"""A search -> what its page shows: the front, every round, every network, lifetimes of those on the front, lambda."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO

from memprof.base.text import safe_text
from memprof.base.units import format_bytes
from memprof.render.page.assemble import SEARCH_PAGE, PageNote, write_document_page

if TYPE_CHECKING:
    from memprof.nas.record.summary import CandidateSummary, SearchSummary
    from memprof.nas.record.sweep import LambdaSweep
    from memprof.results.records import RuntimeReport

MOST_LIFETIMES = 24
"""Networks whose tensors the page holds: a few kilobytes each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchPage:
    """What a search's page is made from.

    Attributes:
        summary: The search.
        changes: What each round changed, by its index.
        cells: By candidate a line for each of its cells.
        lifetimes: By candidate what its tensors take.
        sweep: What each lambda would choose; ``None`` before a round is done.
        others: Other searches to compare lambda with.
    """

    summary: SearchSummary
    changes: Mapping[int, str]
    cells: Mapping[int, Sequence[str]]
    lifetimes: Mapping[int, RuntimeReport]
    sweep: LambdaSweep | None
    others: Sequence[SearchSummary] = ()


def write_search_page(page: SearchPage, stream: TextIO, note: PageNote) -> None:
    """Write the page of a search as one HTML file that needs nothing else."""
    command = [("made by", safe_text(note.command, limit=400))] if note.command else []
    write_document_page(search_document(page) | {"footer": [*note.versions, *command]}, SEARCH_PAGE, stream)


def search_document(page: SearchPage) -> dict[str, Any]:
    """Return what the page shows as JSON-ready values."""
    summary, best = page.summary, page.summary.best
    front = {found.candidate for found in summary.front}
    return {
        "title": f"Search on {safe_text(summary.settings.dataset)}",
        "state": f"{summary.status}{f': {safe_text(summary.reason)}' if summary.reason else ''}",
        "headline": _headline(summary),
        "tiles": _tiles(summary),
        "best": None if best is None else best.candidate,
        "leader": None if summary.leader is None else summary.leader.candidate,
        "networks": [_network(found, page, is_front=found.candidate in front) for found in summary.candidates],
        "rounds": [
            {
                "round": found.index + 1,
                "base": found.base,
                "considered": found.generated,
                "rejected": found.rejected + found.pruned + found.idle,
                "trained": found.trained,
                "failed": found.failed,
                "winner": found.winner,
                "change": safe_text(page.changes.get(found.index, "")),
                "score": found.score,
            }
            for found in summary.rounds
        ],
        "standings": [
            {
                "candidate": found.candidate,
                "accuracy": found.accuracy,
                "error": found.standard_error,
                "trainings": len(found.accuracies),
                "epochs": found.epochs,
                "total": found.total_bytes,
                "score": found.score,
            }
            for found in summary.standings
        ],
        "sweep": _sweep(page),
        "lifetimes": {str(number): _lifetimes(found) for number, found in page.lifetimes.items()},
    }


def _headline(summary: SearchSummary) -> str:
    best, leader = summary.best, summary.leader
    if best is not None:
        error = "" if best.standard_error is None else f" ± {best.standard_error:.2%}"
        sizes = (
            f"{format_bytes(best.parameter_bytes)} of parameters, peak {format_bytes(best.peak_intermediate_bytes)}"
        )
        return f"Best: candidate {best.candidate}, {best.accuracy:.2%}{error}, {sizes}"
    if leader is not None:
        return f"Leading: candidate {leader.candidate}; {summary.undecided}"
    return "No round is done yet"


def _tiles(summary: SearchSummary) -> list[tuple[str, str]]:
    totals = summary.to_json()["candidates"]
    return [
        ("rounds", f"{len(summary.rounds):,}"),
        ("considered", f"{totals['generated']:,}"),
        ("trained", f"{totals['trained']:,}"),
        ("failed", f"{totals['failed']:,}"),
        ("on the front", f"{len(summary.front):,}"),
        ("lambda", f"{summary.settings.metric.accuracy_weight:g}"),
        ("seed", str(summary.settings.seed)),
    ]


def _network(found: CandidateSummary, page: SearchPage, *, is_front: bool) -> dict[str, Any]:
    return {
        "id": found.candidate,
        "round": found.round + 1,
        "status": safe_text(found.status),
        "message": safe_text(found.message),
        "accuracy": found.validation_accuracy,
        "worth": found.worth,
        "predicted": found.predicted,
        "params": found.parameter_bytes,
        "peak": found.peak_intermediate_bytes,
        "epochs": found.epochs_in_all,
        "front": is_front,
        "base": found.is_base,
        "cells": [safe_text(line) for line in page.cells.get(found.candidate, ())],
    }


def _sweep(page: SearchPage) -> list[dict[str, Any]]:
    """Return a choice for each lambda: of this search's pool, and what other searches found with theirs."""
    own = () if page.sweep is None else page.sweep.points
    found: list[dict[str, Any]] = [
        {"lambda": p.accuracy_weight, "accuracy": p.accuracy, "total": p.total_bytes, "candidate": p.candidate}
        for p in own
    ]
    found += [
        {
            "lambda": other.settings.metric.accuracy_weight,
            "accuracy": other.best.accuracy,
            "total": other.best.total_bytes,
            "candidate": None,
        }
        for other in page.others
        if other.best is not None
    ]
    return found


def _lifetimes(found: RuntimeReport) -> dict[str, Any]:
    """Return the buffers of a network, the largest first, and its curve."""
    graph, peak = found.lifetimes.graph, found.lifetimes.peak_step
    rows = [
        (safe_text(graph.values[buffer.values[0]].name), buffer.start, buffer.stop, buffer.size_bytes)
        for buffer in found.lifetimes.buffers
        if buffer.size_bytes and buffer.values
    ]
    return {"peak": peak, "steps": len(found.timeline), "rows": sorted(rows, key=lambda row: (row[1], row[2]))}
