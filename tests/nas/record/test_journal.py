"""The journal of a search where the disk is full: what was written stays."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from memprof.base.errors import RuntimeFailure
from memprof.nas.record.journal import Journal, read_journal

DATA = {"text": "x" * 2000}


def test_a_full_disk_costs_no_event_that_was_written_and_the_search_goes_on_once_there_is_room(
    tmp_path: Path,
) -> None:
    """SQLite's own limit stands in for the disk: both come as the same error."""
    written = []
    with Journal(tmp_path) as journal:
        journal._database.execute("PRAGMA max_page_count = 16")
        with pytest.raises(RuntimeFailure, match="full") as caught:
            while len(written) < 1000:
                written.append(journal.append("candidate", DATA))
    assert "make room, then resume" in caught.value.hint
    assert written
    assert read_journal(tmp_path)[0] == tuple(written)
    with Journal(tmp_path) as journal:
        written.append(journal.append("candidate", DATA))
    assert read_journal(tmp_path)[0] == tuple(written)


@pytest.mark.skipif(sys.platform == "win32", reason="limits of files are POSIX's")
def test_a_disk_that_is_full_from_the_start_is_told_as_that(tmp_path: Path) -> None:
    script = "from memprof.nas.record.journal import Journal; Journal(Path('run'))"
    limits = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (6000, 6000))"
    done = subprocess.run(
        [sys.executable, "-c", f"from pathlib import Path; {limits}; {script}"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3]), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "RuntimeFailure: run/search.db cannot be used: disk I/O error." in done.stderr
