"""Packages whose own code runs only when something is asked of it that no file of theirs answers.

    import package.part      the part alone
    package.part             the same
    package.name             what is told of it beforehand, else the package is imported as ever, and takes its place

Importing one module of a package runs the package's own code first, which may read thousands of files to answer
questions that nobody asks. Only for a process that is memprof's own, see ``lean``.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

Answers = Mapping[str, Callable[[], Any]]
"""What is told of a package beforehand, by name."""


class Later(ModuleType):
    """A package, or one of its modules, that is imported when it is needed."""

    def __init__(self, name: str, answers: Answers) -> None:
        spec = importlib.util.find_spec(name)
        if spec is None or name in sys.modules:
            raise ImportError(f"{name} is missing, or there already")
        super().__init__(name)
        self.__spec__, self.__loader__, self.__file__ = spec, spec.loader, spec.origin
        self.__package__ = name if spec.submodule_search_locations is not None else name.rpartition(".")[0]
        if spec.submodule_search_locations is not None:
            self.__path__ = list(spec.submodule_search_locations)
        self._answers = answers

    def __getattr__(self, name: str) -> Any:
        answers: Answers = self.__dict__["_answers"]
        if name in answers:
            found = self.__dict__[name] = answers[name]()
            return found
        if name.startswith("__"):
            raise AttributeError(name)
        own = self.__name__
        if sys.modules.get(own) is self:
            if "__path__" in self.__dict__ and importlib.util.find_spec(f"{own}.{name}") is not None:
                return importlib.import_module(f"{own}.{name}")
            arrive(self)
        return getattr(sys.modules[own], name)


def put_off(name: str, answers: Answers) -> Later | None:
    """Let a package be imported when it is needed, and return what stands for it until then.

    Args:
        name: Its name; the package around it is there, or put off itself.
        answers: What is told of it without importing it.

    Returns:
        ``None`` where it is missing, or there already.
    """
    try:
        found = Later(name, answers)
    except ImportError:
        return None
    _place(name, found)
    return found


def arrive(later: Later) -> None:
    """Import what was put off, in its place."""
    name = later.__name__
    if sys.modules.get(name) is later:
        del sys.modules[name]
        _place(name, importlib.import_module(name))


def _place(name: str, module: ModuleType) -> None:
    sys.modules[name] = module
    around, _, own = name.rpartition(".")
    if around:
        setattr(sys.modules[around], own, module)
