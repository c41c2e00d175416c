"""Imports numpy without the threads of its BLAS: they spin for half of the import, and no matrices are multiplied."""

from __future__ import annotations

import os
import sys
from importlib import import_module

_THREADS = "OPENBLAS_NUM_THREADS"


def import_numpy_alone() -> None:
    """Import numpy so that it starts no threads, unless it is there or the variable for them is set.

    Only for a process of memprof's own, whose other libraries read the variable themselves.
    """
    if "numpy" in sys.modules or _THREADS in os.environ:
        return
    os.environ[_THREADS] = "1"
    try:
        import_module("numpy")
    finally:
        del os.environ[_THREADS]  # what is started from here measures as its user would
