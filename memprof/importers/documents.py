"""JSON from anybody, as values: no number that is none, and none so long that arithmetic on it fails or hangs."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

_MAX_DIGITS = 20  # 64 bits and a sign
_LONG = re.compile(rb"[0-9]{%d}" % (_MAX_DIGITS + 1))


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number")


def parse_json(text: bytes, constant: Callable[[str], Any] = _refuse_constant) -> Any:
    """Return what a JSON document says.

    Args:
        text: The document.
        constant: What ``NaN`` and the infinities become; they are refused if left out.

    Raises:
        ValueError: It is no JSON, is nested too deep, or holds an integer of more than 20 digits.
    """
    # a hook is slow, so it is for documents with so many digits in a row (a digest may have them too)
    whole = _read_integer if _LONG.search(text) else None
    try:
        return json.loads(text, parse_int=whole, parse_constant=constant)
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error


def _read_integer(text: str) -> int:
    if len(text) > _MAX_DIGITS:
        raise ValueError(f"an integer of {len(text)} digits")
    return int(text)
