"""Bytes and shapes as people write them. kB = 1000 bytes, KiB = 1024 bytes, never mixed.

Inside memprof bytes are ints; text appears at the two edges only: a flag is parsed, a report is rendered.
"""

from __future__ import annotations

import re
from fractions import Fraction

from memprof.base.errors import UsageError

_FACTORS = {
    "": 1,
    "B": 1,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KIB": 2**10,
    "MIB": 2**20,
    "GIB": 2**30,
    "TIB": 2**40,
    "K": 2**10,  # as memories are sold: a chip of 512K has 524,288 bytes
    "M": 2**20,
    "G": 2**30,
}
_SHAPE = re.compile(r"[0-9]{1,18}(?:[x,][0-9]{1,18})*")
_PERCENT = re.compile(r"\s*((?=\.?[0-9])[0-9]{0,18}(?:\.[0-9]{0,18})?)%\s*")
_PATTERN = re.compile(r"\s*(\d{1,30}(?:\.\d{1,30})?)\s*([A-Za-z]*)\s*", re.ASCII)


def parse_bytes(text: str) -> int:
    """Return the number of bytes that ``text`` names: ``"512KiB"``, ``"1.5 MB"``, ``"512K"``, ``"1048576"``.

    A fraction of a byte rounds down, so that a budget never grows.

    Raises:
        UsageError: The text is not a number with one of B, kB, MB, GB, TB, KiB, MiB, GiB, TiB; K, M and G alone are
            the binary ones.

    >>> parse_bytes("256KiB"), parse_bytes("1.5MB"), parse_bytes("512K")
    (262144, 1500000, 524288)
    """
    match = _PATTERN.fullmatch(text)
    factor = _FACTORS.get(match[2].upper()) if match else None
    if match is None or factor is None:
        raise UsageError(
            f"{text!r} is not an amount of bytes.",
            "Write a number and a unit: 512KiB, 1.5MB or plain bytes.",
        )
    whole, _, fraction = match[1].partition(".")
    scale = 10 ** len(fraction)
    return int(whole + fraction) * factor // int(scale)


def parse_shape(text: str) -> tuple[int, ...] | None:
    """Return the sizes that ``text`` names, ``None`` if it names none.

    >>> parse_shape("1x3x224x224"), parse_shape("1,128"), parse_shape("1x?")
    ((1, 3, 224, 224), (1, 128), None)
    """
    return tuple(map(int, re.split("[x,]", text))) if _SHAPE.fullmatch(text) else None


def parse_percent(text: str) -> Fraction | None:
    """Return the share that a percentage names, exactly; ``None`` if it names none.

    >>> parse_percent("0.5%"), parse_percent("5"), parse_percent("-1%")
    (Fraction(1, 200), None, None)
    """
    match = _PERCENT.fullmatch(text)
    return Fraction(match[1]) / 100 if match else None


def unit_of(text: str) -> str:
    """Return the unit in which an amount was typed, empty for plain bytes; ``text`` is one that ``parse_bytes``
    reads.

    >>> unit_of("512K"), unit_of("1.5 MB"), unit_of("1048576")
    ('K', 'MB', '')
    """
    match = _PATTERN.fullmatch(text)
    return match[2] if match and match[2].upper() in _FACTORS else ""


def format_in(size_bytes: int, unit: str) -> str:
    """Return ``size_bytes`` in a unit that was typed, with three significant digits or more.

    >>> format_in(55296, "K"), format_in(1500000, "MB"), format_in(70, "KiB"), format_in(7, "")
    ('54 K', '1.5 MB', '0.0684 KiB', '7 bytes')
    """
    if not unit or unit.upper() == "B":
        return f"{size_bytes:,} bytes"
    value = size_bytes / _FACTORS[unit.upper()]
    return f"{value:,.0f} {unit}" if value >= 1000 else f"{value:.3g} {unit}"


def format_apart(one_bytes: int, other_bytes: int) -> tuple[str, str]:
    """Return two sizes as ``format_bytes`` does, in whole bytes where they differ and would look the same.

    >>> format_apart(3276928, 3276800), format_apart(4000, 8000), format_apart(4000, 4000)
    (('3,276,928 bytes', '3,276,800 bytes'), ('4.00 kB', '8.00 kB'), ('4.00 kB', '4.00 kB'))
    """
    one, other = format_bytes(one_bytes), format_bytes(other_bytes)
    if one == other and one_bytes != other_bytes:
        return f"{one_bytes:,} bytes", f"{other_bytes:,} bytes"
    return one, other


def format_growth(ratio: float) -> str:
    """Return how much more or less a ratio is, in percent or, where it is far from one, as a multiple.

    >>> format_growth(4.0), format_growth(1.051), format_growth(0.9), format_growth(1.0001), format_growth(1.0)
    ('4 times as much', '5.1% more', '10.0% less', 'less than 0.1% more', 'as much')
    """
    if not 0.8 < ratio < 1.25:
        return f"{ratio:.3g} times as much"
    if ratio == 1:
        return "as much"
    share = abs(ratio - 1)
    amount = "less than 0.1%" if share < 0.0005 else f"{share:.1%}"
    return f"{amount} {'more' if ratio > 1 else 'less'}"


def format_bytes(size_bytes: int) -> str:
    """Return ``size_bytes`` with a decimal unit and three significant digits or more.

    >>> format_bytes(6021120), format_bytes(999), format_bytes(4000)
    ('6.02 MB', '999 B', '4.00 kB')
    """
    if abs(size_bytes) < 1000:
        return f"{size_bytes} B"
    value = float(size_bytes)
    for unit in ("kB", "MB", "GB", "TB", "PB", "EB"):
        value /= 1000
        if abs(value) < 999.5 or unit == "EB":
            break
    digits = 2 if abs(value) < 9.995 else 1 if abs(value) < 99.95 else 0
    return f"{value:.{digits}f} {unit}"
