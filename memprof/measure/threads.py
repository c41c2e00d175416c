"""How many threads a default session of onnxruntime has inside an operation: one for each core of the machine."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from memprof.importers.request import Request

_CPUS = Path("/sys/devices/system/cpu")


def session_threads(request: Request) -> int:
    """Return the threads that are asked for, else those of a default session here."""
    return request.threads or default_threads()


def default_threads(cpus: Path = _CPUS) -> int:
    """Return the number of cores; two threads of one core count once, where the system tells them apart."""
    cores = set()
    with contextlib.suppress(OSError):
        for siblings in cpus.glob("cpu[0-9]*/topology/thread_siblings_list"):
            cores.add(siblings.read_text(encoding="utf-8"))
    return len(cores) or os.cpu_count() or 1
