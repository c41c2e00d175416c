"""Bytes as people write and read them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memprof.base.errors import UsageError
from memprof.base.units import format_bytes, parse_bytes


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0),
        ("1048576", 1048576),
        ("1B", 1),
        ("1kB", 1000),
        ("1KB", 1000),
        ("1KiB", 1024),
        ("512 kib", 512 * 1024),
        ("1.5MB", 1_500_000),
        ("1.5MiB", 1_572_864),
        ("2GB", 2 * 10**9),
        ("2GiB", 2 * 2**30),
        ("1TB", 10**12),
        ("1TiB", 2**40),
        (" 7 B ", 7),
        ("512K", 524_288),
        ("0.5M", 524_288),
        ("1g", 2**30),
    ],
)
def test_amounts_are_read_with_decimal_and_binary_units(text: str, expected: int) -> None:
    assert parse_bytes(text) == expected


def test_a_fraction_of_a_byte_rounds_down_so_that_a_budget_never_grows() -> None:
    assert parse_bytes("0.9") == 0
    assert parse_bytes("1.0009kB") == 1000
    assert parse_bytes("0.3GiB") == 2**30 * 3 // 10


@pytest.mark.parametrize(
    "text",
    ["", "kB", "-1", "1e6", "1.5.2MB", "1 XB", "1,000", "1kbit", ".5MB", "\u0661kB", "9" * 5000, "0." + "9" * 5000],
)
def test_what_is_no_amount_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UsageError, match="not an amount of bytes") as caught:
        parse_bytes(text)
    assert "512KiB" in caught.value.hint


@pytest.mark.parametrize(
    ("size_bytes", "expected"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.00 kB"),
        (6_021_120, "6.02 MB"),
        (9_994, "9.99 kB"),
        (9_996, "10.0 kB"),
        (99_960, "100 kB"),
        (999_499, "999 kB"),
        (999_500, "1.00 MB"),
        (13_879_040, "13.9 MB"),
        (2**31, "2.15 GB"),
        (10**21, "1000 EB"),
        (-2048, "-2.05 kB"),
    ],
)
def test_bytes_are_shown_with_a_decimal_unit_and_three_digits(size_bytes: int, expected: str) -> None:
    assert format_bytes(size_bytes) == expected


@given(st.integers(0, 999 * 10**12))
def test_what_is_shown_reads_back_within_half_a_percent(size_bytes: int) -> None:
    assert abs(parse_bytes(format_bytes(size_bytes)) - size_bytes) <= size_bytes // 200
