"""Which network of a search a command means."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from memprof.errors import UsageError

if TYPE_CHECKING:
    from memprof.nas.summary import CandidateSummary


def pick_candidate(folder: Path, number: int | None) -> CandidateSummary:
    """Return the candidate of that number, the best of the search if none is given.

    Raises:
        InputError: There is no search in ``folder``.
        UsageError: There is no such candidate, or it has no weights.
    """
    from memprof import nas

    summary = nas.status(folder)
    if number is None:
        if summary.best is None:
            raise UsageError(
                f"The search in {folder} has no trained network yet.", f"See: memprof nas status {folder}"
            )
        return summary.best
    trained = {found.candidate: found for found in summary.candidates if found.validation_accuracy is not None}
    if number not in trained:
        choice = ", ".join(map(str, trained)) or "none so far"
        raise UsageError(f"Candidate {number} is not among those that were trained.", f"Trained: {choice}.")
    return trained[number]
