"""The one gate that names from a model pass before a person or a program sees them.

A model from a stranger is data: its names may hold terminal control codes, bidirectional overrides,
newlines or ten megabytes of text. ``safe_text`` makes any of them a short printable string on one line.
Escaping for a format (HTML, CSV, rich markup) is the renderer's work on top.
"""

from __future__ import annotations

import unicodedata

_UNSAFE_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
# the wide forms too: some spreadsheets fold them
_FORMULA_STARTS = tuple("=+-@＝＋－＠")  # noqa: RUF001 - meant


def safe_text(text: str, limit: int = 200) -> str:
    """Return ``text`` printable, on one line and at most ``limit`` characters long.

    Control, format (bidirectional marks among them), surrogate, private and unassigned characters are
    shown as ``\\xNN`` or ``\\uNNNN``; a long text keeps its two ends, which tell names apart.

    >>> safe_text("conv\\x1b[31m")
    'conv\\\\x1b[31m'
    >>> safe_text("a" * 300, limit=9)
    'aaaa…aaaa'
    """
    text = _shorten(text, limit)
    if text.isascii() and text.isprintable():
        return text
    escaped = "".join(_escape(c) if unicodedata.category(c) in _UNSAFE_CATEGORIES else c for c in text)
    return _shorten(escaped, limit)


def text_cell(text: str, limit: int = 1000) -> str:
    """Return ``text`` for a cell of a table: on one line, and never what a spreadsheet takes for a formula.

    >>> text_cell("=1+1"), text_cell("conv")
    ("'=1+1", 'conv')
    """
    shown = safe_text(text, limit=limit)
    return f"'{shown}" if shown.lstrip().startswith(_FORMULA_STARTS) else shown


def first_line(error: BaseException, limit: int = 300) -> str:
    """Return the first line of what an error says; one that says nothing is named by its type.

    >>> first_line(ValueError("\\n no such axis\\nTraceback ...")), first_line(MemoryError())
    ('no such axis', 'MemoryError')
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:limit]


def _shorten(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    half = (limit - 1) // 2
    return f"{text[: limit - 1 - half]}…{text[len(text) - half :]}"


def _escape(character: str) -> str:
    point = ord(character)
    if point < 0x100:
        return f"\\x{point:02x}"
    return f"\\u{point:04x}" if point < 0x10000 else f"\\U{point:08x}"
