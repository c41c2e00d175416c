"""The text of docs/accuracy.md."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def page(document: Mapping[str, Any]) -> str:
    """Return docs/accuracy.md."""
    return str(document)
