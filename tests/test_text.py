"""The one gate that names from a model pass before a person sees them."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memprof.base.text import safe_text


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("features.0.0", "features.0.0"),
        ("größe/重み", "größe/重み"),
        ("", ""),
        ("[/]", "[/]"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("two\nlines\ttab", "two\\x0alines\\x09tab"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("\u2028", "\\u2028"),
        ("\ud800", "\\ud800"),
        ("\U000e0041", "\\U000e0041"),
        ("\x7f\x9b", "\\x7f\\x9b"),
    ],
)
def test_what_could_move_a_cursor_or_turn_a_line_is_spelt_out(name: str, shown: str) -> None:
    assert safe_text(name) == shown


def test_a_long_name_keeps_its_two_ends() -> None:
    assert safe_text("encoder." + "x" * 10_000_000 + ".weight", limit=21) == "encoder.xx…xxx.weight"


def test_escaping_does_not_outgrow_the_limit() -> None:
    assert safe_text("\x00" * 9, limit=9) == "\\x00…\\x00"


@given(st.text(st.characters()), st.integers(1, 60))
def test_any_text_becomes_one_short_printable_line(text: str, limit: int) -> None:
    shown = safe_text(text, limit=limit)
    assert len(shown) <= limit
    assert all(unicodedata.category(c) not in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"} for c in shown)
    assert safe_text(shown, limit=limit) == shown
