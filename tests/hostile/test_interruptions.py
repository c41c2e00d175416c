"""A few of the trials of ``benchmarks/interruptions.py``: a signal at a random call of every command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


COUNTS = (9, pytest.param(27, marks=pytest.mark.slow))
"""Spread over all commands and signals."""


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks for what still runs in /proc")
def test_signals_at_random_calls_leave_nothing_lost_or_running(count: int) -> None:
    pytest.importorskip("torch")  # commands of a search are among those that are disturbed
    done = subprocess.run(
        [sys.executable, "benchmarks/interruptions.py", "--count", str(count), "--seed", "1"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout, done.stderr[-3000:]
    found = json.loads(done.stdout)
    assert found["wrong"] == []
    assert found["trials"] == count
