"""A Python file named alone, without what makes the model: the functions and classes it offers, by its text."""

from __future__ import annotations

import ast
import warnings
from pathlib import Path

from memprof.base.errors import UsageError

SUFFIX = ".py"
_MOST_BYTES = 2**20
_SHOWN = 5


def unnamed_function(path: Path) -> UsageError:
    """Return the error that a Python file was named alone; the file is parsed and never run."""
    found = [f"{path}:{name}" for name in _candidates(path)]
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return UsageError(
        f"{path} is Python code, and which function or class makes the model is not named.",
        f"Name it: {', '.join(found[:_SHOWN])}{more}." if found else f"Name it: {path}:FUNCTION.",
    )


def _candidates(path: Path) -> list[str]:
    """Return public functions and classes that can be called without arguments, in the order of the file."""
    try:
        with path.open("rb") as file:
            text = file.read(_MOST_BYTES + 1)
        if len(text) > _MOST_BYTES:
            return []
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a stranger's odd escapes
            body = ast.parse(text).body
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    return [
        node.name
        for node in body
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_") and _needs_nothing(node)
    ]


def _needs_nothing(node: ast.FunctionDef | ast.ClassDef) -> bool:
    if isinstance(node, ast.FunctionDef):
        return not _required(node.args)
    made = [each for each in node.body if isinstance(each, ast.FunctionDef) and each.name == "__init__"]
    return bool(node.bases) and all(_required(each.args) <= 1 for each in made)  # self


def _required(arguments: ast.arguments) -> int:
    positional = len(arguments.posonlyargs) + len(arguments.args) - len(arguments.defaults)
    return positional + sum(default is None for default in arguments.kw_defaults)
