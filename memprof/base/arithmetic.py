"""Lets numpy be imported without the threads of its BLAS: they spin for half of the import, and nobody multiplies.

Nor is it imported before somebody needs it: of a network without arithmetic on shapes nobody does.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

_THREADS = "OPENBLAS_NUM_THREADS"


def keep_numpy_alone() -> None:
    """Let numpy start no threads when it is imported, unless it is there or the variable for them is set.

    Only for a process of memprof's own, whose other libraries read the variable themselves.
    """
    if "numpy" not in sys.modules and _THREADS not in os.environ and _FINDER not in sys.meta_path:
        sys.meta_path.insert(0, _FINDER)


class _Finder(MetaPathFinder):
    """Finds numpy where it lies."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        found = PathFinder.find_spec(fullname, path) if fullname == "numpy" else None
        if found is not None and found.loader is not None:
            found.loader = _AloneLoader(found.loader)
        return found


class _AloneLoader(Loader):
    """Runs a module's code as another loader does, but for the variable."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        assert module.__spec__ is not None, "it was made from one"
        module.__spec__.loader = module.__loader__ = self._loader
        if _THREADS in os.environ:  # set since, by code that makes a module
            self._loader.exec_module(module)
            return
        os.environ[_THREADS] = "1"
        try:
            self._loader.exec_module(module)
        finally:
            del os.environ[_THREADS]  # what is started from here measures as its user would


_FINDER = _Finder()
