"""Run a search under a progress bar, and print what it knows."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memprof.cli.output import note, open_stdout
from memprof.text import safe_text

if TYPE_CHECKING:
    from memprof.nas.run import OnOutcome
    from memprof.nas.summary import SearchSummary


def drive(folder: Path, run: Callable[[OnOutcome], Any], *, as_json: bool) -> int:
    """Run a search with a progress bar on stderr, then print its summary.

    Ctrl-C ends it in order: the resume command is printed, and the program ends as interrupted.
    """
    from memprof.nas import status
    from memprof.render.search_progress import SearchProgress

    with SearchProgress() as progress:
        try:
            run(progress.watch)
        except KeyboardInterrupt:
            note(f"Stopped; everything finished is kept. Go on with: memprof nas resume {safe_text(str(folder))}")
            raise
    print_summary(status(folder), folder, as_json=as_json)
    return 0


def print_summary(summary: SearchSummary, folder: Path, *, as_json: bool) -> None:
    """Print a summary as JSON or for people."""
    with open_stdout() as stream:
        if as_json:
            json.dump(summary.to_json(), stream, indent=2, allow_nan=False)
            stream.write("\n")
        else:
            from memprof.render.search import render_search

            render_search(summary, str(folder), stream)
