from __future__ import annotations

import pytest

from memprof.importers.torch.symbols import MAX_TEXT, describe, evaluate, symbols_in

S0 = "Symbol('s0', positive=True, integer=True)"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (S0, 10),
        (f"Mul(Integer(51), {S0})", 510),
        (f"Add(FloorDiv(Add({S0}, Integer(-3)), Integer(2)), Integer(1))", 4),
        (f"Mul(Integer(8), Max(Integer(1), {S0}))", 80),
        (f"Pow({S0}, Integer(2))", 100),
        (f"Mod({S0}, Integer(4))", 2),
        (f"CeilToInt(IntTrueDiv({S0}, Integer(4)))", 3),
        (f"Mul(Rational(1, 2), {S0})", 5),
        ("(((s0 - 3)//2)) + 1", 4),
        ("-s0 + 12", 2),
    ],
)
def test_both_notations_are_evaluated(text: str, expected: int) -> None:
    assert evaluate(text, {"s0": 10}) == expected


def test_an_open_symbol_leaves_the_expression_as_people_write_it() -> None:
    assert evaluate(f"Add(Mul(Integer(2), {S0}), Integer(-1))", {"s1": 3}) == "2*s0 - 1"


def test_what_is_described_can_be_evaluated_again() -> None:
    text = f"Add(FloorDiv(Add({S0}, Integer(-3)), Integer(2)), Mul(Integer(3), Max(Integer(1), {S0})))"
    assert evaluate(describe(text), {"s0": 21}) == evaluate(text, {"s0": 21}) == 9 + 63


def test_symbols_are_listed_once_in_order_and_functions_are_none() -> None:
    assert symbols_in(f"Add(Max({S0}, Symbol('u1')), {S0})") == ("s0", "u1")


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "Pow(Pow(Integer(9), Integer(64)), Pow(Integer(9), Integer(64)))",
        "FloorDiv(Integer(1), Integer(0))",
        "Mul(Rational(1, 2), Integer(1))",
        "(" * 5000,
        "1" * (MAX_TEXT + 1),
        "lambda: 1",
        "open",
    ],
)
def test_what_is_no_size_stays_text_and_nothing_runs(text: str) -> None:
    assert isinstance(evaluate(text, {}), str)
