"""Names of functions that live in a layer above, found when they are called: ``"package.module:function"``.

A row of ``RUNTIMES`` says what plans an order for it and what measures it, and both lie above the rows; a result has
a view for notebooks, and renderers lie above results. Tests find every name.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any


def find(name: str) -> Any:
    """Return what a late name means.

    >>> find("math:prod")([2, 3])
    6
    """
    module, _, function = name.partition(":")
    return getattr(import_module(module), function)
