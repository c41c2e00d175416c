"""Which network of a search a command means."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from memprof.base.errors import UsageError
from memprof.cli.output import note

if TYPE_CHECKING:
    from memprof.nas.record.summary import CandidateSummary


def pick_candidate(folder: Path, number: int | None, training: str | None = None) -> CandidateSummary:
    """Return the candidate that a command means.

    Args:
        folder: Folder of the search.
        number: Number of the candidate, if it was given.
        training: Name of a final training, if one was given: without a number, its candidate is meant.

    Without either the best of the search is meant, before its tournament the one that leads.

    Raises:
        InputError: There is no search in ``folder``.
        UsageError: There is no such candidate or training, or the candidate has no weights.
    """
    from memprof import nas

    summary = nas.status(folder)
    if number is None and training is not None:
        from memprof.nas.record.trainings import find_training

        number = find_training(folder, training).candidate
    if number is None:
        if summary.found is None:
            command = shlex.join(["memprof", "nas", "status", str(folder)])
            raise UsageError(f"The search in {folder} has no trained network yet.", f"See: {command}")
        if summary.best is None:
            note(f"candidate {summary.found.candidate} leads: {summary.undecided}")
        return summary.found
    trained = {found.candidate: found for found in summary.candidates if found.validation_accuracy is not None}
    if number not in trained:
        choice = ", ".join(map(str, trained)) or "none so far"
        raise UsageError(f"Candidate {number} is not among those that were trained.", f"Trained: {choice}.")
    return trained[number]
