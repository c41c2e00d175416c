"""Hints for a name that does not exist: the nearest one, and what there is. Pure."""

from __future__ import annotations

from collections.abc import Iterable

_SHOWN_NAMES = 12


def near_names(wrong: str, names: Iterable[str], rest: str = "") -> str:
    """Return a hint for a wrong name: the nearest one, and what there is, each once and a dozen at most.

    Args:
        wrong: The name that does not exist.
        names: Those that do, in the order to show them.
        rest: What else may be written, after them.

    >>> near_names("bach", ["batch", "height", "batch"])
    'Did you mean batch? It has: batch, height.'
    """
    from difflib import get_close_matches

    known = list(dict.fromkeys(names))
    close = get_close_matches(wrong, known, n=1)
    shown = ", ".join(known[:_SHOWN_NAMES]) or "none with a name"
    more = len(known) - _SHOWN_NAMES
    shown += f" and {more} more" if more > 0 else ""
    return f"{f'Did you mean {close[0]}? ' if close else ''}It has: {shown}{rest}."
