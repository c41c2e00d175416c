"""How numpy is imported by a process of memprof's own, asked of fresh processes."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

_SCRIPT = """
import os
from memprof.base.arithmetic import import_numpy_alone
import_numpy_alone()
import numpy
print(len(os.listdir("/proc/self/task")), os.environ.get("OPENBLAS_NUM_THREADS"))
"""


def _asked(**variables: str) -> list[str]:
    environment = {key: value for key, value in os.environ.items() if key != "OPENBLAS_NUM_THREADS"} | variables
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT], capture_output=True, text=True, check=True, env=environment, timeout=300
    )
    return done.stdout.split()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="threads are counted where Linux lists them")
def test_numpy_starts_no_threads_and_the_variable_is_left_as_it_was() -> None:
    assert _asked() == ["1", "None"]


def test_who_sets_the_variable_is_obeyed() -> None:
    assert _asked(OPENBLAS_NUM_THREADS="2")[1] == "2"
