"""Run a search under a progress bar, and print what it knows."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memprof.base.text import safe_text
from memprof.cli.output import drawing, note, open_stdout
from memprof.render.json import write_document

if TYPE_CHECKING:
    from memprof.nas.jobs import Outcome
    from memprof.nas.record.summary import SearchSummary
    from memprof.nas.searching.rounds import Search
    from memprof.nas.searching.run import OnOutcome


def drive(folder: Path, run: Callable[[OnOutcome], Any], *, as_json: bool) -> int:
    """Run a search with a progress bar on stderr, then print its summary.

    Ctrl-C ends it in order: the resume command is printed, and the program ends as interrupted.

    Returns:
        The exit code: 1 if nothing was found within the budgets.
    """
    from memprof.nas import status
    from memprof.nas.record.forecast import measure_progress
    from memprof.render.search_progress import SearchProgress

    bar = SearchProgress()

    def watch(search: Search, outcome: Outcome | None) -> None:
        bar.watch(measure_progress(search.state, search.forecast), outcome)

    try:
        with drawing(bar):
            run(watch)
    except KeyboardInterrupt:  # told when the bar is gone, which would break a long line
        command = shlex.join(["memprof", "nas", "resume", str(folder)])
        note(f"Stopped; everything finished is kept. Go on with: {safe_text(command, limit=2000)}")
        raise
    summary = status(folder)
    print_summary(summary, folder, as_json=as_json)
    return 0 if summary.found else 1


def print_summary(summary: SearchSummary, folder: Path, *, as_json: bool) -> None:
    """Print a summary as JSON or for people."""
    with open_stdout() as stream:
        if as_json:
            write_document(summary.to_json(), stream)
        else:
            from memprof.render.search import render_search

            render_search(summary, str(folder), stream)
