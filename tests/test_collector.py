"""What a process ends with is neither looked through nor freed."""

from __future__ import annotations

import subprocess
import sys

_KEPT = """
import gc
from memprof.base.collector import keep, paused_collector

class Part:
    def __del__(self):
        print("freed")

with paused_collector():
    parts = [Part(), Part()]
    keep(parts)
    print(gc.get_freeze_count() > 0, any(found is parts for found in gc.get_objects()))
del parts
gc.collect()
gc.freeze()  # as the program does before it ends
"""


def test_what_is_kept_is_out_of_the_collectors_sight_and_never_freed() -> None:
    done = subprocess.run([sys.executable, "-c", _KEPT], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr, done.returncode) == ("True False\n", "", 0)
