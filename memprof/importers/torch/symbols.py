"""Sizes that an exported program leaves open: expressions over symbols, shown as text and evaluated. Pure.

    Add(FloorDiv(Add(Symbol('s53'), Integer(-3)), Integer(2)), Integer(1))      as an archive writes them
    (((s53 - 3)//2)) + 1                                                        as PyTorch prints them

Both are read by Python's own parser and walked; nothing is evaluated that is not in the tables below. A size whose
symbols are all bound becomes a number, any other stays text.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping
from math import ceil, floor, prod
from types import MappingProxyType

from memprof.ir import Dim

MAX_TEXT = 20_000
"""An expression of a real program has some hundred characters."""


def _power(base: int | float, power: int | float) -> int | float:
    if abs(power) > 64 or abs(base) > 2**64:
        raise ValueError("no size has such a power")
    return base**power


_FUNCTIONS: Mapping[str, Callable[..., int | float]] = MappingProxyType(
    {
        "Add": lambda *terms: sum(terms),
        "Mul": lambda *factors: prod(factors),
        "Pow": _power,
        "FloorDiv": lambda a, b: a // b,
        "CleanDiv": lambda a, b: a // b,
        "CeilDiv": lambda a, b: -(-a // b),
        "IntTrueDiv": lambda a, b: a / b,
        "FloatTrueDiv": lambda a, b: a / b,
        "Mod": lambda a, b: a % b,
        "PythonMod": lambda a, b: a % b,
        "Max": max,
        "Min": min,
        "Integer": int,
        "Rational": lambda a, b: a / b,
        "FloorToInt": floor,
        "CeilToInt": ceil,
        "TruncToInt": int,
        "ToFloat": float,
        "floor": floor,
        "ceiling": ceil,
        "PowByNatural": _power,
    }
)
_OPERATORS: Mapping[type[ast.operator], Callable[[int | float, int | float], int | float]] = MappingProxyType(
    {
        ast.Add: lambda a, b: a + b,
        ast.Sub: lambda a, b: a - b,
        ast.Mult: lambda a, b: a * b,
        ast.FloorDiv: lambda a, b: a // b,
        ast.Div: lambda a, b: a / b,
        ast.Mod: lambda a, b: a % b,
        ast.Pow: _power,
    }
)
_INFIX: Mapping[str, str] = MappingProxyType({"Mul": "*", "Pow": "**", "FloorDiv": " // ", "CleanDiv": " // "})
_SYMBOL = re.compile(r"Symbol\('([^']*)'[^()]*\)")


def evaluate(text: str, dims: Mapping[str, int]) -> Dim:
    """Return the value of an expression, or the expression as short text while one of its symbols is not in ``dims``.

    >>> evaluate("Mul(Integer(2), Symbol('s0', positive=True, integer=True))", {"s0": 3})
    6
    >>> evaluate("Add(Symbol('s0', integer=True), Integer(-1))", {})
    's0 - 1'
    """
    try:
        return _value(_parse(text), dims)
    except (_OpenError, ValueError, ArithmeticError, SyntaxError, RecursionError, TypeError, MemoryError):
        return describe(text)


def describe(text: str) -> str:
    """Return an expression as people write it; one that cannot be read stays as it is, shortened.

    >>> describe("FloorDiv(Add(Symbol('s53', positive=True), Integer(-3)), Integer(2))")
    '(s53 - 3) // 2'
    """
    try:
        return _text(_parse(text))
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return text[:80]


def symbols_in(text: str) -> tuple[str, ...]:
    """Return the names of the symbols of an expression in either notation, each once, in order."""
    try:
        tree = _parse(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return ()
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    names = [node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and id(node) not in called]
    return tuple(dict.fromkeys(names))


class _OpenError(Exception):
    """A symbol has no value."""


def _parse(text: str) -> ast.expr:
    if len(text) > MAX_TEXT:
        raise ValueError("the expression is too long")
    return ast.parse(_SYMBOL.sub(r"\1", text), mode="eval").body


def _value(node: ast.expr, dims: Mapping[str, int]) -> int:
    value = _number(node, dims)
    if isinstance(value, float):
        if not value.is_integer():
            raise ValueError("a size is a whole number")
        value = int(value)
    return value


def _number(node: ast.expr, dims: Mapping[str, int]) -> int | float:
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        return node.value  # type: ignore[return-value] # checked in the line above
    if isinstance(node, ast.Name):
        if node.id not in dims:
            raise _OpenError
        return dims[node.id]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_number(node.operand, dims)
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        return _OPERATORS[type(node.op)](_number(node.left, dims), _number(node.right, dims))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _FUNCTIONS:
        return _FUNCTIONS[node.func.id](*(_number(argument, dims) for argument in node.args))
    raise ValueError("the expression holds something that is no arithmetic")


def _text(node: ast.expr) -> str:
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
        return ast.unparse(node)
    name = node.func.id
    parts = [_text(argument) for argument in node.args]
    if name == "Integer" and parts:
        return parts[0]
    if name == "Add":
        return re.sub(r"\+ -(\d)", r"- \1", " + ".join(parts))
    if name in _INFIX and len(parts) > 1:
        return _INFIX[name].join(map(_bracket, parts))
    return f"{name}({', '.join(parts)})"


def _bracket(text: str) -> str:
    return text if re.fullmatch(r"\w+|\w+\(.*\)|-?\d+", text) else f"({text})"
